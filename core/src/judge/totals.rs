//! Figures: counts by verdict, unique visitors, and the rollup rows of minutes, hours and days.

mod sketch;

pub use sketch::{SketchError, VisitorSketch};

use crate::click::{InvalidReason, Verdict};
use crate::clock::UnixMillis;
use crate::ids::{FlagId, GongguId, Position};
use crate::judge::rules::LimitScope;
use crate::kst;
use crate::visitor::AddressHash;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Counts by verdict. `gross()` is their sum by construction, so promise 5 cannot break here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Paid for.
    pub billable: u64,
    /// Repeated within the window.
    pub duplicate: u64,
    /// Waiting for an admin.
    pub held: u64,
    /// Invalid ones by reason, in the order of `InvalidReason::ALL`.
    pub invalid: [u64; 6],
}

impl Counts {
    /// How many figures there are: billable, duplicate, held, then invalid by reason.
    pub const LEN: usize = 9;

    /// All clicks.
    pub fn gross(&self) -> u64 {
        self.billable + self.duplicate + self.held + self.invalid_total()
    }

    /// The invalid ones of all reasons.
    pub fn invalid_total(&self) -> u64 {
        self.invalid.iter().sum()
    }

    /// Counts one more click.
    pub fn add(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Billable => self.billable += 1,
            Verdict::Duplicate => self.duplicate += 1,
            Verdict::Held(_) => self.held += 1,
            Verdict::Invalid(reason) => self.invalid[reason_index(reason)] += 1,
        }
    }

    /// Counts what others counted.
    pub(super) fn add_all(&mut self, more: &Self) {
        self.billable += more.billable;
        self.duplicate += more.duplicate;
        self.held += more.held;
        for (all, more) in self.invalid.iter_mut().zip(more.invalid) {
            *all += more;
        }
    }

    /// The figures in their stored order.
    pub fn to_array(&self) -> [u64; Self::LEN] {
        let [a, b, c, d, e, f] = self.invalid;
        [self.billable, self.duplicate, self.held, a, b, c, d, e, f]
    }

    /// The reverse of [`to_array`](Self::to_array).
    pub fn from_array(figures: [u64; Self::LEN]) -> Self {
        let [billable, duplicate, held, a, b, c, d, e, f] = figures;
        Self { billable, duplicate, held, invalid: [a, b, c, d, e, f] }
    }

    /// What an adjustment changes: one click fewer of `from`, one more of `to`, in stored order. Its
    /// sum is 0, so that no decision changes gross.
    pub fn moved(from: Verdict, to: Verdict) -> [i64; Self::LEN] {
        let one = |verdict| {
            let mut counts = Self::default();
            counts.add(verdict);
            counts.to_array()
        };
        let (from, to) = (one(from), one(to));
        std::array::from_fn(|index| to[index].cast_signed() - from[index].cast_signed())
    }

    /// These figures with the sum of adjustments; `None` if a figure would fall below zero, which
    /// only damaged rows can bring about.
    pub fn adjusted(&self, differences: &[i64; Self::LEN]) -> Option<Self> {
        let mut figures = self.to_array();
        for (figure, difference) in figures.iter_mut().zip(differences) {
            *figure = figure.checked_add_signed(*difference)?;
        }
        Some(Self::from_array(figures))
    }
}

fn reason_index(reason: InvalidReason) -> usize {
    match reason {
        InvalidReason::Head => 0,
        InvalidReason::Prefetch => 1,
        InvalidReason::Bot => 2,
        InvalidReason::Embedded => 3,
        InvalidReason::NotActive => 4,
        InvalidReason::Fraud => 5,
    }
}

/// Length of a rollup bucket.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RollupLevel {
    /// 60 s.
    Minute,
    /// 60 min.
    Hour,
    /// One Seoul day.
    Day,
}

impl RollupLevel {
    /// All, the shortest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];
}

/// Names one rollup row.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
pub struct RollupKey {
    /// The gonggu.
    pub gonggu_id: GongguId,
    /// The bucket's length.
    pub level: RollupLevel,
    /// The bucket's start.
    pub at: UnixMillis,
}

impl RollupKey {
    /// The start of the bucket of this length that `at` lies in.
    pub fn starts(level: RollupLevel, at: UnixMillis) -> UnixMillis {
        match level {
            RollupLevel::Minute => kst::minute_start(at),
            RollupLevel::Hour => kst::hour_start(at),
            RollupLevel::Day => kst::day_start(at),
        }
    }

    /// The row that a click of `clicked_at` belongs to.
    pub fn of(gonggu_id: GongguId, level: RollupLevel, clicked_at: UnixMillis) -> Self {
        Self { gonggu_id, level, at: Self::starts(level, clicked_at) }
    }
}

/// Referrer hosts that a rollup row names.
pub const REFERRER_HOSTS_MAX: usize = 64;
/// Where a full row counts further hosts.
pub const OTHER_HOSTS: &str = "(other)";

/// One rollup row: absolute values of a bucket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rollup {
    /// Which bucket.
    pub key: RollupKey,
    /// Counts of the clicks whose `clicked_at` lies in it.
    pub counts: Counts,
    /// Their distinct visitors (billable, duplicate and held clicks).
    pub visitors: VisitorSketch,
    /// Billable clicks by the referer's host (empty: none), at most
    /// [`REFERRER_HOSTS_MAX`] of them; further ones are together under [`OTHER_HOSTS`].
    pub referrers: BTreeMap<Box<str>, u64>,
    /// Billable clicks by device, in the order of `Device::ALL`.
    pub devices: [u64; 4],
}

/// What the store keeps of a gonggu as a whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GongguHead {
    /// The gonggu.
    pub gonggu_id: GongguId,
    /// All its clicks.
    pub counts: Counts,
    /// All its distinct visitors.
    pub visitors: VisitorSketch,
    /// The last `judged_at`; the windows run from it.
    pub last_judged_at: UnixMillis,
    /// The latest `clicked_at` seen; no rollup row starts after it.
    pub last_clicked_at: UnixMillis,
    /// Everything up to here is in these figures.
    pub applied_through: Position,
}

/// `limit_index` of the flag of a quarantined click.
pub const QUARANTINE_LIMIT_INDEX: u8 = 255;

/// A mass-click flag, as absolute values: stored with the batch that touched it, larger
/// `last_position` wins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Flag {
    /// The id of the first click held under it.
    pub id: FlagId,
    /// The gonggu.
    pub gonggu_id: GongguId,
    /// What was counted together; for a quarantined click `Address` with a limit of 0.
    pub scope: LimitScope,
    /// Index of the limit in its rules version; [`QUARANTINE_LIMIT_INDEX`] for a quarantined click.
    pub limit_index: u8,
    /// Hash of the address (or network) that was over the limit.
    pub address_hash: AddressHash,
    /// Its form that may be shown.
    pub address_masked: Box<str>,
    /// The limit's window.
    pub window_millis: i64,
    /// The limit.
    pub limit: u32,
    /// `judged_at` of its first held click.
    pub opened_at: UnixMillis,
    /// `judged_at` of its last held click.
    pub last_held_at: UnixMillis,
    /// Position of its first held click.
    pub first_position: Position,
    /// Position of its last held click.
    pub last_position: Position,
    /// Clicks held under it.
    pub clicks: u64,
    /// Their distinct visitors.
    pub visitors: VisitorSketch,
}

#[cfg(test)]
mod tests;
