//! Bodies of the coupon calls.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A new coupon.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub struct CouponCreate {
    /// 4 to 40 letters, digits, `-` or `_`; upper and lower case are the same.
    #[schema(required = true, example = "WELCOME-2026")]
    pub code: Option<String>,
    /// Its name, 1 to 100 characters.
    #[schema(required = true, example = "신규 가입 쿠폰")]
    pub name: Option<String>,
    /// What it is worth; 1 to 1,000,000.
    #[schema(required = true, example = 3000)]
    pub points: Option<i64>,
    /// From when it can be redeemed.
    #[schema(required = true)]
    pub starts_at: Option<DateTime<Utc>>,
    /// Until when, exclusive.
    #[schema(required = true)]
    pub ends_at: Option<DateTime<Utc>>,
    /// How many people may redeem it; absent or null: everybody.
    pub total_limit: Option<i64>,
    /// Whether it is switched on; `true` if absent.
    pub active: Option<bool>,
}

/// What a coupon becomes: the whole of it, as for a new one.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct CouponUpdate(pub CouponCreate);

/// A coupon as admins see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema, sqlx::FromRow)]
pub struct CouponResponse {
    /// Its id.
    pub id: Uuid,
    /// Its code, as typed in.
    pub code: String,
    /// Its name.
    pub name: String,
    /// What it is worth.
    pub points: i32,
    /// From when it can be redeemed.
    pub starts_at: DateTime<Utc>,
    /// Until when, exclusive.
    pub ends_at: DateTime<Utc>,
    /// How many people may redeem it; null: everybody.
    pub total_limit: Option<i32>,
    /// How many people have.
    pub redeemed_count: i32,
    /// Whether it is switched on.
    pub active: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed by an admin.
    pub updated_at: DateTime<Utc>,
}

/// A page of coupons.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CouponListResponse {
    /// This page.
    pub items: Vec<CouponResponse>,
    /// All there are.
    pub total: i64,
    /// Which page.
    pub page: i64,
    /// How many a page.
    pub size: i64,
    /// How many pages.
    pub pages: i64,
}

/// A coupon that somebody redeemed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct CouponRedemptionResponse {
    /// Of the redemption.
    pub id: Uuid,
    /// Of the coupon.
    pub coupon_id: Uuid,
    /// The coupon's code.
    pub code: String,
    /// The coupon's name.
    pub name: String,
    /// What it brought.
    pub points: i32,
    /// What the account had afterwards.
    pub balance_after: i64,
    /// When.
    pub redeemed_at: DateTime<Utc>,
}

/// A page of the coupons that somebody redeemed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CouponRedemptionListResponse {
    /// This page.
    pub items: Vec<CouponRedemptionResponse>,
    /// All there are.
    pub total: i64,
    /// Which page.
    pub page: i64,
    /// How many a page.
    pub size: i64,
    /// How many pages.
    pub pages: i64,
}
