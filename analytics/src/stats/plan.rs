//! Which rollup rows answer a question: as few as possible, each counted once.

use super::Interval;
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::judge::totals::RollupLevel;
use gonggumoa_core::kst::{day_start, hour_start};

/// Rows of one level whose start lies in `[from, to)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RowRange {
    /// The level.
    pub level: RollupLevel,
    /// Inclusive.
    pub from: UnixMillis,
    /// Exclusive.
    pub to: UnixMillis,
}

/// What one answer reads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StatsPlan {
    /// For the series: each row lies within one bucket.
    pub series: Vec<RowRange>,
    /// For the whole range: with sketches, referrers and devices.
    pub totals: Vec<RowRange>,
}

impl StatsPlan {
    /// The plan for buckets with these borders.
    pub(super) fn new(borders: &[UnixMillis], interval: Interval) -> Self {
        let mut plan = Self { series: Vec::new(), totals: Vec::new() };
        let coarsest = match interval {
            Interval::Minute => RollupLevel::Minute,
            Interval::Hour => RollupLevel::Hour,
            Interval::Day => RollupLevel::Day,
        };
        for bucket in borders.windows(2) {
            cover(bucket[0], bucket[1], coarsest, &mut plan.series);
        }
        if let (Some(first), Some(last)) = (borders.first(), borders.last()) {
            cover(*first, *last, RollupLevel::Day, &mut plan.totals);
        }
        plan
    }
}

/// Covers `[from, to)` with whole rows, the coarsest in the middle and finer ones at both ends.
fn cover(from: UnixMillis, to: UnixMillis, coarsest: RollupLevel, out: &mut Vec<RowRange>) {
    if from >= to {
        return;
    }
    let (floor, finer): (fn(UnixMillis) -> UnixMillis, _) = match coarsest {
        RollupLevel::Minute => return push(RowRange { level: coarsest, from, to }, out),
        RollupLevel::Hour => (hour_start, RollupLevel::Minute),
        RollupLevel::Day => (day_start, RollupLevel::Hour),
    };
    let length = match coarsest {
        RollupLevel::Day => gonggumoa_core::kst::DAY_MILLIS,
        _ => gonggumoa_core::kst::HOUR_MILLIS,
    };
    let first = if floor(from) == from { from } else { floor(from).plus_millis(length) };
    let last = floor(to);
    if first >= last {
        return cover(from, to, finer, out);
    }
    cover(from, first, finer, out);
    push(RowRange { level: coarsest, from: first, to: last }, out);
    cover(last, to, finer, out);
}

/// Joins a range to the one before it where they touch: ten thousand hours are one range.
fn push(range: RowRange, out: &mut Vec<RowRange>) {
    match out.last_mut() {
        Some(last) if last.level == range.level && last.to == range.from => last.to = range.to,
        _ => out.push(range),
    }
}
