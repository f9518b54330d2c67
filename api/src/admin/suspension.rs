//! Suspending an account, and taking it back.
//!
//! Invariants: an admin does not suspend himself, and whoever suspends is an active admin at that moment, also
//! when two suspend each other at once: so one always remains; a suspended account has no session: its access tokens are of an old version, its
//! refresh tokens are revoked, and so are those that a login under way made meanwhile, at the latest when the
//! suspension is taken back. What the account was before (an applicant, say) it is again afterwards.
//!
//! Lock order: the rows of the target and of all admins by id, then the target's refresh tokens.

use crate::admin::audit::{self, AuditEntry};
use crate::admin::types::AdminUserStatus;
use crate::auth::sessions;
use crate::http::error::ApiError;
use crate::users::types::{UserRole, UserStatus};
use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

/// A change that an admin asks for.
#[derive(Clone, Debug)]
pub struct StatusChange<'a> {
    /// Who asks.
    pub actor_id: Uuid,
    /// Whose account.
    pub user_id: Uuid,
    /// What it becomes.
    pub status: AdminUserStatus,
    /// Why; there is one when it suspends.
    pub reason: &'a str,
}

struct Standing {
    id: Uuid,
    role: UserRole,
    status: UserStatus,
}

/// Makes the change, with its entry in the log; nothing, if the account is so already.
pub async fn change(
    connection: &mut PgConnection,
    change: &StatusChange<'_>,
    now: DateTime<Utc>,
) -> Result<(), ApiError> {
    let standings = lock(&mut *connection, change.user_id).await?;
    let find = |id: Uuid| standings.iter().find(|standing| standing.id == id);
    let target = find(change.user_id).ok_or(ApiError::UserNotFound)?;
    if change.user_id == change.actor_id {
        return Err(ApiError::OwnAccount);
    }
    // suspended or demoted by another while this request waited for its turn
    let is_active_admin = find(change.actor_id)
        .is_some_and(|actor| actor.role == UserRole::Admin && actor.status == UserStatus::Active);
    if !is_active_admin {
        return Err(ApiError::Forbidden);
    }
    let is_suspended = target.status == UserStatus::Suspended;
    match change.status {
        AdminUserStatus::Suspended if !is_suspended => suspend(connection, change, target.status, now).await,
        AdminUserStatus::Active if is_suspended => reactivate(connection, change, now).await,
        // a pending applicant is approved or rejected, not activated
        AdminUserStatus::Active if target.status == UserStatus::Pending => {
            Err(ApiError::field("status", "심사 대기 중인 회원은 승인 또는 반려해 주세요"))
        }
        AdminUserStatus::Suspended | AdminUserStatus::Active => Ok(()),
    }
}

/// The target (a closed account is nobody any more) and all admins, held until the transaction ends.
async fn lock(connection: &mut PgConnection, user_id: Uuid) -> Result<Vec<Standing>, sqlx::Error> {
    // not FOR UPDATE: what merely refers to an account need not wait
    sqlx::query_as!(
        Standing,
        r#"SELECT id, role AS "role: UserRole", status AS "status: UserStatus" FROM users
           WHERE (id = $1 AND closed_at IS NULL) OR role = 'admin' ORDER BY id FOR NO KEY UPDATE"#,
        user_id
    )
    .fetch_all(connection)
    .await
}

async fn suspend(
    connection: &mut PgConnection,
    change: &StatusChange<'_>,
    previous: UserStatus,
    now: DateTime<Utc>,
) -> Result<(), ApiError> {
    sqlx::query!(
        "INSERT INTO user_suspensions (user_id, reason, previous_status, suspended_at, suspended_by)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (user_id) DO UPDATE
         SET reason = excluded.reason, previous_status = excluded.previous_status,
             suspended_at = excluded.suspended_at, suspended_by = excluded.suspended_by",
        change.user_id,
        change.reason,
        previous as UserStatus,
        now,
        change.actor_id
    )
    .execute(&mut *connection)
    .await?;
    set_status(&mut *connection, change.user_id, UserStatus::Suspended, now).await?;
    sessions::end_all(&mut *connection, change.user_id, now).await?;
    let details = json!({"reason": change.reason, "previous_status": previous});
    record(connection, change, "user.suspend", details).await
}

async fn reactivate(
    connection: &mut PgConnection,
    change: &StatusChange<'_>,
    now: DateTime<Utc>,
) -> Result<(), ApiError> {
    // one that a hand in the database suspended has no row, and becomes active
    let previous = sqlx::query_scalar!(
        r#"DELETE FROM user_suspensions WHERE user_id = $1 RETURNING previous_status AS "status: UserStatus""#,
        change.user_id
    )
    .fetch_optional(&mut *connection)
    .await?
    .unwrap_or(UserStatus::Active);
    set_status(&mut *connection, change.user_id, previous, now).await?;
    sessions::end_all(&mut *connection, change.user_id, now).await?;
    record(connection, change, "user.reactivate", json!({"reason": change.reason, "status": previous})).await
}

/// Sets the status; a notification tells every edge, and older access tokens end.
async fn set_status(
    connection: &mut PgConnection,
    user_id: Uuid,
    status: UserStatus,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE users SET status = $2, updated_at = $3 WHERE id = $1",
        user_id,
        status as UserStatus,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn record(
    connection: &mut PgConnection,
    change: &StatusChange<'_>,
    action: &'static str,
    details: serde_json::Value,
) -> Result<(), ApiError> {
    let entry = AuditEntry::new(change.actor_id, action, ("user", change.user_id), details);
    Ok(audit::record(connection, &entry).await?)
}
