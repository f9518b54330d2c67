//! Sign-ins under way, and identities, in PostgreSQL.

use crate::auth::email::fold;
use crate::auth::queries::Account;
use crate::auth::sessions;
use crate::users::types::{UserRole, UserStatus};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// A sign-in that begins.
pub(super) struct NewState<'a> {
    pub(super) state_hash: &'a [u8],
    pub(super) provider: &'a str,
    pub(super) browser_hash: &'a [u8],
    pub(super) return_to: &'a str,
    pub(super) expires_at: DateTime<Utc>,
}

/// Keeps a sign-in.
pub(super) async fn insert_state(pool: &PgPool, state: &NewState<'_>) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO social_login_states (state_hash, provider, browser_hash, return_to, expires_at)
         VALUES ($1, $2, $3, $4, $5)",
        state.state_hash,
        state.provider,
        state.browser_hash,
        state.return_to,
        state.expires_at
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Deletes up to `limit` sign-ins that nobody finished.
pub(crate) async fn delete_expired_states(
    pool: &PgPool,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query!(
        "DELETE FROM social_login_states WHERE state_hash IN (
             SELECT state_hash FROM social_login_states WHERE expires_at <= $1
             ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
        now,
        limit
    )
    .execute(pool)
    .await?;
    Ok(deleted.rows_affected())
}

/// Where the browser of a sign-in wants to go.
pub(super) async fn return_to(
    pool: &PgPool,
    state_hash: &[u8],
    provider: &str,
    now: DateTime<Utc>,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT return_to FROM social_login_states
         WHERE state_hash = $1 AND provider = $2 AND expires_at > $3",
        state_hash,
        provider,
        now
    )
    .fetch_optional(pool)
    .await
}

/// What Apple posted, to be handed over.
pub(super) struct Handover<'a> {
    pub(super) state_hash: &'a [u8],
    pub(super) handover_hash: &'a [u8],
    pub(super) handover_expires_at: DateTime<Utc>,
    pub(super) provider_code: &'a str,
    pub(super) person_name: Option<&'a str>,
}

/// Keeps it with its sign-in, once, and says where the browser wants to go.
pub(super) async fn hand_over(
    pool: &PgPool,
    handover: &Handover<'_>,
    now: DateTime<Utc>,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "UPDATE social_login_states
         SET handover_hash = $2, handover_expires_at = $3, provider_code = $4, person_name = $5
         WHERE state_hash = $1 AND provider = 'apple' AND expires_at > $6 AND handover_hash IS NULL
         RETURNING return_to",
        handover.state_hash,
        handover.handover_hash,
        handover.handover_expires_at,
        handover.provider_code,
        handover.person_name,
        now
    )
    .fetch_optional(pool)
    .await
}

/// The end of a sign-in, as the browser brings it.
pub(super) struct Ending<'a> {
    pub(super) state_hash: &'a [u8],
    pub(super) browser_hash: &'a [u8],
    pub(super) provider: &'a str,
    /// Of the code that was handed over; Apple only.
    pub(super) handover_hash: Option<&'a [u8]>,
    /// Whether it ends without a code.
    pub(super) denied: bool,
}

/// What was kept for the end.
pub(super) struct Ended {
    pub(super) provider_code: Option<String>,
    pub(super) person_name: Option<String>,
}

/// Ends a sign-in: the row goes as it is read, so that nothing ends twice. One of another browser or
/// provider stays untouched: a stranger must not be able to end it.
pub(super) async fn end_state(
    pool: &PgPool,
    ending: &Ending<'_>,
    now: DateTime<Utc>,
) -> Result<Option<Ended>, sqlx::Error> {
    sqlx::query_as!(
        Ended,
        "DELETE FROM social_login_states
         WHERE state_hash = $1 AND browser_hash = $2 AND provider = $3 AND expires_at > $4
           AND ($6 OR $5::bytea IS NULL OR (handover_hash = $5 AND handover_expires_at > $4))
         RETURNING provider_code, person_name",
        ending.state_hash,
        ending.browser_hash,
        ending.provider,
        now,
        ending.handover_hash,
        ending.denied
    )
    .fetch_optional(pool)
    .await
}

/// Takes the lock of an identity until the transaction ends: first sign-ins at the same time take turns.
pub(super) async fn lock_identity(
    connection: &mut PgConnection,
    provider: &str,
    subject: &str,
) -> Result<(), sqlx::Error> {
    // The name keeps these apart from other advisory locks; two identities of one hash merely take turns.
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended('social_identities:' || $1::text || ':' || $2::text, 0))",
        provider,
        subject
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The account of an identity, which is noted as used.
pub(super) async fn use_identity(
    connection: &mut PgConnection,
    provider: &str,
    subject: &str,
    email: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Option<Account>, sqlx::Error> {
    sqlx::query_as!(
        Account,
        r#"WITH used AS (
               UPDATE social_identities SET last_used_at = $4, email = COALESCE($3, email)
               WHERE provider = $1 AND subject = $2 RETURNING user_id)
           SELECT id, password_hash, role AS "role: UserRole", status AS "status: UserStatus",
                  token_version, created_at
           FROM users JOIN used ON used.user_id = users.id"#,
        provider,
        subject,
        email,
        now
    )
    .fetch_optional(connection)
    .await
}

/// Whose an identity is.
pub(super) async fn identity_owner(
    connection: &mut PgConnection,
    provider: &str,
    subject: &str,
) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT user_id FROM social_identities WHERE provider = $1 AND subject = $2",
        provider,
        subject
    )
    .fetch_optional(connection)
    .await
}

/// An account that has the e-mail of a person whose identity is new.
pub(super) struct LocalAccount {
    pub(super) id: Uuid,
    pub(super) role: UserRole,
    pub(super) status: UserStatus,
    pub(super) is_email_verified: bool,
    /// Whether it has an identity of that provider already.
    pub(super) has_provider: bool,
}

/// The account of an e-mail in its folded form, under a row lock.
pub(super) async fn lock_local(
    connection: &mut PgConnection,
    email_folded: &str,
    provider: &str,
) -> Result<Option<LocalAccount>, sqlx::Error> {
    sqlx::query_as!(
        LocalAccount,
        r#"SELECT id, role AS "role: UserRole", status AS "status: UserStatus",
                  email_verified_at IS NOT NULL AS "is_email_verified!",
                  EXISTS (SELECT FROM social_identities i
                          WHERE i.user_id = users.id AND i.provider = $2) AS "has_provider!"
           FROM users WHERE email_folded = $1 FOR UPDATE"#,
        email_folded,
        provider
    )
    .fetch_optional(connection)
    .await
}

/// An account to be made.
pub(super) struct NewAccount<'a> {
    pub(super) id: Uuid,
    /// Proved, or none.
    pub(super) email: Option<&'a str>,
    pub(super) nickname: &'a str,
    pub(super) picture: Option<&'a str>,
}

/// Makes it; `false`: its e-mail was taken a moment ago.
pub(super) async fn insert_account(
    connection: &mut PgConnection,
    account: &NewAccount<'_>,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let inserted = sqlx::query!(
        "INSERT INTO users (id, email, email_folded, email_verified_at, nickname, profile_image, created_at, updated_at)
         VALUES ($1, $2, $6, CASE WHEN $2::varchar IS NOT NULL THEN $5::timestamptz END, $3, $4, $5, $5)
         ON CONFLICT DO NOTHING",
        account.id,
        account.email,
        account.nickname,
        account.picture,
        now,
        account.email.map(fold)
    )
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Takes the e-mail, the password and the sessions from an account whose e-mail was never proved, and its application
/// out of the admins' list: nobody may be left there to be answered.
pub(super) async fn dispossess(
    connection: &mut PgConnection,
    user_id: Uuid,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE users SET email = NULL, password_hash = NULL,
             role = CASE status WHEN 'pending' THEN 'buyer' ELSE role END,
             status = CASE status WHEN 'pending' THEN 'active' ELSE status END
         WHERE id = $1",
        user_id
    )
    .execute(&mut *connection)
    .await?;
    sessions::end_all(connection, user_id, now).await
}

/// Links an identity. The caller holds its lock.
pub(super) async fn insert_identity(
    connection: &mut PgConnection,
    user_id: Uuid,
    provider: &str,
    subject: &str,
    email: Option<&str>,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let inserted = sqlx::query!(
        "INSERT INTO social_identities (provider, subject, user_id, email, linked_at, last_used_at)
         VALUES ($1, $2, $3, $4, $5, $5) ON CONFLICT DO NOTHING",
        provider,
        subject,
        user_id,
        email,
        now
    )
    .execute(&mut *connection)
    .await?;
    if inserted.rows_affected() == 0 {
        return Ok(false);
    }
    name_first(connection, user_id).await?;
    Ok(true)
}

/// Makes `users.social_provider` and `social_id` name the account's oldest identity, or none.
async fn name_first(connection: &mut PgConnection, user_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE users SET (social_provider, social_id) = (
             SELECT provider, subject FROM social_identities
             WHERE user_id = $1 ORDER BY linked_at, provider LIMIT 1)
         WHERE id = $1",
        user_id
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Locks an account's row; whether it can be signed in to by password. `None`: the session that asks has ended
/// since it was looked at (a new password, a suspension, a closing).
pub(super) async fn lock_account(
    connection: &mut PgConnection,
    user_id: Uuid,
    token_version: i32,
) -> Result<Option<bool>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT password_hash IS NOT NULL AND email IS NOT NULL AS "has_password!"
           FROM users
           WHERE id = $1 AND token_version = $2 AND status <> 'suspended' AND closed_at IS NULL FOR UPDATE"#,
        user_id,
        token_version
    )
    .fetch_optional(connection)
    .await
}

/// A linked identity.
pub(super) struct Identity {
    pub(super) provider: String,
    pub(super) email: Option<String>,
    pub(super) linked_at: DateTime<Utc>,
    pub(super) last_used_at: DateTime<Utc>,
}

/// An account's identities, oldest first.
pub(super) async fn identities(
    connection: &mut PgConnection,
    user_id: Uuid,
) -> Result<Vec<Identity>, sqlx::Error> {
    sqlx::query_as!(
        Identity,
        "SELECT provider, email, linked_at, last_used_at FROM social_identities
         WHERE user_id = $1 ORDER BY linked_at, provider",
        user_id
    )
    .fetch_all(connection)
    .await
}

/// Unlinks. The caller holds the account's lock.
pub(super) async fn delete_identity(
    connection: &mut PgConnection,
    user_id: Uuid,
    provider: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM social_identities WHERE user_id = $1 AND provider = $2", user_id, provider)
        .execute(&mut *connection)
        .await?;
    name_first(connection, user_id).await
}

/// Whether an account has a password to sign in with.
pub(super) async fn has_password(pool: &PgPool, user_id: Uuid) -> Result<bool, sqlx::Error> {
    let found = sqlx::query_scalar!(
        r#"SELECT password_hash IS NOT NULL AND email IS NOT NULL AS "has_password!"
           FROM users WHERE id = $1"#,
        user_id
    )
    .fetch_optional(pool)
    .await?;
    Ok(found.unwrap_or(false))
}
