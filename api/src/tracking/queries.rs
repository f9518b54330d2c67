//! What tracking asks the catalog.

use chrono::{DateTime, Utc};
use gonggumoa_core::ids::{GongguId, UserId};
use sqlx::PgPool;

/// Whose a gonggu is, and since when there is one.
#[derive(Clone, Copy, Debug)]
pub struct GongguOwner {
    /// Its owner.
    pub owner_id: UserId,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// Deleted gonggus too: their clicks and money stay, and so does the right to see them.
pub async fn gonggu_owner(pool: &PgPool, id: GongguId) -> Result<Option<GongguOwner>, sqlx::Error> {
    let row = sqlx::query!("SELECT influencer_id, created_at FROM gonggus WHERE id = $1", id.0)
        .fetch_optional(pool)
        .await?;
    Ok(row.map(|row| GongguOwner { owner_id: UserId(row.influencer_id), created_at: row.created_at }))
}
