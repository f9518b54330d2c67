//! Bodies of the calendar.

use crate::gonggus::types::{GongguInfluencer, Status};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// Which days.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CalendarParameters {
    /// First day (Seoul); today by default.
    #[param(value_type = Option<String>, format = Date, example = "2026-11-01")]
    pub from: Option<String>,
    /// Last day, inclusive; 30 days after the first by default, at most 61.
    #[param(value_type = Option<String>, format = Date, example = "2026-11-30")]
    pub to: Option<String>,
}

/// A gonggu in the calendar.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CalendarGonggu {
    /// Its id.
    pub id: Uuid,
    /// Its title.
    pub title: String,
    /// Its picture.
    pub thumbnail: Option<String>,
    /// Whose it is.
    pub influencer: GongguInfluencer,
    /// In won.
    pub original_price: i32,
    /// In won.
    pub gonggu_price: i32,
    /// In percent.
    pub discount_rate: f64,
    /// When it opens.
    pub open_at: DateTime<Utc>,
    /// When it closes, early or not.
    pub close_at: DateTime<Utc>,
    /// Its status now.
    pub status: Status,
}

/// One day.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CalendarDay {
    /// The day in Seoul.
    pub date: NaiveDate,
    /// How many open on it.
    pub opening_count: i64,
    /// How many close on it.
    pub closing_count: i64,
    /// Those that open on it, the first first; at most 50.
    pub opening: Vec<CalendarGonggu>,
    /// Those that close on it, the first first; at most 50.
    pub closing: Vec<CalendarGonggu>,
}

/// The days asked for, each present.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CalendarResponse {
    /// First day.
    pub from: NaiveDate,
    /// Last day.
    pub to: NaiveDate,
    /// Every day from the first to the last.
    pub days: Vec<CalendarDay>,
}
