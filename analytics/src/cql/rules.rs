//! Rules versions and their activations: written once by compare-and-set, never changed.

use super::CqlClickStore;
use super::error::damaged;
use super::session::{self, Set};
use crate::postgres::canonical;
use gonggumoa_core::ids::{PartitionId, Position};
use gonggumoa_core::judge::rules::{RulesActivation, RulesSettings, StoredRules};
use gonggumoa_core::store::StoreError;
use scylla::value::CqlTimestamp;
use sha2::{Digest, Sha256};

/// Others may take the next number first, each at most once a version of theirs.
const NUMBER_ATTEMPTS: usize = 32;

struct Known {
    version: i32,
    hash: Vec<u8>,
    settings: String,
}

async fn known(store: &CqlClickStore) -> Result<Vec<Known>, StoreError> {
    let rows: Vec<(i32, Vec<u8>, String)> =
        session::rows(&store.session, &store.statements.rules, ()).await?;
    Ok(rows.into_iter().map(|(version, hash, settings)| Known { version, hash, settings }).collect())
}

pub(crate) async fn rules(store: &CqlClickStore) -> Result<Vec<StoredRules>, StoreError> {
    known(store)
        .await?
        .into_iter()
        .map(|Known { version, settings, .. }| {
            let settings = serde_json::from_str(&settings)
                .map_err(|error| damaged("rules version", format!("{version}: {error}")))?;
            Ok(StoredRules { version: version as u32, settings })
        })
        .collect()
}

/// The next number is tried by compare-and-set; who loses it looks again, so that numbers have no gaps and equal
/// settings one number. One that has no answer is told by that same look.
pub(crate) async fn put_rules(
    store: &CqlClickStore,
    settings: &RulesSettings,
) -> Result<StoredRules, StoreError> {
    let json = serde_json::to_value(settings).map_err(|error| StoreError::Refused(Box::new(error)))?;
    let text = canonical(&json);
    let hash = Sha256::digest(text.as_bytes()).to_vec();
    // Callers of this process do not get into each other's way.
    let _turn = store.rare.lock().await;
    for _ in 0..NUMBER_ATTEMPTS {
        let known = known(store).await?;
        if let Some(found) = known.iter().find(|known| known.hash == hash) {
            return Ok(StoredRules { version: found.version as u32, settings: settings.clone() });
        }
        let version = known.last().map_or(0, |known| known.version) + 1;
        let now = CqlTimestamp(store.clock.now().0);
        let values = (version, &hash, &text, now);
        if session::set(&store.session, &store.statements.put_rules, values).await? == Set::Applied {
            return Ok(StoredRules { version: version as u32, settings: settings.clone() });
        }
    }
    Err(StoreError::Unavailable("others numbered rules versions all the time".into()))
}

pub(crate) async fn activations(
    store: &CqlClickStore,
    partition: PartitionId,
) -> Result<Vec<RulesActivation>, StoreError> {
    let rows: Vec<(i64, i32)> =
        session::rows(&store.session, &store.statements.activations, (partition.0 as i32,)).await?;
    let activation = |(from, version): (i64, i32)| RulesActivation {
        partition,
        from: Position(from as u64),
        version: version as u32,
    };
    Ok(rows.into_iter().map(activation).collect())
}

/// First writer wins; what is in force is read serially, whatever the compare-and-set said.
pub(crate) async fn activate(
    store: &CqlClickStore,
    activation: RulesActivation,
) -> Result<RulesActivation, StoreError> {
    let (partition, from) = (activation.partition.0 as i32, activation.from.0 as i64);
    let now = CqlTimestamp(store.clock.now().0);
    let _turn = store.rare.lock().await;
    let values = (partition, from, activation.version as i32, now);
    if session::set(&store.session, &store.statements.activate, values).await? == Set::Applied {
        return Ok(activation);
    }
    let found: Option<(i32,)> =
        session::row(&store.session, &store.statements.activation, (partition, from)).await?;
    match found {
        Some((version,)) => Ok(RulesActivation { version: version as u32, ..activation }),
        None => Err(StoreError::Unavailable("the activation's compare-and-set was not done".into())),
    }
}
