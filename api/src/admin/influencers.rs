//! Applications of influencers, as admins decide them.

use crate::admin::types::{AdminInfluencerResponse, ApplicationStatus};
use crate::http::error::ApiError;
use crate::http::page::{Order, PageRequest};
use crate::users::types::{UserRole, UserStatus};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// A page of those who wait, or who were approved, and how many there are.
pub async fn list(
    pool: &PgPool,
    status: ApplicationStatus,
    page: PageRequest<()>,
) -> Result<(Vec<AdminInfluencerResponse>, i64), sqlx::Error> {
    let pending = status == ApplicationStatus::Pending;
    let total = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM users u LEFT JOIN influencer_profiles p ON p.user_id = u.id
           WHERE CASE WHEN $1 THEN u.status = 'pending'
                      ELSE u.role = 'influencer' AND COALESCE(p.is_verified, false) END"#,
        pending
    )
    .fetch_one(pool)
    .await?;
    let items = sqlx::query_as!(
        AdminInfluencerResponse,
        r#"SELECT u.id, u.email, u.nickname, u.role AS "role: UserRole", u.status AS "status: UserStatus",
                  COALESCE(p.is_verified, false) AS "is_verified!", COALESCE(p.bio, '') AS "bio!",
                  p.instagram_url AS "instagram_url?", p.tiktok_url AS "tiktok_url?", u.created_at
           FROM users u LEFT JOIN influencer_profiles p ON p.user_id = u.id
           WHERE CASE WHEN $1 THEN u.status = 'pending'
                      ELSE u.role = 'influencer' AND COALESCE(p.is_verified, false) END
           ORDER BY CASE WHEN $4 THEN u.created_at END, u.created_at DESC, u.id DESC
           LIMIT $2 OFFSET $3"#,
        pending,
        page.size,
        page.offset(),
        page.order == Order::Asc
    )
    .fetch_all(pool)
    .await?;
    Ok((items, total))
}

/// Makes an applicant a verified influencer.
pub async fn approve(
    connection: &mut PgConnection,
    user_id: Uuid,
    _reason: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), ApiError> {
    decide(&mut *connection, user_id, UserRole::Influencer, now).await?;
    sqlx::query!(
        "INSERT INTO influencer_profiles (id, user_id, is_verified) VALUES ($1, $2, true)
         ON CONFLICT (user_id) DO UPDATE SET is_verified = true",
        Uuid::now_v7(),
        user_id
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Makes an applicant a buyer, who may apply again.
pub async fn reject(
    connection: &mut PgConnection,
    user_id: Uuid,
    _reason: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), ApiError> {
    decide(&mut *connection, user_id, UserRole::Buyer, now).await?;
    sqlx::query!("UPDATE influencer_profiles SET is_verified = false WHERE user_id = $1", user_id)
        .execute(connection)
        .await?;
    Ok(())
}

/// The applicant's row orders two decisions: the second finds nobody who waits.
async fn decide(
    connection: &mut PgConnection,
    user_id: Uuid,
    role: UserRole,
    now: DateTime<Utc>,
) -> Result<(), ApiError> {
    let decided = sqlx::query!(
        "UPDATE users SET status = 'active', role = $2, updated_at = $3 WHERE id = $1 AND status = 'pending'",
        user_id,
        role as UserRole,
        now
    )
    .execute(&mut *connection)
    .await?;
    if decided.rows_affected() > 0 {
        return Ok(());
    }
    let known = sqlx::query_scalar!("SELECT id FROM users WHERE id = $1", user_id);
    let known = known.fetch_optional(connection).await?;
    Err(if known.is_some() { ApiError::InfluencerNotPending } else { ApiError::InfluencerNotFound })
}
