//! The calendar's statement.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgPool;
use uuid::Uuid;

/// An opening or a closing.
pub struct EventRow {
    /// The day in Seoul.
    pub day: NaiveDate,
    /// Opening or closing.
    pub is_opening: bool,
    /// How many of the kind the day has.
    pub total: i64,
    /// The gonggu.
    pub id: Uuid,
    /// Its title.
    pub title: String,
    /// Its picture.
    pub thumbnail: Option<String>,
    /// Whose it is.
    pub influencer_id: Uuid,
    /// The owner's shown name.
    pub nickname: String,
    /// The owner's picture.
    pub profile_image: Option<String>,
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
}

/// What opens and closes in `[from, to)`, at most `a_day` of each kind on each day.
pub async fn events(
    pool: &PgPool,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    a_day: i64,
) -> Result<Vec<EventRow>, sqlx::Error> {
    sqlx::query_file_as!(EventRow, "src/calendar/events.sql", from, to, a_day).fetch_all(pool).await
}
