//! The click store on ScyllaDB or Apache Cassandra.
//!
//! Problem: judged clicks of many machines, more than one PostgreSQL takes, in a store without transactions, in which
//! any node may fail and any write may come late, twice, or without an answer.
//!
//! **Order.** A batch is written in the contract's order (`write`), each step confirmed by a majority of the copies
//! before the next begins. A reader sees a head together with the rollup rows that its batch touched, since they are one
//! row (`figures`).
//!
//! **Timestamps.** CQL keeps, cell by cell, the value with the largest write timestamp. Heads, rollup rows and flags
//! are absolute values as of a position, and their timestamp is made of it: the position (a shared log's is its epoch
//! above its offset, so that a later epoch wins too) less 2^63 - 1, which orders the same and never lies in the
//! future, as ScyllaDB demands. A judge that lost its partition may still finish the batch it had begun to write, late
//! and out of order: what it writes of older positions loses, and what it writes of newer ones is what its successor
//! will write there itself, because a verdict is a function of the log, the rules version stored for the position
//! and the quarantined positions stored before it; a version that the successor brings comes into force only after all
//! that such a batch can hold (`gonggumoa_core::store`). It begins no further one. At equal timestamps the larger value wins; the two are equal by the same argument.
//! Whoever else writes these tables must write so too; without a timestamp of that kind he would win for ever.
//!
//! **Fencing.** Owner, position and activations of a partition are one row, which alone changes by compare-and-set
//! (`progress`): it is what tells the one who lost.
//!
//! **Clicks** never change, so their timestamp is the time of writing and a repetition is the same row; that also lets
//! time-window compaction drop whole files when their time to live is over. Clicks go after
//! `CLICK_RETENTION_MONTHS`, their raw addresses after `IP_RETENTION_DAYS` by a shorter time to live of that one
//! column; nothing is ever deleted. Heads, rollups and flags stay, as they do in PostgreSQL.
//!
//! **Identifiers** are `uuid`: a click id is a UUIDv7, which `timeuuid` refuses.
//!
//! Not here: counter columns (a repeated write would count twice), secondary indexes, batches over several
//! partitions. Adjustments and decisions of admins are PostgreSQL's; this store is given a pool to read them by.

mod config;
mod connect;
mod error;
mod figures;
mod known;
mod load;
mod migrate;
mod progress;
mod queries;
mod recorded;
mod rows;
mod rules;
mod session;
mod statements;
mod stats;
mod write;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use config::{CqlConfig, CqlTls};
pub use error::CqlError;
pub use migrate::migrate;

use crate::recorded::Touched;
use crate::retention::RetentionConfig;
use async_trait::async_trait;
use gonggumoa_core::clock::{Clock, SystemClock};
use gonggumoa_core::ids::{PartitionId, Position};
use gonggumoa_core::judge::rules::{RulesActivation, RulesSettings, StoredRules};
use gonggumoa_core::store::{
    ClickStore, GongguSnapshot, JudgedBatch, LoadRequest, PartitionProgress, StoreError,
};
use known::Known;
use parking_lot::Mutex;
use scylla::client::session::Session;
use sqlx::PgPool;
use statements::Statements;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use uuid::Uuid;

/// Judged clicks in a CQL keyspace; the schema is `migrations/scylla`.
pub struct CqlClickStore {
    session: Session,
    statements: Statements,
    concurrency: usize,
    retention: RetentionConfig,
    /// Times to live are counted from now; no verdict depends on it.
    clock: Arc<dyn Clock>,
    /// Where adjustments and decisions are.
    catalog: PgPool,
    /// Who writes a partition in this process.
    turns: Mutex<HashMap<PartitionId, Arc<tokio::sync::Mutex<()>>>>,
    /// Held by the rare compare-and-sets, which only get in each other's way.
    rare: tokio::sync::Mutex<()>,
    known_click_buckets: Known<(Uuid, i64, i16)>,
    known_rollup_buckets: Known<(Uuid, i16, i64)>,
    touched: Touched,
}

impl CqlClickStore {
    /// Connects and checks that the keyspace's schema is this program's. `catalog` is the PostgreSQL in which
    /// adjustments and decisions are.
    pub async fn connect(config: CqlConfig, catalog: PgPool) -> Result<Self, CqlError> {
        let session = connect::session(&config).await?;
        migrate::check(&config, &session).await?;
        let statements = Box::pin(Statements::prepare(&config, &session)).await?;
        Ok(Self {
            session,
            statements,
            concurrency: config.concurrency.get(),
            retention: RetentionConfig {
                ip_retention_days: config.ip_retention_days,
                click_retention_months: config.click_retention_months,
            },
            clock: Arc::new(SystemClock),
            catalog,
            turns: Mutex::default(),
            rare: tokio::sync::Mutex::default(),
            known_click_buckets: Known::default(),
            known_rollup_buckets: Known::default(),
            touched: Touched::default(),
        })
    }

    fn turn(&self, partition: PartitionId) -> Arc<tokio::sync::Mutex<()>> {
        self.turns.lock().entry(partition).or_default().clone()
    }
}

impl fmt::Debug for CqlClickStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CqlClickStore").field("retention", &self.retention).finish_non_exhaustive()
    }
}

#[async_trait]
impl ClickStore for CqlClickStore {
    async fn claim(
        &self,
        partition: PartitionId,
        owner: Uuid,
    ) -> Result<Option<PartitionProgress>, StoreError> {
        progress::claim(self, partition, owner).await
    }

    async fn progress(&self, partition: PartitionId) -> Result<Option<PartitionProgress>, StoreError> {
        Ok(progress::stored(self, partition).await?.progress)
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
        let values = (partition.0 as i32, after.0 as i64);
        let rows: Vec<(i64,)> = session::rows(&self.session, &self.statements.quarantined, values).await?;
        Ok(rows.into_iter().map(|(position,)| Position(position as u64)).collect())
    }

    async fn load(&self, requests: &[LoadRequest]) -> Result<Vec<GongguSnapshot>, StoreError> {
        load::load(self, requests).await
    }

    async fn store(&self, batch: &JudgedBatch) -> Result<(), StoreError> {
        write::store(self, batch).await
    }
}
