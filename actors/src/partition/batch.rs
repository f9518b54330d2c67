//! A batch on its way through a partition: grouped by gonggu, folded, put together again for the store.

use crate::gonggu::{Folded, GongguClicks};
use gonggumoa_core::click::JudgedClick;
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::{GongguId, PartitionId, Position};
use gonggumoa_core::judge::rules::Rules;
use gonggumoa_core::judge::totals::{RollupKey, RollupLevel};
use gonggumoa_core::live::LiveTotals;
use gonggumoa_core::log::{LogEntry, LogPosition};
use gonggumoa_core::store::{JudgedBatch, LoadRequest, PartitionProgress};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

pub(super) type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;
pub(super) type Set<K> = HashSet<K, foldhash::fast::RandomState>;

pub(super) enum Stage {
    /// Touched by the batch that is being stored.
    WaitsForStore,
    Loading,
    Folding {
        generation: u64,
    },
    Done(Box<Folded>),
}

pub(super) struct Group {
    pub(super) clicks: GongguClicks,
    pub(super) stage: Stage,
}

pub(super) struct Folding {
    pub(super) batch: u64,
    pub(super) from: Option<LogPosition>,
    pub(super) to: PartitionProgress,
    pub(super) rules: Arc<Rules>,
    pub(super) groups: Map<GongguId, Group>,
    pub(super) unfinished: usize,
}

pub(super) struct Finished {
    pub(super) batch: Arc<JudgedBatch>,
    pub(super) touched: Set<GongguId>,
    pub(super) totals: Vec<(GongguId, LiveTotals)>,
}

pub(super) fn run_of(entry: &LogEntry) -> gonggumoa_core::ids::RunId {
    match entry {
        LogEntry::Click(click) => click.run,
        LogEntry::TimeMark { run, .. } | LogEntry::Closing { run } => *run,
    }
}

pub(super) fn load_request(gonggu_id: GongguId, clicks: &GongguClicks, window_millis: i64) -> LoadRequest {
    let mut rollups: Vec<RollupKey> = Vec::with_capacity(3);
    for (_, click) in clicks.iter() {
        for level in [RollupLevel::Minute, RollupLevel::Hour, RollupLevel::Day] {
            let key = RollupKey::of(gonggu_id, level, click.clicked_at);
            // Clicks come nearly in order of time, so equal keys stand near each other.
            if !rollups.iter().rev().take(6).any(|known| *known == key) {
                rollups.push(key);
            }
        }
    }
    rollups.sort_unstable();
    rollups.dedup();
    LoadRequest { gonggu_id, window_millis, rollups }
}

pub(super) fn finish(partition: PartitionId, folding: Folding, quarantined: &BTreeSet<Position>) -> Finished {
    let mut touched = Set::default();
    let mut totals = Vec::with_capacity(folding.groups.len());
    let mut batch = JudgedBatch {
        partition,
        from: folding.from,
        to: folding.to,
        clicks: Vec::new(),
        heads: Vec::with_capacity(folding.groups.len()),
        rollups: Vec::with_capacity(folding.groups.len() * 3),
        flags: Vec::new(),
        quarantined: Vec::new(),
    };
    for (gonggu_id, group) in folding.groups {
        touched.insert(gonggu_id);
        let Stage::Done(folded) = group.stage else { continue };
        let Folded { skipped, judgements, changes, unique_visitors, .. } = *folded;
        let judgements_empty = judgements.is_empty();
        let clicks = Arc::try_unwrap(group.clicks).unwrap_or_else(|shared| shared.to_vec());
        batch.clicks.extend(
            clicks
                .into_iter()
                .skip(skipped)
                .zip(judgements)
                .map(|((position, click), judgement)| JudgedClick { position, click, judgement }),
        );
        // All of it was stored before a crash: nothing changes.
        if judgements_empty {
            continue;
        }
        let live =
            LiveTotals { counts: changes.head.counts, unique_visitors, complete_through: UnixMillis::MIN };
        totals.push((gonggu_id, live));
        batch.heads.push(changes.head);
        batch.rollups.extend(changes.rollups);
        batch.flags.extend(changes.flags);
    }
    batch.clicks.sort_unstable_by_key(|click| click.position);
    if !quarantined.is_empty() {
        batch.quarantined =
            batch.clicks.iter().map(|click| click.position).filter(|p| quarantined.contains(p)).collect();
    }
    batch.heads.sort_unstable_by_key(|head| head.gonggu_id);
    batch.rollups.sort_unstable_by_key(|rollup| rollup.key);
    batch.flags.sort_unstable_by_key(|flag| flag.id);
    Finished { batch: Arc::new(batch), touched, totals }
}
