//! Clicks and batches for the suite, made without the judge: the store must not care what a verdict is.

use super::{HOUR_MILLIS, MINUTE_MILLIS};
use crate::click::{
    BurstCount, ClickMethod, Device, DuplicateOf, Endpoint, HeldReason, InvalidReason, JudgedClick,
    Judgement, OriginKind, RawClick, Verdict,
};
use crate::clock::UnixMillis;
use crate::ids::{ClickId, FlagId, GongguId, PartitionId, Position, RunId, UserId};
use crate::judge::rules::{BurstLimit, LimitScope, RulesSettings};
use crate::judge::totals::{Counts, Flag, GongguHead, Rollup, RollupKey, RollupLevel, VisitorSketch};
use crate::kst;
use crate::log::LogPosition;
use crate::store::{ClickStore, JudgedBatch, PartitionProgress, RunMark};
use crate::visitor::{AddressHash, Member};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// A moment of the suite: 2026-11-23T00:00:00Z.
pub const START: UnixMillis = UnixMillis(1_795_392_000_000);

/// A partition being written: knows its run, the next position and every gonggu's figures so far.
#[derive(Clone, Debug)]
pub struct Writer {
    /// The partition.
    pub partition: PartitionId,
    /// Its run.
    pub run: RunId,
    /// Under which it claims the partition.
    pub owner: Uuid,
    /// What is stored so far.
    pub stored: Option<LogPosition>,
    position: u64,
    heads: BTreeMap<GongguId, GongguHead>,
    rollups: BTreeMap<RollupKey, Rollup>,
}

impl Writer {
    /// A partition nobody has written yet, claimed in the store.
    pub async fn claim(store: &dyn ClickStore, partition: u32) -> Self {
        let writer = Self::new(partition);
        store.claim(writer.partition, writer.owner).await.unwrap();
        writer
    }

    /// A partition nobody has written or claimed yet.
    pub fn new(partition: u32) -> Self {
        Self {
            partition: PartitionId(partition),
            run: RunId::random(),
            owner: Uuid::new_v4(),
            stored: None,
            position: 0,
            heads: BTreeMap::new(),
            rollups: BTreeMap::new(),
        }
    }

    /// The next click of a gonggu: billable, judged when clicked.
    pub fn click(&mut self, gonggu_id: GongguId, clicked_at: UnixMillis) -> JudgedClick {
        self.position += 1;
        let mut click = plain_click(self.run, self.position, gonggu_id, clicked_at);
        let last = self.heads.get(&gonggu_id).map_or(UnixMillis::MIN, |head| head.last_judged_at);
        click.judgement.judged_at = clicked_at.max(last);
        self.count(&click);
        click
    }

    /// Clicks of these gonggus in turn, a second apart from [`START`].
    pub fn clicks(&mut self, gonggu_ids: &[GongguId], count: usize) -> Vec<JudgedClick> {
        (0..count)
            .map(|index| {
                let at = START.plus_millis(self.position as i64 * 1_000);
                self.click(gonggu_ids[index % gonggu_ids.len()], at)
            })
            .collect()
    }

    /// Adds a click to its gonggu's figures, as the judge would.
    fn count(&mut self, judged: &JudgedClick) {
        let click = &judged.click;
        let gonggu_id = click.gonggu_id;
        let head = self.heads.entry(gonggu_id).or_insert_with(|| GongguHead {
            gonggu_id,
            counts: Counts::default(),
            visitors: VisitorSketch::default(),
            last_judged_at: UnixMillis::MIN,
            last_clicked_at: UnixMillis::MIN,
            applied_through: Position(0),
        });
        head.counts.billable += 1;
        head.last_judged_at = head.last_judged_at.max(judged.judgement.judged_at);
        head.last_clicked_at = head.last_clicked_at.max(click.clicked_at);
        head.applied_through = judged.position;
        for (level, at) in [
            (RollupLevel::Minute, kst::minute_start(click.clicked_at)),
            (RollupLevel::Hour, kst::hour_start(click.clicked_at)),
            (RollupLevel::Day, kst::day_start(click.clicked_at)),
        ] {
            let key = RollupKey { gonggu_id, level, at };
            let row = self.rollups.entry(key).or_insert_with(|| empty_rollup(key));
            row.counts.billable += 1;
            row.devices[0] += 1;
            *row.referrers.entry("instagram.com".into()).or_default() += 1;
        }
    }

    /// The batch of these clicks, which must be the newest ones made, after what is stored.
    pub fn batch(&mut self, clicks: Vec<JudgedClick>) -> JudgedBatch {
        let through = clicks.last().map_or(Position(self.position), |click| click.position);
        let batch = self.batch_through(clicks, through);
        self.stored = Some(batch.to.position);
        batch
    }

    /// A batch from the stored position to `through`, with the figures as they are now.
    pub fn batch_through(&self, clicks: Vec<JudgedClick>, through: Position) -> JudgedBatch {
        let touched: BTreeSet<GongguId> = clicks.iter().map(|click| click.click.gonggu_id).collect();
        let at = clicks.last().map_or(START, |click| click.click.clicked_at);
        JudgedBatch {
            partition: self.partition,
            owner: self.owner,
            from: self.stored,
            to: PartitionProgress {
                position: LogPosition { through, run: self.run },
                marks: vec![RunMark::new(self.run, at)],
            },
            heads: touched.iter().filter_map(|id| self.heads.get(id).cloned()).collect(),
            rollups: self
                .rollups
                .values()
                .filter(|rollup| touched.contains(&rollup.key.gonggu_id))
                .cloned()
                .collect(),
            flags: Vec::new(),
            quarantined: Vec::new(),
            clicks,
        }
    }

    /// A gonggu's head as it must be stored.
    pub fn head(&self, gonggu_id: GongguId) -> GongguHead {
        self.heads[&gonggu_id].clone()
    }

    /// A gonggu's rollup rows as they must be stored, by level and time.
    pub fn rollups(&self, gonggu_id: GongguId) -> Vec<Rollup> {
        self.rollups.values().filter(|rollup| rollup.key.gonggu_id == gonggu_id).cloned().collect()
    }
}

/// A new gonggu.
pub fn gonggu() -> GongguId {
    GongguId(Uuid::new_v4())
}

fn empty_rollup(key: RollupKey) -> Rollup {
    Rollup {
        key,
        counts: Counts::default(),
        visitors: VisitorSketch::default(),
        referrers: BTreeMap::new(),
        devices: [0; 4],
    }
}

/// A billable click without anything special.
pub fn plain_click(run: RunId, position: u64, gonggu_id: GongguId, clicked_at: UnixMillis) -> JudgedClick {
    JudgedClick {
        position: Position(position),
        click: RawClick {
            run,
            sequence: position,
            id: ClickId(Uuid::now_v7()),
            clicked_at,
            gonggu_id,
            opens_at: UnixMillis::MIN,
            closes_at: UnixMillis::MAX,
            member: None,
            address: "203.0.113.7".parse().ok(),
            address_masked: "203.0.113.*".into(),
            address_hash: AddressHash([7; 16]),
            network_hash: AddressHash([8; 16]),
            user_agent: "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) KAKAOTALK 10.4.5".into(),
            referer: "https://instagram.com/".into(),
            endpoint: Endpoint::Go,
            method: ClickMethod::Get,
            purpose: "".into(),
            fetch_site: "".into(),
            fetch_mode: "".into(),
            fetch_dest: "".into(),
            fetch_user: "".into(),
            origin: OriginKind::Absent,
        },
        judgement: Judgement {
            verdict: Verdict::Billable,
            judged_at: clicked_at,
            rules_version: 1,
            duplicate_of: None,
            took_mark: false,
            burst: Box::new([BurstCount::Click]),
            flag_id: None,
            device: Device::Mobile,
            visitor: position.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        },
    }
}

/// One click of every verdict, door, device and optional field.
pub fn every_kind(writer: &mut Writer, gonggu_id: GongguId) -> Vec<JudgedClick> {
    let mut verdicts = vec![
        Verdict::Billable,
        Verdict::Duplicate,
        Verdict::Held(HeldReason::MassClick),
        Verdict::Held(HeldReason::Quarantined),
    ];
    verdicts.extend(InvalidReason::ALL.map(Verdict::Invalid));
    let mut clicks = writer.clicks(&[gonggu_id], verdicts.len());
    for (index, (judged, verdict)) in clicks.iter_mut().zip(verdicts).enumerate() {
        judged.judgement.verdict = verdict;
        judged.judgement.device = Device::ALL[index % 4];
        if index % 2 == 1 {
            dress(judged, index);
        }
    }
    clicks
}

/// Fills everything that may be empty.
fn dress(judged: &mut JudgedClick, index: usize) {
    let (click, judgement) = (&mut judged.click, &mut judged.judgement);
    click.member = Some(Member { id: UserId(Uuid::new_v4()), created_at: START.plus_millis(-1) });
    click.address = "2001:db8:1:2:3:4:5:6".parse().ok();
    click.address_masked = "2001:db8:1::*".into();
    click.user_agent = "공구 🛒 \"quoted\"\t\\N".into();
    click.referer = "https://예시.kr/경로?a=1,2".into();
    click.opens_at = START.plus_millis(-HOUR_MILLIS);
    click.closes_at = START.plus_millis(HOUR_MILLIS);
    click.endpoint = Endpoint::Post;
    click.method = if index % 4 == 1 { ClickMethod::Post } else { ClickMethod::Head };
    click.origin = if index % 4 == 1 { OriginKind::Ours } else { OriginKind::Foreign };
    click.purpose = "prefetch, \\ \n".into();
    click.fetch_site = "cross-site".into();
    click.fetch_dest = "document".into();
    judgement.duplicate_of =
        Some(DuplicateOf { position: Position(1), judged_at: START.plus_millis(-MINUTE_MILLIS) });
    judgement.took_mark = true;
    judgement.burst = Box::new([BurstCount::MemberFirst, BurstCount::None]);
    judgement.flag_id = Some(FlagId(click.id.0));
    judgement.visitor = u64::MAX;
}

/// A flag of a gonggu, last held at a time and position.
pub fn flag(gonggu_id: GongguId, last_held_at: UnixMillis, last_position: u64) -> Flag {
    Flag {
        id: FlagId(Uuid::now_v7()),
        gonggu_id,
        scope: LimitScope::Network,
        limit_index: 255,
        address_hash: AddressHash([9; 16]),
        address_masked: "203.0.113.*".into(),
        window_millis: MINUTE_MILLIS,
        limit: 60,
        opened_at: last_held_at.plus_millis(-5),
        last_held_at,
        first_position: Position(1),
        last_position: Position(last_position),
        clicks: last_position,
        visitors: VisitorSketch::default(),
    }
}

/// Settings that differ by `limit`.
pub fn settings(limit: u32) -> RulesSettings {
    RulesSettings {
        fold_revision: 1,
        dedup_window_millis: 300_000,
        limits: vec![BurstLimit {
            scope: LimitScope::Address,
            window_millis: MINUTE_MILLIS,
            limit,
            member_limit: 1_000,
        }],
        member_age_millis: 24 * HOUR_MILLIS,
        late_after_millis: 5_000,
        agent_rules_revision: 1,
        bot_patterns: vec!["bot".into(), "\\bcrawl\"er\\b".into()],
        bot_patterns_source: "test 1".into(),
        address_key_fingerprint: "0011223344556677".into(),
    }
}
