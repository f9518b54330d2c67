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
pub(crate) use months::Month;
pub(crate) use rules::canonical;
pub(crate) use stats::adjustments_in;

use crate::recorded::{Cleared, RecordedClicks, Touched};
use crate::retention::{self, RetentionConfig, RetentionError};

use async_trait::async_trait;
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::{PartitionId, Position};
use gonggumoa_core::judge::rules::{RulesActivation, RulesSettings, StoredRules};
use gonggumoa_core::store::{
    ClickStore, GongguSnapshot, JudgedBatch, LoadRequest, PartitionProgress, StoreError,
};
use parking_lot::Mutex;
use sqlx::PgPool;
use std::collections::HashMap;
use uuid::Uuid;

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
    touched: Touched,
}

impl PostgresClickStore {
    /// A store on this pool. Two connections serve one partition: one stores, one loads.
    pub fn new(pool: PgPool) -> Self {
        Self {
            pool,
            months: months::Months::default(),
            buffers: Mutex::default(),
            known_open: Mutex::default(),
            touched: Touched::default(),
        }
    }

    /// The pool it works on.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }
}

#[async_trait]
impl RecordedClicks for PostgresClickStore {
    fn catalog(&self) -> &PgPool {
        &self.pool
    }

    fn touched(&self) -> &Touched {
        &self.touched
    }

    async fn stored_partitions(&self) -> Result<Vec<PartitionId>, StoreError> {
        queries::stored_partitions(self).await
    }

    async fn follow_click_counts(&self, ids: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
        sqlx::query_file_scalar!("src/sql/follow_click_count.sql", ids)
            .fetch_all(&self.pool)
            .await
            .map_err(store_error)
    }

    async fn clear(
        &self,
        config: &RetentionConfig,
        keep_from: UnixMillis,
        now: UnixMillis,
    ) -> Result<Cleared, RetentionError> {
        retention::clear_postgres(config, self, keep_from, now).await
    }
}

#[async_trait]
impl ClickStore for PostgresClickStore {
    async fn claim(
        &self,
        partition: PartitionId,
        owner: Uuid,
    ) -> Result<Option<PartitionProgress>, StoreError> {
        queries::claim(self, partition, owner).await
    }

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

    async fn activate(
        &self,
        owner: Uuid,
        activation: RulesActivation,
    ) -> Result<RulesActivation, StoreError> {
        rules::activate(self, owner, activation).await
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
