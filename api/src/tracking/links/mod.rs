//! The redirect table: every gonggu's destination and open time, in memory.
//!
//! Problem: a redirect must not ask the database, and must not be wrong either. Invariants:
//! - Every read from PostgreSQL is applied under one lock, in the order of the reads, so that an older
//!   answer never overwrites a newer one.
//! - While the listener is connected and has loaded everything after it began to listen, the table *is*
//!   the catalog: an id that is not in it does not exist, and no flood of unknown ids reaches the
//!   database. Otherwise an id is looked up, one at a time, at a bounded rate, and remembered if unknown.
//! - What this process commits is in the table before the answer is sent ([`Links::refresh`]).
//! - A suspended owner's link is closed as of the moment this process learnt of it; the catalog's own
//!   closing comes back when the suspension is lifted.

pub mod destination;
pub mod snapshot;
mod sync;

use crate::auth::identity::Identities;
use crate::users::types::UserStatus;
use chrono::{DateTime, Utc};
use foldhash::fast::RandomState;
use gonggumoa_core::clock::{Clock, UnixMillis};
use gonggumoa_core::ids::{GongguId, UserId};
use governor::DefaultDirectRateLimiter;
use http::HeaderValue;
use moka::sync::Cache;
use snapshot::SnapshotError;
use sqlx::PgPool;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore};
use uuid::Uuid;

/// Look-ups a second while the table may be behind: enough for people, nothing for a flood.
const LOOKUPS_PER_SECOND: NonZeroU32 = NonZeroU32::MIN.saturating_add(49);
/// Requests that may wait for a look-up at once; further ones are told to come back.
const LOOKUPS_WAITING_MAX: usize = 64;
/// Unknown ids remembered, and for how long: 100,000 of them are a few MB.
const UNKNOWN_MAX: u64 = 100_000;
const UNKNOWN_AGE_MAX: Duration = Duration::from_secs(10);

/// One gonggu as the edge knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The gonggu.
    pub gonggu_id: GongguId,
    /// Whose it is.
    pub owner_id: UserId,
    /// When it opens.
    pub opens_at: UnixMillis,
    /// When it closes: by the catalog, or by its owner's suspension if that was earlier.
    pub closes_at: UnixMillis,
    /// When it closes by the catalog (an early close included).
    pub catalog_closes_at: UnixMillis,
    /// Since when its owner is known to be suspended.
    pub suspended_at: Option<UnixMillis>,
    /// The shop's address, as typed in.
    pub external_url: Box<str>,
    /// The shop's address with our campaign, ready to send.
    pub location: HeaderValue,
}

impl Link {
    /// Prepares a link; `None` if the address cannot stand in a header.
    pub fn new(
        gonggu_id: GongguId,
        owner_id: UserId,
        (opens_at, catalog_closes_at): (UnixMillis, UnixMillis),
        suspended_at: Option<UnixMillis>,
        external_url: &str,
    ) -> Option<Self> {
        let campaign = gonggu_id.to_string();
        let location = HeaderValue::from_str(&destination::with_campaign(external_url, &campaign)).ok()?;
        Some(Self {
            gonggu_id,
            owner_id,
            opens_at,
            closes_at: suspended_at.map_or(catalog_closes_at, |at| at.min(catalog_closes_at)),
            catalog_closes_at,
            suspended_at,
            external_url: external_url.into(),
            location,
        })
    }
}

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

/// Why the table could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum LinksError {
    /// PostgreSQL.
    #[error("the links cannot be read from PostgreSQL")]
    Database(#[from] sqlx::Error),
    /// PostgreSQL did not answer in time.
    #[error("PostgreSQL did not answer in time")]
    TimedOut,
    /// The listener's connection was lost.
    #[error("the connection that listens for changes was lost")]
    ListenerLost,
    /// The snapshot.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

impl LinksError {
    /// Whether the same call may work later.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Database(_) | Self::TimedOut | Self::ListenerLost => true,
            Self::Snapshot(error) => error.retryable(),
        }
    }
}

/// A row of `gonggus` with its owner's status.
struct Row {
    id: Uuid,
    influencer_id: Uuid,
    open_at: DateTime<Utc>,
    close_at: DateTime<Utc>,
    closed_at: Option<DateTime<Utc>>,
    external_url: String,
    owner_status: UserStatus,
}

/// The table.
pub struct Links {
    table: papaya::HashMap<GongguId, Arc<Link>, RandomState>,
    pool: PgPool,
    clock: Arc<dyn Clock>,
    identities: Identities,
    key_fingerprint: String,
    snapshot_path: Option<PathBuf>,
    /// Held over every read from PostgreSQL together with its application.
    order: Mutex<()>,
    /// Whether the table is the catalog now.
    synced: AtomicBool,
    /// Whether it differs from the snapshot.
    changed: AtomicBool,
    unknown: Cache<GongguId, ()>,
    lookup_rate: DefaultDirectRateLimiter,
    lookup_door: Semaphore,
}

/// What the table is made of.
pub struct LinksDependencies {
    /// The catalog.
    pub pool: PgPool,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Told when an account changed.
    pub identities: Identities,
    /// Fingerprint of the address key.
    pub key_fingerprint: String,
    /// Where the snapshot lies (in `DATA_DIR`); `None` keeps none.
    pub snapshot_path: Option<PathBuf>,
}

impl Links {
    /// An empty table; nothing is known for sure until [`load`](Self::load).
    pub fn new(given: LinksDependencies) -> Self {
        Self {
            table: papaya::HashMap::with_hasher(RandomState::default()),
            pool: given.pool,
            clock: given.clock,
            identities: given.identities,
            key_fingerprint: given.key_fingerprint,
            snapshot_path: given.snapshot_path,
            order: Mutex::new(()),
            synced: AtomicBool::new(false),
            changed: AtomicBool::new(false),
            unknown: Cache::builder().max_capacity(UNKNOWN_MAX).time_to_live(UNKNOWN_AGE_MAX).build(),
            lookup_rate: governor::RateLimiter::direct(governor::Quota::per_second(LOOKUPS_PER_SECOND)),
            lookup_door: Semaphore::new(LOOKUPS_WAITING_MAX),
        }
    }

    /// Calls `read` with the link, if it is in the table. Never waits.
    pub fn with<R>(&self, id: GongguId, read: impl FnOnce(&Link) -> R) -> Option<R> {
        let guard = self.table.guard();
        self.table.get(&id, &guard).map(|link| read(link))
    }

    /// How many links there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the table is the catalog now; readiness shows it.
    pub fn is_synced(&self) -> bool {
        self.synced.load(Ordering::Acquire)
    }

    /// Finds out about an id that is not in the table.
    pub async fn settle(&self, id: GongguId) -> Settled {
        if self.is_synced() {
            // it may have come since the caller looked
            return self.known(id).unwrap_or(Settled::Unknown);
        }
        if self.unknown.contains_key(&id) {
            return Settled::Unknown;
        }
        let Ok(_place) = self.lookup_door.try_acquire() else { return Settled::NotNow };
        let _turn = self.order.lock().await;
        if let Some(known) = self.known(id) {
            return known;
        }
        if self.is_synced() || self.unknown.contains_key(&id) {
            return Settled::Unknown;
        }
        if self.lookup_rate.check().is_err() {
            return Settled::NotNow;
        }
        match self.read_and_apply(&[id]).await {
            Ok(()) => self.known(id).unwrap_or_else(|| {
                self.unknown.insert(id, ());
                Settled::Unknown
            }),
            Err(_) => Settled::NotNow,
        }
    }

    fn known(&self, id: GongguId) -> Option<Settled> {
        let guard = self.table.guard();
        self.table.get(&id, &guard).map(|link| Settled::Known(Arc::clone(link)))
    }

    /// Reads gonggus again after a commit; when it returns, `/go` of this process follows them.
    pub async fn refresh(&self, id: GongguId) -> Result<(), LinksError> {
        self.refresh_all(&[id]).await
    }

    /// Reads an account's gonggus again after a commit that changed its status.
    pub async fn refresh_owner(&self, owner_id: UserId) -> Result<(), LinksError> {
        self.identities.forget(owner_id);
        let _turn = self.order.lock().await;
        self.read_owner_and_apply(owner_id).await
    }

    async fn refresh_all(&self, ids: &[GongguId]) -> Result<(), LinksError> {
        let _turn = self.order.lock().await;
        self.read_and_apply(ids).await
    }

    /// Puts a row into the table. The caller holds `order`.
    fn apply(&self, row: &Row) {
        let id = GongguId(row.id);
        let guard = self.table.guard();
        let previous = self.table.get(&id, &guard);
        let suspended_at = (row.owner_status != UserStatus::Active)
            .then(|| previous.and_then(|link| link.suspended_at).unwrap_or_else(|| self.clock.now()));
        let closes_at = row.closed_at.map_or(row.close_at, |closed_at| closed_at.min(row.close_at)).into();
        let times = (row.open_at.into(), closes_at);
        if previous.is_some_and(|link| {
            (link.opens_at, link.catalog_closes_at) == times
                && link.suspended_at == suspended_at
                && link.owner_id.0 == row.influencer_id
                && *link.external_url == *row.external_url
        }) {
            return;
        }
        match Link::new(id, UserId(row.influencer_id), times, suspended_at, &row.external_url) {
            Some(link) => {
                self.table.insert(id, Arc::new(link), &guard);
            }
            None => {
                tracing::error!(gonggu.id = %id, "the gonggu's address cannot stand in a header");
                self.table.remove(&id, &guard);
            }
        }
        self.unknown.invalidate(&id);
        self.changed.store(true, Ordering::Release);
    }

    fn remove(&self, id: GongguId) {
        let guard = self.table.guard();
        if self.table.remove(&id, &guard).is_some() {
            self.changed.store(true, Ordering::Release);
        }
    }
}

impl std::fmt::Debug for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Links").field("len", &self.len()).field("synced", &self.is_synced()).finish()
    }
}

#[cfg(test)]
mod tests;
