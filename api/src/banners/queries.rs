//! Banners in PostgreSQL.

use crate::banners::check::CheckedBanner;
use crate::banners::types::{BannerResponse, ShownBannerResponse};
use crate::http::page::{Order, PageRequest};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool, QueryBuilder};
use uuid::Uuid;

/// More than any page shows; what stands behind them is not shown at all.
const SHOWN_MAX: i64 = 100;

/// What lists of banners may be sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// When it was made.
    CreatedAt,
    /// Its place.
    SortOrder,
    /// From when it is shown.
    StartsAt,
    /// Until when.
    EndsAt,
}

impl Sort {
    /// By its name; none is the default.
    pub fn parse(name: Option<&str>) -> Option<Self> {
        match name {
            None | Some("created_at") => Some(Self::CreatedAt),
            Some("sort_order") => Some(Self::SortOrder),
            Some("starts_at") => Some(Self::StartsAt),
            Some("ends_at") => Some(Self::EndsAt),
            Some(_) => None,
        }
    }

    fn column(self) -> &'static str {
        match self {
            Self::CreatedAt => "created_at",
            Self::SortOrder => "sort_order",
            Self::StartsAt => "starts_at",
            Self::EndsAt => "ends_at",
        }
    }
}

/// What is shown at `now`, in order.
pub async fn shown(
    pool: &PgPool,
    slot: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Vec<ShownBannerResponse>, sqlx::Error> {
    sqlx::query_as!(
        ShownBannerResponse,
        "SELECT id, slot, image_url, link_url FROM banners
         WHERE ($1::text IS NULL OR slot = $1) AND active
           AND (starts_at IS NULL OR starts_at <= $2) AND (ends_at IS NULL OR $2 < ends_at)
         ORDER BY slot, sort_order, id LIMIT $3",
        slot,
        now,
        SHOWN_MAX
    )
    .fetch_all(pool)
    .await
}

/// A page of banners, shown or not, and how many fit.
pub async fn list(
    pool: &PgPool,
    slot: Option<&str>,
    page: PageRequest<Sort>,
) -> Result<(Vec<BannerResponse>, i64), sqlx::Error> {
    let total = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM banners WHERE $1::text IS NULL OR slot = $1"#,
        slot
    );
    let total = total.fetch_one(pool).await?;
    let mut rows = QueryBuilder::new(
        "SELECT id, slot, image_url, link_url, sort_order, starts_at, ends_at, active, created_at, updated_at
         FROM banners WHERE true",
    );
    if let Some(slot) = slot {
        rows.push(" AND slot = ").push_bind(slot);
    }
    let direction = match page.order {
        Order::Asc => " ASC",
        Order::Desc => " DESC",
    };
    rows.push(" ORDER BY ").push(page.sort.column()).push(direction).push(", id").push(direction);
    rows.push(" LIMIT ").push_bind(page.size).push(" OFFSET ").push_bind(page.offset());
    Ok((rows.build_query_as().fetch_all(pool).await?, total))
}

/// One banner, its row locked until the transaction ends.
pub async fn lock(connection: &mut PgConnection, id: Uuid) -> Result<Option<BannerResponse>, sqlx::Error> {
    sqlx::query_as!(
        BannerResponse,
        "SELECT id, slot, image_url, link_url, sort_order, starts_at, ends_at, active, created_at, updated_at
         FROM banners WHERE id = $1 FOR UPDATE",
        id
    )
    .fetch_optional(connection)
    .await
}

/// Adds a banner.
pub async fn insert(
    connection: &mut PgConnection,
    banner: &CheckedBanner,
    now: DateTime<Utc>,
) -> Result<BannerResponse, sqlx::Error> {
    sqlx::query_as!(
        BannerResponse,
        "INSERT INTO banners (id, slot, image_url, link_url, sort_order, starts_at, ends_at, active, created_at,
                              updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
         RETURNING id, slot, image_url, link_url, sort_order, starts_at, ends_at, active, created_at, updated_at",
        Uuid::now_v7(),
        banner.slot,
        banner.image_url,
        banner.link_url,
        banner.sort_order,
        banner.starts_at,
        banner.ends_at,
        banner.active,
        now
    )
    .fetch_one(connection)
    .await
}

/// Replaces a banner. The caller holds its lock.
pub async fn update(
    connection: &mut PgConnection,
    id: Uuid,
    banner: &CheckedBanner,
    now: DateTime<Utc>,
) -> Result<BannerResponse, sqlx::Error> {
    sqlx::query_as!(
        BannerResponse,
        "UPDATE banners SET slot = $2, image_url = $3, link_url = $4, sort_order = $5, starts_at = $6,
                ends_at = $7, active = $8, updated_at = $9
         WHERE id = $1
         RETURNING id, slot, image_url, link_url, sort_order, starts_at, ends_at, active, created_at, updated_at",
        id,
        banner.slot,
        banner.image_url,
        banner.link_url,
        banner.sort_order,
        banner.starts_at,
        banner.ends_at,
        banner.active,
        now
    )
    .fetch_one(connection)
    .await
}

/// Removes a banner. The caller holds its lock.
pub async fn delete(connection: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM banners WHERE id = $1", id).execute(connection).await?;
    Ok(())
}
