//! Who an account is now: role, status, token version and which sessions ended lately, asked of PostgreSQL at most every two seconds per
//! account, so that a request costs no query and a right taken away is gone all the same.
//!
//! Three things make a remembered identity forgotten: the process that changed the account forgets it before it
//! answers; a notification of the database tells all processes ([`super::watch`]); and it ages within two seconds,
//! so that even a process that hears nothing is wrong for no longer.
//!
//! Invariant: what was read before a change is not remembered after it was forgotten. A read in flight notes how
//! often anything was forgotten; if that moved meanwhile, its answer is used once and not kept.

use crate::users::types::{UserRole, UserStatus};
use gonggumoa_core::ids::UserId;
use moka::sync::Cache;
use sqlx::PgPool;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use uuid::Uuid;

/// The longest that a change may go unseen without a notification.
const AGE_MAX: Duration = Duration::from_secs(2);
const ENTRIES_MAX: u64 = 10_000;

/// An account as permissions see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The account.
    pub id: UserId,
    /// Its role.
    pub role: UserRole,
    /// Its status.
    pub status: UserStatus,
    /// Tokens of another version are void.
    pub token_version: i32,
    /// Whether its influencer profile is verified.
    pub is_verified: bool,
    /// Sessions that ended alone (a logout, a reused token, too many sessions) while access tokens of theirs may
    /// still be good by their time.
    pub ended_sessions: Vec<Uuid>,
}

impl Identity {
    /// Whether a token of this version and session is still one of the account's.
    pub fn is_session(&self, token_version: i32, session_id: Uuid) -> bool {
        self.token_version == token_version && !self.ended_sessions.contains(&session_id)
    }
}

/// Recently asked identities.
#[derive(Clone, Debug)]
pub struct Identities {
    recent: Cache<UserId, Arc<Identity>>,
    /// How often something was forgotten.
    forgotten: Arc<AtomicU64>,
}

impl Identities {
    /// None asked yet.
    pub fn new() -> Self {
        Self {
            recent: Cache::builder().max_capacity(ENTRIES_MAX).time_to_live(AGE_MAX).build(),
            forgotten: Arc::default(),
        }
    }

    /// The account now; `None` if there is none.
    pub async fn get(&self, pool: &PgPool, id: UserId) -> Result<Option<Arc<Identity>>, sqlx::Error> {
        if let Some(identity) = self.recent.get(&id) {
            return Ok(Some(identity));
        }
        let forgotten = self.forgotten.load(Ordering::SeqCst);
        let identity = super::queries::identity(pool, id).await?.map(Arc::new);
        if let Some(identity) = &identity {
            self.recent.insert(id, Arc::clone(identity));
            // after the insert: one who forgets from here on takes this entry out himself
            if self.forgotten.load(Ordering::SeqCst) != forgotten {
                self.recent.invalidate(&id);
            }
        }
        Ok(identity)
    }

    /// Forgets an account that changed.
    pub fn forget(&self, id: UserId) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        self.recent.invalidate(&id);
    }

    /// Forgets all.
    pub fn forget_all(&self) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        self.recent.invalidate_all();
    }
}

impl Default for Identities {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
