//! Accounts in PostgreSQL.

use crate::users::types::{UserResponse, UserRole, UserStatus};
use gonggumoa_core::ids::UserId;
use sqlx::PgPool;

/// One account.
pub async fn by_id(pool: &PgPool, id: UserId) -> Result<Option<UserResponse>, sqlx::Error> {
    sqlx::query_as!(
        UserResponse,
        r#"SELECT id, email, nickname, role AS "role: UserRole", status AS "status: UserStatus",
                  profile_image, created_at
           FROM users WHERE id = $1"#,
        id.0
    )
    .fetch_optional(pool)
    .await
}
