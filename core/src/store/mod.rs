//! The click store: judged clicks and the place in the log they came from, kept together.
//!
//! The contract is written for stores without transactions, so that a CQL store can keep it:
//!
//! ```text
//!   claim(owner):   the partition's owner, at once for all that follows
//!   store(batch):   0. refused unless `batch.owner` is the owner and `batch.from` the position
//!                   1. judged clicks   (idempotent: the same click k times is one row)
//!                   2. head + rollups + flags of each gonggu, atomically per gonggu, absolute values
//!                   3. the partition's position, by compare-and-set from (`batch.owner`, `batch.from`)
//! ```
//!
//! each confirmed before the next; a store with transactions does all in one. A crash between any two
//! leaves a state from which the same batch (or one that starts at the same place with other borders)
//! ends in the same rows. One suite (`conformance`) is passed by every provider.
//!
//! **Fencing.** Whoever opens a partition claims it under an id that nobody else has or had; from then on who had
//! it before moves nothing, whether he has noticed or not. The position alone would not do: a judge that lost
//! its partition and whose batch begins where its successor's ended would go on storing beside it.
//!
//! ```text
//!   old owner    check ── writes 1, 2 ───────────── position: refused
//!   new owner              claim ── durable end E ── activate from E + 1 ── store …
//! ```
//!
//! **Rules versions** hold because of the order in which a claimant does things. What an old owner may still write
//! was checked (step 0) before the claim, and was in the log before that check; the claimant sees the log's durable
//! end E after its claim. So whatever was or will be written under the old rules lies at or below E, and an activation
//! from E + 1 on contradicts none of it. What an old owner has only folded beyond E does not matter, since the check
//! refuses it before its first write. That alone says nothing of the next claim: an owner that has lost the
//! partition must not activate late, below what its successor stored by the old rules. So an activation, too, is
//! stored only by the owner, in the same atomic step in which that is checked.

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
#[cfg(any(test, feature = "conformance"))]
pub mod memory;
pub mod needed;

use crate::click::JudgedClick;
use crate::clock::UnixMillis;
use crate::ids::{GongguId, PartitionId, Position, RunId};
use crate::judge::rules::{RulesActivation, RulesSettings, StoredRules};
use crate::judge::totals::{Flag, GongguHead, Rollup, RollupKey, RollupLevel};
use crate::log::LogPosition;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How far a run is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RunMark {
    /// The run.
    pub run: RunId,
    /// Its clicks are stored up to here.
    pub at: UnixMillis,
    /// Its last record in this partition, in a shared log: one that comes again is not newer, and one that
    /// does not follow it is a gap. 0 where the log itself keeps each record once.
    #[serde(default)]
    pub sequence: u64,
    /// When nothing more of it was to come: it closed, or another took its place. Kept until no record of it
    /// can come again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<UnixMillis>,
    /// Whether another run, or an admin, took its place: it no longer holds `complete_through` back.
    #[serde(default)]
    pub superseded: bool,
}

impl RunMark {
    /// The mark of a run in a log that keeps each record once.
    pub fn new(run: RunId, at: UnixMillis) -> Self {
        Self { run, at, sequence: 0, ended_at: None, superseded: false }
    }
}

/// How far a partition is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionProgress {
    /// Everything up to here is stored.
    pub position: LogPosition,
    /// The newest marks, one a run; the least of those that count is `complete_through`.
    pub marks: Vec<RunMark>,
}

impl PartitionProgress {
    /// Up to when every click of the partition is stored; `UnixMillis::MIN` before any mark.
    pub fn complete_through(&self) -> UnixMillis {
        let counting = self.marks.iter().filter(|mark| !mark.superseded);
        counting.map(|mark| mark.at).min().unwrap_or(UnixMillis::MIN)
    }
}

/// What is stored together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JudgedBatch {
    /// The partition.
    pub partition: PartitionId,
    /// Who claimed the partition and judged this.
    pub owner: Uuid,
    /// The place it starts after: what the store holds now (`None`: nothing yet).
    pub from: Option<LogPosition>,
    /// The place and marks after it.
    pub to: PartitionProgress,
    /// The clicks, ascending by position.
    pub clicks: Vec<JudgedClick>,
    /// New heads, one a gonggu touched.
    pub heads: Vec<GongguHead>,
    /// Rollup rows touched, absolute values.
    pub rollups: Vec<Rollup>,
    /// Flags touched, absolute values.
    pub flags: Vec<Flag>,
    /// Positions whose click the judge failed on twice; obeyed at every later replay.
    pub quarantined: Vec<Position>,
}

/// Asks for all that one gonggu's state is rebuilt from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoadRequest {
    /// The gonggu.
    pub gonggu_id: GongguId,
    /// The longest window of any rules version in use: clicks judged within it before the head's
    /// `last_judged_at` are returned.
    pub window_millis: i64,
    /// Rollup rows that are about to be written to.
    pub rollups: Vec<RollupKey>,
}

/// The answer: as of one instant.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GongguSnapshot {
    /// The head, if the gonggu was ever clicked.
    pub head: Option<GongguHead>,
    /// Judged clicks at or below the head's `applied_through` and with `judged_at` greater than
    /// `last_judged_at - window_millis`, ascending by position. Rows above `applied_through` (left by
    /// a crash) MUST be left out; those that are not [`needed`] MAY be, and so MAY all of the others
    /// but what [`needed::reduced`] keeps.
    pub clicks: Vec<JudgedClick>,
    /// Those of the rollups asked for that exist.
    pub rollups: Vec<Rollup>,
    /// Flags of the gonggu whose `last_held_at` is greater than `last_judged_at - window_millis`.
    pub flags: Vec<Flag>,
}

/// Why the store did not.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else claimed the partition since, or nobody did.
    #[error("partition {partition} is owned by {}, not by {owner}", found.map_or("nobody".to_owned(), |id| id.to_string()))]
    Fenced {
        /// The partition.
        partition: PartitionId,
        /// Who asked.
        owner: Uuid,
        /// Who owns it.
        found: Option<Uuid>,
    },
    /// The stored position is neither the batch's start nor its end: it is not the partition's next batch.
    #[error("partition {partition} is stored through {found:?}, not {expected:?}")]
    PositionMoved {
        /// The partition.
        partition: PartitionId,
        /// The batch's start.
        expected: Option<Position>,
        /// What is stored.
        found: Option<Position>,
    },
    /// A stored row cannot be understood.
    #[error("a stored {what} is damaged: {problem}")]
    Damaged {
        /// Which kind of row.
        what: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// The store cannot be reached, or failed for a passing reason.
    #[error("the click store is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store refused for a lasting reason.
    #[error("the click store refused")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl StoreError {
    /// Whether the same call may work later.
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// Whether the partition is no longer the caller's to store, or not from where it believes.
    pub fn is_fenced(&self) -> bool {
        matches!(self, Self::Fenced { .. } | Self::PositionMoved { .. })
    }
}

/// The writing and loading side, used by the judge's partitions.
#[async_trait]
pub trait ClickStore: Send + Sync + 'static {
    /// Makes `owner` the only one who may store and activate, and says how far the partition is stored (`None`:
    /// nothing yet). `owner` MUST be an id that was never used for another opening of a partition. When this has
    /// returned, nothing of another owner's that was not counted in the progress ever is, unless that one claims
    /// anew. Claiming again what is owned changes nothing. Of several at once one is the owner in the end; the
    /// others learn it when they store.
    async fn claim(
        &self,
        partition: PartitionId,
        owner: Uuid,
    ) -> Result<Option<PartitionProgress>, StoreError>;
    /// How far the partition is stored; `None`: nothing yet.
    async fn progress(&self, partition: PartitionId) -> Result<Option<PartitionProgress>, StoreError>;

    /// All rules versions, ascending.
    async fn rules(&self) -> Result<Vec<StoredRules>, StoreError>;
    /// The version of these settings; stores them under the next number if there is none. Two callers
    /// at once get one number for equal settings, and different ones otherwise.
    async fn put_rules(&self, settings: &RulesSettings) -> Result<StoredRules, StoreError>;
    /// The partition's activations, ascending by position.
    async fn activations(&self, partition: PartitionId) -> Result<Vec<RulesActivation>, StoreError>;
    /// Stores an activation if that (partition, position) has none yet; returns the one in force there. `Fenced`
    /// unless the partition is `owner`'s, which MUST be checked in the same atomic step.
    async fn activate(&self, owner: Uuid, activation: RulesActivation)
    -> Result<RulesActivation, StoreError>;
    /// The partition's quarantined positions greater than `after`, ascending.
    async fn quarantined(&self, partition: PartitionId, after: Position)
    -> Result<Vec<Position>, StoreError>;

    /// Snapshots for `requests`, in their order.
    async fn load(&self, requests: &[LoadRequest]) -> Result<Vec<GongguSnapshot>, StoreError>;
    /// Stores a batch as the module says; `Fenced` unless the partition is `batch.owner`'s. A position of the
    /// owner's already at `batch.to` is success.
    async fn store(&self, batch: &JudgedBatch) -> Result<(), StoreError>;
}

/// The asking side, used by stats and exports. Figures are judged + the sum of adjustments.
#[async_trait]
pub trait ClickQueries: Send + Sync + 'static {
    /// Rollup rows of one gonggu and level with `from <= at < to`, ascending: judged values.
    async fn rollups(
        &self,
        gonggu_id: GongguId,
        level: RollupLevel,
        from: UnixMillis,
        to: UnixMillis,
    ) -> Result<Vec<Rollup>, StoreError>;
    /// Heads of these gonggus; those never clicked are left out.
    async fn heads(&self, gonggu_ids: &[GongguId]) -> Result<Vec<GongguHead>, StoreError>;
    /// The least `complete_through` of these partitions; `UnixMillis::MIN` when one of them stored nothing yet.
    async fn complete_through(&self, partitions: &[PartitionId]) -> Result<UnixMillis, StoreError>;
    /// A page of one gonggu's stored clicks with `from <= clicked_at < to`, by (`clicked_at`,
    /// `position`), after the given place; at most `limit`. Adjusted verdicts are not applied here.
    async fn clicks(
        &self,
        gonggu_id: GongguId,
        from: UnixMillis,
        to: UnixMillis,
        after: Option<(UnixMillis, Position)>,
        limit: usize,
    ) -> Result<Vec<JudgedClick>, StoreError>;
}
