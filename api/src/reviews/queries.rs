//! Reviews in PostgreSQL. Each write is one statement on one row.
//!
//! What suspended people wrote is in no list and no rating until they are active again; what people wrote who have
//! closed their account since stays, without their name.

use crate::http::page::{Order, PageRequest};
use crate::reviews::check::CheckedReview;
use crate::reviews::types::{RatingSummary, ReviewRow};
use chrono::{DateTime, Utc};
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool, Postgres, QueryBuilder};
use uuid::Uuid;

/// What lists may be sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// When it was written.
    CreatedAt,
    /// Its rating.
    Rating,
}

impl Sort {
    /// By its name; none is the default.
    pub fn parse(name: Option<&str>) -> Option<Self> {
        match name {
            None | Some("created_at") => Some(Self::CreatedAt),
            Some("rating") => Some(Self::Rating),
            Some(_) => None,
        }
    }

    fn columns(self) -> &'static [&'static str] {
        match self {
            Self::CreatedAt => &["r.created_at", "r.id"],
            Self::Rating => &["r.rating", "r.created_at", "r.id"],
        }
    }
}

/// What may be reviewed.
pub struct Reviewable {
    /// Whose it is.
    pub influencer_id: Uuid,
    /// When it opens.
    pub open_at: DateTime<Utc>,
}

/// A gonggu that can be seen: not deleted, and of an active account.
pub async fn reviewable(pool: &PgPool, gonggu_id: Uuid) -> Result<Option<Reviewable>, sqlx::Error> {
    sqlx::query_as!(
        Reviewable,
        "SELECT g.influencer_id, g.open_at FROM gonggus g JOIN users u ON u.id = g.influencer_id
         WHERE g.id = $1 AND g.deleted_at IS NULL AND u.status = 'active'",
        gonggu_id
    )
    .fetch_optional(pool)
    .await
}

/// All reviews of a gonggu together that can be seen; `None` if the gonggu cannot. An index has all ratings; what few
/// suspended people gave is taken off.
pub async fn rating(pool: &PgPool, gonggu_id: Uuid) -> Result<Option<RatingSummary>, sqlx::Error> {
    sqlx::query_as!(
        RatingSummary,
        r#"SELECT whole.count - hidden.count AS "count!",
                  round((whole.sum - hidden.sum)::numeric / NULLIF(whole.count - hidden.count, 0), 2)::float8
                      AS average
           FROM gonggus g JOIN users u ON u.id = g.influencer_id
           CROSS JOIN LATERAL (
               SELECT count(*) AS count, COALESCE(sum(r.rating), 0) AS sum
               FROM reviews r WHERE r.gonggu_id = g.id) whole
           CROSS JOIN LATERAL (
               SELECT count(*) AS count, COALESCE(sum(r.rating), 0) AS sum
               FROM users a JOIN reviews r ON r.user_id = a.id AND r.gonggu_id = g.id
               WHERE a.status <> 'active' AND a.status = 'suspended' AND a.closed_at IS NULL) hidden
           WHERE g.id = $1 AND g.deleted_at IS NULL AND u.status = 'active'"#,
        gonggu_id
    )
    .fetch_optional(pool)
    .await
}

/// A page of a gonggu's reviews, found by an index; only what is on it is read whole.
pub async fn page(
    pool: &PgPool,
    gonggu_id: Uuid,
    page: PageRequest<Sort>,
) -> Result<Vec<ReviewRow>, sqlx::Error> {
    let mut rows =
        QueryBuilder::new("WITH page AS MATERIALIZED (SELECT r.id FROM reviews r WHERE r.gonggu_id = ");
    rows.push_bind(gonggu_id);
    rows.push(
        " AND r.id <> ALL (ARRAY(SELECT h.id FROM users a JOIN reviews h ON h.user_id = a.id
              WHERE a.status <> 'active' AND a.status = 'suspended' AND a.closed_at IS NULL AND h.gonggu_id = ",
    );
    rows.push_bind(gonggu_id).push("))");
    sort(&mut rows, page);
    rows.push(" LIMIT ").push_bind(page.size).push(" OFFSET ").push_bind(page.offset());
    rows.push(
        ") SELECT r.id, r.gonggu_id, r.user_id, u.nickname, u.profile_image, r.rating, r.content, r.images,
                  r.created_at, r.updated_at
           FROM page JOIN reviews r ON r.id = page.id JOIN users u ON u.id = r.user_id",
    );
    sort(&mut rows, page);
    rows.build_query_as::<ReviewRow>().fetch_all(pool).await
}

fn sort(rows: &mut QueryBuilder<Postgres>, page: PageRequest<Sort>) {
    rows.push(" ORDER BY ");
    let direction = match page.order {
        Order::Asc => " ASC",
        Order::Desc => " DESC",
    };
    let mut columns = rows.separated(", ");
    for column in page.sort.columns() {
        columns.push(column).push_unseparated(direction);
    }
}

/// One review of a gonggu that is not deleted.
pub async fn by_id(pool: &PgPool, id: Uuid) -> Result<Option<ReviewRow>, sqlx::Error> {
    sqlx::query_as!(
        ReviewRow,
        r#"SELECT r.id, r.gonggu_id, r.user_id, u.nickname, u.profile_image, r.rating, r.content,
                  r.images AS "images: Json<Vec<String>>", r.created_at, r.updated_at
           FROM reviews r JOIN users u ON u.id = r.user_id JOIN gonggus g ON g.id = r.gonggu_id
           WHERE r.id = $1 AND g.deleted_at IS NULL"#,
        id
    )
    .fetch_optional(pool)
    .await
}

/// Adds a review; `None` if the person has one of this gonggu.
pub async fn insert(
    pool: &PgPool,
    gonggu_id: Uuid,
    user_id: Uuid,
    review: &CheckedReview,
    now: DateTime<Utc>,
) -> Result<Option<ReviewRow>, sqlx::Error> {
    sqlx::query_as!(
        ReviewRow,
        r#"WITH written AS (
               INSERT INTO reviews (id, gonggu_id, user_id, rating, content, images, created_at, updated_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
               ON CONFLICT (gonggu_id, user_id) DO NOTHING RETURNING *
           )
           SELECT r.id, r.gonggu_id, r.user_id, u.nickname, u.profile_image, r.rating, r.content,
                  r.images AS "images: Json<Vec<String>>", r.created_at, r.updated_at
           FROM written r JOIN users u ON u.id = r.user_id"#,
        Uuid::now_v7(),
        gonggu_id,
        user_id,
        review.rating,
        review.content,
        Json(&review.images) as _,
        now
    )
    .fetch_optional(pool)
    .await
}

/// Changes a review; `None` if it is gone.
pub async fn update(
    pool: &PgPool,
    id: Uuid,
    review: &CheckedReview,
    now: DateTime<Utc>,
) -> Result<Option<ReviewRow>, sqlx::Error> {
    sqlx::query_as!(
        ReviewRow,
        r#"WITH written AS (
               UPDATE reviews SET rating = $2, content = $3, images = $4, updated_at = $5
               WHERE id = $1 RETURNING *
           )
           SELECT r.id, r.gonggu_id, r.user_id, u.nickname, u.profile_image, r.rating, r.content,
                  r.images AS "images: Json<Vec<String>>", r.created_at, r.updated_at
           FROM written r JOIN users u ON u.id = r.user_id"#,
        id,
        review.rating,
        review.content,
        Json(&review.images) as _,
        now
    )
    .fetch_optional(pool)
    .await
}

/// Deletes a review; `false` if it was gone.
pub async fn delete(connection: &mut PgConnection, id: Uuid) -> Result<bool, sqlx::Error> {
    let deleted = sqlx::query!("DELETE FROM reviews WHERE id = $1", id).execute(connection).await?;
    Ok(deleted.rows_affected() > 0)
}
