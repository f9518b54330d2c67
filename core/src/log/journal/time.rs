//! The time on a record: wall-clock time that never goes back and never leaps.
//!
//! Problem: `clicked_at` decides hour, month and price, and the order of times must be the order of
//! records, but a wall clock is set forwards and backwards under us. Invariants: times never descend,
//! also across a restart; a step of the wall clock of more than [`JUMP_MILLIS`] against the monotonic
//! clock raises an alarm and is then approached at most 10 % faster or slower than real time, so one
//! wrong second of an administrator does not throw an hour of clicks into another month at once.

use crate::clock::{Clock, ManualClock, UnixMillis};
use std::sync::Arc;
use std::time::Instant;

/// Smaller steps are ordinary corrections and are followed as they come (standing still if backwards).
const JUMP_MILLIS: i64 = 1_000;
/// A jump is slewed in by one part in so many of the time that passes.
const SLEW_PART: i128 = 10;
const NANOS_PER_MILLI: i128 = 1_000_000;

/// A clock that only ever goes forward, from an arbitrary beginning.
pub trait Monotonic: Send + Sync + 'static {
    /// Nanoseconds since that beginning.
    fn nanos(&self) -> u64;
}

/// The machine's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemMonotonic(Instant);

impl Default for SystemMonotonic {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Monotonic for SystemMonotonic {
    fn nanos(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// For tests and demo data: a manual clock as both clocks, whose moves are the passing of time.
impl Monotonic for ManualClock {
    fn nanos(&self) -> u64 {
        u64::try_from(i128::from(self.now().0) * NANOS_PER_MILLI).unwrap_or(0)
    }
}

/// Gives each record its time; held under the appenders' lock.
pub(super) struct RecordClock {
    wall: Arc<dyn Clock>,
    monotonic: Arc<dyn Monotonic>,
    /// The time given last, finer than what is written so that slewing adds up.
    current_nanos: i128,
    wall_before_nanos: i128,
    monotonic_before_nanos: u64,
    slewing: bool,
}

impl RecordClock {
    /// A clock that gives nothing before `floor`, the last time on record.
    pub(super) fn new(
        wall: Arc<dyn Clock>,
        monotonic: Arc<dyn Monotonic>,
        floor: Option<UnixMillis>,
    ) -> Self {
        let wall_nanos = i128::from(wall.now().0) * NANOS_PER_MILLI;
        let monotonic_nanos = monotonic.nanos();
        let mut clock = Self {
            wall,
            monotonic,
            current_nanos: wall_nanos,
            wall_before_nanos: wall_nanos,
            monotonic_before_nanos: monotonic_nanos,
            slewing: false,
        };
        if let Some(floor) = floor {
            let floor_nanos = i128::from(floor.0) * NANOS_PER_MILLI;
            if floor_nanos > wall_nanos {
                clock.current_nanos = floor_nanos;
                clock.notice_jump(floor_nanos - wall_nanos, wall_nanos - floor_nanos);
            }
        }
        clock
    }

    /// The time of the next record.
    pub(super) fn now(&mut self) -> UnixMillis {
        let wall_nanos = i128::from(self.wall.now().0) * NANOS_PER_MILLI;
        let monotonic_nanos = self.monotonic.nanos();
        let passed = i128::from(monotonic_nanos.saturating_sub(self.monotonic_before_nanos));
        let step = wall_nanos - self.wall_before_nanos - passed;
        self.wall_before_nanos = wall_nanos;
        self.monotonic_before_nanos = monotonic_nanos.max(self.monotonic_before_nanos);
        self.notice_jump(step.abs(), step);
        if self.slewing {
            let behind = wall_nanos - (self.current_nanos + passed);
            let most = passed / SLEW_PART;
            self.current_nanos += passed + behind.clamp(-most, most);
            self.slewing = behind.abs() > most;
        } else {
            self.current_nanos = self.current_nanos.max(wall_nanos);
        }
        UnixMillis(i64::try_from(self.current_nanos / NANOS_PER_MILLI).unwrap_or(i64::MAX))
    }

    fn notice_jump(&mut self, size_nanos: i128, step_nanos: i128) {
        if size_nanos > i128::from(JUMP_MILLIS) * NANOS_PER_MILLI {
            self.slewing = true;
            metrics::counter!("journal_clock_jumps_total").increment(1);
            tracing::error!(
                clock.jump_millis = (step_nanos / NANOS_PER_MILLI) as i64,
                "the wall clock jumped; record times approach it at 10 %"
            );
        }
    }
}
