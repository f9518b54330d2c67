//! From buyer to influencer and back: apply, approve, reject, apply again.
//!
//! ```text
//! buyer, active ──apply──▶ pending ──approve──▶ influencer, active, verified
//!       ▲                     │
//!       └───────reject────────┘  with the reason; may apply again
//! ```
//!
//! Invariants: role, status and `is_verified` change together, under the lock of the account's row, which every
//! step takes first (lock order: account, then profile); a step that does not follow from where the account stands
//! changes nothing and says so. A sign-up as influencer is an application too. Each step changes
//! `users.status`, which tells all processes to forget who the account was; this one forgets by
//! [`in_force`], which the caller calls after its commit.

use crate::app::App;
use crate::http::error::ApiError;
use crate::influencers::check::CheckedProfile;
use crate::users::types::{UserRole, UserStatus};
use chrono::{DateTime, Utc};
use gonggumoa_core::ids::UserId;
use sqlx::PgConnection;
use uuid::Uuid;

/// The width of the column.
pub const REASON_MAX_CHARS: usize = 500;

/// Why a step was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LifecycleError {
    /// There is no such account.
    #[error("account not found")]
    NotFound,
    /// The account is an influencer's or an admin's.
    #[error("already an influencer")]
    AlreadyInfluencer,
    /// The account waits for a decision.
    #[error("application pending")]
    Pending,
    /// The account waits for none.
    #[error("application not pending")]
    NotPending,
    /// The account is suspended.
    #[error("account suspended")]
    Suspended,
    /// PostgreSQL.
    #[error("the application could not be stored")]
    Database(#[from] sqlx::Error),
}

impl LifecycleError {
    /// Whether the same step may work later.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Database(_) => true,
            Self::NotFound | Self::AlreadyInfluencer | Self::Pending | Self::NotPending | Self::Suspended => {
                false
            }
        }
    }
}

impl From<LifecycleError> for ApiError {
    fn from(error: LifecycleError) -> Self {
        match error {
            LifecycleError::NotFound => Self::InfluencerNotFound,
            LifecycleError::AlreadyInfluencer => Self::AlreadyInfluencer,
            LifecycleError::Pending => Self::ApplicationPending,
            LifecycleError::NotPending => Self::ApplicationNotPending,
            LifecycleError::Suspended => Self::AccountSuspended,
            LifecycleError::Database(error) => error.into(),
        }
    }
}

/// A buyer asks to become an influencer.
pub async fn apply(
    connection: &mut PgConnection,
    user_id: Uuid,
    profile: &CheckedProfile,
    now: DateTime<Utc>,
) -> Result<(), LifecycleError> {
    match locked(connection, user_id).await? {
        (_, UserStatus::Suspended) => return Err(LifecycleError::Suspended),
        (_, UserStatus::Pending) => return Err(LifecycleError::Pending),
        (UserRole::Influencer | UserRole::Admin, UserStatus::Active) => {
            return Err(LifecycleError::AlreadyInfluencer);
        }
        (UserRole::Buyer, UserStatus::Active) => {}
    }
    stand(connection, user_id, UserRole::Buyer, UserStatus::Pending, now).await?;
    sqlx::query!(
        "INSERT INTO influencer_profiles AS p (id, user_id, bio, banner_image, instagram_url, tiktok_url, applied_at)
         VALUES ($1, $2, COALESCE($3, ''), NULLIF($4, ''), NULLIF($5, ''), NULLIF($6, ''), $7)
         ON CONFLICT (user_id) DO UPDATE SET
             bio = COALESCE($3, p.bio),
             banner_image = NULLIF(COALESCE($4, p.banner_image), ''),
             instagram_url = NULLIF(COALESCE($5, p.instagram_url), ''),
             tiktok_url = NULLIF(COALESCE($6, p.tiktok_url), ''),
             is_verified = false, applied_at = $7, decided_at = NULL, refusal_reason = NULL",
        Uuid::now_v7(),
        user_id,
        profile.bio,
        profile.banner_image,
        profile.instagram_url,
        profile.tiktok_url,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Makes a verified influencer of who waits for it. `reason` is for the caller's audit entry and notification;
/// an approval keeps none.
pub async fn approve(
    connection: &mut PgConnection,
    user_id: Uuid,
    _reason: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), LifecycleError> {
    waiting(connection, user_id).await?;
    stand(connection, user_id, UserRole::Influencer, UserStatus::Active, now).await?;
    decide(connection, user_id, true, None, now).await
}

/// Makes a buyer again of who waits to become an influencer, with the reason if one is given (cut at
/// [`REASON_MAX_CHARS`]).
pub async fn reject(
    connection: &mut PgConnection,
    user_id: Uuid,
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), LifecycleError> {
    waiting(connection, user_id).await?;
    stand(connection, user_id, UserRole::Buyer, UserStatus::Active, now).await?;
    let reason: Option<String> =
        reason.map(|reason| reason.trim().replace('\0', "").chars().take(REASON_MAX_CHARS).collect());
    let reason = reason.filter(|reason| !reason.is_empty());
    decide(connection, user_id, false, reason.as_deref(), now).await
}

/// After the commit of a step: this process no longer remembers who the account was, and its links follow.
/// Other processes are told by the database.
pub async fn in_force(app: &App, user_id: Uuid) {
    app.identities.forget(UserId(user_id));
    app.catalog.changed();
    if let Err(error) = app.links.refresh_owner(UserId(user_id)).await {
        tracing::warn!(
            error = &error as &(dyn std::error::Error + 'static),
            user.id = %user_id,
            "an account's change is stored but could not be read back for redirects; the notification does it"
        );
    }
}

async fn waiting(connection: &mut PgConnection, user_id: Uuid) -> Result<(), LifecycleError> {
    match locked(connection, user_id).await? {
        (UserRole::Buyer | UserRole::Influencer, UserStatus::Pending) => Ok(()),
        (UserRole::Admin, UserStatus::Pending) | (_, UserStatus::Active | UserStatus::Suspended) => {
            Err(LifecycleError::NotPending)
        }
    }
}

/// Where the account stands, under its row's lock.
async fn locked(
    connection: &mut PgConnection,
    user_id: Uuid,
) -> Result<(UserRole, UserStatus), LifecycleError> {
    let row = sqlx::query!(
        r#"SELECT role AS "role: UserRole", status AS "status: UserStatus" FROM users WHERE id = $1 FOR NO KEY UPDATE"#,
        user_id
    )
    .fetch_optional(connection)
    .await?;
    row.map(|row| (row.role, row.status)).ok_or(LifecycleError::NotFound)
}

async fn stand(
    connection: &mut PgConnection,
    user_id: Uuid,
    role: UserRole,
    status: UserStatus,
    now: DateTime<Utc>,
) -> Result<(), LifecycleError> {
    sqlx::query!(
        "UPDATE users SET role = $2, status = $3, updated_at = $4 WHERE id = $1",
        user_id,
        role as _,
        status as _,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Who signed up as an influencer may have no profile yet.
async fn decide(
    connection: &mut PgConnection,
    user_id: Uuid,
    is_verified: bool,
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), LifecycleError> {
    sqlx::query!(
        "INSERT INTO influencer_profiles (id, user_id, is_verified, decided_at, refusal_reason)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (user_id) DO UPDATE SET is_verified = $3, decided_at = $4, refusal_reason = $5",
        Uuid::now_v7(),
        user_id,
        is_verified,
        now,
        reason
    )
    .execute(connection)
    .await?;
    Ok(())
}
