//! Clicks for the criterion benches: what a busy day's log looks like to the judge and the store.

use crate::requests::Visitors;
use gonggumoa_core::click::{
    BurstCount, ClickFacts, ClickMethod, Device, Endpoint, JudgedClick, Judgement, OriginKind, RawClick,
    Verdict,
};
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::{ClickId, GongguId, PartitionId, Position, RunId};
use gonggumoa_core::judge::totals::{Counts, GongguHead, Rollup, RollupKey, RollupLevel, VisitorSketch};
use gonggumoa_core::log::LogPosition;
use gonggumoa_core::store::{JudgedBatch, PartitionProgress, RunMark};
use gonggumoa_core::visitor::AddressHash;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use uuid::Uuid;

/// 2026-11-23T00:00:00Z: benches take no clock, so that two runs fold the same clicks.
pub const START: UnixMillis = UnixMillis(1_795_392_000_000);
/// The run that all samples are of.
pub const RUN: RunId = RunId(Uuid::from_u128(0x5a_11ec));

/// Who stores them.
pub const OWNER: Uuid = Uuid::from_u128(0x0b_0b);

const DAY_MILLIS: i64 = 86_400_000;
const AGENTS: [&str; 3] = [
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
     Mobile/15E148 Instagram 330.0.0.20.89",
    "Mozilla/5.0 (Linux; Android 14; SM-S918N) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 \
     Mobile Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 \
     Safari/537.36",
];
const REFERER: &str = "https://www.instagram.com/";

/// The gonggu of this number.
pub fn gonggu_id(number: u64) -> GongguId {
    GongguId(Uuid::from_u128(0x6066_0000_0000_0000_0000_0000_0000_0000 | u128::from(number)))
}

/// A time-ordered id of this number, as the journal's writer would make it.
fn click_id(number: u64, at: UnixMillis) -> ClickId {
    let millis = u128::from(at.0.unsigned_abs());
    let random = u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15) & 0x3fff_ffff_ffff_ffff;
    ClickId(Uuid::from_u128(millis << 80 | 0x7000 << 64 | 0x8000_0000_0000_0000 | random))
}

fn address_of(visitor: u64) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x1000_0000_u32.wrapping_add(visitor as u32))
}

/// Stands for the keyed hash of the address: what matters here is that it is spread evenly. The real
/// one is the edge's work and has a bench of its own.
fn hash_of(kind: u64, visitor: u64) -> AddressHash {
    let low = (visitor ^ kind).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let high = (low ^ (low >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mut bytes = [0u8; 16];
    bytes[..8].copy_from_slice(&(high ^ (high >> 32)).to_le_bytes());
    bytes[8..].copy_from_slice(&low.to_le_bytes());
    AddressHash(bytes)
}

/// The `number`th click, of this gonggu, `per_second` of them a second.
pub fn raw_click(number: u64, gonggu: u64, visitors: Visitors, per_second: u64) -> RawClick {
    let visitor = match visitors {
        Visitors::Different => number,
        Visitors::Same => 0,
    };
    let clicked_at = START.plus_millis((number * 1_000 / per_second) as i64);
    let address = address_of(visitor);
    RawClick {
        run: RUN,
        sequence: number + 1,
        id: click_id(number, clicked_at),
        clicked_at,
        gonggu_id: gonggu_id(gonggu),
        opens_at: START.plus_millis(-DAY_MILLIS),
        closes_at: START.plus_millis(365 * DAY_MILLIS),
        member: None,
        address: Some(IpAddr::V4(address)),
        address_masked: gonggumoa_core::visitor::masked(IpAddr::V4(address)).into(),
        address_hash: hash_of(1, visitor),
        network_hash: hash_of(2, visitor >> 8),
        user_agent: AGENTS[(visitor % 3) as usize].into(),
        referer: REFERER.into(),
        endpoint: Endpoint::Go,
        method: ClickMethod::Get,
        purpose: "".into(),
        fetch_site: "cross-site".into(),
        fetch_mode: "navigate".into(),
        fetch_dest: "document".into(),
        fetch_user: "?1".into(),
        origin: OriginKind::Absent,
    }
}

/// The same as the edge sees it.
pub fn facts(number: u64, gonggu: u64) -> ClickFacts<'static> {
    ClickFacts {
        gonggu_id: gonggu_id(gonggu),
        opens_at: START.plus_millis(-DAY_MILLIS),
        closes_at: START.plus_millis(365 * DAY_MILLIS),
        member: None,
        address: IpAddr::V4(address_of(number)),
        address_hash: hash_of(1, number),
        network_hash: hash_of(2, number >> 8),
        user_agent: AGENTS[(number % 3) as usize],
        referer: REFERER,
        endpoint: Endpoint::Go,
        method: ClickMethod::Get,
        purpose: "",
        fetch_site: "cross-site",
        fetch_mode: "navigate",
        fetch_dest: "document",
        fetch_user: "?1",
        origin: OriginKind::Absent,
    }
}

/// A billable click of full width, as the store gets it.
pub fn judged_click(number: u64, gonggu: u64) -> JudgedClick {
    let click = raw_click(number, gonggu, Visitors::Different, 100_000);
    let judgement = Judgement {
        verdict: Verdict::Billable,
        judged_at: click.clicked_at,
        rules_version: 1,
        duplicate_of: None,
        took_mark: false,
        burst: [BurstCount::Click].into(),
        flag_id: None,
        device: Device::Mobile,
        visitor: number.wrapping_mul(0x9e37_79b9_7f4a_7c15),
    };
    JudgedClick { position: Position(number + 1), click, judgement }
}

/// The clicks after the first `stored`, with the heads and rollup rows of their gonggus.
pub fn judged_batch(stored: u64, clicks: u64, gonggus: u64) -> JudgedBatch {
    let place = |through| LogPosition { through: Position(through), run: RUN };
    let end = stored + clicks;
    let clicks: Vec<_> = (stored..end).map(|number| judged_click(number, number % gonggus)).collect();
    let last_at = clicks[clicks.len() - 1].click.clicked_at;
    let counts = Counts { billable: end / gonggus, ..Counts::default() };
    let mut visitors = VisitorSketch::default();
    visitors.insert(end);
    let ids = (0..gonggus).map(gonggu_id);
    JudgedBatch {
        partition: PartitionId(0),
        owner: OWNER,
        from: (stored > 0).then(|| place(stored)),
        to: PartitionProgress { position: place(end), marks: vec![RunMark::new(RUN, last_at)] },
        heads: ids
            .clone()
            .map(|gonggu_id| GongguHead {
                gonggu_id,
                counts,
                visitors: visitors.clone(),
                last_judged_at: last_at,
                last_clicked_at: last_at,
                applied_through: Position(end),
            })
            .collect(),
        rollups: ids
            .flat_map(|gonggu_id| {
                [RollupLevel::Minute, RollupLevel::Hour, RollupLevel::Day].map(|level| RollupKey {
                    gonggu_id,
                    level,
                    at: START,
                })
            })
            .map(|key| Rollup {
                key,
                counts,
                visitors: visitors.clone(),
                referrers: BTreeMap::from([("instagram.com".into(), counts.billable)]),
                devices: [counts.billable, 0, 0, 0],
            })
            .collect(),
        clicks,
        flags: Vec::new(),
        quarantined: Vec::new(),
    }
}
