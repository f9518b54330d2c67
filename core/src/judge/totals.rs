//! Figures: counts by verdict, unique visitors, and the rollup rows of minutes, hours and days.

use crate::clock::UnixMillis;
use crate::ids::{FlagId, GongguId, Position};
use crate::judge::rules::LimitScope;
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

/// An order-independent sketch of distinct visitors.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct VisitorSketch {
    bytes: Vec<u8>,
}

/// One rollup row: absolute values of a bucket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rollup {
    /// Which bucket.
    pub key: RollupKey,
    /// Counts of the clicks whose `clicked_at` lies in it.
    pub counts: Counts,
    /// Their distinct visitors (billable, duplicate and held clicks).
    pub visitors: VisitorSketch,
    /// Billable clicks by the referer's host (empty: none), bounded (see `ReferrerCounts`).
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
    /// Index of the limit in its rules version; 255 for a quarantined click.
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

impl Counts {
    /// All clicks, whatever was said of them.
    pub fn gross(&self) -> u64 {
        self.to_array().iter().sum()
    }

    /// Billable, duplicate, held, then invalid by reason.
    pub fn to_array(self) -> [u64; 9] {
        let [head, prefetch, bot, embedded, not_active, fraud] = self.invalid;
        [self.billable, self.duplicate, self.held, head, prefetch, bot, embedded, not_active, fraud]
    }

    /// The counts that [`to_array`](Self::to_array) was taken from.
    pub fn from_array(array: [u64; 9]) -> Self {
        let [billable, duplicate, held, invalid @ ..] = array;
        Self { billable, duplicate, held, invalid }
    }
}

/// Stored bytes that are no sketch.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[error("not a visitor sketch: {0}")]
pub struct SketchError(&'static str);

impl VisitorSketch {
    /// The bytes that a store keeps.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The sketch that [`as_bytes`](Self::as_bytes) was taken from.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SketchError> {
        Ok(Self { bytes: bytes.to_vec() })
    }

    /// Union with another: each byte stands for one visitor.
    pub fn merge(&mut self, other: &Self) {
        for byte in &other.bytes {
            if !self.bytes.contains(byte) {
                self.bytes.push(*byte);
            }
        }
        self.bytes.sort_unstable();
    }

    /// How many visitors.
    pub fn estimate(&self) -> u64 {
        self.bytes.len() as u64
    }
}
