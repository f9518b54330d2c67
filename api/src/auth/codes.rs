//! Single-use codes that prove who reads an address.
//!
//! A code is 256 random bits, kept only as a hash, so it is neither guessed nor read from the database. It is
//! bound to one purpose and to the address it went to, ends after a while, and works once: taking it is one
//! UPDATE that finds it unused. Codes that were sent earlier stay good until they end, so that nobody can spoil
//! the mail somebody is just reading by asking for another. How many an *address* is sent in an hour is bounded
//! by rows of their own, which all processes share and which outlive the account: closing it and signing up again
//! with the same address begins no new hour. Its account's row, which only one can hold, orders those who count.
//!
//! Lock order: the account's row, then its codes.

use super::tokens::{new_refresh_token as new_random_token, refresh_token_hash as token_hash};
use chrono::{DateTime, Duration, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// What a code is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To prove the address.
    VerifyEmail,
    /// To set a new password.
    ResetPassword,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::ResetPassword => "reset_password",
        }
    }

    /// How long a code is good: a day to look at a welcome; an hour for what opens an account.
    pub fn life(self) -> Duration {
        match self {
            Self::VerifyEmail => Duration::hours(24),
            Self::ResetPassword => Duration::hours(1),
        }
    }
}

/// Mails of this long are counted.
fn counted() -> Duration {
    Duration::hours(1)
}

/// A new code for the account, unless its address was sent too many within the hour. The caller holds the account's
/// row.
pub async fn issue(
    connection: &mut PgConnection,
    user_id: Uuid,
    email_folded: &str,
    purpose: Purpose,
    now: DateTime<Utc>,
    per_hour_max: u32,
) -> Result<Option<String>, sqlx::Error> {
    let address_hash = token_hash(email_folded);
    let sent = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM code_mails
           WHERE address_hash = $1 AND purpose = $2 AND sent_at > $3"#,
        address_hash,
        purpose.name(),
        now - counted()
    )
    .fetch_one(&mut *connection)
    .await?;
    if sent >= i64::from(per_hour_max) {
        return Ok(None);
    }
    sqlx::query!(
        "INSERT INTO code_mails (address_hash, purpose, sent_at) VALUES ($1, $2, $3)",
        address_hash,
        purpose.name(),
        now
    )
    .execute(&mut *connection)
    .await?;
    let code = new_random_token();
    sqlx::query!(
        "INSERT INTO email_codes (code_hash, user_id, purpose, email_folded, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
        token_hash(&code),
        user_id,
        purpose.name(),
        email_folded,
        now,
        now + purpose.life()
    )
    .execute(connection)
    .await?;
    Ok(Some(code))
}

/// Whose code it is, if it is good now. Looks, and takes nothing.
pub async fn owner(
    connection: &mut PgConnection,
    code: &str,
    purpose: Purpose,
    now: DateTime<Utc>,
) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT c.user_id FROM email_codes c JOIN users u ON u.id = c.user_id AND u.email_folded = c.email_folded
         WHERE c.code_hash = $1 AND c.purpose = $2 AND c.used_at IS NULL AND c.expires_at > $3
           AND u.closed_at IS NULL",
        token_hash(code),
        purpose.name(),
        now
    )
    .fetch_optional(connection)
    .await
}

/// Uses a code up; `false` if it was not good (any more), or went to another address than the account has now.
/// The caller holds the account's row.
pub async fn take(
    connection: &mut PgConnection,
    code: &str,
    purpose: Purpose,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let taken = sqlx::query!(
        "UPDATE email_codes c SET used_at = $3 FROM users u
         WHERE c.code_hash = $1 AND c.purpose = $2 AND c.used_at IS NULL AND c.expires_at > $3
           AND u.id = c.user_id AND u.email_folded = c.email_folded AND u.closed_at IS NULL",
        token_hash(code),
        purpose.name(),
        now
    )
    .execute(connection)
    .await?;
    Ok(taken.rows_affected() == 1)
}

/// Ends what is left of an account's codes of one purpose. The caller holds the account's row.
pub async fn end_all(
    connection: &mut PgConnection,
    user_id: Uuid,
    purpose: Purpose,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE email_codes SET used_at = $3 WHERE user_id = $1 AND purpose = $2 AND used_at IS NULL",
        user_id,
        purpose.name(),
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes up to `limit` codes that have expired.
pub async fn delete_expired(pool: &PgPool, now: DateTime<Utc>, limit: i64) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query!(
        "DELETE FROM email_codes WHERE code_hash IN (
             SELECT code_hash FROM email_codes WHERE expires_at <= $1
             ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
        now,
        limit
    )
    .execute(pool)
    .await?;
    Ok(deleted.rows_affected())
}

/// Deletes up to `limit` notes of mails that are counted no more.
pub async fn delete_uncounted(pool: &PgPool, now: DateTime<Utc>, limit: i64) -> Result<u64, sqlx::Error> {
    // a row has no key but its place; it is held until it is deleted
    let deleted = sqlx::query!(
        "DELETE FROM code_mails WHERE ctid = ANY (ARRAY(
             SELECT ctid FROM code_mails WHERE sent_at <= $1 ORDER BY sent_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
        now - counted(),
        limit
    )
    .execute(pool)
    .await?;
    Ok(deleted.rows_affected())
}

#[cfg(test)]
mod tests;
