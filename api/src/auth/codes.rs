//! Single-use codes that prove who reads an address.
//!
//! A code is 256 random bits, kept only as a hash, so it is neither guessed nor read from the database. It is
//! bound to one purpose and to the address it went to, ends after a while, and works once: taking it is one
//! UPDATE that finds it unused. Codes that were sent earlier stay good until they end, so that nobody can spoil
//! the mail somebody is just reading by asking for another; how many an account is sent in an hour is bounded
//! by counting its rows, which all processes share.
//!
//! Lock order: the account's row, then its codes.

use super::tokens::{new_refresh_token as new_random_token, refresh_token_hash as token_hash};
use chrono::{DateTime, Duration, Utc};
use sqlx::PgConnection;
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

/// A new code for the account, unless it was sent too many within the hour. The caller holds the account's row.
pub async fn issue(
    connection: &mut PgConnection,
    user_id: Uuid,
    email_folded: &str,
    purpose: Purpose,
    now: DateTime<Utc>,
    per_hour_max: u32,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query!("DELETE FROM email_codes WHERE user_id = $1 AND expires_at <= $2", user_id, now)
        .execute(&mut *connection)
        .await?;
    let issued = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM email_codes
           WHERE user_id = $1 AND purpose = $2 AND created_at > $3"#,
        user_id,
        purpose.name(),
        now - Duration::hours(1)
    )
    .fetch_one(&mut *connection)
    .await?;
    if issued >= i64::from(per_hour_max) {
        return Ok(None);
    }
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
        "SELECT user_id FROM email_codes
         WHERE code_hash = $1 AND purpose = $2 AND used_at IS NULL AND expires_at > $3",
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
