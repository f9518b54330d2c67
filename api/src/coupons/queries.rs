//! Coupons in PostgreSQL. Lock order: the coupon's row, then the balance of whoever redeems it.

use crate::coupons::check::CheckedCoupon;
use crate::coupons::types::{CouponRedemptionResponse, CouponResponse};
use crate::http::error::ApiError;
use crate::http::page::{Order, PageRequest};
use crate::points::queries::{self as points, NewPointEntry};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool, QueryBuilder};
use uuid::Uuid;

/// What lists of coupons may be sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// When it was made.
    CreatedAt,
    /// From when it can be redeemed.
    StartsAt,
    /// Until when.
    EndsAt,
    /// How many have.
    RedeemedCount,
}

impl Sort {
    /// By its name; none is the default.
    pub fn parse(name: Option<&str>) -> Option<Self> {
        match name {
            None | Some("created_at") => Some(Self::CreatedAt),
            Some("starts_at") => Some(Self::StartsAt),
            Some("ends_at") => Some(Self::EndsAt),
            Some("redeemed_count") => Some(Self::RedeemedCount),
            Some(_) => None,
        }
    }

    fn column(self) -> &'static str {
        match self {
            Self::CreatedAt => "created_at",
            Self::StartsAt => "starts_at",
            Self::EndsAt => "ends_at",
            Self::RedeemedCount => "redeemed_count",
        }
    }
}

/// A page of coupons, and how many there are.
pub async fn list(pool: &PgPool, page: PageRequest<Sort>) -> Result<(Vec<CouponResponse>, i64), sqlx::Error> {
    let total = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM coupons WHERE deleted_at IS NULL"#);
    let total = total.fetch_one(pool).await?;
    let mut rows = QueryBuilder::new(
        "SELECT id, code, name, points, starts_at, ends_at, total_limit, redeemed_count, active, created_at,
                updated_at
         FROM coupons WHERE deleted_at IS NULL",
    );
    let direction = match page.order {
        Order::Asc => " ASC",
        Order::Desc => " DESC",
    };
    rows.push(" ORDER BY ").push(page.sort.column()).push(direction).push(", id").push(direction);
    rows.push(" LIMIT ").push_bind(page.size).push(" OFFSET ").push_bind(page.offset());
    Ok((rows.build_query_as().fetch_all(pool).await?, total))
}

/// One coupon, its row locked until the transaction ends.
pub async fn lock(connection: &mut PgConnection, id: Uuid) -> Result<Option<CouponResponse>, sqlx::Error> {
    sqlx::query_as!(
        CouponResponse,
        "SELECT id, code, name, points, starts_at, ends_at, total_limit, redeemed_count, active, created_at,
                updated_at
         FROM coupons WHERE id = $1 AND deleted_at IS NULL FOR UPDATE",
        id
    )
    .fetch_optional(connection)
    .await
}

/// Adds a coupon.
pub async fn insert(
    connection: &mut PgConnection,
    coupon: &CheckedCoupon,
    now: DateTime<Utc>,
) -> Result<CouponResponse, ApiError> {
    let inserted = sqlx::query_as!(
        CouponResponse,
        "INSERT INTO coupons (id, code, code_key, name, points, starts_at, ends_at, total_limit, active,
                              created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)
         RETURNING id, code, name, points, starts_at, ends_at, total_limit, redeemed_count, active,
                   created_at, updated_at",
        Uuid::now_v7(),
        coupon.code,
        coupon.code_key,
        coupon.name,
        coupon.points,
        coupon.starts_at,
        coupon.ends_at,
        coupon.total_limit,
        coupon.active,
        now
    );
    inserted.fetch_one(connection).await.map_err(refused)
}

/// Replaces a coupon. The caller holds its lock.
pub async fn update(
    connection: &mut PgConnection,
    id: Uuid,
    coupon: &CheckedCoupon,
    now: DateTime<Utc>,
) -> Result<CouponResponse, ApiError> {
    let updated = sqlx::query_as!(
        CouponResponse,
        "UPDATE coupons SET code = $2, code_key = $3, name = $4, points = $5, starts_at = $6, ends_at = $7,
                total_limit = $8, active = $9, updated_at = $10
         WHERE id = $1
         RETURNING id, code, name, points, starts_at, ends_at, total_limit, redeemed_count, active,
                   created_at, updated_at",
        id,
        coupon.code,
        coupon.code_key,
        coupon.name,
        coupon.points,
        coupon.starts_at,
        coupon.ends_at,
        coupon.total_limit,
        coupon.active,
        now
    );
    updated.fetch_one(connection).await.map_err(refused)
}

/// Takes a coupon away; who redeemed it keeps it. The caller holds its lock.
pub async fn delete(connection: &mut PgConnection, id: Uuid, now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    let deleted = sqlx::query!("UPDATE coupons SET deleted_at = $2, updated_at = $2 WHERE id = $1", id, now);
    deleted.execute(connection).await?;
    Ok(())
}

fn refused(error: sqlx::Error) -> ApiError {
    match error.as_database_error().and_then(sqlx::error::DatabaseError::constraint) {
        Some("coupons_code_key") => ApiError::CouponCodeTaken,
        Some("coupons_within_limit") => ApiError::field("total_limit", "이미 사용된 수보다 작을 수 없습니다"),
        _ => error.into(),
    }
}

/// Redeems a coupon for somebody: the whole of it, or nothing.
pub async fn redeem(
    connection: &mut PgConnection,
    user_id: Uuid,
    code_key: &str,
    now: DateTime<Utc>,
) -> Result<CouponRedemptionResponse, ApiError> {
    let coupon = sqlx::query!(
        "SELECT id, code, name, points, starts_at, ends_at, total_limit, redeemed_count, active
         FROM coupons WHERE code_key = $1 AND deleted_at IS NULL FOR UPDATE",
        code_key
    )
    .fetch_optional(&mut *connection)
    .await?
    .ok_or(ApiError::CouponNotFound)?;
    let already = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM coupon_redemptions WHERE coupon_id = $1 AND user_id = $2) AS "it!""#,
        coupon.id,
        user_id
    );
    if already.fetch_one(&mut *connection).await? {
        return Err(ApiError::CouponAlreadyRedeemed);
    }
    if !coupon.active || now < coupon.starts_at || now >= coupon.ends_at {
        return Err(ApiError::CouponNotActive);
    }
    if coupon.total_limit.is_some_and(|limit| coupon.redeemed_count >= limit) {
        return Err(ApiError::CouponExhausted);
    }
    let id = Uuid::now_v7();
    sqlx::query!(
        "WITH counted AS (UPDATE coupons SET redeemed_count = redeemed_count + 1 WHERE id = $2)
         INSERT INTO coupon_redemptions (id, coupon_id, user_id, points, redeemed_at)
         VALUES ($1, $2, $3, $4, $5)",
        id,
        coupon.id,
        user_id,
        coupon.points,
        now
    )
    .execute(&mut *connection)
    .await?;
    let entry = NewPointEntry {
        user_id,
        amount: coupon.points.into(),
        reason: &coupon.name,
        source: ("coupon", id),
        created_by: user_id,
    };
    let entry = points::add(connection, &entry, now).await?;
    Ok(CouponRedemptionResponse {
        id,
        coupon_id: coupon.id,
        code: coupon.code,
        name: coupon.name,
        points: coupon.points,
        balance_after: entry.balance_after,
        redeemed_at: now,
    })
}

/// A page of what somebody redeemed, and how much in all.
pub async fn redemptions(
    pool: &PgPool,
    user_id: Uuid,
    page: PageRequest<()>,
) -> Result<(Vec<CouponRedemptionResponse>, i64), sqlx::Error> {
    let total = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM coupon_redemptions WHERE user_id = $1"#,
        user_id
    )
    .fetch_one(pool)
    .await?;
    let items = sqlx::query_as!(
        CouponRedemptionResponse,
        r#"SELECT r.id, r.coupon_id, c.code, c.name, r.points, e.balance_after, r.redeemed_at
           FROM coupon_redemptions r
           JOIN coupons c ON c.id = r.coupon_id
           JOIN point_entries e ON e.source_kind = 'coupon' AND e.source_id = r.id
           WHERE r.user_id = $1
           ORDER BY CASE WHEN $4 THEN r.redeemed_at END, r.redeemed_at DESC, r.id DESC
           LIMIT $2 OFFSET $3"#,
        user_id,
        page.size,
        page.offset(),
        page.order == Order::Asc
    )
    .fetch_all(pool)
    .await?;
    Ok((items, total))
}
