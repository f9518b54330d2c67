//! Rows of the CQL tables, from and to the domain's types. A row that cannot be understood is `Damaged`.
//!
//! Unsigned numbers are stored as `bigint`, times as they are (a CQL timestamp is any 64-bit count of
//! milliseconds). Codes are those of PostgreSQL (`postgres/codes.rs`).

mod clicks;
mod figures;

pub(crate) use clicks::{AddressWrite, ClickRead, ClickWrite, NeededRead, NeededWrite};
pub(crate) use figures::{
    HeadRow, RecentFlag, RecentRollup, flag_of, recent_flag, recent_rollup, rollup_of, written_at,
};

use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::Position;
use gonggumoa_core::judge::totals::RollupLevel;
use gonggumoa_core::kst::{DAY_MILLIS, HOUR_MILLIS, MINUTE_MILLIS};
use scylla::value::CqlTimestamp;

/// Partitions that an hour of one gonggu is spread over: at 1,000 clicks a second some 225,000 rows (80 MB) each,
/// which a node still reads and compacts with ease.
pub(crate) const SHARDS: u64 = 16;
/// Rollup rows of a level in one partition.
const ROLLUPS_A_BUCKET: i64 = 1_440;
/// The default duplicate window: a load reads two partitions.
const NEEDED_BUCKET_MILLIS: i64 = 300_000;

/// The hour that a click is stored under.
pub(crate) fn click_bucket(clicked_at: UnixMillis) -> i64 {
    clicked_at.0.div_euclid(HOUR_MILLIS)
}

/// The shard of the hour.
pub(crate) fn shard(position: Position) -> i16 {
    (position.0 % SHARDS) as i16
}

/// Where a state's click is stored.
pub(crate) fn needed_bucket(judged_at: UnixMillis) -> i64 {
    judged_at.0.div_euclid(NEEDED_BUCKET_MILLIS)
}

/// Where a rollup row is stored.
pub(crate) fn rollup_bucket(level: RollupLevel, at: UnixMillis) -> i64 {
    let length = match level {
        RollupLevel::Minute => MINUTE_MILLIS,
        RollupLevel::Hour => HOUR_MILLIS,
        RollupLevel::Day => DAY_MILLIS,
    };
    at.0.div_euclid(length * ROLLUPS_A_BUCKET)
}

fn time(at: UnixMillis) -> CqlTimestamp {
    CqlTimestamp(at.0)
}
