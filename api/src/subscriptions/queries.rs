//! Subscriptions in PostgreSQL. Lock order of a write: the subscription's row, then the influencer's profile (by
//! the trigger that counts).

use crate::gonggus::lists::COLUMNS;
use crate::gonggus::types::GongguRow;
use crate::http::page::PageRequest;
use crate::subscriptions::types::SubscriptionResponse;
use chrono::{DateTime, Utc};
use sqlx::{PgPool, QueryBuilder};
use uuid::Uuid;

/// What came of subscribing.
pub struct Subscribed {
    /// The influencer's shown name.
    pub nickname: String,
    /// The influencer's picture.
    pub profile_image: Option<String>,
    /// How many subscribe, this one among them.
    pub subscriber_count: i32,
    /// Whether new gonggus are told.
    pub notify_enabled: bool,
    /// Since when.
    pub created_at: DateTime<Utc>,
    /// Whether this call made it.
    pub is_new: bool,
}

impl Subscribed {
    /// As it is told.
    pub fn response(self, influencer_id: Uuid) -> SubscriptionResponse {
        SubscriptionResponse {
            influencer_id,
            nickname: self.nickname,
            profile_image: self.profile_image,
            subscriber_count: self.subscriber_count,
            notify_enabled: self.notify_enabled,
            created_at: self.created_at,
        }
    }
}

/// Subscribes; `None` if the other is no influencer now. The update of a subscription that is there changes
/// nothing: it makes the statement return it, so that the answer does not depend on another read.
pub async fn subscribe(
    pool: &PgPool,
    buyer_id: Uuid,
    influencer_id: Uuid,
    now: DateTime<Utc>,
) -> Result<Option<Subscribed>, sqlx::Error> {
    sqlx::query_as!(
        Subscribed,
        r#"WITH target AS (
               SELECT u.id, u.nickname, u.profile_image, p.subscriber_count
               FROM users u JOIN influencer_profiles p ON p.user_id = u.id
               WHERE u.id = $3 AND u.role = 'influencer' AND u.status = 'active' AND p.is_verified
           ), written AS (
               INSERT INTO subscriptions (id, buyer_id, influencer_id, created_at)
               SELECT $1, $2, id, $4 FROM target
               ON CONFLICT (buyer_id, influencer_id)
                   DO UPDATE SET notify_enabled = subscriptions.notify_enabled
               RETURNING notify_enabled, created_at, xmax = 0 AS is_new
           )
           SELECT t.nickname, t.profile_image, t.subscriber_count + w.is_new::integer AS "subscriber_count!",
                  w.notify_enabled, w.created_at, w.is_new AS "is_new!"
           FROM target t CROSS JOIN written w"#,
        Uuid::now_v7(),
        buyer_id,
        influencer_id,
        now
    )
    .fetch_optional(pool)
    .await
}

/// Ends a subscription, if there is one.
pub async fn end(pool: &PgPool, buyer_id: Uuid, influencer_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "DELETE FROM subscriptions WHERE buyer_id = $1 AND influencer_id = $2",
        buyer_id,
        influencer_id
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Changes a subscription; `false` if there is none.
pub async fn set_notify(
    pool: &PgPool,
    buyer_id: Uuid,
    influencer_id: Uuid,
    notify_enabled: bool,
) -> Result<bool, sqlx::Error> {
    let changed = sqlx::query!(
        "UPDATE subscriptions SET notify_enabled = $3 WHERE buyer_id = $1 AND influencer_id = $2",
        buyer_id,
        influencer_id,
        notify_enabled
    )
    .execute(pool)
    .await?;
    Ok(changed.rows_affected() > 0)
}

/// One subscription.
pub async fn one(
    pool: &PgPool,
    buyer_id: Uuid,
    influencer_id: Uuid,
) -> Result<Option<SubscriptionResponse>, sqlx::Error> {
    sqlx::query_as!(
        SubscriptionResponse,
        "SELECT s.influencer_id, u.nickname, u.profile_image, p.subscriber_count, s.notify_enabled, s.created_at
         FROM subscriptions s JOIN users u ON u.id = s.influencer_id
         JOIN influencer_profiles p ON p.user_id = s.influencer_id
         WHERE s.buyer_id = $1 AND s.influencer_id = $2",
        buyer_id,
        influencer_id
    )
    .fetch_optional(pool)
    .await
}

/// How many subscriptions somebody has to influencers whose accounts are active. Few are not, so it is those that
/// are looked up.
pub async fn count(pool: &PgPool, buyer_id: Uuid) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM subscriptions s WHERE s.buyer_id = $1 AND NOT EXISTS (
               SELECT FROM users hidden WHERE hidden.id = s.influencer_id AND hidden.status <> 'active')"#,
        buyer_id
    )
    .fetch_one(pool)
    .await
}

/// A page of them, the latest first.
pub async fn page(
    pool: &PgPool,
    buyer_id: Uuid,
    page: PageRequest<()>,
) -> Result<Vec<SubscriptionResponse>, sqlx::Error> {
    sqlx::query_as!(
        SubscriptionResponse,
        "SELECT s.influencer_id, u.nickname, u.profile_image, p.subscriber_count, s.notify_enabled, s.created_at
         FROM subscriptions s JOIN users u ON u.id = s.influencer_id
         JOIN influencer_profiles p ON p.user_id = s.influencer_id
         WHERE s.buyer_id = $1 AND NOT EXISTS (
             SELECT FROM users hidden WHERE hidden.id = s.influencer_id AND hidden.status <> 'active')
         ORDER BY s.created_at DESC, s.id DESC LIMIT $2 OFFSET $3",
        buyer_id,
        page.size,
        page.offset()
    )
    .fetch_all(pool)
    .await
}

/// Whose gonggus are in the feed: those subscribed to by the account that follows, and active now.
const FOLLOWED: &str = " WHERE NOT EXISTS (
    SELECT FROM users hidden WHERE hidden.id = s.influencer_id AND hidden.status <> 'active') AND s.buyer_id = ";

/// How many gonggus the feed has. Each influencer's are counted by an index.
pub async fn feed_count(pool: &PgPool, buyer_id: Uuid) -> Result<i64, sqlx::Error> {
    let mut count = QueryBuilder::new(
        "SELECT COALESCE(sum(theirs.count), 0)::bigint FROM subscriptions s CROSS JOIN LATERAL (
             SELECT count(*) FROM gonggus g WHERE g.influencer_id = s.influencer_id AND g.deleted_at IS NULL) theirs",
    );
    count.push(FOLLOWED).push_bind(buyer_id);
    count.build_query_scalar().fetch_one(pool).await
}

/// A page of the feed, newest first. What ends with the page's last row can only be by as many influencers as it has
/// rows, those whose newest gonggu is newest; of each no more are looked at than that, read in order from
/// an index. Only what is on the page is read whole.
pub async fn feed(
    pool: &PgPool,
    buyer_id: Uuid,
    page: PageRequest<()>,
) -> Result<Vec<GongguRow>, sqlx::Error> {
    let end = page.offset() + page.size;
    let mut rows = QueryBuilder::new(
        "WITH latest AS MATERIALIZED (
             SELECT s.influencer_id FROM subscriptions s CROSS JOIN LATERAL (
                 SELECT g.id, g.created_at FROM gonggus g
                 WHERE g.influencer_id = s.influencer_id AND g.deleted_at IS NULL
                 ORDER BY g.created_at DESC, g.id DESC LIMIT 1) first",
    );
    rows.push(FOLLOWED).push_bind(buyer_id);
    rows.push(" ORDER BY first.created_at DESC, first.id DESC LIMIT ").push_bind(end);
    rows.push(
        "), newest AS MATERIALIZED (
             SELECT theirs.id, theirs.created_at FROM latest l CROSS JOIN LATERAL (
                 SELECT g.id, g.created_at FROM gonggus g
                 WHERE g.influencer_id = l.influencer_id AND g.deleted_at IS NULL
                 ORDER BY g.created_at DESC, g.id DESC LIMIT ",
    );
    rows.push_bind(end).push(") theirs ORDER BY theirs.created_at DESC, theirs.id DESC LIMIT ");
    rows.push_bind(page.size).push(" OFFSET ").push_bind(page.offset()).push(") SELECT ").push(COLUMNS);
    rows.push(
        " FROM newest n JOIN gonggus g ON g.id = n.id JOIN users u ON u.id = g.influencer_id
          ORDER BY n.created_at DESC, n.id DESC",
    );
    rows.build_query_as::<GongguRow>().fetch_all(pool).await
}
