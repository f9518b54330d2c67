//! Rows read back into the domain's types. A row that cannot be understood is `Damaged`, never guessed.

use super::codes;
use super::millis::PgMillis;
use gonggumoa_core::click::{
    BurstCount, ClickMethod, Device, DuplicateOf, Endpoint, JudgedClick, Judgement, OriginKind, RawClick,
};
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::{ClickId, FlagId, GongguId, Position, RunId, UserId};
use gonggumoa_core::judge::totals::{Counts, Flag, GongguHead, Rollup, RollupKey, VisitorSketch};
use gonggumoa_core::store::StoreError;
use gonggumoa_core::visitor::{AddressHash, Member};
use uuid::Uuid;

/// A row of `click_trackings`.
pub(crate) struct ClickRow {
    pub(crate) id: Uuid,
    pub(crate) gonggu_id: Uuid,
    pub(crate) run: Uuid,
    pub(crate) clicked_at: PgMillis,
    pub(crate) judged_at: PgMillis,
    pub(crate) opens_at: PgMillis,
    pub(crate) closes_at: PgMillis,
    pub(crate) sequence: i64,
    pub(crate) position: i64,
    pub(crate) visitor: i64,
    pub(crate) rules_version: i32,
    pub(crate) verdict: i16,
    pub(crate) reason: Option<i16>,
    pub(crate) device: i16,
    pub(crate) endpoint: i16,
    pub(crate) method: i16,
    pub(crate) origin: i16,
    pub(crate) took_mark: bool,
    pub(crate) user_id: Option<Uuid>,
    pub(crate) user_created_at: Option<PgMillis>,
    pub(crate) duplicate_of_position: Option<i64>,
    pub(crate) duplicate_of_judged_at: Option<PgMillis>,
    pub(crate) flag_id: Option<Uuid>,
    pub(crate) address_hash: Vec<u8>,
    pub(crate) network_hash: Vec<u8>,
    pub(crate) burst: Vec<u8>,
    pub(crate) ip_address: String,
    pub(crate) ip_masked: String,
    pub(crate) user_agent: String,
    pub(crate) referer: String,
    pub(crate) request_facts: Option<String>,
}

/// A row of `load_clicks.sql`: what a state needs of a click.
pub(crate) struct WindowRow {
    pub(crate) slot: i32,
    pub(crate) clicked_at: PgMillis,
    pub(crate) judged_at: PgMillis,
    pub(crate) position: i64,
    pub(crate) visitor: i64,
    pub(crate) rules_version: i32,
    pub(crate) verdict: i16,
    pub(crate) reason: Option<i16>,
    pub(crate) took_mark: bool,
    pub(crate) user_id: Option<Uuid>,
    pub(crate) user_created_at: Option<PgMillis>,
    pub(crate) duplicate_of_position: Option<i64>,
    pub(crate) duplicate_of_judged_at: Option<PgMillis>,
    pub(crate) address_hash: Vec<u8>,
    pub(crate) network_hash: Vec<u8>,
    pub(crate) burst: Vec<u8>,
    pub(crate) member_agent: Option<String>,
}

impl WindowRow {
    /// The click, as [`reduced`](gonggumoa_core::store::needed::reduced) as it is.
    pub(crate) fn click(self, gonggu_id: GongguId) -> Result<JudgedClick, StoreError> {
        let unknown =
            |column: &str| damaged("click", format!("{column} of the one at {} is unknown", self.position));
        let judgement = Judgement {
            verdict: codes::verdict_of(self.verdict, self.reason).ok_or_else(|| unknown("verdict"))?,
            judged_at: self.judged_at.0,
            rules_version: self.rules_version as u32,
            duplicate_of: duplicate_of(self.duplicate_of_position, self.duplicate_of_judged_at),
            took_mark: self.took_mark,
            burst: burst(&self.burst).ok_or_else(|| unknown("burst"))?,
            flag_id: None,
            device: Device::Other,
            visitor: self.visitor as u64,
        };
        let click = RawClick {
            run: RunId(Uuid::nil()),
            sequence: 0,
            id: ClickId(Uuid::nil()),
            clicked_at: self.clicked_at.0,
            gonggu_id,
            opens_at: UnixMillis::MIN,
            closes_at: UnixMillis::MAX,
            member: member(self.user_id, self.user_created_at),
            address: None,
            address_hash: hash(&self.address_hash)?,
            network_hash: hash(&self.network_hash)?,
            endpoint: Endpoint::Go,
            method: ClickMethod::Get,
            origin: OriginKind::Absent,
            address_masked: Box::default(),
            user_agent: self.member_agent.unwrap_or_default().into(),
            referer: Box::default(),
            purpose: Box::default(),
            fetch_site: Box::default(),
            fetch_mode: Box::default(),
            fetch_dest: Box::default(),
            fetch_user: Box::default(),
        };
        Ok(JudgedClick { position: Position(self.position as u64), click, judgement })
    }
}

fn member(id: Option<Uuid>, created_at: Option<PgMillis>) -> Option<Member> {
    id.zip(created_at).map(|(id, created_at)| Member { id: UserId(id), created_at: created_at.0 })
}

fn duplicate_of(position: Option<i64>, judged_at: Option<PgMillis>) -> Option<DuplicateOf> {
    position.zip(judged_at).map(|(position, judged_at)| DuplicateOf {
        position: Position(position as u64),
        judged_at: judged_at.0,
    })
}

fn damaged(what: &'static str, problem: impl Into<String>) -> StoreError {
    StoreError::Damaged { what, problem: problem.into() }
}

fn hash(bytes: &[u8]) -> Result<AddressHash, StoreError> {
    let bytes = bytes.try_into().map_err(|_| damaged("click", "an address hash is not 16 bytes"))?;
    Ok(AddressHash(bytes))
}

impl TryFrom<ClickRow> for JudgedClick {
    type Error = StoreError;

    fn try_from(row: ClickRow) -> Result<Self, StoreError> {
        let unknown = |column: &str| damaged("click", format!("{column} of {} is unknown", row.id));
        let [purpose, fetch_site, fetch_mode, fetch_dest, fetch_user] =
            facts(row.request_facts.as_deref()).ok_or_else(|| unknown("request_facts"))?;
        let judgement = Judgement {
            verdict: codes::verdict_of(row.verdict, row.reason).ok_or_else(|| unknown("verdict"))?,
            judged_at: row.judged_at.0,
            rules_version: row.rules_version as u32,
            duplicate_of: duplicate_of(row.duplicate_of_position, row.duplicate_of_judged_at),
            took_mark: row.took_mark,
            burst: burst(&row.burst).ok_or_else(|| unknown("burst"))?,
            flag_id: row.flag_id.map(FlagId),
            device: codes::device_of(row.device).ok_or_else(|| unknown("device"))?,
            visitor: row.visitor as u64,
        };
        let click = RawClick {
            run: RunId(row.run),
            sequence: row.sequence as u64,
            id: ClickId(row.id),
            clicked_at: row.clicked_at.0,
            gonggu_id: GongguId(row.gonggu_id),
            opens_at: row.opens_at.0,
            closes_at: row.closes_at.0,
            member: member(row.user_id, row.user_created_at),
            // After retention the masked form stands here, which is no address.
            address: row.ip_address.parse().ok(),
            address_hash: hash(&row.address_hash)?,
            network_hash: hash(&row.network_hash)?,
            endpoint: codes::endpoint_of(row.endpoint).ok_or_else(|| unknown("endpoint"))?,
            method: codes::method_of(row.method).ok_or_else(|| unknown("method"))?,
            origin: codes::origin_of(row.origin).ok_or_else(|| unknown("origin"))?,
            address_masked: row.ip_masked.into(),
            user_agent: row.user_agent.into(),
            referer: row.referer.into(),
            purpose,
            fetch_site,
            fetch_mode,
            fetch_dest,
            fetch_user,
        };
        Ok(Self { position: Position(row.position as u64), click, judgement })
    }
}

fn burst(bytes: &[u8]) -> Option<Box<[BurstCount]>> {
    bytes
        .iter()
        .map(|byte| match byte {
            0 => Some(BurstCount::None),
            1 => Some(BurstCount::Click),
            2 => Some(BurstCount::MemberFirst),
            _ => None,
        })
        .collect()
}

/// The inverse of the encoder's `facts`.
fn facts(text: Option<&str>) -> Option<[Box<str>; 5]> {
    let Some(text) = text else { return Some(Default::default()) };
    let lines: Vec<Box<str>> = text.split('\n').map(unescape).collect();
    lines.try_into().ok()
}

fn unescape(line: &str) -> Box<str> {
    if !line.contains('\\') {
        return line.into();
    }
    let mut out = String::with_capacity(line.len());
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('n') => out.push('\n'),
                Some(other) => out.push(other),
                None => {}
            },
            character => out.push(character),
        }
    }
    out.into()
}

/// A `bigint[]` of known length.
pub(crate) fn signed<const N: usize>(what: &'static str, column: &[i64]) -> Result<[i64; N], StoreError> {
    column.try_into().map_err(|_| damaged(what, format!("{} numbers instead of {N}", column.len())))
}

/// Counts as a `bigint[]` of nine.
pub(crate) fn counts(column: &[i64]) -> Result<Counts, StoreError> {
    Ok(Counts::from_array(signed("counts", column)?.map(|count| count as u64)))
}

pub(crate) fn sketch(what: &'static str, bytes: &[u8]) -> Result<VisitorSketch, StoreError> {
    VisitorSketch::from_bytes(bytes).map_err(|error| damaged(what, error.to_string()))
}

/// Counts by device.
pub(crate) fn devices(column: &[i64]) -> Result<[u64; 4], StoreError> {
    Ok(signed("devices", column)?.map(|count| count as u64))
}

/// A row of `click_heads`.
pub(crate) struct HeadRow {
    pub(crate) gonggu_id: Uuid,
    pub(crate) counts: Vec<i64>,
    pub(crate) visitors: Vec<u8>,
    pub(crate) last_judged_at: PgMillis,
    pub(crate) last_clicked_at: PgMillis,
    pub(crate) applied_through: i64,
}

impl TryFrom<HeadRow> for GongguHead {
    type Error = StoreError;

    fn try_from(row: HeadRow) -> Result<Self, StoreError> {
        Ok(Self {
            gonggu_id: GongguId(row.gonggu_id),
            counts: counts(&row.counts)?,
            visitors: sketch("head", &row.visitors)?,
            last_judged_at: row.last_judged_at.0,
            last_clicked_at: row.last_clicked_at.0,
            applied_through: Position(row.applied_through as u64),
        })
    }
}

/// A row of `click_rollups`.
pub(crate) struct RollupRow {
    pub(crate) gonggu_id: Uuid,
    pub(crate) level: i16,
    pub(crate) at: PgMillis,
    pub(crate) counts: Vec<i64>,
    pub(crate) visitors: Vec<u8>,
    pub(crate) referrers: Option<serde_json::Value>,
    pub(crate) devices: Vec<i64>,
}

impl TryFrom<RollupRow> for Rollup {
    type Error = StoreError;

    fn try_from(row: RollupRow) -> Result<Self, StoreError> {
        let level =
            codes::level_of(row.level).ok_or_else(|| damaged("rollup", format!("level {}", row.level)))?;
        let referrers = match row.referrers {
            None => Default::default(),
            Some(json) => serde_json::from_value(json)
                .map_err(|error| damaged("rollup", format!("referrers: {error}")))?,
        };
        Ok(Self {
            key: RollupKey { gonggu_id: GongguId(row.gonggu_id), level, at: row.at.0 },
            counts: counts(&row.counts)?,
            visitors: sketch("rollup", &row.visitors)?,
            referrers,
            devices: devices(&row.devices)?,
        })
    }
}

/// A row of `click_flags`.
pub(crate) struct FlagRow {
    pub(crate) id: Uuid,
    pub(crate) gonggu_id: Uuid,
    pub(crate) scope: i16,
    pub(crate) limit_index: i16,
    pub(crate) address_hash: Vec<u8>,
    pub(crate) address_masked: String,
    pub(crate) window_millis: i64,
    pub(crate) limit_clicks: i32,
    pub(crate) opened_at: PgMillis,
    pub(crate) last_held_at: PgMillis,
    pub(crate) first_position: i64,
    pub(crate) last_position: i64,
    pub(crate) clicks: i64,
    pub(crate) visitors: Vec<u8>,
}

impl TryFrom<FlagRow> for Flag {
    type Error = StoreError;

    fn try_from(row: FlagRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: FlagId(row.id),
            gonggu_id: GongguId(row.gonggu_id),
            scope: codes::scope_of(row.scope)
                .ok_or_else(|| damaged("flag", format!("scope {}", row.scope)))?,
            limit_index: u8::try_from(row.limit_index)
                .map_err(|_| damaged("flag", format!("limit {}", row.limit_index)))?,
            address_hash: hash(&row.address_hash)?,
            address_masked: row.address_masked.into(),
            window_millis: row.window_millis,
            limit: row.limit_clicks as u32,
            opened_at: row.opened_at.0,
            last_held_at: row.last_held_at.0,
            first_position: Position(row.first_position as u64),
            last_position: Position(row.last_position as u64),
            clicks: row.clicks as u64,
            visitors: sketch("flag", &row.visitors)?,
        })
    }
}
