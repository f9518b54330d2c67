//! What stats, evidence, the copy of the click count and retention ask of a click store, whichever it is.
//!
//! Adjustments, decisions and the catalog itself are in PostgreSQL beside any store.

use crate::retention::{RetentionConfig, RetentionError};
use crate::stats::StatsStore;
use async_trait::async_trait;
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::{GongguId, PartitionId};
use gonggumoa_core::store::StoreError;
use parking_lot::Mutex;
use sqlx::PgPool;
use std::collections::HashSet;
use uuid::Uuid;

/// A click store with all that is asked of what it recorded.
#[async_trait]
pub trait RecordedClicks: StatsStore {
    /// The PostgreSQL that holds adjustments, decisions and the catalog.
    fn catalog(&self) -> &PgPool;

    /// Gonggus whose figures changed in this process.
    fn touched(&self) -> &Touched;

    /// The partitions of which something is stored, ascending.
    async fn stored_partitions(&self) -> Result<Vec<PartitionId>, StoreError>;

    /// Sets the catalog's click count of these gonggus to judged billable clicks + adjustments, where it differs;
    /// returns those that somebody else has locked.
    async fn follow_click_counts(&self, ids: &[Uuid]) -> Result<Vec<Uuid>, StoreError>;

    /// Clears what retention says: clicks of months that end at or before `keep_from`, and raw addresses whose days
    /// are over at `now`. A store whose rows go by themselves has nothing to do.
    async fn clear(
        &self,
        config: &RetentionConfig,
        keep_from: UnixMillis,
        now: UnixMillis,
    ) -> Result<Cleared, RetentionError>;
}

/// What clearing a store did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Cleared {
    /// Clicks whose raw address went.
    pub addresses_masked: u64,
    /// Partitions dropped.
    pub tables_dropped: Vec<String>,
}

/// Gonggus whose figures changed since somebody last took them.
#[derive(Debug, Default)]
pub struct Touched(Mutex<HashSet<GongguId>>);

impl Touched {
    /// Says that figures of these gonggus changed.
    pub fn add(&self, gonggu_ids: impl IntoIterator<Item = GongguId>) {
        self.0.lock().extend(gonggu_ids);
    }

    /// Takes at most `count_max` of them.
    pub(crate) fn take(&self, count_max: usize) -> Vec<GongguId> {
        let mut touched = self.0.lock();
        let taken: Vec<GongguId> = touched.iter().take(count_max).copied().collect();
        for gonggu_id in &taken {
            touched.remove(gonggu_id);
        }
        taken
    }
}
