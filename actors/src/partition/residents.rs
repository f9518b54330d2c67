//! The gonggus in memory.
//!
//! ```text
//!   in the store only ──load──▶ awake ──rest──▶ at rest ──leave──▶ in the store only
//!                                 ▲───next click──┘
//! ```
//!
//! Problem: an actor that waits costs several times what its gonggu's state does (a task, two channels with
//! room for 32 messages each, its place in the supervision tree), and most gonggus are clicked rarely. So
//! the state belongs to the partition, which lends it to the gonggu's actor for one share of a batch at a
//! time; between batches an actor holds nothing, and can be stopped and started without a question to
//! the store. Both numbers are bounded: beyond them the longest idle go first.
//!
//! Invariants: a state is either here or with the one actor that folds it; a gonggu with unstored verdicts
//! does not leave.

use super::batch::Map;
use super::state::Effect;
use crate::handle::TrackingConfig;
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::{GongguId, Position};
use gonggumoa_core::judge::state::GongguState;

/// A gonggu whose state is in memory.
struct Resident {
    generation: u64,
    /// The last batch that touched it.
    batch: u64,
    touched_at: UnixMillis,
    is_awake: bool,
    /// `None` while it is folded.
    state: Option<Box<GongguState>>,
}

pub(super) struct Residents {
    residents: Map<GongguId, Resident>,
    awake: usize,
    next_generation: u64,
    limits: Limits,
}

struct Limits {
    rest_after_millis: i64,
    idle_after_millis: i64,
    awake_max: usize,
    live_max: usize,
}

impl Residents {
    pub(super) fn new(config: &TrackingConfig) -> Self {
        let limits = Limits {
            rest_after_millis: config.rest_after.as_millis() as i64,
            idle_after_millis: config.idle_after.as_millis() as i64,
            awake_max: config.awake_gonggus_max,
            live_max: config.live_gonggus_max,
        };
        Self { residents: Map::default(), awake: 0, next_generation: 1, limits }
    }

    /// How many are in memory.
    pub(super) fn live(&self) -> usize {
        self.residents.len()
    }

    /// How many of them have an actor.
    pub(super) fn awake(&self) -> usize {
        self.awake
    }

    /// Takes in a loaded gonggu under a new generation.
    pub(super) fn move_in(&mut self, gonggu_id: GongguId, state: Box<GongguState>) {
        let generation = self.next_generation;
        self.next_generation += 1;
        let state = Some(state);
        let touched_at = UnixMillis::MIN;
        let resident = Resident { generation, batch: 0, touched_at, is_awake: false, state };
        self.residents.insert(gonggu_id, resident);
    }

    /// The state and generation of a gonggu, to be folded for `batch`; it is awake from now on.
    pub(super) fn lend(
        &mut self,
        gonggu_id: GongguId,
        batch: u64,
        now: UnixMillis,
    ) -> Option<(u64, Box<GongguState>)> {
        let resident = self.residents.get_mut(&gonggu_id)?;
        let state = resident.state.take()?;
        self.awake += usize::from(!resident.is_awake);
        resident.is_awake = true;
        resident.batch = batch;
        resident.touched_at = now;
        Some((resident.generation, state))
    }

    pub(super) fn give_back(&mut self, gonggu_id: GongguId, generation: u64, state: Box<GongguState>) {
        if let Some(resident) = self.residents.get_mut(&gonggu_id)
            && resident.generation == generation
        {
            resident.state = Some(state);
        }
    }

    /// Removes it; false if this generation of it is not here.
    pub(super) fn remove(&mut self, gonggu_id: GongguId, generation: u64) -> bool {
        if self.residents.get(&gonggu_id).is_none_or(|resident| resident.generation != generation) {
            return false;
        }
        self.move_out(gonggu_id);
        true
    }

    /// Sends away those idle for long enough and what is beyond the limits. Batches below `stored_batches`
    /// are stored, through `stored_through`.
    pub(super) fn tidy(
        &mut self,
        now: UnixMillis,
        stored_batches: u64,
        stored_through: Position,
    ) -> Vec<Effect> {
        let leave_since = now.plus_millis(-self.limits.idle_after_millis);
        let rest_since = now.plus_millis(-self.limits.rest_after_millis);
        self.send_away(stored_batches, stored_through, leave_since, rest_since)
    }

    /// Sends away only what is beyond the limits.
    pub(super) fn bound(&mut self, stored_batches: u64, stored_through: Position) -> Vec<Effect> {
        if self.live() <= self.limits.live_max && self.awake <= self.limits.awake_max {
            return Vec::new();
        }
        self.send_away(stored_batches, stored_through, UnixMillis::MIN, UnixMillis::MIN)
    }

    fn send_away(
        &mut self,
        stored_batches: u64,
        stored_through: Position,
        leave_since: UnixMillis,
        rest_since: UnixMillis,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        let surplus = self.live().saturating_sub(self.limits.live_max);
        for gonggu_id in self.longest_idle(stored_batches, leave_since, surplus, |_| true) {
            if self.move_out(gonggu_id) {
                effects.push(Effect::Stop(gonggu_id));
            }
        }
        let surplus = self.awake.saturating_sub(self.limits.awake_max);
        for gonggu_id in self.longest_idle(stored_batches, rest_since, surplus, |one| one.is_awake) {
            if let Some(resident) = self.residents.get_mut(&gonggu_id) {
                resident.is_awake = false;
                resident.state = resident.state.take().map(|mut state| compact(&mut state, stored_through));
                self.awake -= 1;
                effects.push(Effect::Stop(gonggu_id));
            }
        }
        effects
    }

    /// Whether it was awake.
    fn move_out(&mut self, gonggu_id: GongguId) -> bool {
        let was_awake = self.residents.remove(&gonggu_id).is_some_and(|resident| resident.is_awake);
        self.awake -= usize::from(was_awake);
        was_awake
    }

    /// Those of them all whose clicks are stored: `surplus` that are idle longest, and those idle since
    /// before `since`.
    fn longest_idle(
        &self,
        stored_batches: u64,
        since: UnixMillis,
        surplus: usize,
        is_asked: impl Fn(&Resident) -> bool,
    ) -> Vec<GongguId> {
        let may_go = |one: &Resident| one.batch < stored_batches && one.state.is_some() && is_asked(one);
        let mut idle: Vec<(UnixMillis, GongguId)> = self
            .residents
            .iter()
            .filter(|(_, one)| (surplus > 0 || one.touched_at < since) && may_go(one))
            .map(|(gonggu_id, one)| (one.touched_at, *gonggu_id))
            .collect();
        if surplus > 0 && surplus < idle.len() {
            idle.select_nth_unstable(surplus);
        }
        let going = idle.into_iter().enumerate();
        let going = going.filter(|(index, (touched_at, _))| *index < surplus || *touched_at < since);
        going.map(|(_, (_, gonggu_id))| gonggu_id).collect()
    }
}

/// The same state without what is stored and not needed for the next click, and without slack: a copy
/// allocates what it holds, and no more.
fn compact(state: &mut GongguState, stored_through: Position) -> Box<GongguState> {
    state.forget_stored(stored_through);
    Box::new(state.clone())
}
