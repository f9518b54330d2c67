//! A click store in memory: the contract of [`ClickStore`] in its plainest form, for tests of what
//! writes to a store. It writes in the contract's order and can be made to fail between any two writes.

use super::{ClickStore, GongguSnapshot, JudgedBatch, LoadRequest, PartitionProgress, StoreError};
use crate::click::JudgedClick;
use crate::ids::{ClickId, FlagId, GongguId, PartitionId, Position};
use crate::judge::rules::{RulesActivation, RulesSettings, StoredRules};
use crate::judge::totals::{Flag, GongguHead, Rollup, RollupKey};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use uuid::Uuid;

#[cfg(test)]
mod tests;

/// Everything stored.
#[derive(Clone, Debug, Default)]
pub struct MemoryRows {
    /// Judged clicks.
    pub clicks: BTreeMap<ClickId, JudgedClick>,
    /// Heads.
    pub heads: BTreeMap<GongguId, GongguHead>,
    /// Rollup rows.
    pub rollups: BTreeMap<RollupKey, Rollup>,
    /// Flags.
    pub flags: BTreeMap<FlagId, Flag>,
    /// Owners of the partitions.
    pub owners: BTreeMap<PartitionId, Uuid>,
    /// Progress of the partitions.
    pub progress: BTreeMap<PartitionId, PartitionProgress>,
    /// Quarantined positions.
    pub quarantined: BTreeSet<(PartitionId, Position)>,
    /// Rules versions.
    pub rules: Vec<StoredRules>,
    /// Activations.
    pub activations: Vec<RulesActivation>,
    /// Calls of `store` that came to an end.
    pub batches_stored: u64,
}

/// Single writes that are allowed before the store goes down; each lets the counter fall.
type WritesLeft = Option<u64>;

/// A store in memory. Clones share the rows.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    rows: Arc<Mutex<(MemoryRows, WritesLeft)>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// A copy of everything stored.
    pub fn rows(&self) -> MemoryRows {
        self.rows.lock().0.clone()
    }

    /// After `writes` more single writes every call fails as unavailable, until [`heal`](Self::heal).
    pub fn fail_after(&self, writes: u64) {
        self.rows.lock().1 = Some(writes);
    }

    /// Works again.
    pub fn heal(&self) {
        self.rows.lock().1 = None;
    }
}

fn unavailable() -> StoreError {
    StoreError::Unavailable("the store is down".into())
}

fn take_write(left: &mut WritesLeft) -> Result<(), StoreError> {
    match left {
        Some(0) => Err(unavailable()),
        Some(writes) => {
            *writes -= 1;
            Ok(())
        }
        None => Ok(()),
    }
}

impl MemoryRows {
    fn check_owner(&self, partition: PartitionId, owner: Uuid) -> Result<(), StoreError> {
        let found = self.owners.get(&partition).copied();
        if found == Some(owner) { Ok(()) } else { Err(StoreError::Fenced { partition, owner, found }) }
    }
}

#[async_trait]
impl ClickStore for MemoryStore {
    async fn claim(
        &self,
        partition: PartitionId,
        owner: Uuid,
    ) -> Result<Option<PartitionProgress>, StoreError> {
        let (rows, left) = &mut *self.rows.lock();
        take_write(left)?;
        rows.owners.insert(partition, owner);
        Ok(rows.progress.get(&partition).cloned())
    }

    async fn progress(&self, partition: PartitionId) -> Result<Option<PartitionProgress>, StoreError> {
        let rows = self.rows.lock();
        if rows.1 == Some(0) { Err(unavailable()) } else { Ok(rows.0.progress.get(&partition).cloned()) }
    }

    async fn rules(&self) -> Result<Vec<StoredRules>, StoreError> {
        Ok(self.rows.lock().0.rules.clone())
    }

    async fn put_rules(&self, settings: &RulesSettings) -> Result<StoredRules, StoreError> {
        let rules = &mut self.rows.lock().0.rules;
        if let Some(known) = rules.iter().find(|known| known.settings == *settings) {
            return Ok(known.clone());
        }
        let version = rules.len() as u32 + 1;
        let stored = StoredRules { version, settings: settings.clone() };
        rules.push(stored.clone());
        Ok(stored)
    }

    async fn activations(&self, partition: PartitionId) -> Result<Vec<RulesActivation>, StoreError> {
        let mut found: Vec<_> =
            self.rows.lock().0.activations.iter().filter(|a| a.partition == partition).copied().collect();
        found.sort_by_key(|activation| activation.from);
        Ok(found)
    }

    async fn activate(
        &self,
        owner: Uuid,
        activation: RulesActivation,
    ) -> Result<RulesActivation, StoreError> {
        let rows = &mut self.rows.lock().0;
        rows.check_owner(activation.partition, owner)?;
        let activations = &mut rows.activations;
        let known = activations
            .iter()
            .find(|known| known.partition == activation.partition && known.from == activation.from)
            .copied();
        Ok(known.unwrap_or_else(|| {
            activations.push(activation);
            activation
        }))
    }

    async fn quarantined(
        &self,
        partition: PartitionId,
        after: Position,
    ) -> Result<Vec<Position>, StoreError> {
        let rows = self.rows.lock();
        let found = rows.0.quarantined.iter().filter(|(of, position)| *of == partition && *position > after);
        Ok(found.map(|(_, position)| *position).collect())
    }

    async fn load(&self, requests: &[LoadRequest]) -> Result<Vec<GongguSnapshot>, StoreError> {
        let rows = self.rows.lock();
        if rows.1 == Some(0) {
            return Err(unavailable());
        }
        Ok(requests.iter().map(|request| snapshot(&rows.0, request)).collect())
    }

    async fn store(&self, batch: &JudgedBatch) -> Result<(), StoreError> {
        let (rows, left) = &mut *self.rows.lock();
        rows.check_owner(batch.partition, batch.owner)?;
        let found = rows.progress.get(&batch.partition).map(|progress| progress.position);
        if found == Some(batch.to.position) {
            return Ok(());
        }
        if found != batch.from {
            return Err(StoreError::PositionMoved {
                partition: batch.partition,
                expected: batch.from.map(|from| from.through),
                found: found.map(|found| found.through),
            });
        }
        for click in &batch.clicks {
            take_write(left)?;
            rows.clicks.insert(click.click.id, click.clone());
        }
        for head in &batch.heads {
            take_write(left)?;
            store_gonggu(rows, batch, head);
        }
        take_write(left)?;
        rows.quarantined.extend(batch.quarantined.iter().map(|position| (batch.partition, *position)));
        take_write(left)?;
        rows.progress.insert(batch.partition, batch.to.clone());
        rows.batches_stored += 1;
        Ok(())
    }
}

/// Head, rollups and flags of one gonggu, atomically; a head that is already further stays.
fn store_gonggu(rows: &mut MemoryRows, batch: &JudgedBatch, head: &GongguHead) {
    if rows.heads.get(&head.gonggu_id).is_some_and(|known| known.applied_through >= head.applied_through) {
        return;
    }
    rows.heads.insert(head.gonggu_id, head.clone());
    for rollup in batch.rollups.iter().filter(|rollup| rollup.key.gonggu_id == head.gonggu_id) {
        rows.rollups.insert(rollup.key, rollup.clone());
    }
    for flag in batch.flags.iter().filter(|flag| flag.gonggu_id == head.gonggu_id) {
        rows.flags.insert(flag.id, flag.clone());
    }
}

fn snapshot(rows: &MemoryRows, request: &LoadRequest) -> GongguSnapshot {
    let Some(head) = rows.heads.get(&request.gonggu_id) else { return GongguSnapshot::default() };
    let after = head.last_judged_at.plus_millis(-request.window_millis);
    let mut clicks: Vec<JudgedClick> = rows
        .clicks
        .values()
        .filter(|click| click.click.gonggu_id == request.gonggu_id)
        .filter(|click| click.position <= head.applied_through && click.judgement.judged_at > after)
        .cloned()
        .collect();
    clicks.sort_by_key(|click| click.position);
    let flags = rows
        .flags
        .values()
        .filter(|flag| flag.gonggu_id == request.gonggu_id && flag.last_held_at > after)
        .cloned()
        .collect();
    let rollups = request.rollups.iter().filter_map(|key| rows.rollups.get(key)).cloned().collect();
    GongguSnapshot { head: Some(head.clone()), clicks, rollups, flags }
}
