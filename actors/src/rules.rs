//! Which rules version judges which position of a partition.
//!
//! Invariant: an activation is stored before any verdict is made with it, only by the partition's owner, and at a
//! position of which nobody can have written a verdict yet: after the durable end seen once the partition was claimed
//! (`gonggumoa_core::store` has the argument). The first stored one wins. So whoever folds a position later
//! uses the same version.

use crate::handle::TrackingDeps;
use gonggumoa_core::ids::{PartitionId, Position};
use gonggumoa_core::judge::rules::{Rules, RulesActivation, RulesError, RulesHistory};
use gonggumoa_core::log::LogError;
use gonggumoa_core::store::StoreError;
use std::sync::Arc;
use uuid::Uuid;

/// Why the rules in force are not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RulesLoadError {
    /// The store did not answer.
    #[error("the rules versions could not be read or written: {0}")]
    Store(#[from] StoreError),
    /// The log did not answer.
    #[error("the log's end could not be read: {0}")]
    Log(#[from] LogError),
    /// A version this binary cannot run.
    #[error("a rules version cannot be run: {0}")]
    Rules(#[from] RulesError),
}

/// Reads the history and, if the configured settings differ from the version in force, stores and
/// activates the next version. `owner` has claimed the partition, which is stored through
/// `stored_through`.
pub(crate) async fn history(
    deps: &TrackingDeps,
    partition: PartitionId,
    owner: Uuid,
    stored_through: Position,
) -> Result<RulesHistory, RulesLoadError> {
    let configured = deps.store.put_rules(&deps.rules).await?;
    let mut activations = deps.store.activations(partition).await?;
    let in_force = activations.last().copied();
    if in_force.is_none_or(|activation| activation.version != configured.version) {
        // Before the first activation nothing was ever judged, so it covers the log from its start.
        let from = match in_force {
            None => Position(0),
            Some(last) => {
                let end = deps.log.durable_end(partition).await?;
                // A shared log that begins anew may end before what was stored of the one before it.
                Position(end.max(last.from).max(stored_through).0 + 1)
            }
        };
        let activation = RulesActivation { partition, from, version: configured.version };
        let stored = deps.store.activate(owner, activation).await?;
        tracing::info!(partition.id = %partition, rules.version = stored.version, rules.from = %stored.from,
            "a rules version comes into force");
        activations = deps.store.activations(partition).await?;
    }
    // All that are stored: a gonggu that came from another partition has clicks of versions that never were in
    // force in this one. Of those, one that this program cannot run matters only if such a click turns up.
    let mut versions = Vec::new();
    for stored in deps.store.rules().await? {
        let is_ours = activations.iter().any(|activation| activation.version == stored.version);
        match Rules::compile(&stored) {
            Ok(rules) => versions.push(Arc::new(rules)),
            Err(error) if is_ours => return Err(error.into()),
            Err(_) => {}
        }
    }
    Ok(RulesHistory::new(versions, activations)?)
}
