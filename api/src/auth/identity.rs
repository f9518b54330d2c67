//! Who an account is now: role, status and token version, asked of PostgreSQL at most every few
//! seconds per account. A suspension reaches other processes by notification, or by age at the latest.

use crate::users::types::{UserRole, UserStatus};
use gonggumoa_core::ids::UserId;
use moka::sync::Cache;
use sqlx::PgPool;
use std::sync::Arc;
use std::time::Duration;

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
}

/// Recently asked identities.
#[derive(Clone, Debug)]
pub struct Identities {
    recent: Cache<UserId, Arc<Identity>>,
}

impl Identities {
    /// None asked yet.
    pub fn new() -> Self {
        Self { recent: Cache::builder().max_capacity(ENTRIES_MAX).time_to_live(AGE_MAX).build() }
    }

    /// The account now; `None` if there is none.
    pub async fn get(&self, pool: &PgPool, id: UserId) -> Result<Option<Arc<Identity>>, sqlx::Error> {
        if let Some(identity) = self.recent.get(&id) {
            return Ok(Some(identity));
        }
        let identity = super::queries::identity(pool, id).await?.map(Arc::new);
        if let Some(identity) = &identity {
            self.recent.insert(id, Arc::clone(identity));
        }
        Ok(identity)
    }

    /// Forgets an account that changed.
    pub fn forget(&self, id: UserId) {
        self.recent.invalidate(&id);
    }
}

impl Default for Identities {
    fn default() -> Self {
        Self::new()
    }
}
