//! Bodies of the points calls.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Points given or taken by an admin.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct PointsCreate {
    /// Whose.
    #[schema(required = true)]
    pub user_id: Option<Uuid>,
    /// More than 0 gives, less than 0 takes; up to 1,000,000,000 either way.
    #[schema(required = true, example = 5000)]
    pub amount: Option<i64>,
    /// Why, for the person to read; 1 to 200 characters.
    #[schema(required = true, example = "이벤트 당첨")]
    pub reason: Option<String>,
}

/// One entry of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PointEntryResponse {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    pub user_id: Uuid,
    /// 1, 2, 3 … within the account.
    pub number: i64,
    /// More than 0 came in, less than 0 went out.
    pub amount: i64,
    /// What the account had afterwards.
    pub balance_after: i64,
    /// Why.
    pub reason: String,
    /// What it comes from: `admin` or `coupon`.
    pub source: String,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// What an account has, and a page of how it came to that.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PointsResponse {
    /// What it has now.
    pub balance: i64,
    /// This page of entries.
    pub items: Vec<PointEntryResponse>,
    /// All entries.
    pub total: i64,
    /// Which page.
    pub page: i64,
    /// How many a page.
    pub size: i64,
    /// How many pages.
    pub pages: i64,
}
