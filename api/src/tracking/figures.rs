//! The questions that handlers ask about stored clicks, as one object that a test can stand in for.

use futures::stream::BoxStream;
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::GongguId;
use gonggumoa_core::judge::totals::Counts;
use gonggumoa_core::store::StoreError;

/// Length of a series' buckets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Interval {
    /// 60 s.
    Minute,
    /// 60 min.
    Hour,
    /// A day of the asked time zone.
    Day,
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct StatsQuery {
    /// The gonggu.
    pub gonggu_id: GongguId,
    /// From, inclusive.
    pub from: UnixMillis,
    /// To, exclusive.
    pub to: UnixMillis,
    /// Length of a bucket.
    pub interval: Interval,
    /// Whose days.
    pub tz: chrono_tz::Tz,
}

/// One bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SeriesPoint {
    /// Its start.
    pub at: UnixMillis,
    /// Its counts.
    pub counts: Counts,
}

/// The answer.
#[derive(Clone, Debug)]
pub struct GongguStats {
    /// From, as rounded.
    pub from: UnixMillis,
    /// To, as rounded.
    pub to: UnixMillis,
    /// Length of a bucket.
    pub interval: Interval,
    /// Whose days.
    pub tz: chrono_tz::Tz,
    /// All clicks in the range.
    pub totals: Counts,
    /// Estimate of their distinct visitors.
    pub unique_visitors: u64,
    /// Every bucket, also empty ones.
    pub series: Vec<SeriesPoint>,
    /// Billable clicks by the referer's host.
    pub referrers: Vec<(String, u64)>,
    /// Billable clicks by device, in the order of `Device::ALL`.
    pub devices: [u64; 4],
    /// Up to when every click is in the figures.
    pub complete_through: UnixMillis,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum StatsError {
    /// More buckets than an answer holds.
    #[error("the range has {buckets} buckets")]
    RangeTooLarge {
        /// How many.
        buckets: u64,
    },
    /// The store.
    #[error("the click store did not answer")]
    Store(#[from] StoreError),
}

impl StatsError {
    /// Whether the same call may work later.
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Store(error) if error.retryable())
    }
}

/// One click of the evidence.
#[derive(Clone, Debug)]
pub struct EvidenceRow {
    /// Its id.
    pub click_id: gonggumoa_core::ids::ClickId,
    /// When it was recorded.
    pub clicked_at: UnixMillis,
    /// What was said of it.
    pub verdict: &'static str,
    /// Why.
    pub reason: Option<&'static str>,
    /// Who, as a pseudonym.
    pub visitor: String,
    /// The raw address, empty once it was forgotten.
    pub ip_address: String,
    /// The address as it may be shown.
    pub ip_masked: String,
    /// `User-Agent`.
    pub user_agent: String,
    /// `Referer`.
    pub referer: String,
    /// The rules version that judged it.
    pub rules_version: u32,
}

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
