//! Rows of the CQL tables, from and to the domain's types. A row that cannot be understood is `Damaged`.
//!
//! Unsigned numbers are stored as `bigint`, times as they are (a CQL timestamp is any 64-bit count of
//! milliseconds). Codes are those of PostgreSQL (`postgres/codes.rs`).

use super::error::damaged;
use crate::postgres::codes;
use gonggumoa_core::click::{BurstCount, DuplicateOf, JudgedClick, Judgement};
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::{FlagId, GongguId, Position};
use gonggumoa_core::judge::totals::RollupLevel;
use gonggumoa_core::judge::totals::{Counts, Flag, GongguHead, Rollup, RollupKey, VisitorSketch};
use gonggumoa_core::kst::{DAY_MILLIS, HOUR_MILLIS, MINUTE_MILLIS};
use gonggumoa_core::log::codec;
use gonggumoa_core::store::{StoreError, needed};
use gonggumoa_core::visitor::AddressHash;
use scylla::serialize::row::SerializeRow;
use scylla::value::{CqlTimestamp, MaybeUnset};
use scylla::{DeserializeRow, SerializeRow as DeriveSerializeRow};
use std::collections::BTreeMap;
use std::net::IpAddr;
use uuid::Uuid;

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

/// A row of `clicks`, to be written; `ttl` in seconds.
#[derive(DeriveSerializeRow)]
pub(crate) struct ClickWrite {
    pub(crate) gonggu_id: Uuid,
    pub(crate) bucket: i64,
    pub(crate) shard: i16,
    clicked_at: CqlTimestamp,
    position: i64,
    click_id: Uuid,
    record: Vec<u8>,
    verdict: i16,
    reason: MaybeUnset<i16>,
    judged_at: CqlTimestamp,
    rules_version: i32,
    visitor: i64,
    device: i16,
    took_mark: bool,
    duplicate_of_position: MaybeUnset<i64>,
    duplicate_of_judged_at: MaybeUnset<CqlTimestamp>,
    burst: Vec<u8>,
    flag_id: MaybeUnset<Uuid>,
    ttl: i32,
}

impl ClickWrite {
    pub(crate) fn new(judged: &JudgedClick, ttl: i32) -> Self {
        let JudgedClick { position, click, judgement } = judged;
        let (verdict, reason) = codes::verdict_codes(judgement.verdict);
        let mut record = Vec::with_capacity(256);
        codec::encode_click(click, true, &mut record);
        Self {
            gonggu_id: click.gonggu_id.0,
            bucket: click_bucket(click.clicked_at),
            shard: shard(*position),
            clicked_at: time(click.clicked_at),
            position: position.0 as i64,
            click_id: click.id.0,
            record,
            verdict,
            reason: MaybeUnset::from_option(reason),
            judged_at: time(judgement.judged_at),
            rules_version: judgement.rules_version as i32,
            visitor: judgement.visitor as i64,
            device: codes::device_code(judgement.device),
            took_mark: judgement.took_mark,
            duplicate_of_position: MaybeUnset::from_option(
                judgement.duplicate_of.map(|of| of.position.0 as i64),
            ),
            duplicate_of_judged_at: MaybeUnset::from_option(
                judgement.duplicate_of.map(|of| time(of.judged_at)),
            ),
            burst: burst_bytes(judgement),
            flag_id: MaybeUnset::from_option(judgement.flag_id.map(|flag| flag.0)),
            ttl,
        }
    }

    /// About so many bytes on the wire, for the bounds of a batch.
    pub(crate) fn size(&self) -> usize {
        self.record.len() + self.burst.len() + 190
    }
}

/// The raw address of a click, which goes earlier than the click.
#[derive(DeriveSerializeRow)]
pub(crate) struct AddressWrite {
    gonggu_id: Uuid,
    bucket: i64,
    shard: i16,
    clicked_at: CqlTimestamp,
    position: i64,
    address: IpAddr,
    ttl: i32,
}

impl AddressWrite {
    pub(crate) fn new(judged: &JudgedClick, address: IpAddr, ttl: i32) -> Self {
        let click = &judged.click;
        Self {
            gonggu_id: click.gonggu_id.0,
            bucket: click_bucket(click.clicked_at),
            shard: shard(judged.position),
            clicked_at: time(click.clicked_at),
            position: judged.position.0 as i64,
            address,
            ttl,
        }
    }
}

/// A row of `clicks_needed`, to be written.
#[derive(DeriveSerializeRow)]
pub(crate) struct NeededWrite {
    pub(crate) gonggu_id: Uuid,
    pub(crate) bucket: i64,
    judged_at: CqlTimestamp,
    position: i64,
    record: Vec<u8>,
    verdict: i16,
    reason: MaybeUnset<i16>,
    rules_version: i32,
    visitor: i64,
    took_mark: bool,
    duplicate_of_position: MaybeUnset<i64>,
    duplicate_of_judged_at: MaybeUnset<CqlTimestamp>,
    burst: Vec<u8>,
}

impl NeededWrite {
    pub(crate) fn new(judged: &JudgedClick) -> Self {
        let JudgedClick { position, click, judgement } = needed::reduced(judged);
        let (verdict, reason) = codes::verdict_codes(judgement.verdict);
        let mut record = Vec::with_capacity(160);
        codec::encode_click(&click, true, &mut record);
        Self {
            gonggu_id: click.gonggu_id.0,
            bucket: needed_bucket(judgement.judged_at),
            judged_at: time(judgement.judged_at),
            position: position.0 as i64,
            record,
            verdict,
            reason: MaybeUnset::from_option(reason),
            rules_version: judgement.rules_version as i32,
            visitor: judgement.visitor as i64,
            took_mark: judgement.took_mark,
            duplicate_of_position: MaybeUnset::from_option(
                judgement.duplicate_of.map(|of| of.position.0 as i64),
            ),
            duplicate_of_judged_at: MaybeUnset::from_option(
                judgement.duplicate_of.map(|of| time(of.judged_at)),
            ),
            burst: burst_bytes(&judgement),
        }
    }

    /// About so many bytes on the wire.
    pub(crate) fn size(&self) -> usize {
        self.record.len() + self.burst.len() + 130
    }
}

fn burst_bytes(judgement: &Judgement) -> Vec<u8> {
    judgement.burst.iter().map(|count| *count as u8).collect()
}

fn burst(bytes: &[u8]) -> Result<Box<[BurstCount]>, StoreError> {
    bytes
        .iter()
        .map(|byte| match byte {
            0 => Ok(BurstCount::None),
            1 => Ok(BurstCount::Click),
            2 => Ok(BurstCount::MemberFirst),
            _ => Err(damaged("click", "its burst counts are unknown")),
        })
        .collect()
}

fn duplicate_of(position: Option<i64>, judged_at: Option<CqlTimestamp>) -> Option<DuplicateOf> {
    position.zip(judged_at).map(|(position, judged_at)| DuplicateOf {
        position: Position(position as u64),
        judged_at: UnixMillis(judged_at.0),
    })
}

/// A row of `clicks`, read. Columns other than the key are gone where a row is just going.
#[derive(DeserializeRow)]
pub(crate) struct ClickRead {
    position: i64,
    record: Option<Vec<u8>>,
    address: Option<IpAddr>,
    verdict: Option<i16>,
    reason: Option<i16>,
    judged_at: Option<CqlTimestamp>,
    rules_version: Option<i32>,
    visitor: Option<i64>,
    device: Option<i16>,
    took_mark: Option<bool>,
    duplicate_of_position: Option<i64>,
    duplicate_of_judged_at: Option<CqlTimestamp>,
    burst: Option<Vec<u8>>,
    flag_id: Option<Uuid>,
}

impl ClickRead {
    /// `None` for a row whose time is over.
    pub(crate) fn click(self) -> Result<Option<JudgedClick>, StoreError> {
        let Some(record) = &self.record else { return Ok(None) };
        let mut click = codec::decode_click(record).map_err(|error| damaged("click", error))?;
        click.address = self.address;
        let unknown =
            |column: &str| damaged("click", format!("{column} of the one at {} is unknown", self.position));
        let verdict = self.verdict.and_then(|verdict| codes::verdict_of(verdict, self.reason));
        let judgement = Judgement {
            verdict: verdict.ok_or_else(|| unknown("verdict"))?,
            judged_at: UnixMillis(self.judged_at.ok_or_else(|| unknown("judged_at"))?.0),
            rules_version: self.rules_version.ok_or_else(|| unknown("rules_version"))? as u32,
            duplicate_of: duplicate_of(self.duplicate_of_position, self.duplicate_of_judged_at),
            took_mark: self.took_mark.unwrap_or_default(),
            // A list without entries may come back as none.
            burst: burst(&self.burst.unwrap_or_default())?,
            flag_id: self.flag_id.map(FlagId),
            device: self.device.and_then(codes::device_of).ok_or_else(|| unknown("device"))?,
            visitor: self.visitor.ok_or_else(|| unknown("visitor"))? as u64,
        };
        Ok(Some(JudgedClick { position: Position(self.position as u64), click, judgement }))
    }
}

/// A row of `clicks_needed`, read.
#[derive(DeserializeRow)]
pub(crate) struct NeededRead {
    judged_at: CqlTimestamp,
    position: i64,
    record: Option<Vec<u8>>,
    verdict: Option<i16>,
    reason: Option<i16>,
    rules_version: Option<i32>,
    visitor: Option<i64>,
    took_mark: Option<bool>,
    duplicate_of_position: Option<i64>,
    duplicate_of_judged_at: Option<CqlTimestamp>,
    burst: Option<Vec<u8>>,
}

impl NeededRead {
    pub(crate) fn click(self) -> Result<Option<JudgedClick>, StoreError> {
        let row = ClickRead {
            position: self.position,
            record: self.record,
            address: None,
            verdict: self.verdict,
            reason: self.reason,
            judged_at: Some(self.judged_at),
            rules_version: self.rules_version,
            visitor: self.visitor,
            device: Some(codes::device_code(gonggumoa_core::click::Device::Other)),
            took_mark: self.took_mark,
            duplicate_of_position: self.duplicate_of_position,
            duplicate_of_judged_at: self.duplicate_of_judged_at,
            burst: self.burst,
            flag_id: None,
        };
        row.click()
    }
}

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
