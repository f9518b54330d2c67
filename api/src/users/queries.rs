//! Accounts in PostgreSQL.

use crate::users::check::CheckedUpdate;
use crate::users::types::{ProfileResponse, UserRole, UserStatus};
use chrono::{DateTime, Utc};
use gonggumoa_core::ids::UserId;
use sqlx::PgPool;

/// One account, as its owner sees it. A closed one is none.
pub async fn profile(pool: &PgPool, id: UserId) -> Result<Option<ProfileResponse>, sqlx::Error> {
    sqlx::query_as!(
        ProfileResponse,
        r#"SELECT id, email, email_verified_at IS NOT NULL AS "email_verified!", nickname,
                  role AS "role: UserRole", status AS "status: UserStatus", profile_image, phone_number, created_at
           FROM users WHERE id = $1 AND closed_at IS NULL"#,
        id.0
    )
    .fetch_optional(pool)
    .await
}

/// Changes a profile; `None` if the account is gone.
pub async fn update(
    pool: &PgPool,
    id: UserId,
    change: &CheckedUpdate,
    now: DateTime<Utc>,
) -> Result<Option<ProfileResponse>, sqlx::Error> {
    sqlx::query_as!(
        ProfileResponse,
        r#"UPDATE users SET
               nickname = COALESCE($2, nickname),
               profile_image = CASE WHEN $3 THEN $4 ELSE profile_image END,
               phone_number = CASE WHEN $5 THEN $6 ELSE phone_number END,
               updated_at = $7
           WHERE id = $1 AND closed_at IS NULL
           RETURNING id, email, email_verified_at IS NOT NULL AS "email_verified!", nickname,
                     role AS "role: UserRole", status AS "status: UserStatus", profile_image, phone_number, created_at"#,
        id.0,
        change.nickname,
        change.profile_image.is_some(),
        change.profile_image.clone().flatten(),
        change.phone_number.is_some(),
        change.phone_number.clone().flatten(),
        now
    )
    .fetch_optional(pool)
    .await
}
