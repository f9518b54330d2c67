//! Applications of influencers, as admins see them; what a decision does is `influencers::lifecycle`'s.

use crate::admin::types::{AdminInfluencerResponse, ApplicationStatus};
use crate::http::page::{Order, PageRequest};
use crate::users::types::{UserRole, UserStatus};
use sqlx::PgPool;

/// A page of those who wait, were approved or were refused, and how many there are.
pub async fn list(
    pool: &PgPool,
    status: ApplicationStatus,
    page: PageRequest<()>,
) -> Result<(Vec<AdminInfluencerResponse>, i64), sqlx::Error> {
    let status = status.as_str();
    let total = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM users u LEFT JOIN influencer_profiles p ON p.user_id = u.id
           WHERE CASE $1 WHEN 'pending' THEN u.status = 'pending'
                           WHEN 'approved' THEN u.role = 'influencer' AND COALESCE(p.is_verified, false)
                           ELSE u.role = 'buyer' AND u.status = 'active' AND p.decided_at IS NOT NULL END"#,
        status
    )
    .fetch_one(pool)
    .await?;
    let items = sqlx::query_as!(
        AdminInfluencerResponse,
        r#"SELECT u.id, u.email, u.nickname, u.role AS "role: UserRole", u.status AS "status: UserStatus",
                  COALESCE(p.is_verified, false) AS "is_verified!", COALESCE(p.bio, '') AS "bio!",
                  p.instagram_url AS "instagram_url?", p.tiktok_url AS "tiktok_url?", p.applied_at AS "applied_at?",
                  p.decided_at AS "decided_at?", p.refusal_reason AS "refusal_reason?", u.created_at
           FROM users u LEFT JOIN influencer_profiles p ON p.user_id = u.id
           WHERE CASE $1 WHEN 'pending' THEN u.status = 'pending'
                           WHEN 'approved' THEN u.role = 'influencer' AND COALESCE(p.is_verified, false)
                           ELSE u.role = 'buyer' AND u.status = 'active' AND p.decided_at IS NOT NULL END
           ORDER BY CASE WHEN $4 THEN u.created_at END, u.created_at DESC, u.id DESC
           LIMIT $2 OFFSET $3"#,
        status,
        page.size,
        page.offset(),
        page.order == Order::Asc
    )
    .fetch_all(pool)
    .await?;
    Ok((items, total))
}
