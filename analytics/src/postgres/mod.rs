//! The click store on PostgreSQL.
//!
//! Problem: every judged click must be a row, at more than 100,000 a second, together with the figures
//! it changed and the place in the log it came from.
//!
//! Invariants: a batch is one transaction (`write`), so a reader sees all of it or nothing; writing the
//! same batch again changes nothing; figures are absolute values; adjustments are neither read nor
//! written here. What is loaded (`load`) is as of one instant. Non-goal: deciding anything about a
//! click.

pub mod begin;
pub mod codes;
pub mod copy;
pub mod millis;

pub(crate) mod error;
mod figures;
mod load;
pub(crate) mod months;
mod open;
mod queries;
mod rows;
mod rules;
mod stats;
mod write;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub(crate) use error::store_error;

use async_trait::async_trait;
use gonggumoa_core::ids::{GongguId, PartitionId, Position};
use gonggumoa_core::judge::rules::{RulesActivation, RulesSettings, StoredRules};
use gonggumoa_core::store::{
    ClickStore, GongguSnapshot, JudgedBatch, LoadRequest, PartitionProgress, StoreError,
};
use parking_lot::Mutex;
use sqlx::PgPool;
use std::collections::{HashMap, HashSet};

/// Judged clicks in PostgreSQL; the schema is `migrations/postgres`.
#[derive(Debug)]
pub struct PostgresClickStore {
    pool: PgPool,
    months: months::Months,
    /// COPY buffers between two batches: one a partition that stores at the same time.
    buffers: Mutex<Vec<Vec<u8>>>,
    /// Which buckets are open in the heads, by partition (see `figures`).
    known_open: Mutex<HashMap<PartitionId, figures::KnownOpen>>,
    /// Gonggus whose figures changed since somebody last took them (see `click_count`).
    touched: Mutex<HashSet<GongguId>>,
}

impl PostgresClickStore {
    /// A store on this pool. Two connections serve one partition: one stores, one loads.
    pub fn new(pool: PgPool) -> Self {
        Self {
            pool,
            months: months::Months::default(),
            buffers: Mutex::default(),
            known_open: Mutex::default(),
            touched: Mutex::default(),
        }
    }

    /// The pool it works on.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Says that figures of a gonggu changed by other means than a batch (an adjustment).
    pub fn touch(&self, gonggu_id: GongguId) {
        self.touched.lock().insert(gonggu_id);
    }

    /// Takes at most `count_max` of the gonggus whose figures changed.
    pub(crate) fn take_touched(&self, count_max: usize) -> Vec<GongguId> {
        let mut touched = self.touched.lock();
        let taken: Vec<GongguId> = touched.iter().take(count_max).copied().collect();
        for gonggu_id in &taken {
            touched.remove(gonggu_id);
        }
        taken
    }
}

#[async_trait]
impl ClickStore for PostgresClickStore {
    async fn progress(&self, partition: PartitionId) -> Result<Option<PartitionProgress>, StoreError> {
        queries::progress(self, partition).await
    }

    async fn rules(&self) -> Result<Vec<StoredRules>, StoreError> {
        rules::rules(self).await
    }

    async fn put_rules(&self, settings: &RulesSettings) -> Result<StoredRules, StoreError> {
        rules::put_rules(self, settings).await
    }

    async fn activations(&self, partition: PartitionId) -> Result<Vec<RulesActivation>, StoreError> {
        rules::activations(self, partition).await
    }

    async fn activate(&self, activation: RulesActivation) -> Result<RulesActivation, StoreError> {
        rules::activate(self, activation).await
    }

    async fn quarantined(
        &self,
        partition: PartitionId,
        after: Position,
    ) -> Result<Vec<Position>, StoreError> {
        queries::quarantined(self, partition, after).await
    }

    async fn load(&self, requests: &[LoadRequest]) -> Result<Vec<GongguSnapshot>, StoreError> {
        load::load(self, requests).await
    }

    async fn store(&self, batch: &JudgedBatch) -> Result<(), StoreError> {
        write::store(self, batch).await
    }
}
