//! Accounts and refresh tokens in PostgreSQL, as signing in needs them.

use crate::app::App;
use crate::auth::email;
use crate::auth::identity::Identity;
use crate::users::types::{UserRole, UserStatus};
use chrono::{DateTime, Duration, Utc};
use gonggumoa_core::ids::UserId;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
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

/// The account of an e-mail, whatever its case. A closed account is none.
pub async fn account_by_email(pool: &PgPool, email: &str) -> Result<Option<Account>, sqlx::Error> {
    sqlx::query_as!(
        Account,
        r#"SELECT id, password_hash, role AS "role: UserRole", status AS "status: UserStatus",
                  token_version, created_at
           FROM users WHERE email_folded = $1 AND closed_at IS NULL"#,
        email::fold(email)
    )
    .fetch_optional(pool)
    .await
}

/// The account of an id. A closed account is none.
pub async fn account_by_id(
    transaction: &mut Transaction<'_, Postgres>,
    id: Uuid,
) -> Result<Option<Account>, sqlx::Error> {
    sqlx::query_as!(
        Account,
        r#"SELECT id, password_hash, role AS "role: UserRole", status AS "status: UserStatus",
                  token_version, created_at
           FROM users WHERE id = $1 AND closed_at IS NULL"#,
        id
    )
    .fetch_optional(&mut **transaction)
    .await
}

/// No access token is good for longer after its session ended: the most that can be set is a day, and clocks differ
/// a little.
const ACCESS_LIFE_MAX_HOURS: f64 = 25.0;

/// The account as permissions see it.
pub async fn identity(pool: &PgPool, id: UserId) -> Result<Option<Identity>, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT u.role AS "role: UserRole", u.status AS "status: UserStatus", u.token_version,
                  COALESCE(p.is_verified, false) AS "is_verified!",
                  ARRAY(SELECT DISTINCT family_id FROM refresh_tokens
                        WHERE user_id = u.id AND revoked_at > now() - $2 * interval '1 hour') AS "ended_sessions!"
           FROM users u LEFT JOIN influencer_profiles p ON p.user_id = u.id
           WHERE u.id = $1 AND u.closed_at IS NULL"#,
        id.0,
        ACCESS_LIFE_MAX_HOURS
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| Identity {
        id,
        role: row.role,
        status: row.status,
        token_version: row.token_version,
        is_verified: row.is_verified,
        ended_sessions: row.ended_sessions,
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

/// Takes the account's row alone, unless the account is not as it was when it proved itself: another token version,
/// suspended or closed. Waits for whoever is changing it.
pub async fn lock_unchanged(
    connection: &mut PgConnection,
    user_id: Uuid,
    token_version: i32,
) -> Result<bool, sqlx::Error> {
    let account = sqlx::query!(
        "SELECT id FROM users
         WHERE id = $1 AND token_version = $2 AND status <> 'suspended' AND closed_at IS NULL
         FOR NO KEY UPDATE",
        user_id,
        token_version
    )
    .fetch_optional(connection)
    .await?;
    Ok(account.is_some())
}

/// Ends what an account has more than `sessions_max` sessions, those of the earliest logins. The caller holds its row
/// alone, so that none rotates meanwhile.
pub async fn end_oldest_families(
    connection: &mut PgConnection,
    user_id: Uuid,
    sessions_max: u32,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    // a family has one token that is neither rotated nor revoked
    let ended = sqlx::query!(
        "UPDATE refresh_tokens SET revoked_at = $2
         WHERE user_id = $1 AND revoked_at IS NULL AND family_id IN (
             SELECT family_id FROM refresh_tokens
             WHERE user_id = $1 AND revoked_at IS NULL AND rotated_at IS NULL AND expires_at > $2
             ORDER BY family_expires_at DESC, issued_at DESC, family_id DESC OFFSET $3)",
        user_id,
        now,
        i64::from(sessions_max)
    )
    .execute(&mut *connection)
    .await?;
    if ended.rows_affected() > 0 {
        tell_of_change(connection, user_id).await?;
    }
    Ok(ended.rows_affected() > 0)
}

/// Has every process forget, at the commit, who the account was.
async fn tell_of_change(connection: &mut PgConnection, user_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!(r#"SELECT pg_notify('users_changed', $1::uuid::text) AS "told!: ()""#, user_id)
        .fetch_one(connection)
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
/// running at the same time, would not see and leave alive. (Row locks cannot stop a new row.) The account's row
/// is shared first, for the same reason against an end of all its sessions.
pub async fn lock_family(
    transaction: &mut Transaction<'_, Postgres>,
    hash: &[u8],
) -> Result<bool, sqlx::Error> {
    let family_id = sqlx::query_scalar!(
        "SELECT t.family_id FROM refresh_tokens t JOIN users u ON u.id = t.user_id
         WHERE t.token_hash = $1 FOR SHARE OF u",
        hash
    )
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

/// Ends a family, its access tokens with it. The caller holds its lock, and after the commit has `app.identities`
/// forget the account.
pub async fn revoke_family(
    transaction: &mut Transaction<'_, Postgres>,
    user_id: Uuid,
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
    tell_of_change(transaction, user_id).await
}

/// Deletes up to `limit` refresh tokens that have expired, whoever's: to everybody they are the same as none. Rows
/// that somebody else holds are left for the next time, so that this never waits and never deadlocks.
pub async fn delete_expired_tokens(
    pool: &PgPool,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query!(
        "DELETE FROM refresh_tokens WHERE token_hash IN (
             SELECT token_hash FROM refresh_tokens WHERE expires_at <= $1
             ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
        now,
        limit
    )
    .execute(pool)
    .await?;
    Ok(deleted.rows_affected())
}

/// Deletes up to `limit` networks that are known no more.
pub async fn delete_old_networks(pool: &PgPool, now: DateTime<Utc>, limit: i64) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query!(
        "DELETE FROM login_networks WHERE (user_id, network_hash) IN (
             SELECT user_id, network_hash FROM login_networks WHERE last_seen_at <= $1
             ORDER BY last_seen_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
        now - Duration::days(NETWORK_KNOWN_DAYS),
        limit
    )
    .execute(pool)
    .await?;
    Ok(deleted.rows_affected())
}

/// A network is known this long after the last login from it.
const NETWORK_KNOWN_DAYS: i64 = 90;
/// The networks kept of an account, the last used ones: home, work and some of a phone's.
const NETWORKS_MAX: i64 = 20;

/// Whether the account of a folded e-mail has signed in from this network.
pub async fn is_known_network(
    pool: &PgPool,
    email_folded: &str,
    network: &[u8],
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (
               SELECT FROM login_networks n JOIN users u ON u.id = n.user_id
               WHERE u.email_folded = $1 AND n.network_hash = $2 AND n.last_seen_at > $3) AS "is_known!""#,
        email_folded,
        network,
        now - Duration::days(NETWORK_KNOWN_DAYS)
    )
    .fetch_one(pool)
    .await
}

/// Notes a network from which the account has proved itself, at most once a day. A failure is no reason to
/// refuse a sign-in that has succeeded.
pub async fn remember_network(app: &App, user_id: Uuid, network: &[u8]) {
    if let Err(error) = insert_network(&app.pool, user_id, network, app.clock.now().to_utc()).await {
        tracing::warn!(error = &error as &(dyn std::error::Error + 'static), "a network was not noted");
    }
}

async fn insert_network(
    pool: &PgPool,
    user_id: Uuid,
    network: &[u8],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let noted = sqlx::query!(
        "INSERT INTO login_networks (user_id, network_hash, last_seen_at) VALUES ($1, $2, $3)
         ON CONFLICT (user_id, network_hash) DO UPDATE SET last_seen_at = EXCLUDED.last_seen_at
         WHERE login_networks.last_seen_at < EXCLUDED.last_seen_at - interval '1 day'",
        user_id,
        network,
        now
    )
    .execute(pool)
    .await?;
    if noted.rows_affected() == 1 {
        sqlx::query!(
            "DELETE FROM login_networks WHERE user_id = $1 AND network_hash NOT IN (
                 SELECT network_hash FROM login_networks WHERE user_id = $1
                 ORDER BY last_seen_at DESC LIMIT $2)",
            user_id,
            NETWORKS_MAX
        )
        .execute(pool)
        .await?;
    }
    Ok(())
}
