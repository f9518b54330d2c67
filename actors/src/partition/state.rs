//! The partition's decisions, pure: events in, effects out.
//!
//! ```text
//!   queue ──▶ folding ──▶ folded ──▶ storing ──▶ stored
//!   (≤ 2)      (≤ 1)       (≤ 1)       (≤ 1)
//! ```
//!
//! Nothing is folded while a folded batch waits for the store, so at most two batches hold unstored
//! verdicts. A gonggu that is not in memory is loaded only if the batch being stored did not touch it;
//! otherwise it waits for that batch.

use super::batch::{Finished, Folding, Group, Map, Stage, finish, load_request, run_of};
use crate::gonggu::{Folded, GongguClicks};
use gonggumoa_core::click::RawClick;
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::{GongguId, PartitionId, Position};
use gonggumoa_core::judge::rules::{Rules, RulesHistory};
use gonggumoa_core::live::LiveTotals;
use gonggumoa_core::log::{LogBatch, LogEntry, LogPosition};
use gonggumoa_core::store::{JudgedBatch, LoadRequest, PartitionProgress, RunMark};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// A gonggu that failed this often on one click, even as a quarantined one, cannot be helped.
const FAILURES_MAX: u32 = 3;

/// What the shell is to do.
pub(crate) enum Effect {
    /// Load these and answer with [`PartitionState::loaded`].
    Load { batch: u64, requests: Vec<LoadRequest> },
    /// Send the clicks to the gonggu's actor (starting it first if a state came with the load).
    Fold { gonggu_id: GongguId, generation: u64, batch: u64, clicks: GongguClicks, rules: Arc<Rules> },
    /// Store and answer with [`PartitionState::stored`].
    Store(Arc<JudgedBatch>),
    /// Tell the world: this is stored.
    Announce { progress: PartitionProgress, totals: Vec<(GongguId, LiveTotals)> },
    /// Stop the actor of this gonggu; everything it did is stored.
    Leave(GongguId),
    /// The closed log is stored to its end.
    Drained,
}

/// A gonggu that has failed beyond help.
#[derive(Debug, thiserror::Error)]
#[error("gonggu {gonggu_id} failed {failures} times at position {position}")]
pub(crate) struct Hopeless {
    gonggu_id: GongguId,
    failures: u32,
    position: Position,
}
struct Live {
    generation: u64,
    /// The last batch that touched it.
    batch: u64,
    touched_at: UnixMillis,
}

pub(crate) struct PartitionState {
    partition: PartitionId,
    history: RulesHistory,
    queue: VecDeque<super::messages::ReadBatch>,
    folding: Option<Folding>,
    folded: Option<Finished>,
    storing: Option<Finished>,
    stored: Option<PartitionProgress>,
    /// Where the newest batch that was begun ends, with its marks.
    begun: Option<PartitionProgress>,
    live: Map<GongguId, Live>,
    quarantined: Arc<BTreeSet<Position>>,
    failures: Map<(GongguId, Position), u32>,
    next_batch: u64,
    next_generation: u64,
    end_of_log: bool,
}

impl PartitionState {
    pub(crate) fn new(
        partition: PartitionId,
        progress: Option<PartitionProgress>,
        history: RulesHistory,
        quarantined: impl IntoIterator<Item = Position>,
    ) -> Self {
        Self {
            partition,
            history,
            queue: VecDeque::new(),
            folding: None,
            folded: None,
            storing: None,
            begun: progress.clone(),
            stored: progress,
            live: Map::default(),
            quarantined: Arc::new(quarantined.into_iter().collect()),
            failures: Map::default(),
            next_batch: 1,
            next_generation: 1,
            end_of_log: false,
        }
    }

    pub(crate) fn live_gonggus(&self) -> usize {
        self.live.len()
    }

    pub(crate) fn quarantined(&self) -> Arc<BTreeSet<Position>> {
        Arc::clone(&self.quarantined)
    }

    pub(crate) fn history(&self) -> &RulesHistory {
        &self.history
    }

    pub(crate) fn stored_through(&self) -> Position {
        self.stored.as_ref().map_or(Position(0), |progress| progress.position.through)
    }

    pub(crate) fn read(&mut self, batch: super::messages::ReadBatch, now: UnixMillis) -> Vec<Effect> {
        self.queue.push_back(batch);
        let mut effects = Vec::new();
        self.begin_next(now, &mut effects);
        effects
    }

    pub(crate) fn end_of_log(&mut self) -> Vec<Effect> {
        self.end_of_log = true;
        let mut effects = Vec::new();
        self.check_drained(&mut effects);
        effects
    }

    /// States are there: their gonggus are live from now on. Returns the generation of each with the
    /// effects; those that no longer wait are left out.
    pub(crate) fn loaded(
        &mut self,
        batch: u64,
        gonggu_ids: impl IntoIterator<Item = GongguId>,
        now: UnixMillis,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        let Some(folding) = self.folding.as_mut().filter(|folding| folding.batch == batch) else {
            return effects;
        };
        for gonggu_id in gonggu_ids {
            let Some(group) = folding.groups.get_mut(&gonggu_id) else { continue };
            if !matches!(group.stage, Stage::Loading) {
                continue;
            }
            let generation = self.next_generation;
            self.next_generation += 1;
            self.live.insert(gonggu_id, Live { generation, batch, touched_at: now });
            group.stage = Stage::Folding { generation };
            effects.push(Effect::Fold {
                gonggu_id,
                generation,
                batch,
                clicks: Arc::clone(&group.clicks),
                rules: Arc::clone(&folding.rules),
            });
        }
        effects
    }

    pub(crate) fn folded(&mut self, folded: Folded, now: UnixMillis) -> Vec<Effect> {
        let mut effects = Vec::new();
        let Some(folding) = self.folding.as_mut().filter(|folding| folding.batch == folded.batch) else {
            return effects;
        };
        if let Some(group) = folding.groups.get_mut(&folded.gonggu_id)
            && matches!(group.stage, Stage::Folding { generation } if generation == folded.generation)
        {
            group.stage = Stage::Done(Box::new(folded));
            folding.unfinished -= 1;
        }
        self.finish_if_done(now, &mut effects);
        effects
    }

    /// A gonggu's actor is gone, having been at `position` (0: not folding).
    pub(crate) fn failed(
        &mut self,
        gonggu_id: GongguId,
        generation: u64,
        position: Position,
    ) -> Result<Vec<Effect>, Hopeless> {
        if self.live.get(&gonggu_id).is_none_or(|live| live.generation != generation) {
            return Ok(Vec::new());
        }
        self.live.remove(&gonggu_id);
        let failures = self.failures.entry((gonggu_id, position)).or_default();
        *failures += 1;
        if *failures >= FAILURES_MAX {
            return Err(Hopeless { gonggu_id, failures: *failures, position });
        }
        if *failures == 2 && position != Position(0) {
            tracing::error!(gonggu.id = %gonggu_id, log.position = %position, "a click is quarantined");
            metrics::counter!("judge_quarantined_total").increment(1);
            Arc::make_mut(&mut self.quarantined).insert(position);
        }
        let mut effects = Vec::new();
        let stored_touches =
            self.storing.as_ref().is_some_and(|storing| storing.touched.contains(&gonggu_id));
        if let Some(folding) = self.folding.as_mut()
            && let Some(group) = folding.groups.get_mut(&gonggu_id)
            && matches!(group.stage, Stage::Folding { generation: of } if of == generation)
        {
            if stored_touches {
                group.stage = Stage::WaitsForStore;
            } else {
                group.stage = Stage::Loading;
                let window_millis = self.history.longest_window_millis();
                let requests = vec![load_request(gonggu_id, &group.clicks, window_millis)];
                effects.push(Effect::Load { batch: folding.batch, requests });
            }
        }
        Ok(effects)
    }

    pub(crate) fn stored(&mut self, now: UnixMillis) -> Vec<Effect> {
        let mut effects = Vec::new();
        let Some(stored) = self.storing.take() else { return effects };
        let progress = stored.batch.to.clone();
        let through = progress.position.through;
        self.failures.retain(|(_, position), _| *position > through);
        if self.quarantined.first().is_some_and(|first| *first <= through) {
            Arc::make_mut(&mut self.quarantined).retain(|position| *position > through);
        }
        let complete_through = progress.complete_through();
        let mut totals = stored.totals;
        for (_, live) in &mut totals {
            live.complete_through = complete_through;
        }
        self.stored = Some(progress.clone());
        effects.push(Effect::Announce { progress, totals });
        if let Some(folded) = self.folded.take() {
            effects.push(Effect::Store(Arc::clone(&folded.batch)));
            self.storing = Some(folded);
        }
        self.load_waiting(&mut effects);
        self.begin_next(now, &mut effects);
        self.check_drained(&mut effects);
        effects
    }

    /// Gonggus idle since before `idle_since` and those beyond `live_max`, longest idle first.
    pub(crate) fn idle(&mut self, idle_since: UnixMillis, live_max: usize) -> Vec<Effect> {
        let oldest_open = self.stored_batch_border();
        let mut leaving: Vec<(UnixMillis, GongguId)> = self
            .live
            .iter()
            .filter(|(_, live)| live.batch < oldest_open)
            .map(|(gonggu_id, live)| (live.touched_at, *gonggu_id))
            .collect();
        leaving.sort_unstable();
        let surplus = self.live.len().saturating_sub(live_max);
        let mut effects = Vec::new();
        for (index, (touched_at, gonggu_id)) in leaving.into_iter().enumerate() {
            if index >= surplus && touched_at >= idle_since {
                break;
            }
            self.live.remove(&gonggu_id);
            effects.push(Effect::Leave(gonggu_id));
        }
        effects
    }

    /// Batches below this number are stored.
    fn stored_batch_border(&self) -> u64 {
        let unstored = u64::from(self.storing.is_some())
            + u64::from(self.folded.is_some())
            + u64::from(self.folding.is_some());
        self.next_batch - unstored
    }

    fn check_drained(&self, effects: &mut Vec<Effect>) {
        if self.end_of_log
            && self.queue.is_empty()
            && self.folding.is_none()
            && self.folded.is_none()
            && self.storing.is_none()
        {
            effects.push(Effect::Drained);
        }
    }

    fn load_waiting(&mut self, effects: &mut Vec<Effect>) {
        let window_millis = self.history.longest_window_millis();
        let (Some(folding), storing) = (self.folding.as_mut(), self.storing.as_ref()) else { return };
        let mut requests = Vec::new();
        for (gonggu_id, group) in &mut folding.groups {
            let touched = storing.is_some_and(|storing| storing.touched.contains(gonggu_id));
            if matches!(group.stage, Stage::WaitsForStore) && !touched {
                group.stage = Stage::Loading;
                requests.push(load_request(*gonggu_id, &group.clicks, window_millis));
            }
        }
        if !requests.is_empty() {
            effects.push(Effect::Load { batch: folding.batch, requests });
        }
    }

    fn begin_next(&mut self, now: UnixMillis, effects: &mut Vec<Effect>) {
        if self.folding.is_some() || self.folded.is_some() {
            return;
        }
        let Some(super::messages::ReadBatch { batch, permit }) = self.queue.pop_front() else { return };
        let (batch, rest) = self.split_at_border(batch);
        match rest {
            Some(rest) => self.queue.push_front(super::messages::ReadBatch { batch: rest, permit }),
            None => drop(permit),
        }
        let Some((first, _)) = batch.entries.first() else { return };
        let rules = Arc::clone(self.history.at(*first));
        let from = self.begun.as_ref().map(|progress| progress.position);
        let mut marks = self.begun.take().map(|progress| progress.marks).unwrap_or_default();
        let mut grouped: Map<GongguId, Vec<(Position, RawClick)>> = Map::default();
        for (position, entry) in batch.entries {
            match entry {
                LogEntry::Click(click) => grouped.entry(click.gonggu_id).or_default().push((position, click)),
                // One chain of runs: the newest run's mark takes the place of the one before.
                LogEntry::TimeMark { run, at } => marks = vec![RunMark { run, at }],
                LogEntry::Closing { .. } => {}
            }
        }
        let to = PartitionProgress { position: batch.end, marks };
        self.begun = Some(to.clone());
        let id = self.next_batch;
        self.next_batch += 1;
        let mut folding = Folding {
            batch: id,
            from,
            to,
            rules,
            unfinished: grouped.len(),
            groups: Map::with_capacity_and_hasher(grouped.len(), foldhash::fast::RandomState::default()),
        };
        let mut requests = Vec::new();
        for (gonggu_id, clicks) in grouped {
            let clicks = Arc::new(clicks);
            let stage = if let Some(live) = self.live.get_mut(&gonggu_id) {
                live.batch = id;
                live.touched_at = now;
                effects.push(Effect::Fold {
                    gonggu_id,
                    generation: live.generation,
                    batch: id,
                    clicks: Arc::clone(&clicks),
                    rules: Arc::clone(&folding.rules),
                });
                Stage::Folding { generation: live.generation }
            } else if self.storing.as_ref().is_some_and(|storing| storing.touched.contains(&gonggu_id)) {
                Stage::WaitsForStore
            } else {
                requests.push(load_request(gonggu_id, &clicks, self.history.longest_window_millis()));
                Stage::Loading
            };
            folding.groups.insert(gonggu_id, Group { clicks, stage });
        }
        if !requests.is_empty() {
            effects.push(Effect::Load { batch: id, requests });
        }
        self.folding = Some(folding);
        self.finish_if_done(now, effects);
    }

    /// A batch never spans two rules versions.
    fn split_at_border(&self, mut batch: LogBatch) -> (LogBatch, Option<LogBatch>) {
        let Some((first, _)) = batch.entries.first() else { return (batch, None) };
        let Some(border) = self.history.next_border_after(*first) else { return (batch, None) };
        let at = batch.entries.partition_point(|(position, _)| *position < border);
        if at == batch.entries.len() {
            return (batch, None);
        }
        let rest = LogBatch { entries: batch.entries.split_off(at), end: batch.end };
        if let Some((position, entry)) = batch.entries.last() {
            batch.end = LogPosition { through: *position, run: run_of(entry) };
        }
        (batch, Some(rest))
    }

    fn finish_if_done(&mut self, now: UnixMillis, effects: &mut Vec<Effect>) {
        if self.folding.as_ref().is_none_or(|folding| folding.unfinished > 0) {
            return;
        }
        let Some(folding) = self.folding.take() else { return };
        let finished = finish(self.partition, folding, &self.quarantined);
        if self.storing.is_none() {
            effects.push(Effect::Store(Arc::clone(&finished.batch)));
            self.storing = Some(finished);
            self.begin_next(now, effects);
        } else {
            self.folded = Some(finished);
        }
    }
}
