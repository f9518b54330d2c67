//! The redirect table: every gonggu's destination and open time, in memory.
//!
//! Problem: a redirect must not ask the database, and must not be wrong either. Invariants:
//! - Every read from PostgreSQL is applied under one lock, in the order of the reads, so that an older
//!   answer never overwrites a newer one.
//! - While the listener is connected and has loaded everything after it began to listen, the table *is*
//!   the catalog: an id that is not in it does not exist, and no flood of unknown ids reaches the
//!   database. Otherwise an id is looked up, one at a time, at a bounded rate, and remembered if unknown.
//! - What this process commits is in the table before the answer is sent ([`Links::refresh`]); if it
//!   cannot be read back, what was there before is taken out.
//! - A planned closing is a time, and the record's time decides. An early close and a suspension are acts:
//!   what is clicked after this process learnt of them is after them, whatever the clocks say. The record's
//!   clock may lie hours behind the wall clock's time of the act (it approaches a jump slowly), so from then
//!   on the link's closing is at its opening at the latest, which no time falls between. The catalog's own
//!   closing comes back when the suspension is lifted.

pub mod destination;
mod lookup;
pub mod snapshot;
mod sync;

use crate::auth::identity::Identities;
use crate::users::types::UserStatus;
use chrono::{DateTime, Utc};
use foldhash::fast::RandomState;
use gonggumoa_core::clock::{Clock, UnixMillis};
use gonggumoa_core::ids::{GongguId, UserId};
use http::HeaderValue;
use lookup::Lookups;
pub use lookup::Settled;
use snapshot::SnapshotError;
use sqlx::PgPool;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, Notify};
use tokio::time::timeout;
use uuid::Uuid;

/// A change waits no longer to be in force here: whoever made it waits for its answer, and it is stored.
const REFRESH_MAX: Duration = Duration::from_secs(3);

/// One gonggu as the edge knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The gonggu.
    pub gonggu_id: GongguId,
    /// Whose it is.
    pub owner_id: UserId,
    /// When it opens.
    pub opens_at: UnixMillis,
    /// When it closes: by the catalog, or at its opening at the latest if its owner is suspended.
    pub closes_at: UnixMillis,
    /// When it closes by the catalog; after an early close at its opening at the latest.
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
            closes_at: suspended_at
                .map_or(catalog_closes_at, |at| ended(at, opens_at).min(catalog_closes_at)),
            catalog_closes_at,
            suspended_at,
            external_url: external_url.into(),
            location,
        })
    }
}

/// The closing of a link that an act ended at `at`: not open at any time. (A time that a store can hold,
/// unlike [`UnixMillis::MIN`].)
fn ended(at: UnixMillis, opens_at: UnixMillis) -> UnixMillis {
    at.min(opens_at)
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
    /// A change of this process's own could not be read back.
    #[error("a change could not be read back")]
    Behind,
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
            Self::Database(_) | Self::TimedOut | Self::Behind | Self::ListenerLost => true,
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
    /// Raised by every change.
    version: AtomicU64,
    /// Told when the table may have missed a change: the follower reads everything again.
    behind: Notify,
    lookups: Lookups,
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
            version: AtomicU64::new(0),
            behind: Notify::new(),
            lookups: Lookups::new(),
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

    /// Differs after every change of the table: what was read from the catalog at another version may be old.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Whether the table is the catalog now; readiness shows it.
    pub fn is_synced(&self) -> bool {
        self.synced.load(Ordering::Acquire)
    }

    /// Reads a gonggu again after a commit; when it returns, `/go` of this process does not follow what
    /// was before. After an error the table is no longer the catalog: the id is looked up when it is
    /// asked for, and the follower reads everything again.
    pub async fn refresh(&self, id: GongguId) -> Result<(), LinksError> {
        let refreshed = timeout(REFRESH_MAX, self.refresh_all(&[id])).await;
        let refreshed = refreshed.unwrap_or(Err(LinksError::TimedOut));
        if refreshed.is_err() {
            self.fall_behind(id);
        }
        refreshed
    }

    /// Takes out a link that may be stale, and has everything read again.
    fn fall_behind(&self, id: GongguId) {
        // First behind, then out: in the other order an id that exists would be unknown in between.
        self.synced.store(false, Ordering::Release);
        self.remove(id);
        self.behind.notify_one();
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
        let (opens_at, planned) = (UnixMillis::from(row.open_at), UnixMillis::from(row.close_at));
        let closes_at = match row.closed_at.map(UnixMillis::from) {
            None => planned,
            // only a hand in the database writes one that is still to come: a time like the planned one
            Some(closed_at) if closed_at > self.clock.now() => closed_at.min(planned),
            Some(closed_at) => ended(closed_at, opens_at).min(planned),
        };
        let times = (opens_at, closes_at);
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
        self.lookups.forget(id);
        self.note_change();
    }

    fn remove(&self, id: GongguId) {
        let guard = self.table.guard();
        if self.table.remove(&id, &guard).is_some() {
            self.note_change();
        }
    }

    /// After the change, so that who sees the new version sees the change.
    fn note_change(&self) {
        self.changed.store(true, Ordering::Release);
        self.version.fetch_add(1, Ordering::AcqRel);
    }
}

impl std::fmt::Debug for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Links").field("len", &self.len()).field("synced", &self.is_synced()).finish()
    }
}

#[cfg(test)]
mod tests;
