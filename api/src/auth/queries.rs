//! Accounts and refresh tokens in PostgreSQL, as signing in needs them.

use crate::auth::identity::Identity;
use crate::users::types::{UserRole, UserStatus};
use chrono::{DateTime, Utc};
use gonggumoa_core::ids::UserId;
use sqlx::{PgPool, Postgres, Transaction};
use uuid::Uuid;

/// What a login looks at.
pub struct Account {
    /// The account.
    pub id: Uuid,
    /// Its hash, if it has a password.
    pub password_hash: Option<String>,
    /// Its role.
    pub role: UserRole,
    /// Its status.
    pub status: UserStatus,
    /// Its token version.
    pub token_version: i32,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// The account of an e-mail, whatever its case.
pub async fn account_by_email(pool: &PgPool, email: &str) -> Result<Option<Account>, sqlx::Error> {
    sqlx::query_as!(
        Account,
        r#"SELECT id, password_hash, role AS "role: UserRole", status AS "status: UserStatus",
                  token_version, created_at
           FROM users WHERE lower(email) = lower($1)"#,
        email
    )
    .fetch_optional(pool)
    .await
}

/// The account of an id.
pub async fn account_by_id(
    transaction: &mut Transaction<'_, Postgres>,
    id: Uuid,
) -> Result<Option<Account>, sqlx::Error> {
    sqlx::query_as!(
        Account,
        r#"SELECT id, password_hash, role AS "role: UserRole", status AS "status: UserStatus",
                  token_version, created_at
           FROM users WHERE id = $1"#,
        id
    )
    .fetch_optional(&mut **transaction)
    .await
}

/// The account as permissions see it.
pub async fn identity(pool: &PgPool, id: UserId) -> Result<Option<Identity>, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT u.role AS "role: UserRole", u.status AS "status: UserStatus", u.token_version,
                  COALESCE(p.is_verified, false) AS "is_verified!"
           FROM users u LEFT JOIN influencer_profiles p ON p.user_id = u.id
           WHERE u.id = $1"#,
        id.0
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| Identity {
        id,
        role: row.role,
        status: row.status,
        token_version: row.token_version,
        is_verified: row.is_verified,
    }))
}

/// A refresh token to keep.
pub struct NewRefreshToken<'a> {
    /// Hash of the token.
    pub hash: &'a [u8],
    /// Its family: one a login.
    pub family_id: Uuid,
    /// Whose.
    pub user_id: Uuid,
    /// When it was made.
    pub issued_at: DateTime<Utc>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    /// When its family ends.
    pub family_expires_at: DateTime<Utc>,
}

/// Keeps a refresh token.
pub async fn insert_refresh_token<'e>(
    executor: impl sqlx::PgExecutor<'e>,
    token: &NewRefreshToken<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO refresh_tokens (token_hash, family_id, user_id, issued_at, expires_at, family_expires_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
        token.hash,
        token.family_id,
        token.user_id,
        token.issued_at,
        token.expires_at,
        token.family_expires_at
    )
    .execute(executor)
    .await?;
    Ok(())
}

/// A kept refresh token.
pub struct StoredRefreshToken {
    /// Its family.
    pub family_id: Uuid,
    /// Whose.
    pub user_id: Uuid,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    /// When its family ends.
    pub family_expires_at: DateTime<Utc>,
    /// When it was rotated away.
    pub rotated_at: Option<DateTime<Utc>>,
    /// When it was taken back.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// Takes the lock of a token's family until the transaction ends; `false`: there is no such token. Whatever
/// reads a family to change it does so under this lock: a rotation adds a row that an end of the family,
/// running at the same time, would not see and leave alive. (Row locks cannot stop a new row.)
pub async fn lock_family(
    transaction: &mut Transaction<'_, Postgres>,
    hash: &[u8],
) -> Result<bool, sqlx::Error> {
    let family_id = sqlx::query_scalar!("SELECT family_id FROM refresh_tokens WHERE token_hash = $1", hash)
        .fetch_optional(&mut **transaction)
        .await?;
    let Some(family_id) = family_id else { return Ok(false) };
    // The name keeps these apart from other advisory locks; two families of one hash merely take turns.
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended('refresh_tokens.family:' || $1::uuid::text, 0))",
        family_id
    )
    .execute(&mut **transaction)
    .await?;
    Ok(true)
}

/// Takes a refresh token under a row lock. The caller holds its family's lock.
pub async fn lock_refresh_token(
    transaction: &mut Transaction<'_, Postgres>,
    hash: &[u8],
) -> Result<Option<StoredRefreshToken>, sqlx::Error> {
    sqlx::query_as!(
        StoredRefreshToken,
        "SELECT family_id, user_id, expires_at, family_expires_at, rotated_at, revoked_at
         FROM refresh_tokens WHERE token_hash = $1 FOR UPDATE",
        hash
    )
    .fetch_optional(&mut **transaction)
    .await
}

/// Marks a token as rotated away.
pub async fn mark_rotated(
    transaction: &mut Transaction<'_, Postgres>,
    hash: &[u8],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!("UPDATE refresh_tokens SET rotated_at = $2 WHERE token_hash = $1", hash, now)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Ends a family. The caller holds its lock.
pub async fn revoke_family(
    transaction: &mut Transaction<'_, Postgres>,
    family_id: Uuid,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE refresh_tokens SET revoked_at = $2 WHERE family_id = $1 AND revoked_at IS NULL",
        family_id,
        now
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Deletes an account's tokens that have expired: to everybody they are the same as none. Rows that
/// somebody else holds are left for the next time, so that this never waits and never deadlocks.
pub async fn delete_expired(pool: &PgPool, user_id: Uuid, now: DateTime<Utc>) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query!(
        "DELETE FROM refresh_tokens WHERE token_hash IN (
             SELECT token_hash FROM refresh_tokens WHERE user_id = $1 AND expires_at <= $2
             FOR UPDATE SKIP LOCKED)",
        user_id,
        now
    )
    .execute(pool)
    .await?;
    Ok(deleted.rows_affected())
}
