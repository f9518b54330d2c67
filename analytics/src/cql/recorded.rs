//! What is asked of the store beside its figures; the catalog is PostgreSQL's.

use super::{CqlClickStore, progress};
use crate::postgres::store_error;
use crate::recorded::{Cleared, RecordedClicks, Touched};
use crate::retention::{RetentionConfig, RetentionError};
use async_trait::async_trait;
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::{GongguId, PartitionId};
use gonggumoa_core::store::{ClickQueries, StoreError};
use sqlx::PgPool;
use uuid::Uuid;

#[async_trait]
impl RecordedClicks for CqlClickStore {
    fn catalog(&self) -> &PgPool {
        &self.catalog
    }

    fn touched(&self) -> &Touched {
        &self.touched
    }

    async fn stored_partitions(&self) -> Result<Vec<PartitionId>, StoreError> {
        Ok(progress::complete(self).await?.into_iter().map(|(partition, _)| partition).collect())
    }

    async fn follow_click_counts(&self, ids: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
        let gonggu_ids: Vec<GongguId> = ids.iter().copied().map(GongguId).collect();
        let heads = self.heads(&gonggu_ids).await?;
        let ids: Vec<Uuid> = heads.iter().map(|head| head.gonggu_id.0).collect();
        let billable: Vec<i64> = heads.iter().map(|head| head.counts.billable.cast_signed()).collect();
        sqlx::query_file_scalar!("src/sql/set_click_count.sql", &ids, &billable)
            .fetch_all(&self.catalog)
            .await
            .map_err(store_error)
    }

    /// Rows go by their times to live.
    async fn clear(
        &self,
        _config: &RetentionConfig,
        _keep_from: UnixMillis,
        _now: UnixMillis,
    ) -> Result<Cleared, RetentionError> {
        Ok(Cleared::default())
    }
}
