//! Bodies of the bookmark and alarm calls.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// A bookmark.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct BookmarkResponse {
    /// The gonggu.
    pub gonggu_id: Uuid,
    /// Always true: it is kept.
    pub bookmarked: bool,
    /// Since when.
    pub created_at: DateTime<Utc>,
}

/// An alarm to set.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
pub struct AlarmUpdate {
    /// So many minutes before the opening: 0 to 10,080 (a week).
    #[schema(example = 10)]
    pub minutes_before: i64,
}

/// An alarm.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct AlarmResponse {
    /// The gonggu.
    pub gonggu_id: Uuid,
    /// Minutes before the opening.
    pub minutes_before: i32,
    /// When it rings, as the opening stands now.
    pub rings_at: DateTime<Utc>,
}

/// Which page of bookmarks.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct BookmarkListParameters {
    /// From 1.
    pub page: Option<i64>,
    /// 1 to 100; 20 by default.
    pub size: Option<i64>,
}
