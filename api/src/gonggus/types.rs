//! Bodies of the gonggu calls.

use crate::categories::types::CategoryResponse;
use crate::http::page::{Order, PageRequest};
use chrono::{DateTime, Utc};
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::gonggu::{GongguStatus, status_at};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// Status by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Before its opening.
    Scheduled,
    /// Open.
    Active,
    /// After its closing.
    Closed,
}

impl Status {
    /// What a gonggu of these times is at a moment: the function that redirects and notifications use too.
    pub fn at(
        now: UnixMillis,
        open_at: DateTime<Utc>,
        close_at: DateTime<Utc>,
        closed_at: Option<DateTime<Utc>>,
    ) -> Self {
        let closes_at = closed_at.map_or(close_at, |closed_at| closed_at.min(close_at));
        match status_at(now, open_at.into(), closes_at.into()) {
            GongguStatus::Scheduled => Self::Scheduled,
            GongguStatus::Active => Self::Active,
            GongguStatus::Closed => Self::Closed,
        }
    }

    /// The database's name of it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Active => "active",
            Self::Closed => "closed",
        }
    }
}

/// A new gonggu.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub struct GongguCreate {
    /// 1 to 200 characters.
    #[schema(required = true)]
    pub title: Option<String>,
    /// Up to 20,000 characters.
    pub description: Option<String>,
    /// In won.
    #[schema(required = true)]
    pub original_price: Option<i64>,
    /// In won, at most the original price.
    #[schema(required = true)]
    pub gonggu_price: Option<i64>,
    /// When it opens.
    #[schema(required = true)]
    pub open_at: Option<DateTime<Utc>>,
    /// When it closes.
    #[schema(required = true)]
    pub close_at: Option<DateTime<Utc>>,
    /// Where it is sold.
    #[schema(required = true)]
    pub external_url: Option<String>,
    /// Address of its picture.
    pub thumbnail: Option<String>,
    /// At most two.
    pub category_ids: Option<Vec<Uuid>>,
    /// Whose; only an admin may name another.
    pub influencer_id: Option<Uuid>,
}

/// A change: what is absent stays.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub struct GongguUpdate {
    /// 1 to 200 characters.
    pub title: Option<String>,
    /// Up to 20,000 characters.
    pub description: Option<String>,
    /// In won.
    pub original_price: Option<i64>,
    /// In won, at most the original price.
    pub gonggu_price: Option<i64>,
    /// When it opens.
    pub open_at: Option<DateTime<Utc>>,
    /// When it closes.
    pub close_at: Option<DateTime<Utc>>,
    /// Where it is sold.
    pub external_url: Option<String>,
    /// Address of its picture; empty takes it away.
    pub thumbnail: Option<String>,
    /// At most two; replaces those before.
    pub category_ids: Option<Vec<Uuid>>,
    /// `true` closes it now, `false` takes an early close back.
    pub closed: Option<bool>,
}

/// Whose gonggu it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct GongguInfluencer {
    /// The account.
    pub id: Uuid,
    /// Its shown name.
    pub nickname: String,
    /// Its picture.
    pub profile_image: Option<String>,
}

/// A gonggu.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct GongguResponse {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    pub influencer_id: Uuid,
    /// Whose it is, to show.
    pub influencer: GongguInfluencer,
    /// Its title.
    pub title: String,
    /// Its description.
    pub description: String,
    /// In won.
    pub original_price: i32,
    /// In won.
    pub gonggu_price: i32,
    /// In percent, computed.
    pub discount_rate: f64,
    /// When it opens.
    pub open_at: DateTime<Utc>,
    /// When it closes by plan.
    pub close_at: DateTime<Utc>,
    /// When it was closed early.
    pub closed_at: Option<DateTime<Utc>>,
    /// Its status now.
    pub status: Status,
    /// Where it is sold. Buyers go there by `/go/{id}`, which is what counts.
    pub external_url: String,
    /// Its picture.
    pub thumbnail: Option<String>,
    /// Its categories.
    pub categories: Vec<CategoryResponse>,
    /// Its billable clicks.
    pub click_count: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

impl GongguResponse {
    /// Adds what is not in its row: what it is now.
    pub fn new(row: GongguRow, now: UnixMillis) -> Self {
        let status = Status::at(now, row.open_at, row.close_at, row.closed_at);
        Self {
            id: row.id,
            influencer_id: row.influencer_id,
            influencer: GongguInfluencer {
                id: row.influencer_id,
                nickname: row.nickname,
                profile_image: row.profile_image,
            },
            title: row.title,
            description: row.description,
            original_price: row.original_price,
            gonggu_price: row.gonggu_price,
            discount_rate: row.discount_rate,
            open_at: row.open_at,
            close_at: row.close_at,
            closed_at: row.closed_at,
            status,
            external_url: row.external_url,
            thumbnail: row.thumbnail,
            categories: row.categories.0,
            click_count: row.click_count,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// A row of `gonggus` with its owner.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct GongguRow {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    pub influencer_id: Uuid,
    /// The owner's shown name.
    pub nickname: String,
    /// The owner's picture.
    pub profile_image: Option<String>,
    /// Its title.
    pub title: String,
    /// Its description.
    pub description: String,
    /// In won.
    pub original_price: i32,
    /// In won.
    pub gonggu_price: i32,
    /// In percent.
    pub discount_rate: f64,
    /// When it opens.
    pub open_at: DateTime<Utc>,
    /// When it closes by plan.
    pub close_at: DateTime<Utc>,
    /// When it was closed early.
    pub closed_at: Option<DateTime<Utc>>,
    /// Where it is sold.
    pub external_url: String,
    /// Its picture.
    pub thumbnail: Option<String>,
    /// Its billable clicks.
    pub click_count: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// Its categories by slot.
    pub categories: Json<Vec<CategoryResponse>>,
    /// Whether its owner is active: otherwise nobody but an admin is shown it.
    #[sqlx(default)]
    pub is_shown: bool,
    /// Whether the asking person keeps it; `None`: nobody asked, or a list.
    #[sqlx(default)]
    pub bookmarked: Option<bool>,
    /// The asking person's alarm.
    #[sqlx(default)]
    pub alarm_minutes_before: Option<i32>,
}

/// A gonggu as the asking person sees it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct GongguDetailResponse {
    /// The gonggu.
    #[serde(flatten)]
    pub gonggu: GongguResponse,
    /// Whether the signed-in person keeps it; `null` without a sign-in.
    pub bookmarked: Option<bool>,
    /// The signed-in person's open alarm, in minutes before the opening.
    pub alarm_minutes_before: Option<i32>,
}

/// What to list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct GongguFilter {
    /// By status now.
    #[param(inline)]
    pub status: Option<Status>,
    /// By owner.
    pub influencer_id: Option<Uuid>,
    /// By category; a parent takes its children.
    pub category: Option<Uuid>,
    /// Part of the title.
    pub q: Option<String>,
    /// From 1.
    pub page: Option<i64>,
    /// 1 to 100; 20 by default.
    pub size: Option<i64>,
    /// `created_at` (default), `open_at`, `close_at`, `gonggu_price`, `discount_rate`, `click_count`.
    pub sort: Option<String>,
    /// `asc` or `desc` (default).
    #[param(inline)]
    pub order: Option<Order>,
}

/// What to list of the gonggus of one status.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ShelfFilter {
    /// By owner.
    pub influencer_id: Option<Uuid>,
    /// By category; a parent takes its children.
    pub category: Option<Uuid>,
    /// Part of the title.
    pub q: Option<String>,
    /// From 1.
    pub page: Option<i64>,
    /// 1 to 100; 20 by default.
    pub size: Option<i64>,
    /// As in the list of all; by default what opens or closes first comes first.
    pub sort: Option<String>,
    /// `asc` or `desc`.
    #[param(inline)]
    pub order: Option<Order>,
}

impl ShelfFilter {
    /// The same as a filter of all gonggus.
    pub fn with_status(self, status: Status) -> GongguFilter {
        GongguFilter {
            status: Some(status),
            influencer_id: self.influencer_id,
            category: self.category,
            q: self.q,
            page: self.page,
            size: self.size,
            sort: self.sort,
            order: self.order,
        }
    }
}

/// How soon is soon.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ClosingSoonParameters {
    /// Closes within so many hours: 1 to 168; 24 by default.
    pub hours: Option<i64>,
}

/// A page of gonggus.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct GongguListResponse {
    /// This page.
    pub items: Vec<GongguResponse>,
    /// All that fit the filter, counted at most a second ago for what opens, closes, comes or goes; a title or
    /// category changed elsewhere is in it half a minute later at the latest.
    pub total: i64,
    /// Which page.
    pub page: i64,
    /// How many a page.
    pub size: i64,
    /// How many pages.
    pub pages: i64,
}

impl GongguListResponse {
    /// A page as it is at a moment.
    pub fn new<S>(rows: Vec<GongguRow>, total: i64, page: &PageRequest<S>, now: UnixMillis) -> Self {
        let items = rows.into_iter().map(|row| GongguResponse::new(row, now)).collect();
        Self { items, total, page: page.page, size: page.size, pages: page.pages(total) }
    }
}
