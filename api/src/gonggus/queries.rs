//! Gonggus in PostgreSQL. Lock order of a write: the gonggu's row, then its categories.

use crate::categories::types::CategoryResponse;
use crate::gonggus::check::CheckedGonggu;
use crate::gonggus::types::GongguRow;
use crate::http::error::ApiError;
use chrono::{DateTime, Utc};
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use uuid::Uuid;

/// One gonggu that is not deleted, as `viewer_id` (or nobody) sees it.
pub async fn by_id(
    connection: &mut PgConnection,
    id: Uuid,
    viewer_id: Option<Uuid>,
) -> Result<Option<GongguRow>, sqlx::Error> {
    sqlx::query_file_as!(GongguRow, "src/gonggus/detail.sql", id, viewer_id).fetch_optional(connection).await
}

/// Takes the row's lock, so that two changes of one gonggu follow each other.
pub async fn lock(transaction: &mut Transaction<'_, Postgres>, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("SELECT id FROM gonggus WHERE id = $1 FOR UPDATE", id)
        .fetch_optional(&mut **transaction)
        .await?;
    Ok(())
}

/// Adds a gonggu.
pub async fn insert(
    transaction: &mut Transaction<'_, Postgres>,
    id: Uuid,
    owner_id: Uuid,
    gonggu: &CheckedGonggu,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO gonggus (id, influencer_id, title, description, original_price, gonggu_price,
                              open_at, close_at, external_url, thumbnail, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)",
        id,
        owner_id,
        gonggu.title,
        gonggu.description,
        gonggu.original_price,
        gonggu.gonggu_price,
        gonggu.open_at,
        gonggu.close_at,
        gonggu.external_url,
        gonggu.thumbnail,
        now
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Changes a gonggu.
pub async fn update(
    transaction: &mut Transaction<'_, Postgres>,
    id: Uuid,
    gonggu: &CheckedGonggu,
    closed_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE gonggus SET title = $2, description = $3, original_price = $4, gonggu_price = $5,
                open_at = $6, close_at = $7, external_url = $8, thumbnail = $9, closed_at = $10,
                updated_at = $11
         WHERE id = $1",
        id,
        gonggu.title,
        gonggu.description,
        gonggu.original_price,
        gonggu.gonggu_price,
        gonggu.open_at,
        gonggu.close_at,
        gonggu.external_url,
        gonggu.thumbnail,
        closed_at,
        now
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Replaces the categories of a gonggu.
pub async fn set_categories(
    transaction: &mut Transaction<'_, Postgres>,
    id: Uuid,
    category_ids: &[Uuid],
) -> Result<(), ApiError> {
    sqlx::query!("DELETE FROM gonggu_categories WHERE gonggu_id = $1", id)
        .execute(&mut **transaction)
        .await?;
    let inserted = sqlx::query!(
        "INSERT INTO gonggu_categories (gonggu_id, category_id, slot)
         SELECT $1, c.id, given.slot::smallint
         FROM unnest($2::uuid[]) WITH ORDINALITY AS given (id, slot) JOIN categories c ON c.id = given.id
         -- against a deletion that runs at the same time: it waits, or there is no such category
         ORDER BY c.id FOR KEY SHARE OF c",
        id,
        category_ids
    )
    .execute(&mut **transaction)
    .await?;
    if inserted.rows_affected() == category_ids.len() as u64 {
        Ok(())
    } else {
        Err(ApiError::field("category_ids", "존재하지 않는 카테고리입니다"))
    }
}

/// Deletes a gonggu softly. The caller holds its lock.
pub async fn delete(connection: &mut PgConnection, id: Uuid, now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE gonggus SET deleted_at = $2, updated_at = $2 WHERE id = $1 AND deleted_at IS NULL",
        id,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether an account may own gonggus: a verified influencer, or an admin.
pub async fn may_own(pool: &PgPool, user_id: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (
               SELECT 1 FROM users u LEFT JOIN influencer_profiles p ON p.user_id = u.id
               WHERE u.id = $1 AND u.status = 'active'
                 AND (u.role = 'admin' OR (u.role = 'influencer' AND p.is_verified))) AS "may!""#,
        user_id
    )
    .fetch_one(pool)
    .await
}
