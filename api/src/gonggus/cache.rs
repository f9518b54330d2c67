//! What everybody is shown of the catalog, prepared once a moment for all who ask.
//!
//! Problem: a page of gonggus costs the database some hundred times what it costs to send it again, and it is the same
//! for everybody. Invariants:
//! - An answer never spans a border of the clock: with the default of a second, what opens at a whole second is open for
//!   everybody from that second on. Kept answers are at most that old.
//! - Whoever changes something here sees it in his next read: the catalog's version is part of every key, a change makes
//!   a new one, and no read that begins after the change uses the one before. Versions are random and kept in the
//!   cache itself, so that processes which share a cache agree on the version, and one change is a change for all.
//! - What is made for one person is never kept.
//! - However many ask for what is not there, it is made once; who asks after a change does not wait for an answer that
//!   was begun before.

use crate::http::conditional::Prepared;
use crate::http::error::ApiError;
use crate::http::shared_cache::SharedCache;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use gonggumoa_core::clock::UnixMillis;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use uuid::Uuid;

const VERSION_KEY: &str = "catalog:version";
/// Far longer than any answer: one that is lost costs a moment's answers.
const VERSION_LIFE: Duration = Duration::from_secs(3_600);
/// Larger answers are sent, but not kept: one asker must not push out what all ask for.
const KEPT_MAX_BYTES: usize = 1 << 20;

/// So many different questions are remembered as asked, or fewer where two share a place: 32 KiB.
const ASKED_PLACES: usize = 4_096;

type Made = Result<Prepared, ApiError>;
type Flight = Shared<BoxFuture<'static, Made>>;

/// See the module's head.
pub struct CatalogCache {
    shared: Arc<dyn SharedCache>,
    /// Length of a moment; 0 keeps nothing.
    moment_millis: u32,
    /// Raised by a change of this process that no link shows (a title, a category).
    changes: AtomicU64,
    /// How many changes, the links' included, the version follows that this process has last put.
    published: AtomicU64,
    publishing: tokio::sync::Mutex<()>,
    /// What is being made. Nobody's who is not waiting: the last to leave takes it along.
    flights: Mutex<HashMap<String, WeakShared<BoxFuture<'static, Made>>>>,
    /// Hashes of what was asked for lately, each in the place that it names.
    asked: Box<[AtomicU64]>,
    hasher: RandomState,
}

impl CatalogCache {
    /// Nothing prepared yet.
    pub fn new(shared: Arc<dyn SharedCache>, moment_millis: u32) -> Self {
        Self {
            shared,
            moment_millis,
            // one ahead: the version that another process put before this one began is not known to be newer
            changes: AtomicU64::new(1),
            published: AtomicU64::new(0),
            publishing: tokio::sync::Mutex::new(()),
            flights: Mutex::new(HashMap::new()),
            asked: (0..ASKED_PLACES).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
        }
    }

    /// Whether the same was asked for lately. Of a hundred thousand details most are asked for once in a long while: to
    /// keep each would cost more than it saves, so only what is asked for again is worth an
    /// [`answer`](Self::answer) that is kept.
    pub fn is_asked_again(&self, question: &str) -> bool {
        let hash = self.hasher.hash_one(question);
        let place = self.asked.get(hash as usize % ASKED_PLACES);
        place.is_some_and(|place| place.swap(hash, Ordering::Relaxed) == hash)
    }

    /// Something that all are shown was changed here, and committed: what was prepared before is not told any more.
    pub fn changed(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Changes so far, of this process and, by its links, of the others.
    pub fn changes(&self, links_version: u64) -> u64 {
        // both only grow, so an equal sum is equal parts
        self.changes.load(Ordering::Acquire).wrapping_add(links_version)
    }

    /// The answer to `question`, which must say all that it depends on but the time and the catalog; prepared by `make`
    /// unless it was a moment ago.
    pub async fn answer<F>(
        &self,
        question: &str,
        links_version: u64,
        now: UnixMillis,
        make: impl FnOnce() -> F,
    ) -> Made
    where
        F: Future<Output = Made> + Send + 'static,
    {
        if self.moment_millis == 0 {
            return make().await;
        }
        let version = self.version(self.changes(links_version)).await;
        let moment = now.0.div_euclid(i64::from(self.moment_millis));
        let key = format!("catalog:{version}:{moment}:{question}");
        if let Some(prepared) = self.shared.get(&key).await.and_then(Prepared::from_bytes) {
            return Ok(prepared);
        }
        let making = || {
            let (shared, making, key) = (Arc::clone(&self.shared), make(), key.clone());
            let life = Duration::from_millis(self.moment_millis.into());
            async move {
                let prepared = making.await?;
                if prepared.bytes().len() <= KEPT_MAX_BYTES {
                    shared.put(&key, prepared.bytes(), life).await;
                }
                Ok(prepared)
            }
        };
        self.flight(&key, making).await
    }

    /// Joins whoever makes the same, or begins.
    fn flight<F>(&self, key: &str, making: impl FnOnce() -> F) -> Flight
    where
        F: Future<Output = Made> + Send + 'static,
    {
        let mut flights = self.flights.lock();
        if let Some(flight) = flights.get(key).and_then(WeakShared::upgrade) {
            return flight;
        }
        flights.retain(|_, flight| flight.upgrade().is_some());
        let flight = making().boxed().shared();
        if let Some(weak) = flight.downgrade() {
            flights.insert(key.to_owned(), weak);
        }
        flight
    }

    /// The catalog's version, no older than `changes`.
    async fn version(&self, changes: u64) -> Uuid {
        if self.published.load(Ordering::Acquire) >= changes
            && let Some(version) = self.known_version().await
        {
            return version;
        }
        let _turn = self.publishing.lock().await;
        if self.published.load(Ordering::Acquire) >= changes
            && let Some(version) = self.known_version().await
        {
            return version;
        }
        let version = Uuid::new_v4();
        self.shared.put(VERSION_KEY, Bytes::copy_from_slice(version.as_bytes()), VERSION_LIFE).await;
        // only now: who sees this number must not find the version before
        self.published.fetch_max(changes, Ordering::AcqRel);
        version
    }

    async fn known_version(&self) -> Option<Uuid> {
        let bytes = self.shared.get(VERSION_KEY).await?;
        Uuid::from_slice(&bytes).ok()
    }
}

impl std::fmt::Debug for CatalogCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CatalogCache").field("moment_millis", &self.moment_millis).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
