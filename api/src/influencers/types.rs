//! Bodies of the influencer calls.

use crate::gonggus::types::Status;
use crate::http::page::{Order, PageRequest};
use crate::tracking::types::{CountsBody, SeriesBody, StatsInterval, TotalsBody};
use crate::users::types::{UserRole, UserStatus};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// An application, or a change of one's own profile: what is absent stays.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub struct InfluencerUpdate {
    /// Up to 2,000 characters.
    #[schema(example = "제철 과일을 산지에서 소개합니다")]
    pub bio: Option<String>,
    /// Address of a banner; empty takes it away.
    pub banner_image: Option<String>,
    /// Public address; empty takes it away.
    #[schema(example = "https://www.instagram.com/someone")]
    pub instagram_url: Option<String>,
    /// Public address; empty takes it away.
    pub tiktok_url: Option<String>,
}

/// Gonggus by status now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema, sqlx::FromRow)]
pub struct GongguCounts {
    /// Still to open.
    pub scheduled: i64,
    /// Open.
    pub active: i64,
    /// Closed.
    pub closed: i64,
    /// All.
    pub total: i64,
}

/// An influencer as all see him.
#[derive(Clone, Debug, Serialize, ToSchema, sqlx::FromRow)]
pub struct InfluencerResponse {
    /// The account.
    pub id: Uuid,
    /// Its shown name.
    pub nickname: String,
    /// Its picture.
    pub profile_image: Option<String>,
    /// What he says of himself.
    pub bio: String,
    /// Address of his banner.
    pub banner_image: Option<String>,
    /// His Instagram.
    pub instagram_url: Option<String>,
    /// His TikTok.
    pub tiktok_url: Option<String>,
    /// Whether he is verified.
    pub is_verified: bool,
    /// How many subscribe to him.
    pub subscriber_count: i32,
    /// His gonggus.
    #[sqlx(flatten)]
    pub gonggu_counts: GongguCounts,
    /// When the account was made.
    pub created_at: DateTime<Utc>,
}

/// An influencer as the asking person sees him.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct InfluencerDetailResponse {
    /// The influencer.
    #[serde(flatten)]
    pub influencer: InfluencerResponse,
    /// Whether the signed-in person subscribes; `null` without a sign-in.
    pub subscribed: Option<bool>,
}

/// A page of influencers.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct InfluencerListResponse {
    /// This page.
    pub items: Vec<InfluencerResponse>,
    /// All that fit.
    pub total: i64,
    /// Which page.
    pub page: i64,
    /// How many a page.
    pub size: i64,
    /// How many pages.
    pub pages: i64,
}

impl InfluencerListResponse {
    /// A page of them.
    pub fn new<S>(items: Vec<InfluencerResponse>, total: i64, page: &PageRequest<S>) -> Self {
        Self { items, total, page: page.page, size: page.size, pages: page.pages(total) }
    }
}

/// Where somebody's application stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApplicationState {
    /// Never applied, or has the role without.
    None,
    /// An admin is to decide.
    Pending,
    /// An influencer.
    Approved,
    /// Refused; may apply again.
    Rejected,
}

/// One's own profile and application.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct InfluencerOwnResponse {
    /// The account.
    pub id: Uuid,
    /// Its role now.
    pub role: UserRole,
    /// Its status now.
    pub status: UserStatus,
    /// Where the application stands.
    pub application: ApplicationState,
    /// Why it was refused.
    pub refusal_reason: Option<String>,
    /// When it was made.
    pub applied_at: Option<DateTime<Utc>>,
    /// When it was decided.
    pub decided_at: Option<DateTime<Utc>>,
    /// What one says of oneself.
    pub bio: String,
    /// Address of the banner.
    pub banner_image: Option<String>,
    /// Instagram.
    pub instagram_url: Option<String>,
    /// TikTok.
    pub tiktok_url: Option<String>,
    /// Whether one is verified.
    pub is_verified: bool,
    /// How many subscribe.
    pub subscriber_count: i32,
}

/// Whom to list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct InfluencerFilter {
    /// Part of the name.
    pub q: Option<String>,
    /// From 1.
    pub page: Option<i64>,
    /// 1 to 100; 20 by default.
    pub size: Option<i64>,
    /// `subscriber_count` (default), `created_at` or `nickname`.
    pub sort: Option<String>,
    /// `asc` or `desc` (default).
    #[param(inline)]
    pub order: Option<Order>,
}

/// Which clicks of which of one's gonggus. The range is rounded outwards to the interval.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct InfluencerStatsParameters {
    /// From, inclusive; the first own gonggu's creation by default.
    pub from: Option<DateTime<Utc>>,
    /// To, exclusive; now by default.
    pub to: Option<DateTime<Utc>>,
    /// `minute`, `hour` or `day`; by default `hour` up to 14 days, else `day`.
    #[param(inline)]
    pub interval: Option<StatsInterval>,
    /// IANA name; `Asia/Seoul` by default.
    #[param(example = "Asia/Seoul")]
    pub tz: Option<String>,
    /// From 1.
    pub page: Option<i64>,
    /// Gonggus an answer: 1 to 100; 100 by default.
    pub size: Option<i64>,
}

/// The figures of one of one's gonggus.
#[derive(Debug, Serialize, ToSchema)]
pub struct GongguFigures {
    /// The gonggu.
    pub gonggu_id: Uuid,
    /// Its title.
    pub title: String,
    /// Its status now.
    pub status: Status,
    /// Whether it was deleted; its clicks stay.
    pub is_deleted: bool,
    /// Its clicks in the range.
    pub totals: TotalsBody,
}

/// The figures of one's gonggus: all together, and each on a page, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct InfluencerStatsResponse {
    /// From, as rounded.
    pub from: DateTime<Utc>,
    /// To, as rounded.
    pub to: DateTime<Utc>,
    /// Length of a bucket.
    pub interval: StatsInterval,
    /// Whose days.
    pub tz: String,
    /// The sum over all one's gonggus, whichever of them are on this page.
    pub totals: CountsBody,
    /// The same, every bucket, also empty ones.
    pub series: Vec<SeriesBody>,
    /// Up to when every click is in the figures; `null` before anything was judged.
    pub complete_through: Option<DateTime<Utc>>,
    /// Each gonggu of this page.
    pub items: Vec<GongguFigures>,
    /// All one's gonggus.
    pub total: i64,
    /// Which page.
    pub page: i64,
    /// How many a page.
    pub size: i64,
    /// How many pages.
    pub pages: i64,
}
