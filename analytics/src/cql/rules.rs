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
use std::collections::HashMap;
use uuid::Uuid;

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

/// The activations that partitions' rows held before they named an owner, and those of the row itself.
pub(crate) async fn activations(
    store: &CqlClickStore,
    partition: PartitionId,
) -> Result<Vec<RulesActivation>, StoreError> {
    let (_, versions) = owned(store, partition).await?;
    let activation =
        |(from, version)| RulesActivation { partition, from: Position(from as u64), version: version as u32 };
    let mut all: Vec<RulesActivation> = versions.into_iter().map(activation).collect();
    all.sort_unstable_by_key(|activation| activation.from);
    Ok(all)
}

/// Who owns the partition, and versions by the positions from which they are in force: as of one moment, since those
/// of before never change.
async fn owned(
    store: &CqlClickStore,
    partition: PartitionId,
) -> Result<(Option<Uuid>, HashMap<i64, i32>), StoreError> {
    let key = (partition.0 as i32,);
    let before: Vec<(i64, i32)> = session::rows(&store.session, &store.statements.activations, key).await?;
    let row: Option<(Option<Uuid>, Option<HashMap<i64, i32>>)> =
        session::row(&store.session, &store.statements.owned_activations, key).await?;
    let (owner, versions) = row.unwrap_or_default();
    let mut versions = versions.unwrap_or_default();
    versions.extend(before);
    Ok((owner, versions))
}

/// The first one stays: an owner is one opening by one process, whose calls wait for each other here, and a
/// compare-and-set of one that lost the partition since it looked is refused.
pub(crate) async fn activate(
    store: &CqlClickStore,
    owner: Uuid,
    activation: RulesActivation,
) -> Result<RulesActivation, StoreError> {
    let RulesActivation { partition, from, version } = activation;
    let _turn = store.rare.lock().await;
    for is_set in [false, true] {
        let (found, versions) = owned(store, partition).await?;
        if found != Some(owner) {
            return Err(StoreError::Fenced { partition, owner, found });
        }
        if let Some(version) = versions.get(&(from.0 as i64)) {
            return Ok(RulesActivation { version: *version as u32, ..activation });
        }
        if is_set {
            break;
        }
        let values = (from.0 as i64, version as i32, partition.0 as i32, owner);
        if session::set(&store.session, &store.statements.activate, values).await? == Set::Applied {
            return Ok(activation);
        }
    }
    Err(StoreError::Unavailable("the activation's compare-and-set was not done".into()))
}
