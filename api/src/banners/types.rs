//! Bodies of the banner calls.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// A new banner.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub struct BannerCreate {
    /// Where it is shown: 1 to 40 of `a-z`, `0-9`, `-`, `_`.
    #[schema(required = true, example = "home-top")]
    pub slot: Option<String>,
    /// Its picture: an http(s) address, or a path of ours.
    #[schema(required = true, example = "/images/2026/11/banner.webp")]
    pub image_url: Option<String>,
    /// Where it leads: a public http(s) address, or a path of ours. Absent or empty: nowhere.
    pub link_url: Option<String>,
    /// Its place among those of its slot, smallest first; 0 if absent.
    pub sort_order: Option<i64>,
    /// From when it is shown; absent: at once.
    pub starts_at: Option<DateTime<Utc>>,
    /// Until when, exclusive; absent: for ever.
    pub ends_at: Option<DateTime<Utc>>,
    /// Whether it is switched on; `true` if absent.
    pub active: Option<bool>,
}

/// What a banner becomes: the whole of it, as for a new one.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct BannerUpdate(pub BannerCreate);

/// A banner as admins see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema, sqlx::FromRow)]
pub struct BannerResponse {
    /// Its id.
    pub id: Uuid,
    /// Where it is shown.
    pub slot: String,
    /// Its picture.
    pub image_url: String,
    /// Where it leads.
    pub link_url: Option<String>,
    /// Its place.
    pub sort_order: i32,
    /// From when it is shown.
    pub starts_at: Option<DateTime<Utc>>,
    /// Until when, exclusive.
    pub ends_at: Option<DateTime<Utc>>,
    /// Whether it is switched on.
    pub active: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// A page of banners.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BannerListResponse {
    /// This page.
    pub items: Vec<BannerResponse>,
    /// All that fit.
    pub total: i64,
    /// Which page.
    pub page: i64,
    /// How many a page.
    pub size: i64,
    /// How many pages.
    pub pages: i64,
}

/// A banner as everybody sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ShownBannerResponse {
    /// Its id.
    pub id: Uuid,
    /// Where it is shown.
    pub slot: String,
    /// Its picture.
    pub image_url: String,
    /// Where it leads.
    pub link_url: Option<String>,
}

/// The banners that are shown now, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ShownBannerListResponse {
    /// By slot, then by their order.
    pub items: Vec<ShownBannerResponse>,
}

/// Which banners.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct BannerFilter {
    /// Those of one slot.
    pub slot: Option<String>,
}
