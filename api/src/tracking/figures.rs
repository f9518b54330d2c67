//! The questions that handlers ask about stored clicks, as one object that a test can stand in for.

use futures::StreamExt;
use futures::stream::BoxStream;
pub use gonggumoa_analytics::export::EvidenceRow;
use gonggumoa_analytics::recorded::RecordedClicks;
pub use gonggumoa_analytics::stats::{GongguStats, Interval, SeriesPoint, StatsError, StatsQuery};
use gonggumoa_analytics::{export, stats};
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::GongguId;
use gonggumoa_core::store::StoreError;
use std::sync::{Arc, OnceLock};

/// Answers the questions.
#[async_trait::async_trait]
pub trait Figures: Send + Sync + 'static {
    /// The stats of one gonggu.
    async fn gonggu_stats(&self, query: &StatsQuery) -> Result<GongguStats, StatsError>;
    /// Its clicks with `from <= clicked_at < to`, in their order.
    fn evidence(
        &self,
        gonggu_id: GongguId,
        from: UnixMillis,
        to: UnixMillis,
    ) -> BoxStream<'static, Result<EvidenceRow, StoreError>>;
}

/// Answers from the click store, once it is open.
#[derive(Default)]
pub struct StoreFigures {
    store: OnceLock<Arc<dyn RecordedClicks>>,
}

impl StoreFigures {
    /// Figures of a store that is yet to be opened; until then they are unavailable.
    pub fn later() -> Self {
        Self::default()
    }

    /// The store is open.
    pub fn are_in(&self, store: Arc<dyn RecordedClicks>) {
        let _ = self.store.set(store);
    }

    fn store(&self) -> Result<&Arc<dyn RecordedClicks>, StoreError> {
        self.store.get().ok_or_else(|| StoreError::Unavailable("the click store is not open yet".into()))
    }
}

#[async_trait::async_trait]
impl Figures for StoreFigures {
    async fn gonggu_stats(&self, query: &StatsQuery) -> Result<GongguStats, StatsError> {
        stats::gonggu_stats(&**self.store()?, query).await
    }

    fn evidence(
        &self,
        gonggu_id: GongguId,
        from: UnixMillis,
        to: UnixMillis,
    ) -> BoxStream<'static, Result<EvidenceRow, StoreError>> {
        match self.store() {
            Ok(store) => export::evidence(Arc::clone(store), gonggu_id, from, to).boxed(),
            Err(error) => futures::stream::once(std::future::ready(Err(error))).boxed(),
        }
    }
}
