//! Clicks: the row of `clicks`, its raw address, and what a state needs of it.

use super::super::error::damaged;
use super::{click_bucket, needed_bucket, shard, time};
use crate::postgres::codes;
use gonggumoa_core::click::{BurstCount, DuplicateOf, JudgedClick, Judgement};
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::{FlagId, Position};
use gonggumoa_core::log::codec;
use gonggumoa_core::store::{StoreError, needed};
use scylla::value::{CqlTimestamp, MaybeUnset};
use scylla::{DeserializeRow, SerializeRow};
use std::net::IpAddr;
use uuid::Uuid;

/// A row of `clicks`, to be written; `ttl` in seconds.
#[derive(SerializeRow)]
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
#[derive(SerializeRow)]
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
#[derive(SerializeRow)]
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
