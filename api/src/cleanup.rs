//! What has ended by itself is deleted: kept answers, codes, sessions, sign-ins that nobody finished.
//!
//! Each kind of row knows when it is over and says so to every reader, so that a row left behind does no harm but
//! takes room; and most are left behind, by people who do not come back. One task looks now and every hour. It
//! deletes in batches, each a statement of its own found by an index, and skips rows that somebody holds: it makes
//! nobody wait, waits for nobody, and several processes may do it at once.
//!
//! Not here: mails (`mail::sender` knows their files), clicks and archive (`gonggumoa_analytics::retention`).

use crate::auth::{codes, queries, social};
use crate::http::idempotency;
use chrono::{DateTime, Utc};
use gonggumoa_core::clock::Clock;
use sqlx::PgPool;
use std::sync::Arc;
use std::time::Duration;

/// Often enough that what an hour leaves is small.
const INTERVAL: Duration = Duration::from_secs(3_600);
/// Rows of one statement: some milliseconds.
const BATCH_ROWS: u32 = 1_000;

/// Rows that end by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    IdempotencyKeys,
    EmailCodes,
    CodeMails,
    RefreshTokens,
    LoginNetworks,
    SocialLogins,
}

impl Kind {
    const ALL: [Self; 6] = [
        Self::IdempotencyKeys,
        Self::EmailCodes,
        Self::CodeMails,
        Self::RefreshTokens,
        Self::LoginNetworks,
        Self::SocialLogins,
    ];

    /// Deletes up to `limit` that are over.
    async fn delete(self, pool: &PgPool, now: DateTime<Utc>, limit: u32) -> Result<u64, sqlx::Error> {
        let limit = i64::from(limit);
        match self {
            Self::IdempotencyKeys => idempotency::delete_expired(pool, now, limit).await,
            Self::EmailCodes => codes::delete_expired(pool, now, limit).await,
            Self::CodeMails => codes::delete_uncounted(pool, now, limit).await,
            Self::RefreshTokens => queries::delete_expired_tokens(pool, now, limit).await,
            Self::LoginNetworks => queries::delete_old_networks(pool, now, limit).await,
            Self::SocialLogins => social::queries::delete_expired_states(pool, now, limit).await,
        }
    }

    /// Deletes all that are over, batch by batch.
    async fn delete_all(
        self,
        pool: &PgPool,
        now: DateTime<Utc>,
        batch_rows: u32,
    ) -> Result<u64, sqlx::Error> {
        let mut deleted = 0;
        loop {
            let batch = self.delete(pool, now, batch_rows).await?;
            deleted += batch;
            if batch < u64::from(batch_rows) {
                return Ok(deleted);
            }
        }
    }
}

/// Looks at each kind; one that fails does not keep the others.
async fn clean(pool: &PgPool, now: DateTime<Utc>, batch_rows: u32) {
    for kind in Kind::ALL {
        match kind.delete_all(pool, now, batch_rows).await {
            Ok(0) => {}
            Ok(deleted) => {
                tracing::debug!(cleanup.kind = ?kind, cleanup.rows = deleted, "expired rows deleted");
            }
            // the next pass does it
            Err(error) => tracing::warn!(
                cleanup.kind = ?kind,
                error = &error as &(dyn std::error::Error + 'static),
                "expired rows were not deleted"
            ),
        }
    }
}

/// Does so now and every hour.
pub async fn run(pool: PgPool, clock: Arc<dyn Clock>) {
    loop {
        clean(&pool, clock.now().to_utc(), BATCH_ROWS).await;
        tokio::time::sleep(INTERVAL).await;
    }
}

#[cfg(test)]
mod tests;
