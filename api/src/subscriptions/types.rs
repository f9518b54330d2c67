//! Bodies of the subscription calls.

use crate::http::page::PageRequest;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// A change of a subscription.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
pub struct SubscriptionUpdate {
    /// Whether new gonggus are told.
    pub notify_enabled: bool,
}

/// A subscription.
#[derive(Clone, Debug, Serialize, ToSchema, sqlx::FromRow)]
pub struct SubscriptionResponse {
    /// The influencer's account.
    pub influencer_id: Uuid,
    /// The influencer's shown name.
    pub nickname: String,
    /// The influencer's picture.
    pub profile_image: Option<String>,
    /// How many subscribe.
    pub subscriber_count: i32,
    /// Whether new gonggus are told.
    pub notify_enabled: bool,
    /// Since when.
    pub created_at: DateTime<Utc>,
}

/// A page of subscriptions.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SubscriptionListResponse {
    /// This page, the latest first.
    pub items: Vec<SubscriptionResponse>,
    /// All.
    pub total: i64,
    /// Which page.
    pub page: i64,
    /// How many a page.
    pub size: i64,
    /// How many pages.
    pub pages: i64,
}

impl SubscriptionListResponse {
    /// A page of them.
    pub fn new(items: Vec<SubscriptionResponse>, total: i64, page: PageRequest<()>) -> Self {
        Self { items, total, page: page.page, size: page.size, pages: page.pages(total) }
    }
}

/// Which page.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SubscriptionListParameters {
    /// From 1.
    pub page: Option<i64>,
    /// 1 to 100; 20 by default.
    pub size: Option<i64>,
}
