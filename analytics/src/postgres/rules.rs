//! Rules versions and their activations: written once, never changed.

use super::PostgresClickStore;
use super::begin::begin;
use super::error::store_error;
use super::write::fenced;
use gonggumoa_core::ids::{PartitionId, Position};
use gonggumoa_core::judge::rules::{RulesActivation, RulesSettings, StoredRules};
use gonggumoa_core::store::StoreError;
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Held while a version is numbered, so that numbers have no gaps and equal settings one number.
const RULES_LOCK: i64 = 0x676f_6e67_0002;

/// JSON with sorted keys and no blanks: equal settings give equal bytes on any machine.
pub(crate) fn canonical(value: &Value) -> String {
    match value {
        Value::Object(object) => {
            let mut entries: Vec<_> = object.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            let entries: Vec<String> = entries
                .into_iter()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), canonical(value)))
                .collect();
            format!("{{{}}}", entries.join(","))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        scalar => scalar.to_string(),
    }
}

fn settings_of(version: i32, settings: Value) -> Result<StoredRules, StoreError> {
    let settings = serde_json::from_value(settings).map_err(|error| StoreError::Damaged {
        what: "rules version",
        problem: format!("{version}: {error}"),
    })?;
    Ok(StoredRules { version: version as u32, settings })
}

pub(crate) async fn rules(store: &PostgresClickStore) -> Result<Vec<StoredRules>, StoreError> {
    let rows = sqlx::query!("SELECT version, settings FROM rules_versions ORDER BY version")
        .fetch_all(&store.pool)
        .await
        .map_err(store_error)?;
    rows.into_iter().map(|row| settings_of(row.version, row.settings)).collect()
}

pub(crate) async fn put_rules(
    store: &PostgresClickStore,
    settings: &RulesSettings,
) -> Result<StoredRules, StoreError> {
    let json = serde_json::to_value(settings).map_err(|error| StoreError::Refused(Box::new(error)))?;
    let hash = Sha256::digest(canonical(&json).as_bytes()).to_vec();
    let version = number(store, &hash, &json).await.map_err(store_error)?;
    Ok(StoredRules { version: version as u32, settings: settings.clone() })
}

async fn number(store: &PostgresClickStore, hash: &[u8], json: &Value) -> Result<i32, sqlx::Error> {
    let mut transaction = begin(&store.pool).await?;
    sqlx::query!("SELECT pg_advisory_xact_lock($1) AS \"locked: ()\"", RULES_LOCK)
        .fetch_one(&mut *transaction)
        .await?;
    let known = sqlx::query_scalar!("SELECT version FROM rules_versions WHERE hash = $1", hash)
        .fetch_optional(&mut *transaction)
        .await?;
    let version = match known {
        Some(version) => version,
        None => {
            sqlx::query_scalar!(
                "INSERT INTO rules_versions (version, hash, settings)
                 SELECT coalesce(max(version), 0) + 1, $1, $2 FROM rules_versions RETURNING version",
                hash,
                json
            )
            .fetch_one(&mut *transaction)
            .await?
        }
    };
    transaction.commit().await?;
    Ok(version)
}

pub(crate) async fn activations(
    store: &PostgresClickStore,
    partition: PartitionId,
) -> Result<Vec<RulesActivation>, StoreError> {
    let rows = sqlx::query!(
        "SELECT from_position, version FROM rules_activations WHERE partition = $1 ORDER BY from_position",
        partition.0 as i32
    )
    .fetch_all(&store.pool)
    .await
    .map_err(store_error)?;
    Ok(rows
        .into_iter()
        .map(|row| RulesActivation {
            partition,
            from: Position(row.from_position as u64),
            version: row.version as u32,
        })
        .collect())
}

/// The partition's row is locked against claims until the activation is there. First writer wins: the conflicting insert
/// waits for the other's commit, so the row read after it is the one in force.
pub(crate) async fn activate(
    store: &PostgresClickStore,
    owner: Uuid,
    activation: RulesActivation,
) -> Result<RulesActivation, StoreError> {
    let (partition, from) = (activation.partition.0 as i32, activation.from.0 as i64);
    let mut transaction = begin(&store.pool).await.map_err(store_error)?;
    let found =
        sqlx::query_scalar!("SELECT owner FROM click_partitions WHERE partition = $1 FOR SHARE", partition)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(store_error)?
            .flatten();
    if found != Some(owner) {
        return Err(fenced(activation.partition, owner, found));
    }
    sqlx::query!(
        "INSERT INTO rules_activations (partition, from_position, version) VALUES ($1, $2, $3)
         ON CONFLICT DO NOTHING",
        partition,
        from,
        activation.version as i32
    )
    .execute(&mut *transaction)
    .await
    .map_err(store_error)?;
    let version = sqlx::query_scalar!(
        "SELECT version FROM rules_activations WHERE partition = $1 AND from_position = $2",
        partition,
        from
    )
    .fetch_one(&mut *transaction)
    .await
    .map_err(store_error)?;
    transaction.commit().await.map_err(store_error)?;
    Ok(RulesActivation { version: version as u32, ..activation })
}
