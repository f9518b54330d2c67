//! The gathering of clicks into groups, and the waiting for their sync.
//!
//! Problem: one fdatasync per click would cap the edge at a few thousand a second, and one wake-up of a
//! thread per click costs more than the click. So handlers write their records into a shared buffer
//! under a short lock; while the writer is busy with one group, the next gathers by itself. The writer
//! is signalled only when it sleeps.
//!
//! Invariants: sequence and time are given under one lock, so both ascend in the order of the bytes; a
//! group's clicks are acknowledged by that group alone, never by comparing with the global durable
//! place, because after *full* the numbers of clicks that were refused are given again.

use super::record::{self, Kind};
use super::time::RecordClock;
use crate::click::ClickFacts;
use crate::clock::UnixMillis;
use crate::ids::{ClickId, RunId};
use crate::log::{AppendError, ClickReceipt, SinkHealth, codec};
use parking_lot::Mutex;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread::ThreadId;
use uuid::Uuid;

/// Clicks that one sync covers (or several, when a segment ends among them).
///
/// Those who wait stand in one lane a thread. The writer wakes the first of each lane, and that one, when
/// it is polled, the rest: on their own thread, where a wake-up is a push to a local queue, instead of a
/// lock, a context switch and perhaps a system call each. A first one that goes before its group is over
/// leaves the lane to the writer; should one never be polled, the writer wakes the lane some groups later.
#[derive(Default)]
pub(super) struct Group {
    /// The last sequence of this group known to be durable; all of them once it is over.
    durable: AtomicU64,
    state: Mutex<GroupState>,
}

#[derive(Default)]
struct GroupState {
    lanes: Vec<Lane>,
    /// Set once: nothing beyond `durable` will ever be.
    failed: Option<AppendError>,
    /// Whether the first of each lane was woken.
    over: bool,
}

/// Those who wait on one thread, in the order in which they came.
struct Lane {
    thread: ThreadId,
    wakers: Vec<Option<Waker>>,
    /// The first went early: nobody but the writer wakes the others.
    leaderless: bool,
}

impl Group {
    /// Says that this group's records up to `sequence` are on disk. [`wake`](Self::wake) tells them.
    pub(super) fn set_durable(&self, sequence: u64) {
        self.durable.store(sequence, Ordering::Release);
    }

    /// Wakes the first of every lane, who wakes the rest.
    pub(super) fn wake(&self) {
        let mut state = self.state.lock();
        state.over = true;
        let mut firsts = Vec::with_capacity(state.lanes.len());
        for lane in &mut state.lanes {
            let count = if lane.leaderless { lane.wakers.len() } else { 1 };
            firsts.extend(lane.wakers.iter_mut().take(count).filter_map(Option::take));
        }
        drop(state);
        firsts.into_iter().for_each(Waker::wake);
    }

    /// Wakes all who still wait after [`wake`](Self::wake).
    pub(super) fn wake_the_rest(&self) {
        let lanes = std::mem::take(&mut self.state.lock().lanes);
        lanes.into_iter().flat_map(|lane| lane.wakers).flatten().for_each(Waker::wake);
    }

    /// Says that nothing more of this group will be durable. Changes nothing once it is over.
    pub(super) fn fail(&self, error: AppendError) {
        let mut state = self.state.lock();
        if state.over {
            return;
        }
        state.failed = Some(error);
        state.over = true;
        drop(state);
        self.wake_the_rest();
    }

    /// The first of a lane goes: wakes the others if they can go too.
    fn leave(&self, lane: usize) {
        let mut state = self.state.lock();
        let over = state.over;
        let Some(lane) = state.lanes.get_mut(lane) else { return };
        if !over {
            lane.leaderless = true;
            lane.wakers[0] = None;
            return;
        }
        let others = std::mem::take(&mut lane.wakers);
        drop(state);
        others.into_iter().flatten().for_each(Waker::wake);
    }
}

/// Where a waker stands in its group.
#[derive(Clone, Copy)]
struct Slot {
    lane: usize,
    place: usize,
}

impl GroupState {
    fn waker(&mut self, slot: Slot) -> Option<&mut Option<Waker>> {
        self.lanes.get_mut(slot.lane)?.wakers.get_mut(slot.place)
    }

    fn stand_in(&mut self, waker: Waker) -> Slot {
        let thread = std::thread::current().id();
        let lane = self.lanes.iter().position(|lane| lane.thread == thread).unwrap_or_else(|| {
            self.lanes.push(Lane { thread, wakers: Vec::with_capacity(32), leaderless: false });
            self.lanes.len() - 1
        });
        let wakers = &mut self.lanes[lane].wakers;
        wakers.push(Some(waker));
        Slot { lane, place: wakers.len() - 1 }
    }
}

/// Waits for one click of a group.
pub(super) struct Wait {
    group: Arc<Group>,
    sequence: u64,
    /// Where our waker stands in the group, once it does.
    slot: Option<Slot>,
}

impl Wait {
    pub(super) fn new(group: Arc<Group>, sequence: u64) -> Self {
        Self { group, sequence, slot: None }
    }

    fn look(&mut self, context: &mut Context<'_>) -> Poll<Result<(), AppendError>> {
        if self.group.durable.load(Ordering::Acquire) >= self.sequence {
            return Poll::Ready(Ok(()));
        }
        let mut state = self.group.state.lock();
        // Asked again under the lock: `wake` takes wakers under it, after the place was set.
        if self.group.durable.load(Ordering::Acquire) >= self.sequence {
            return Poll::Ready(Ok(()));
        }
        if let Some(error) = &state.failed {
            return Poll::Ready(Err(error.clone()));
        }
        match self.slot.and_then(|slot| state.waker(slot)) {
            Some(Some(waker)) if waker.will_wake(context.waker()) => {}
            Some(place) => *place = Some(context.waker().clone()),
            None => self.slot = Some(state.stand_in(context.waker().clone())),
        }
        Poll::Pending
    }

    fn leave(&mut self) {
        if let Some(Slot { lane, place: 0 }) = self.slot.take() {
            self.group.leave(lane);
        }
    }
}

impl Future for Wait {
    type Output = Result<(), AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = self.look(context);
        if answer.is_ready() {
            self.leave();
        }
        answer
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.leave();
    }
}

/// How the journal ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stop {
    /// All that was taken is written, then a closing record.
    Close,
    /// At once: what is not written yet is refused.
    Abandon,
}

/// What handlers and writer share.
pub(super) struct Gather {
    /// Finished records without their checksums; the writer stamps them.
    buffer: Vec<u8>,
    buffer_max_bytes: usize,
    group: Arc<Group>,
    run: RunId,
    next_sequence: u64,
    clock: RecordClock,
    pub(super) health: SinkHealth,
    pub(super) stop: Option<Stop>,
    /// Whether the writer sleeps and must be signalled.
    pub(super) writer_sleeps: bool,
}

/// A group on its way to the disk.
pub(super) struct Taken {
    pub(super) bytes: Vec<u8>,
    pub(super) group: Arc<Group>,
}

/// If the writer dies with a group in its hands, nobody waits for it for ever.
impl Drop for Taken {
    fn drop(&mut self) {
        self.group.fail(AppendError::Closed);
    }
}

impl Gather {
    pub(super) fn new(run: RunId, next_sequence: u64, clock: RecordClock, buffer_max_bytes: usize) -> Self {
        Self {
            buffer: Vec::new(),
            buffer_max_bytes,
            group: Arc::default(),
            run,
            next_sequence,
            clock,
            health: SinkHealth::Ready,
            stop: None,
            writer_sleeps: false,
        }
    }

    /// Takes a click in, or says why not.
    pub(super) fn push_click(&mut self, facts: &ClickFacts<'_>) -> Result<(ClickReceipt, Wait), AppendError> {
        self.admit()?;
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let clicked_at = self.clock.now();
        let id = click_id(clicked_at);
        let start = record::begin(&mut self.buffer, Kind::Click, sequence);
        codec::encode_facts(facts, id, clicked_at, &mut self.buffer);
        record::finish(&mut self.buffer, start);
        let receipt = ClickReceipt { id, clicked_at, run: self.run, sequence };
        Ok((receipt, Wait::new(Arc::clone(&self.group), sequence)))
    }

    /// Takes a time mark in: a millisecond back, since clicks of this one may still come.
    pub(super) fn push_mark(&mut self) {
        let start = record::begin(&mut self.buffer, Kind::TimeMark, self.next_sequence);
        self.next_sequence += 1;
        let at = self.clock.now().plus_millis(-1);
        self.buffer.extend_from_slice(&at.0.to_le_bytes());
        record::finish(&mut self.buffer, start);
    }

    fn admit(&self) -> Result<(), AppendError> {
        if self.stop.is_some() {
            return Err(AppendError::Closed);
        }
        match &self.health {
            SinkHealth::Ready if self.buffer.len() < self.buffer_max_bytes => Ok(()),
            // The disk is so slow that memory would grow without end.
            SinkHealth::Ready | SinkHealth::Full => Err(AppendError::Full),
            SinkHealth::Poisoned(reason) => Err(AppendError::Poisoned(reason.clone())),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Hands the gathered group out; the next gathers in `spare`.
    pub(super) fn take(&mut self, spare: Vec<u8>) -> Taken {
        Taken { bytes: std::mem::replace(&mut self.buffer, spare), group: std::mem::take(&mut self.group) }
    }

    /// Refuses all that is gathered. Its numbers, and those of a group that failed before it, are given
    /// again from `next_sequence`: nobody was told them.
    pub(super) fn refuse_gathered(&mut self, error: AppendError, next_sequence: u64) {
        self.buffer.clear();
        self.next_sequence = next_sequence;
        std::mem::take(&mut self.group).fail(error);
    }

    /// The time that the next record would get.
    pub(super) fn now(&mut self) -> UnixMillis {
        self.clock.now()
    }
}

/// A UUIDv7: the time, and 74 bits of the thread's cryptographic generator.
fn click_id(at: UnixMillis) -> ClickId {
    let mut bytes = *Uuid::new_v4().as_bytes();
    bytes[..6].copy_from_slice(&at.0.max(0).to_be_bytes()[2..]);
    bytes[6] = bytes[6] & 0x0f | 0x70;
    ClickId(Uuid::from_bytes(bytes))
}

#[cfg(test)]
mod tests;
