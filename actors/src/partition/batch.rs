//! A batch on its way through a partition: grouped by gonggu, folded, put together again for the store.
//!
//! The clicks stay in the log's order from beginning to end. A gonggu's share is a chain through them, so
//! that a batch of as many gonggus as clicks costs no vector each and needs no sorting afterwards.

use crate::gonggu::Folded;
use gonggumoa_core::click::{JudgedClick, Judgement, RawClick};
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::{GongguId, PartitionId, Position};
use gonggumoa_core::judge::rules::Rules;
use gonggumoa_core::judge::totals::{RollupKey, RollupLevel};
use gonggumoa_core::live::LiveTotals;
use gonggumoa_core::log::{LogEntry, LogPosition};
use gonggumoa_core::store::{JudgedBatch, LoadRequest, PartitionProgress};
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use uuid::Uuid;

pub(super) type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;
pub(super) type Set<K> = HashSet<K, foldhash::fast::RandomState>;

/// Ends a chain.
const NO_MORE: u32 = u32::MAX;

/// The clicks of a batch, ascending, shared so that they survive a panic.
#[derive(Default)]
pub(crate) struct BatchClicks {
    clicks: Vec<(Position, RawClick)>,
    /// For each click, where the next one of its gonggu stands.
    next: Vec<u32>,
}

/// Where a gonggu's clicks stand in their batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Chain {
    first: u32,
    last: u32,
    pub(crate) clicks: u32,
}

impl BatchClicks {
    fn with_capacity(clicks: usize) -> Self {
        Self { clicks: Vec::with_capacity(clicks), next: Vec::with_capacity(clicks) }
    }

    /// Adds the next click, at the end of its gonggu's chain.
    fn push(&mut self, position: Position, click: RawClick, chains: &mut Map<GongguId, Chain>) {
        let index = self.clicks.len() as u32;
        match chains.entry(click.gonggu_id) {
            Entry::Occupied(mut chain) => {
                let chain = chain.get_mut();
                self.next[chain.last as usize] = index;
                chain.last = index;
                chain.clicks += 1;
            }
            Entry::Vacant(vacant) => {
                vacant.insert(Chain { first: index, last: index, clicks: 1 });
            }
        }
        self.clicks.push((position, click));
        self.next.push(NO_MORE);
    }

    /// The clicks of one gonggu, ascending.
    pub(crate) fn of(&self, chain: Chain) -> impl Iterator<Item = &(Position, RawClick)> {
        self.indexes(chain).map(|index| &self.clicks[index])
    }

    fn indexes(&self, chain: Chain) -> impl Iterator<Item = usize> {
        let first = Some(chain.first as usize);
        std::iter::successors(first, |index| match self.next[*index] {
            NO_MORE => None,
            next => Some(next as usize),
        })
    }
}

/// What a batch's folds have in common.
#[derive(Clone)]
pub(crate) struct Terms {
    pub(crate) batch: u64,
    pub(crate) clicks: Arc<BatchClicks>,
    pub(crate) rules: Arc<Rules>,
    /// Positions that are stored as quarantined instead of folded.
    pub(crate) quarantined: Arc<BTreeSet<Position>>,
    /// Everything up to here is stored: memory that only served unstored writes may go.
    pub(crate) stored_through: Position,
}

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
    pub(super) chain: Chain,
    pub(super) stage: Stage,
}

pub(super) struct Folding {
    pub(super) from: Option<LogPosition>,
    pub(super) to: PartitionProgress,
    pub(super) terms: Arc<Terms>,
    pub(super) groups: Map<GongguId, Group>,
    pub(super) unfinished: usize,
}

pub(super) struct Finished {
    pub(super) batch: Arc<JudgedBatch>,
    pub(super) touched: Set<GongguId>,
    pub(super) totals: Vec<(GongguId, LiveTotals)>,
}

/// The clicks of a batch and each gonggu's share.
pub(super) fn group(entries: Vec<(Position, LogEntry)>) -> (BatchClicks, Map<GongguId, Chain>) {
    let mut clicks = BatchClicks::with_capacity(entries.len());
    let mut chains = Map::default();
    for (position, entry) in entries {
        if let LogEntry::Click(click) = entry {
            clicks.push(position, click, &mut chains);
        }
    }
    (clicks, chains)
}

pub(super) fn load_request<'a>(
    gonggu_id: GongguId,
    clicks: impl Iterator<Item = &'a (Position, RawClick)>,
    window_millis: i64,
) -> LoadRequest {
    let mut rollups: Vec<RollupKey> = Vec::with_capacity(3);
    for (_, click) in clicks {
        for level in RollupLevel::ALL {
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

pub(super) fn finish(partition: PartitionId, owner: Uuid, folding: Folding) -> Finished {
    let Folding { from, to, terms, groups, .. } = folding;
    let Terms { clicks, quarantined, .. } = Arc::unwrap_or_clone(terms);
    let mut touched = Set::with_capacity_and_hasher(groups.len(), foldhash::fast::RandomState::default());
    let mut totals = Vec::with_capacity(groups.len());
    let mut judgements: Vec<Option<Judgement>> = vec![None; clicks.clicks.len()];
    let mut batch = JudgedBatch {
        partition,
        owner,
        from,
        to,
        clicks: Vec::new(),
        heads: Vec::with_capacity(groups.len()),
        rollups: Vec::with_capacity(groups.len() * 3),
        flags: Vec::new(),
        quarantined: Vec::new(),
    };
    for (gonggu_id, group) in groups {
        touched.insert(gonggu_id);
        let Stage::Done(folded) = group.stage else { continue };
        let Folded { skipped, changes, unique_visitors, .. } = *folded;
        // All of it was stored before a crash: nothing changes.
        if folded.judgements.is_empty() {
            continue;
        }
        for (index, judgement) in clicks.indexes(group.chain).skip(skipped).zip(folded.judgements) {
            judgements[index] = Some(judgement);
        }
        let live = LiveTotals {
            counts: changes.head.counts,
            unique_visitors,
            applied_through: changes.head.applied_through,
            complete_through: UnixMillis::MIN,
        };
        totals.push((gonggu_id, live));
        batch.heads.push(changes.head);
        batch.rollups.extend(changes.rollups);
        batch.flags.extend(changes.flags);
    }
    // Every actor let go of the clicks before it answered.
    let clicks = Arc::try_unwrap(clicks).map_or_else(|shared| shared.clicks.clone(), |own| own.clicks);
    batch.clicks = clicks
        .into_iter()
        .zip(judgements)
        .filter_map(|((position, click), judgement)| {
            judgement.map(|judgement| JudgedClick { position, click, judgement })
        })
        .collect();
    if !quarantined.is_empty() {
        batch.quarantined =
            batch.clicks.iter().map(|click| click.position).filter(|p| quarantined.contains(p)).collect();
    }
    batch.heads.sort_unstable_by_key(|head| head.gonggu_id);
    batch.rollups.sort_unstable_by_key(|rollup| rollup.key);
    batch.flags.sort_unstable_by_key(|flag| flag.id);
    Finished { batch: Arc::new(batch), touched, totals }
}
