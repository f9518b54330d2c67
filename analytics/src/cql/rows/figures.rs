//! Figures: heads, and the rollup rows and flags as a head carries them.

use super::super::error::damaged;
use super::time;
use crate::postgres::codes;
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::{FlagId, GongguId, Position};
use gonggumoa_core::judge::totals::{Counts, Flag, GongguHead, Rollup, RollupKey, VisitorSketch};
use gonggumoa_core::store::StoreError;
use gonggumoa_core::visitor::AddressHash;
use scylla::DeserializeRow;
use scylla::serialize::row::SerializeRow;
use scylla::value::CqlTimestamp;
use std::collections::BTreeMap;
use uuid::Uuid;

/// A rollup row as it stands in a head: level, at, counts, visitors, referrers, devices.
pub(crate) type RecentRollup = (i16, CqlTimestamp, Vec<i64>, Vec<u8>, BTreeMap<String, i64>, Vec<i64>);

/// A flag as it stands in a head, in the order of `click_flags`.
pub(crate) type RecentFlag =
    (Uuid, i16, i16, Vec<u8>, String, i64, i32, CqlTimestamp, CqlTimestamp, i64, i64, i64, Option<Vec<u8>>);

fn signed<const N: usize>(figures: [u64; N]) -> Vec<i64> {
    figures.map(u64::cast_signed).to_vec()
}

fn unsigned<const N: usize>(what: &'static str, figures: &[i64]) -> Result<[u64; N], StoreError> {
    let figures: [i64; N] =
        figures.try_into().map_err(|_| damaged(what, format!("{} numbers instead of {N}", figures.len())))?;
    Ok(figures.map(i64::cast_unsigned))
}

fn sketch(what: &'static str, bytes: Option<&[u8]>) -> Result<VisitorSketch, StoreError> {
    VisitorSketch::from_bytes(bytes.unwrap_or_default()).map_err(|error| damaged(what, error))
}

pub(crate) fn recent_rollup(rollup: &Rollup) -> RecentRollup {
    let referrers =
        rollup.referrers.iter().map(|(host, count)| (host.to_string(), count.cast_signed())).collect();
    (
        codes::level_code(rollup.key.level),
        time(rollup.key.at),
        signed(rollup.counts.to_array()),
        rollup.visitors.as_bytes().to_vec(),
        referrers,
        signed(rollup.devices),
    )
}

pub(crate) fn rollup_of(gonggu_id: GongguId, row: RecentRollup) -> Result<Rollup, StoreError> {
    let (level, at, counts, visitors, referrers, devices) = row;
    let level = codes::level_of(level).ok_or_else(|| damaged("rollup", format!("level {level}")))?;
    Ok(Rollup {
        key: RollupKey { gonggu_id, level, at: UnixMillis(at.0) },
        counts: Counts::from_array(unsigned("rollup", &counts)?),
        visitors: sketch("rollup", Some(&visitors))?,
        referrers: referrers.into_iter().map(|(host, count)| (host.into(), count.cast_unsigned())).collect(),
        devices: unsigned("rollup", &devices)?,
    })
}

pub(crate) fn recent_flag(flag: &Flag) -> RecentFlag {
    (
        flag.id.0,
        codes::scope_code(flag.scope),
        i16::from(flag.limit_index),
        flag.address_hash.0.to_vec(),
        flag.address_masked.to_string(),
        flag.window_millis,
        flag.limit as i32,
        time(flag.opened_at),
        time(flag.last_held_at),
        flag.first_position.0 as i64,
        flag.last_position.0 as i64,
        flag.clicks as i64,
        Some(flag.visitors.as_bytes().to_vec()),
    )
}

pub(crate) fn flag_of(gonggu_id: GongguId, row: RecentFlag) -> Result<Flag, StoreError> {
    let (
        id,
        scope,
        limit_index,
        hash,
        masked,
        window_millis,
        limit,
        opened,
        held,
        first,
        last,
        clicks,
        visitors,
    ) = row;
    let unknown = |column: &str| damaged("flag", format!("{column} of {id} is unknown"));
    Ok(Flag {
        id: FlagId(id),
        gonggu_id,
        scope: codes::scope_of(scope).ok_or_else(|| unknown("scope"))?,
        limit_index: u8::try_from(limit_index).map_err(|_| unknown("limit_index"))?,
        address_hash: AddressHash(hash.as_slice().try_into().map_err(|_| unknown("address_hash"))?),
        address_masked: masked.into(),
        window_millis,
        limit: limit as u32,
        opened_at: UnixMillis(opened.0),
        last_held_at: UnixMillis(held.0),
        first_position: Position(first as u64),
        last_position: Position(last as u64),
        clicks: clicks as u64,
        visitors: sketch("flag", visitors.as_deref())?,
    })
}

/// The write timestamp of what is as of a position: larger for later positions, and never in the future, which
/// ScyllaDB refuses (as microseconds, positions from the seventh epoch on would be).
pub(crate) fn written_at(position: i64) -> i64 {
    position - i64::MAX
}

/// A row of `click_heads`.
#[derive(DeserializeRow)]
pub(crate) struct HeadRow {
    pub(crate) gonggu_id: Uuid,
    pub(crate) partition: i32,
    pub(crate) applied_through: i64,
    counts: Vec<i64>,
    visitors: Option<Vec<u8>>,
    last_judged_at: CqlTimestamp,
    pub(crate) last_clicked_at: CqlTimestamp,
    pub(crate) recent_rollups: Vec<RecentRollup>,
    pub(crate) recent_flags: Vec<RecentFlag>,
}

impl HeadRow {
    pub(crate) fn new(partition: i32, head: &GongguHead) -> Self {
        Self {
            gonggu_id: head.gonggu_id.0,
            partition,
            applied_through: head.applied_through.0 as i64,
            counts: signed(head.counts.to_array()),
            visitors: Some(head.visitors.as_bytes().to_vec()),
            last_judged_at: time(head.last_judged_at),
            last_clicked_at: time(head.last_clicked_at),
            recent_rollups: Vec::new(),
            recent_flags: Vec::new(),
        }
    }

    /// As the values of its statement.
    pub(crate) fn values(&self) -> impl SerializeRow + '_ {
        (
            self.gonggu_id,
            self.partition,
            self.applied_through,
            &self.counts,
            &self.visitors,
            self.last_judged_at,
            self.last_clicked_at,
            &self.recent_rollups,
            &self.recent_flags,
            written_at(self.applied_through),
        )
    }

    pub(crate) fn head(&self) -> Result<GongguHead, StoreError> {
        Ok(GongguHead {
            gonggu_id: GongguId(self.gonggu_id),
            counts: Counts::from_array(unsigned("head", &self.counts)?),
            visitors: sketch("head", self.visitors.as_deref())?,
            last_judged_at: UnixMillis(self.last_judged_at.0),
            last_clicked_at: UnixMillis(self.last_clicked_at.0),
            applied_through: Position(self.applied_through as u64),
        })
    }
}
