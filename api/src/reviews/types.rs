//! Bodies of the review calls.

use crate::http::page::{Order, PageRequest};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// A new review.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub struct ReviewCreate {
    /// 1 to 5.
    #[schema(required = true, example = 5)]
    pub rating: Option<i64>,
    /// 1 to 2,000 characters.
    #[schema(required = true, example = "배송도 빠르고 맛있어요")]
    pub content: Option<String>,
    /// At most ten pictures: http(s) addresses of up to 500 characters each, or paths of uploaded ones
    /// (`/images/2026/11/….webp`).
    pub images: Option<Vec<String>>,
}

/// A change: what is absent stays.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub struct ReviewUpdate {
    /// 1 to 5.
    pub rating: Option<i64>,
    /// 1 to 2,000 characters.
    pub content: Option<String>,
    /// Replaces those before.
    pub images: Option<Vec<String>>,
}

/// Who wrote it, as all may see.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ReviewAuthor {
    /// The account.
    pub id: Uuid,
    /// Its shown name.
    pub nickname: String,
    /// Its picture.
    pub profile_image: Option<String>,
}

/// A review.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ReviewResponse {
    /// Its id.
    pub id: Uuid,
    /// The gonggu.
    pub gonggu_id: Uuid,
    /// Who wrote it.
    pub user: ReviewAuthor,
    /// 1 to 5.
    pub rating: i16,
    /// The text.
    pub content: String,
    /// Addresses of pictures.
    pub images: Vec<String>,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// A row of `reviews` with its author.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ReviewRow {
    /// Its id.
    pub id: Uuid,
    /// The gonggu.
    pub gonggu_id: Uuid,
    /// Who wrote it.
    pub user_id: Uuid,
    /// The author's shown name.
    pub nickname: String,
    /// The author's picture.
    pub profile_image: Option<String>,
    /// 1 to 5.
    pub rating: i16,
    /// The text.
    pub content: String,
    /// Addresses of pictures.
    pub images: Json<Vec<String>>,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

impl From<ReviewRow> for ReviewResponse {
    fn from(row: ReviewRow) -> Self {
        Self {
            id: row.id,
            gonggu_id: row.gonggu_id,
            user: ReviewAuthor { id: row.user_id, nickname: row.nickname, profile_image: row.profile_image },
            rating: row.rating,
            content: row.content,
            images: row.images.0,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// All reviews of a gonggu together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub struct RatingSummary {
    /// Their average to two places; `null` while there is none.
    #[schema(example = 4.5)]
    pub average: Option<f64>,
    /// How many there are.
    pub count: i64,
}

/// Which page.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ReviewListParameters {
    /// From 1.
    pub page: Option<i64>,
    /// 1 to 100; 20 by default.
    pub size: Option<i64>,
    /// `created_at` (default) or `rating`.
    pub sort: Option<String>,
    /// `asc` or `desc` (default).
    #[param(inline)]
    pub order: Option<Order>,
}

/// A page of reviews.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ReviewListResponse {
    /// This page.
    pub items: Vec<ReviewResponse>,
    /// All reviews of the gonggu together.
    pub rating: RatingSummary,
    /// All.
    pub total: i64,
    /// Which page.
    pub page: i64,
    /// How many a page.
    pub size: i64,
    /// How many pages.
    pub pages: i64,
}

impl ReviewListResponse {
    /// A page of them.
    pub fn new<S>(rows: Vec<ReviewRow>, rating: RatingSummary, page: &PageRequest<S>) -> Self {
        Self {
            items: rows.into_iter().map(ReviewResponse::from).collect(),
            rating,
            total: rating.count,
            page: page.page,
            size: page.size,
            pages: page.pages(rating.count),
        }
    }
}
