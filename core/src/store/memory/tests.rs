#![allow(clippy::unwrap_used, clippy::expect_used)]
//! The store's contract, kept in memory: what a claim promises, and the order of the writes.

use super::*;
use crate::clock::UnixMillis;
use crate::judge::totals::RollupLevel;
use crate::store::conformance::{self, LastWrite, StoreUnderTest};
use crate::store::{ClickQueries, StoreError};

#[async_trait]
impl ClickQueries for MemoryStore {
    async fn rollups(
        &self,
        gonggu_id: GongguId,
        level: RollupLevel,
        from: UnixMillis,
        to: UnixMillis,
    ) -> Result<Vec<Rollup>, StoreError> {
        let mut rows: Vec<Rollup> = self.rows().rollups.into_values().collect();
        rows.retain(|row| row.key.gonggu_id == gonggu_id && row.key.level == level);
        rows.retain(|row| from <= row.key.at && row.key.at < to);
        Ok(rows)
    }

    async fn heads(&self, gonggu_ids: &[GongguId]) -> Result<Vec<GongguHead>, StoreError> {
        let heads = self.rows().heads;
        Ok(gonggu_ids.iter().filter_map(|id| heads.get(id)).cloned().collect())
    }

    async fn complete_through(&self, partitions: &[PartitionId]) -> Result<UnixMillis, StoreError> {
        let progress = self.rows().progress;
        let of = |id| progress.get(id).map_or(UnixMillis::MIN, PartitionProgress::complete_through);
        Ok(partitions.iter().map(of).min().unwrap_or(UnixMillis::MIN))
    }

    async fn clicks(
        &self,
        gonggu_id: GongguId,
        from: UnixMillis,
        to: UnixMillis,
        after: Option<(UnixMillis, Position)>,
        limit: usize,
    ) -> Result<Vec<JudgedClick>, StoreError> {
        let place = |judged: &JudgedClick| (judged.click.clicked_at, judged.position);
        let mut clicks: Vec<_> = self.rows().clicks.into_values().collect();
        clicks.retain(|judged| judged.click.gonggu_id == gonggu_id && Some(place(judged)) > after);
        clicks.retain(|judged| (from..to).contains(&judged.click.clicked_at));
        clicks.sort_by_key(place);
        clicks.truncate(limit);
        Ok(clicks)
    }
}

#[async_trait]
impl StoreUnderTest for MemoryStore {
    fn store(&self) -> Arc<dyn ClickStore> {
        Arc::new(self.clone())
    }

    fn queries(&self) -> Arc<dyn ClickQueries> {
        Arc::new(self.clone())
    }

    async fn crash_after(&self, batch: &JudgedBatch, last: LastWrite) {
        let clicks = batch.clicks.len() as u64;
        self.fail_after(match last {
            LastWrite::Clicks => clicks,
            // And the quarantined positions, which go in one write.
            LastWrite::Figures => clicks + batch.heads.len() as u64 + 1,
        });
        ClickStore::store(self, batch).await.unwrap_err();
        self.heal();
    }
}

macro_rules! contract {
    ($($promise:ident),+ $(,)?) => {$(
        #[tokio::test]
        async fn $promise() {
            conformance::$promise(&MemoryStore::new()).await;
        }
    )+};
}

contract! {
    same_clicks_many_times_are_one_row,
    position_is_compared_and_set,
    one_of_two_writers_wins,
    crash_between_writes_changes_nothing,
    quarantine_is_kept,
    rules_are_numbered_once,
    first_activation_wins,
    pages_follow_each_other,
    complete_through_is_the_least,
    only_the_last_claim_stores,
    a_claim_wins_between_any_two_writes,
    a_claim_beside_a_store_is_before_or_after_it,
    of_many_claims_one_remains,
}
