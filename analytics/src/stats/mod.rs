//! Stats of one gonggu: totals, series, referrers and devices, from rollups only.
//!
//! Problem: a gonggu may have a hundred million clicks, its owner wants an answer now, in his own time
//! zone. So nothing is ever counted: day rows are summed in the middle of the range, hour and minute rows
//! at its ends, and sketches are merged.
//!
//! Invariants: every figure is judged + the sum of adjustments; `totals` is the sum of `series`, bucket by
//! bucket, and gross is the sum of its verdicts, since all is read as of one instant and summed once.

mod buckets;
mod plan;
#[cfg(test)]
mod tests;
mod totals;

pub use plan::{RowRange, StatsPlan};
pub use totals::RangeTotals;

use async_trait::async_trait;
use chrono_tz::Tz;
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::GongguId;
use gonggumoa_core::judge::totals::{Counts, RollupLevel};
use gonggumoa_core::kst::{DAY_MILLIS, HOUR_MILLIS, MINUTE_MILLIS};
use gonggumoa_core::store::{ClickQueries, StoreError};
use std::collections::BTreeMap;

/// Length of a bucket of the series.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Interval {
    /// One minute.
    Minute,
    /// One hour of the zone's wall clock.
    Hour,
    /// One day of the zone's calendar.
    Day,
}

impl Interval {
    /// Its usual length.
    pub fn millis(self) -> i64 {
        match self {
            Self::Minute => MINUTE_MILLIS,
            Self::Hour => HOUR_MILLIS,
            Self::Day => DAY_MILLIS,
        }
    }
}

/// A question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StatsQuery {
    /// Of which gonggu.
    pub gonggu_id: GongguId,
    /// From here (inclusive), rounded down to the interval.
    pub from: UnixMillis,
    /// To here (exclusive), rounded up to the interval.
    pub to: UnixMillis,
    /// Length of the buckets.
    pub interval: Interval,
    /// The zone whose wall clock makes the buckets.
    pub tz: Tz,
}

/// One bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SeriesPoint {
    /// Its start.
    pub at: UnixMillis,
    /// The clicks in it.
    pub counts: Counts,
}

/// The answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GongguStats {
    /// The range's start, rounded.
    pub from: UnixMillis,
    /// The range's end, rounded.
    pub to: UnixMillis,
    /// As asked.
    pub interval: Interval,
    /// As asked.
    pub tz: Tz,
    /// All clicks of the range.
    pub totals: Counts,
    /// Estimate of their distinct visitors.
    pub unique_visitors: u64,
    /// One point a bucket, empty ones too.
    pub series: Vec<SeriesPoint>,
    /// Billable clicks by referring host (empty: none), the most frequent first, then by name.
    pub referrers: Vec<(String, u64)>,
    /// Billable clicks by device, in the order of `Device::ALL`.
    pub devices: [u64; 4],
    /// Up to when every click is in these figures.
    pub complete_through: UnixMillis,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum StatsError {
    /// More buckets than an answer may have.
    #[error("{buckets} buckets are more than an answer may have")]
    RangeTooLarge {
        /// About so many were asked for.
        buckets: u64,
    },
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl StatsError {
    /// Whether the same question may be answered later.
    pub fn retryable(&self) -> bool {
        match self {
            Self::RangeTooLarge { .. } => false,
            Self::Store(error) => error.retryable(),
        }
    }
}

/// Signed differences that decisions made to one rollup row.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RollupAdjustment {
    /// The row's start.
    pub at: UnixMillis,
    /// Differences in the order of `Counts::to_array`.
    pub counts: [i64; 9],
    /// Differences of billable clicks by referring host.
    pub referrers: BTreeMap<Box<str>, i64>,
    /// Differences of billable clicks by device.
    pub devices: [i64; 4],
}

/// What a plan reads, as of one instant.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StatsRows {
    /// Counts of the rows of `StatsPlan::series`.
    pub series: Vec<(UnixMillis, Counts)>,
    /// Adjustments of those rows: start and differences of counts.
    pub series_adjustments: Vec<(UnixMillis, [i64; 9])>,
    /// The sum of the rows of `StatsPlan::totals` and of their adjustments.
    pub totals: RangeTotals,
    /// Up to when they are complete.
    pub complete_through: UnixMillis,
}

/// A store that answers stats.
#[async_trait]
pub trait StatsStore: ClickQueries {
    /// The rows of a plan. A store with snapshots MUST read them as of one instant; one without MUST read
    /// `complete_through` first. The visitors may come from the gonggu's head where the plan covers all
    /// that it ever had: a sketch depends on the set of visitors only.
    async fn stats_rows(&self, gonggu_id: GongguId, plan: &StatsPlan) -> Result<StatsRows, StoreError>;

    /// Adjustments of one gonggu's rows of a level with `from <= at < to`, ascending.
    async fn adjustments(
        &self,
        gonggu_id: GongguId,
        level: RollupLevel,
        from: UnixMillis,
        to: UnixMillis,
    ) -> Result<Vec<RollupAdjustment>, StoreError>;
}

/// Answers a question.
pub async fn gonggu_stats(store: &dyn StatsStore, query: &StatsQuery) -> Result<GongguStats, StatsError> {
    let borders = buckets::borders(query.from, query.to, query.interval, query.tz)?;
    let plan = StatsPlan::new(&borders, query.interval);
    let rows = store.stats_rows(query.gonggu_id, &plan).await?;

    let series = series(&borders, &rows);
    let mut totals = [0u64; 9];
    for point in &series {
        for (total, count) in totals.iter_mut().zip(point.counts.to_array()) {
            *total += count;
        }
    }
    Ok(GongguStats {
        from: borders.first().copied().unwrap_or(query.from),
        to: borders.last().copied().unwrap_or(query.from),
        interval: query.interval,
        tz: query.tz,
        totals: Counts::from_array(totals),
        unique_visitors: rows.totals.visitors.estimate(),
        series,
        devices: rows.totals.devices.map(whole),
        referrers: rows.totals.referrers(),
        complete_through: rows.complete_through,
    })
}

fn series(borders: &[UnixMillis], rows: &StatsRows) -> Vec<SeriesPoint> {
    let buckets = borders.len().saturating_sub(1);
    let mut counts = vec![[0i64; 9]; buckets];
    let bucket_of = |at: UnixMillis| borders.partition_point(|border| *border <= at).checked_sub(1);
    let judged = rows.series.iter().map(|(at, counts)| (*at, counts.to_array().map(|count| count as i64)));
    let adjusted = rows.series_adjustments.iter().copied();
    for (at, differences) in judged.chain(adjusted) {
        if let Some(bucket) = bucket_of(at).and_then(|bucket| counts.get_mut(bucket)) {
            for (count, difference) in bucket.iter_mut().zip(differences) {
                *count += difference;
            }
        }
    }
    borders
        .iter()
        .zip(counts)
        .map(|(at, counts)| SeriesPoint { at: *at, counts: Counts::from_array(counts.map(whole)) })
        .collect()
}

/// Adjustments move clicks from one verdict to another, so a sum below zero means damaged rows; it is
/// shown as zero and found by the audit.
fn whole(count: i64) -> u64 {
    count.max(0) as u64
}
