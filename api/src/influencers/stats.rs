//! The figures of an influencer's gonggus: each, and together.
//!
//! Problem: somebody may have thousands of gonggus, and each may be asked about ten thousand buckets. So a few are
//! asked about at a time, from rollups, and their series are summed as they come: memory is that of a few series and
//! one line a gonggu. Gonggus and buckets together are bounded, since the sum is over all of them, whatever page of them
//! is shown.

use crate::http::error::ApiError;
use crate::tracking::figures::{Figures, GongguStats, SeriesPoint, StatsQuery};
use crate::tracking::range::Range;
use futures::{StreamExt, TryStreamExt};
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::GongguId;
use gonggumoa_core::judge::totals::Counts;
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

/// So many are asked about at a time: one person's figures must not take all connections.
const AT_ONCE: usize = 4;
/// Gonggus times buckets of an answer: some seconds of reading at worst. A thousand gonggus over nearly three years by
/// day, or a hundred over a week by minute.
const READ_MAX: u64 = 1_000_000;
/// A gonggu costs at least as much as so many buckets.
const GONGGU_COST: u64 = 100;

/// The figures of one gonggu, without its series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Each {
    /// Its clicks in the range.
    pub totals: Counts,
    /// Estimate of their distinct visitors.
    pub unique_visitors: u64,
}

/// The figures of some gonggus.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Together {
    /// Of each.
    pub each: HashMap<GongguId, Each>,
    /// The sum of all.
    pub totals: Counts,
    /// The sum of all, bucket by bucket.
    pub series: Vec<SeriesPoint>,
    /// Up to when every click of all of them is in the figures.
    pub complete_through: Option<UnixMillis>,
}

/// Asks about each and sums.
pub async fn together(
    figures: &Arc<dyn Figures>,
    gonggu_ids: &[GongguId],
    range: Range,
) -> Result<Together, ApiError> {
    let cost = (gonggu_ids.len() as u64).saturating_mul(range.buckets().max(GONGGU_COST));
    if cost > READ_MAX {
        return Err(ApiError::RangeTooLarge { buckets: cost });
    }
    let ask = |gonggu_id| {
        let figures = Arc::clone(figures);
        async move {
            let Range { from, to, interval, tz } = range;
            let stats = figures.gonggu_stats(&StatsQuery { gonggu_id, from, to, interval, tz }).await;
            stats.map(|stats| (gonggu_id, stats))
        }
    };
    if gonggu_ids.is_empty() {
        // nobody's clicks: the same buckets, all empty
        let mut sum = Together::default();
        let (gonggu_id, stats) = ask(GongguId(Uuid::nil())).await?;
        sum.add(gonggu_id, &stats);
        return Ok(Together { each: HashMap::new(), ..sum });
    }
    let answers = futures::stream::iter(gonggu_ids.iter().copied().map(ask)).buffered(AT_ONCE);
    let sum = answers.try_fold(Together::default(), |mut sum, (gonggu_id, stats)| async move {
        sum.add(gonggu_id, &stats);
        Ok(sum)
    });
    Ok(sum.await?)
}

impl Together {
    /// Adds one gonggu's.
    fn add(&mut self, gonggu_id: GongguId, stats: &GongguStats) {
        let each = Each { totals: stats.totals, unique_visitors: stats.unique_visitors };
        self.each.insert(gonggu_id, each);
        self.totals = sum(&self.totals, &stats.totals);
        if self.series.is_empty() {
            self.series.clone_from(&stats.series);
        } else {
            // the same range, interval and zone: the same buckets
            for (point, other) in self.series.iter_mut().zip(&stats.series) {
                point.counts = sum(&point.counts, &other.counts);
            }
        }
        let least = self.complete_through.map_or(stats.complete_through, |at| at.min(stats.complete_through));
        self.complete_through = Some(least);
    }
}

fn sum(one: &Counts, other: &Counts) -> Counts {
    let (one, other) = (one.to_array(), other.to_array());
    Counts::from_array(std::array::from_fn(|index| one[index].saturating_add(other[index])))
}
