//! Bookmarks and alarms in PostgreSQL. Each call is one statement; none waits for another person's.

use crate::gonggus::lists::{COLUMNS, LISTED};
use crate::gonggus::types::GongguRow;
use crate::http::page::PageRequest;
use chrono::{DateTime, Utc};
use sqlx::{PgPool, QueryBuilder};
use uuid::Uuid;

/// A bookmark that is there now.
pub struct Kept {
    /// Since when.
    pub created_at: DateTime<Utc>,
    /// Whether this call made it.
    pub is_new: bool,
}

/// Keeps a gonggu; `None` if there is none to keep. The update of a bookmark that is there changes nothing: it
/// makes the statement return it, also when another call made it a moment ago.
pub async fn keep(
    pool: &PgPool,
    user_id: Uuid,
    gonggu_id: Uuid,
    now: DateTime<Utc>,
) -> Result<Option<Kept>, sqlx::Error> {
    sqlx::query_as!(
        Kept,
        r#"INSERT INTO bookmarks (user_id, gonggu_id, created_at)
           SELECT $1, g.id, $3 FROM gonggus g JOIN users u ON u.id = g.influencer_id
           WHERE g.id = $2 AND g.deleted_at IS NULL AND u.status = 'active'
           ON CONFLICT (user_id, gonggu_id) DO UPDATE SET created_at = bookmarks.created_at
           RETURNING created_at, xmax = 0 AS "is_new!""#,
        user_id,
        gonggu_id,
        now
    )
    .fetch_optional(pool)
    .await
}

/// Keeps it no longer.
pub async fn let_go(pool: &PgPool, user_id: Uuid, gonggu_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM bookmarks WHERE user_id = $1 AND gonggu_id = $2", user_id, gonggu_id)
        .execute(pool)
        .await?;
    Ok(())
}

/// How many bookmarks somebody has that can be shown.
pub async fn count(pool: &PgPool, user_id: Uuid) -> Result<i64, sqlx::Error> {
    let mut count = QueryBuilder::new(
        "SELECT count(*) FROM bookmarks b JOIN gonggus g ON g.id = b.gonggu_id WHERE b.user_id = ",
    );
    count.push_bind(user_id).push(" AND ").push(LISTED);
    count.build_query_scalar().fetch_one(pool).await
}

/// A page of kept gonggus, the latest kept first. Only what is on the page is read whole.
pub async fn page(
    pool: &PgPool,
    user_id: Uuid,
    page: PageRequest<()>,
) -> Result<Vec<GongguRow>, sqlx::Error> {
    let mut rows = QueryBuilder::new(
        "WITH kept AS MATERIALIZED (
             SELECT b.gonggu_id, b.created_at FROM bookmarks b JOIN gonggus g ON g.id = b.gonggu_id
             WHERE b.user_id = ",
    );
    rows.push_bind(user_id).push(" AND ").push(LISTED);
    rows.push(" ORDER BY b.created_at DESC, b.gonggu_id DESC LIMIT ").push_bind(page.size);
    rows.push(" OFFSET ").push_bind(page.offset()).push(") SELECT ").push(COLUMNS).push(
        " FROM kept k JOIN gonggus g ON g.id = k.gonggu_id JOIN users u ON u.id = g.influencer_id
          ORDER BY k.created_at DESC, k.gonggu_id DESC",
    );
    rows.build_query_as::<GongguRow>().fetch_all(pool).await
}

/// What came of setting an alarm.
pub struct AlarmSet {
    /// When the gonggu opens.
    pub open_at: DateTime<Utc>,
    /// Whether the alarm is set: it is not when the gonggu is no longer to open.
    pub is_set: bool,
}

/// Sets an alarm, or moves the one that is there; `None` if there is no such gonggu.
pub async fn set_alarm(
    pool: &PgPool,
    user_id: Uuid,
    gonggu_id: Uuid,
    minutes_before: i32,
    now: DateTime<Utc>,
) -> Result<Option<AlarmSet>, sqlx::Error> {
    sqlx::query_as!(
        AlarmSet,
        r#"WITH found AS (
               SELECT g.id, g.open_at,
                      gonggu_status_at(g.open_at, g.close_at, g.closed_at, $4) = 'scheduled' AS is_set
               FROM gonggus g JOIN users u ON u.id = g.influencer_id
               WHERE g.id = $2 AND g.deleted_at IS NULL AND u.status = 'active'
           ), written AS (
               INSERT INTO gonggu_alarms (user_id, gonggu_id, minutes_before, created_at)
               SELECT $1, id, $3, $4 FROM found WHERE is_set
               ON CONFLICT (user_id, gonggu_id) DO UPDATE SET minutes_before = EXCLUDED.minutes_before
           )
           SELECT open_at, is_set AS "is_set!" FROM found"#,
        user_id,
        gonggu_id,
        minutes_before,
        now
    )
    .fetch_optional(pool)
    .await
}

/// Takes an alarm away.
pub async fn clear_alarm(pool: &PgPool, user_id: Uuid, gonggu_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM gonggu_alarms WHERE user_id = $1 AND gonggu_id = $2", user_id, gonggu_id)
        .execute(pool)
        .await?;
    Ok(())
}
