//! Gonggus in PostgreSQL. Lock order of a write: the gonggu's row, then its categories.

use crate::gonggus::check::CheckedGonggu;
use crate::gonggus::types::{GongguFilter, GongguRow};
use crate::http::error::ApiError;
use crate::http::page::{Order, PageRequest};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool, Postgres, QueryBuilder, Transaction};
use uuid::Uuid;

/// What lists may be sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// When it was made.
    CreatedAt,
    /// When it opens.
    OpenAt,
    /// When it closes, early or not.
    CloseAt,
    /// Its price.
    GongguPrice,
    /// Its discount.
    DiscountRate,
    /// Its billable clicks.
    ClickCount,
}

impl Sort {
    /// By its name; none is the default.
    pub fn parse(name: Option<&str>) -> Option<Self> {
        match name {
            None | Some("created_at") => Some(Self::CreatedAt),
            Some("open_at") => Some(Self::OpenAt),
            Some("close_at") => Some(Self::CloseAt),
            Some("gonggu_price") => Some(Self::GongguPrice),
            Some("discount_rate") => Some(Self::DiscountRate),
            Some("click_count") => Some(Self::ClickCount),
            Some(_) => None,
        }
    }

    fn column(self) -> &'static str {
        match self {
            Self::CreatedAt => "g.created_at",
            Self::OpenAt => "g.open_at",
            Self::CloseAt => "least(g.close_at, g.closed_at)",
            Self::GongguPrice => "g.gonggu_price",
            Self::DiscountRate => "g.discount_rate",
            Self::ClickCount => "g.click_count",
        }
    }
}

/// One gonggu that is not deleted.
pub async fn by_id(connection: &mut PgConnection, id: Uuid) -> Result<Option<GongguRow>, sqlx::Error> {
    sqlx::query_as!(
        GongguRow,
        r#"SELECT g.id, g.influencer_id, u.nickname, u.profile_image, g.title, g.description,
                  g.original_price, g.gonggu_price, g.discount_rate::float8 AS "discount_rate!",
                  g.open_at, g.close_at, g.closed_at, g.external_url, g.thumbnail, g.click_count,
                  g.created_at, g.updated_at
           FROM gonggus g JOIN users u ON u.id = g.influencer_id
           WHERE g.id = $1 AND g.deleted_at IS NULL"#,
        id
    )
    .fetch_optional(connection)
    .await
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
         FROM unnest($2::uuid[]) WITH ORDINALITY AS given (id, slot) JOIN categories c ON c.id = given.id",
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

/// Deletes a gonggu softly; `false` if it was gone.
pub async fn delete(pool: &PgPool, id: Uuid, now: DateTime<Utc>) -> Result<bool, sqlx::Error> {
    let deleted = sqlx::query!(
        "UPDATE gonggus SET deleted_at = $2, updated_at = $2 WHERE id = $1 AND deleted_at IS NULL",
        id,
        now
    )
    .execute(pool)
    .await?;
    Ok(deleted.rows_affected() > 0)
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

/// A page of gonggus, and how many fit in all.
pub async fn list(
    pool: &PgPool,
    filter: &GongguFilter,
    page: PageRequest<Sort>,
    now: DateTime<Utc>,
) -> Result<(Vec<GongguRow>, i64), sqlx::Error> {
    let mut count = QueryBuilder::new("SELECT count(*) FROM gonggus g WHERE g.deleted_at IS NULL");
    narrow(&mut count, filter, now);
    let total: i64 = count.build_query_scalar().fetch_one(pool).await?;
    let mut rows = QueryBuilder::new(
        "SELECT g.id, g.influencer_id, u.nickname, u.profile_image, g.title, g.description,
                g.original_price, g.gonggu_price, g.discount_rate::float8 AS discount_rate,
                g.open_at, g.close_at, g.closed_at, g.external_url, g.thumbnail, g.click_count,
                g.created_at, g.updated_at
         FROM gonggus g JOIN users u ON u.id = g.influencer_id WHERE g.deleted_at IS NULL",
    );
    narrow(&mut rows, filter, now);
    let direction = match page.order {
        Order::Asc => " ASC",
        Order::Desc => " DESC",
    };
    // the id makes the order whole: no row stands on two pages
    rows.push(" ORDER BY ").push(page.sort.column()).push(direction).push(", g.id").push(direction);
    rows.push(" LIMIT ").push_bind(page.size).push(" OFFSET ").push_bind(page.offset());
    let rows = rows.build_query_as::<GongguRow>().fetch_all(pool).await?;
    Ok((rows, total))
}

fn narrow(query: &mut QueryBuilder<Postgres>, filter: &GongguFilter, now: DateTime<Utc>) {
    if let Some(status) = filter.status {
        query.push(" AND gonggu_status_at(g.open_at, g.close_at, g.closed_at, ").push_bind(now);
        query.push(")::text = ").push_bind(status.as_str());
    }
    if let Some(influencer_id) = filter.influencer_id {
        query.push(" AND g.influencer_id = ").push_bind(influencer_id);
    }
    if let Some(category) = filter.category {
        query.push(
            " AND EXISTS (SELECT 1 FROM gonggu_categories gc JOIN categories c ON c.id = gc.category_id
               WHERE gc.gonggu_id = g.id AND ",
        );
        query.push_bind(category).push(" IN (c.id, c.parent_id))");
    }
    if let Some(text) = filter.q.as_deref().map(str::trim).filter(|text| !text.is_empty()) {
        query.push(" AND strpos(lower(g.title), lower(").push_bind(text.replace('\0', "")).push(")) > 0");
    }
}
