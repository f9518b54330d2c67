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

use super::batch::{Chain, Finished, Folding, Map, Stage, Terms, finish, load_request};
use super::residents::Residents;
use crate::gonggu::Folded;
use crate::handle::TrackingConfig;
use begin::fold;
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::{GongguId, PartitionId, Position, RunId};
use gonggumoa_core::judge::rules::RulesHistory;
use gonggumoa_core::judge::state::GongguState;
use gonggumoa_core::live::LiveTotals;
use gonggumoa_core::store::{JudgedBatch, LoadRequest, PartitionProgress};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use tokio::sync::watch;
use uuid::Uuid;

mod begin;

/// A gonggu that failed this often on one click, even as a quarantined one, cannot be helped.
const FAILURES_MAX: u32 = 3;

/// What the shell is to do.
pub(crate) enum Effect {
    /// Load these and answer with [`PartitionState::loaded`].
    Load { batch: u64, requests: Vec<LoadRequest> },
    /// Send the gonggu's actor its clicks (starting it first if it has none).
    Fold { gonggu_id: GongguId, generation: u64, state: Box<GongguState>, chain: Chain, terms: Arc<Terms> },
    /// Store and answer with [`PartitionState::stored`].
    Store(Arc<JudgedBatch>),
    /// Tell the world: this is stored.
    Announce { progress: PartitionProgress, totals: Vec<(GongguId, LiveTotals)> },
    /// Stop the actor of this gonggu; everything it did is stored.
    Stop(GongguId),
    /// Read no further.
    StopReading,
    /// All that was to be judged is stored: the closed log, or what was read before the partition leaves.
    Drained,
    /// All that can be judged is stored; this is why there is no more.
    Stopped(String),
}

/// A gonggu that has failed beyond help.
#[derive(Debug, thiserror::Error)]
#[error("gonggu {gonggu_id} failed {failures} times at position {position}")]
pub(crate) struct Hopeless {
    gonggu_id: GongguId,
    failures: u32,
    position: Position,
}

pub(crate) struct PartitionState {
    partition: PartitionId,
    /// As whom it was claimed; goes with every batch.
    owner: Uuid,
    history: RulesHistory,
    queue: VecDeque<super::messages::ReadBatch>,
    folding: Option<Folding>,
    folded: Option<Finished>,
    storing: Option<Finished>,
    stored: Option<PartitionProgress>,
    /// Where the newest batch that was begun ends, with its marks.
    begun: Option<PartitionProgress>,
    /// Why nothing further is judged: a record is missing, or cannot be read.
    stopping: Option<String>,
    /// Runs that an admin says are over.
    retired: watch::Receiver<Arc<BTreeSet<RunId>>>,
    residents: Residents,
    quarantined: Arc<BTreeSet<Position>>,
    failures: Map<(GongguId, Position), u32>,
    next_batch: u64,
    end_of_log: bool,
}

impl PartitionState {
    pub(crate) fn new(
        partition: PartitionId,
        owner: Uuid,
        config: &TrackingConfig,
        progress: Option<PartitionProgress>,
        history: RulesHistory,
        quarantined: impl IntoIterator<Item = Position>,
        retired: watch::Receiver<Arc<BTreeSet<RunId>>>,
    ) -> Self {
        Self {
            partition,
            owner,
            history,
            queue: VecDeque::new(),
            folding: None,
            folded: None,
            storing: None,
            begun: progress.clone(),
            stopping: None,
            retired,
            stored: progress,
            residents: Residents::new(config),
            quarantined: Arc::new(quarantined.into_iter().collect()),
            failures: Map::default(),
            next_batch: 1,
            end_of_log: false,
        }
    }

    /// Gonggus in memory, and those of them that have an actor.
    pub(crate) fn gonggus(&self) -> (usize, usize) {
        (self.residents.live(), self.residents.awake())
    }

    pub(crate) fn history(&self) -> &RulesHistory {
        &self.history
    }

    fn stored_through(&self) -> Position {
        self.stored.as_ref().map_or(Position(0), |progress| progress.position.through)
    }

    pub(crate) fn read(&mut self, batch: super::messages::ReadBatch, now: UnixMillis) -> Vec<Effect> {
        if self.stopping.is_some() || self.end_of_log {
            return Vec::new();
        }
        self.queue.push_back(batch);
        let mut effects = Vec::new();
        self.begin_next(now, &mut effects);
        self.check_ended(&mut effects);
        effects
    }

    pub(crate) fn end_of_log(&mut self) -> Vec<Effect> {
        self.end_of_log = true;
        let mut effects = Vec::new();
        self.check_ended(&mut effects);
        effects
    }

    /// What the log holds next cannot be judged.
    pub(crate) fn no_more(&mut self, problem: String) -> Vec<Effect> {
        self.stopping.get_or_insert(problem);
        self.end_of_log()
    }

    /// The partition goes to somebody else: what was read is the end.
    pub(crate) fn leave(&mut self) -> Vec<Effect> {
        let mut effects = vec![Effect::StopReading];
        effects.extend(self.end_of_log());
        effects
    }

    /// States are there: their gonggus are in memory from now on. Those that no longer wait are left out.
    pub(crate) fn loaded(
        &mut self,
        batch: u64,
        states: impl IntoIterator<Item = (GongguId, Box<GongguState>)>,
        now: UnixMillis,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        let Some(folding) = self.folding.as_mut().filter(|folding| folding.terms.batch == batch) else {
            return effects;
        };
        for (gonggu_id, state) in states {
            let Some(group) = folding.groups.get_mut(&gonggu_id) else { continue };
            if !matches!(group.stage, Stage::Loading) {
                continue;
            }
            self.residents.move_in(gonggu_id, state);
            effects.extend(fold(&mut self.residents, gonggu_id, group, &folding.terms, now));
        }
        effects
    }

    pub(crate) fn folded(&mut self, mut folded: Folded, now: UnixMillis) -> Vec<Effect> {
        let mut effects = Vec::new();
        let Some(folding) = self.folding.as_mut().filter(|folding| folding.terms.batch == folded.batch)
        else {
            return effects;
        };
        if let Some(group) = folding.groups.get_mut(&folded.gonggu_id)
            && matches!(group.stage, Stage::Folding { generation } if generation == folded.generation)
        {
            if let Some(state) = folded.state.take() {
                self.residents.give_back(folded.gonggu_id, folded.generation, state);
            }
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
        if !self.residents.remove(gonggu_id, generation) {
            return Ok(Vec::new());
        }
        let failures = self.failures.entry((gonggu_id, position)).or_default();
        *failures += 1;
        if *failures >= FAILURES_MAX {
            return Err(Hopeless { gonggu_id, failures: *failures, position });
        }
        if *failures == 2 && position != Position(0) {
            tracing::error!(gonggu.id = %gonggu_id, log.position = %position, "a click is quarantined");
            metrics::counter!("judge_quarantined_total").increment(1);
            Arc::make_mut(&mut self.quarantined).insert(position);
            if let Some(folding) = self.folding.as_mut() {
                let quarantined = Arc::clone(&self.quarantined);
                folding.terms = Arc::new(Terms { quarantined, ..(*folding.terms).clone() });
            }
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
                let clicks = folding.terms.clicks.of(group.chain);
                let requests = vec![load_request(gonggu_id, clicks, window_millis)];
                effects.push(Effect::Load { batch: folding.terms.batch, requests });
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
        effects.extend(self.residents.bound(self.stored_batch_border(), self.stored_through()));
        self.load_waiting(&mut effects);
        self.begin_next(now, &mut effects);
        self.check_ended(&mut effects);
        effects
    }

    /// Sends away gonggus that are idle.
    pub(crate) fn idle(&mut self, now: UnixMillis) -> Vec<Effect> {
        self.residents.tidy(now, self.stored_batch_border(), self.stored_through())
    }

    /// Batches below this number are stored.
    fn stored_batch_border(&self) -> u64 {
        let unstored = u64::from(self.storing.is_some())
            + u64::from(self.folded.is_some())
            + u64::from(self.folding.is_some());
        self.next_batch - unstored
    }

    fn check_ended(&self, effects: &mut Vec<Effect>) {
        let at_rest = self.queue.is_empty()
            && self.folding.is_none()
            && self.folded.is_none()
            && self.storing.is_none();
        match &self.stopping {
            _ if !at_rest => {}
            Some(problem) => effects.push(Effect::Stopped(problem.clone())),
            None if self.end_of_log => effects.push(Effect::Drained),
            None => {}
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
                let clicks = folding.terms.clicks.of(group.chain);
                requests.push(load_request(*gonggu_id, clicks, window_millis));
            }
        }
        if !requests.is_empty() {
            effects.push(Effect::Load { batch: folding.terms.batch, requests });
        }
    }

    fn finish_if_done(&mut self, now: UnixMillis, effects: &mut Vec<Effect>) {
        if self.folding.as_ref().is_none_or(|folding| folding.unfinished > 0) {
            return;
        }
        let Some(folding) = self.folding.take() else { return };
        let finished = finish(self.partition, self.owner, folding);
        if self.storing.is_none() {
            effects.push(Effect::Store(Arc::clone(&finished.batch)));
            self.storing = Some(finished);
            self.begin_next(now, effects);
        } else {
            self.folded = Some(finished);
        }
    }
}
