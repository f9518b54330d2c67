//! Finding out about an id that is not in the table, while the table may be behind.
//!
//! Problem: a buyer with a new link should arrive, but a database that is away or slow must not make
//! buyers wait, and unknown ids must not flood it. Invariants: one look-up at a time, at a bounded rate,
//! for a bounded number of waiting requests; nobody waits longer than [`LOOKUP_MAX`]; after a look-up that
//! failed, everybody is told to come back at once for [`PAUSE`].

use super::{Link, Links};
use gonggumoa_core::ids::GongguId;
use governor::DefaultDirectRateLimiter;
use moka::sync::Cache;
use parking_lot::Mutex;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Look-ups a second while the table may be behind: enough for people, nothing for a flood.
const LOOKUPS_PER_SECOND: NonZeroU32 = NonZeroU32::MIN.saturating_add(49);
/// Requests that may wait for a look-up at once; further ones are told to come back.
const LOOKUPS_WAITING_MAX: usize = 64;
/// The turn and the read together: a person still waits for it, and a read takes a hundredth of it.
const LOOKUP_MAX: Duration = Duration::from_secs(1);
/// As long as `Retry-After` tells a client to wait.
const PAUSE: Duration = Duration::from_secs(1);
/// Unknown ids remembered, and for how long: 100,000 of them are a few MB.
const UNKNOWN_MAX: u64 = 100_000;
const UNKNOWN_AGE_MAX: Duration = Duration::from_secs(10);

/// What a look-up found.
#[derive(Clone, Debug)]
pub enum Settled {
    /// There is such a gonggu.
    Known(Arc<Link>),
    /// There is none.
    Unknown,
    /// Nobody can tell at the moment.
    NotNow,
}

/// What bounds look-ups.
pub(super) struct Lookups {
    unknown: Cache<GongguId, ()>,
    rate: DefaultDirectRateLimiter,
    door: Semaphore,
    failed_at: Mutex<Option<Instant>>,
}

impl Lookups {
    pub(super) fn new() -> Self {
        Self {
            unknown: Cache::builder().max_capacity(UNKNOWN_MAX).time_to_live(UNKNOWN_AGE_MAX).build(),
            rate: governor::RateLimiter::direct(governor::Quota::per_second(LOOKUPS_PER_SECOND)),
            door: Semaphore::new(LOOKUPS_WAITING_MAX),
            failed_at: Mutex::new(None),
        }
    }

    /// An id that has been found after all.
    pub(super) fn forget(&self, id: GongguId) {
        self.unknown.invalidate(&id);
    }

    /// As [`forget`](Self::forget), for all ids.
    pub(super) fn forget_all(&self) {
        self.unknown.invalidate_all();
    }

    /// How many unknown ids are remembered, and whether `id` is one.
    #[cfg(test)]
    pub(super) fn unknown_for_tests(&self, id: GongguId) -> (u64, bool) {
        self.unknown.run_pending_tasks();
        (self.unknown.entry_count(), self.unknown.contains_key(&id))
    }

    fn is_paused(&self) -> bool {
        self.failed_at.lock().is_some_and(|at| at.elapsed() < PAUSE)
    }
}

impl Links {
    /// Finds out about an id that is not in the table.
    pub async fn settle(&self, id: GongguId) -> Settled {
        if self.is_synced() {
            // it may have come since the caller looked
            return self.known(id).unwrap_or(Settled::Unknown);
        }
        if self.lookups.unknown.contains_key(&id) {
            return Settled::Unknown;
        }
        if self.lookups.is_paused() {
            return Settled::NotNow;
        }
        let Ok(_place) = self.lookups.door.try_acquire() else { return Settled::NotNow };
        timeout(LOOKUP_MAX, self.look_up(id)).await.unwrap_or_else(|_| {
            self.note_failure();
            Settled::NotNow
        })
    }

    /// Waits for its turn and reads. Given up halfway it has changed nothing.
    async fn look_up(&self, id: GongguId) -> Settled {
        let _turn = self.order.lock().await;
        if let Some(known) = self.known(id) {
            return known;
        }
        if self.is_synced() || self.lookups.unknown.contains_key(&id) {
            return Settled::Unknown;
        }
        // the one before may have found the database away
        if self.lookups.is_paused() || self.lookups.rate.check().is_err() {
            return Settled::NotNow;
        }
        match self.read_and_apply(&[id]).await {
            Ok(()) => self.known(id).unwrap_or_else(|| {
                self.lookups.unknown.insert(id, ());
                Settled::Unknown
            }),
            Err(_) => {
                self.note_failure();
                Settled::NotNow
            }
        }
    }

    fn known(&self, id: GongguId) -> Option<Settled> {
        let guard = self.table.guard();
        self.table.get(&id, &guard).map(|link| Settled::Known(Arc::clone(link)))
    }

    fn note_failure(&self) {
        *self.lookups.failed_at.lock() = Some(Instant::now());
    }
}
