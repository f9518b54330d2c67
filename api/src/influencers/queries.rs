//! Influencers in PostgreSQL.

use crate::http::page::{Order, PageRequest};
use crate::influencers::check::CheckedProfile;
use crate::influencers::types::{
    ApplicationState, GongguCounts, InfluencerDetailResponse, InfluencerOwnResponse, InfluencerResponse,
};
use crate::users::types::{UserRole, UserStatus};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool, Postgres, QueryBuilder};
use uuid::Uuid;

/// What lists may be sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// How many subscribe.
    SubscriberCount,
    /// When the account was made.
    CreatedAt,
    /// The name.
    Nickname,
}

impl Sort {
    /// By its name; none is the default.
    pub fn parse(name: Option<&str>) -> Option<Self> {
        match name {
            None | Some("subscriber_count") => Some(Self::SubscriberCount),
            Some("created_at") => Some(Self::CreatedAt),
            Some("nickname") => Some(Self::Nickname),
            Some(_) => None,
        }
    }

    fn column(self) -> &'static str {
        match self {
            Self::SubscriberCount => "p.subscriber_count",
            Self::CreatedAt => "u.created_at",
            Self::Nickname => "u.nickname",
        }
    }
}

const LISTED: &str = " FROM influencer_profiles p JOIN users u ON u.id = p.user_id
    WHERE p.is_verified AND u.role = 'influencer' AND u.status = 'active'";

fn narrow(query: &mut QueryBuilder<Postgres>, q: Option<&str>) {
    query.push(LISTED);
    if let Some(text) = q {
        query.push(" AND strpos(lower(u.nickname), lower(").push_bind(text.to_owned()).push(")) > 0");
    }
}

/// How many influencers fit.
pub async fn count(pool: &PgPool, q: Option<&str>) -> Result<i64, sqlx::Error> {
    let mut count = QueryBuilder::new("SELECT count(*)");
    narrow(&mut count, q);
    count.build_query_scalar().fetch_one(pool).await
}

/// A page of them, with their gonggus by status now: those are counted for the page's influencers only.
pub async fn page(
    pool: &PgPool,
    q: Option<&str>,
    page: PageRequest<Sort>,
    now: DateTime<Utc>,
) -> Result<Vec<InfluencerResponse>, sqlx::Error> {
    let direction = match page.order {
        Order::Asc => " ASC",
        Order::Desc => " DESC",
    };
    let mut rows = QueryBuilder::new(
        "WITH page AS MATERIALIZED (
             SELECT u.id, u.nickname, u.profile_image, u.created_at, p.bio, p.banner_image, p.instagram_url,
                    p.tiktok_url, p.is_verified, p.subscriber_count, row_number() OVER (ORDER BY ",
    );
    rows.push(page.sort.column()).push(direction).push(", u.id").push(direction).push(") AS place");
    narrow(&mut rows, q);
    rows.push(" ORDER BY ").push(page.sort.column()).push(direction).push(", u.id").push(direction);
    rows.push(" LIMIT ").push_bind(page.size).push(" OFFSET ").push_bind(page.offset());
    rows.push(
        ") SELECT page.*, counted.* FROM page CROSS JOIN LATERAL (
             SELECT count(*) FILTER (WHERE at.status = 'scheduled') AS scheduled,
                    count(*) FILTER (WHERE at.status = 'active') AS active,
                    count(*) FILTER (WHERE at.status = 'closed') AS closed, count(*) AS total
             FROM gonggus g CROSS JOIN LATERAL (
                 SELECT gonggu_status_at(g.open_at, g.close_at, g.closed_at, ",
    );
    rows.push_bind(now).push(
        ") AS status) at WHERE g.influencer_id = page.id AND g.deleted_at IS NULL) counted ORDER BY page.place",
    );
    rows.build_query_as().fetch_all(pool).await
}

/// One influencer, as `viewer_id` (or nobody) sees him.
pub async fn by_id(
    pool: &PgPool,
    id: Uuid,
    viewer_id: Option<Uuid>,
    now: DateTime<Utc>,
) -> Result<Option<InfluencerDetailResponse>, sqlx::Error> {
    let row =
        sqlx::query_file!("src/influencers/profile.sql", id, viewer_id, now).fetch_optional(pool).await?;
    Ok(row.map(|row| InfluencerDetailResponse {
        influencer: InfluencerResponse {
            id: row.id,
            nickname: row.nickname,
            profile_image: row.profile_image,
            bio: row.bio,
            banner_image: row.banner_image,
            instagram_url: row.instagram_url,
            tiktok_url: row.tiktok_url,
            is_verified: row.is_verified,
            subscriber_count: row.subscriber_count,
            gonggu_counts: GongguCounts {
                scheduled: row.scheduled,
                active: row.active,
                closed: row.closed,
                total: row.scheduled + row.active + row.closed,
            },
            created_at: row.created_at,
        },
        subscribed: row.subscribed,
    }))
}

/// One's own profile; `None` if one never had any.
pub async fn own(
    connection: &mut PgConnection,
    id: Uuid,
) -> Result<Option<InfluencerOwnResponse>, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT u.role AS "role: UserRole", u.status AS "status: UserStatus", p.bio, p.banner_image,
                  p.instagram_url, p.tiktok_url, p.is_verified, p.subscriber_count, p.applied_at, p.decided_at,
                  p.refusal_reason
           FROM users u JOIN influencer_profiles p ON p.user_id = u.id WHERE u.id = $1"#,
        id
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| InfluencerOwnResponse {
        id,
        role: row.role,
        status: row.status,
        application: match (row.status, row.is_verified, row.decided_at) {
            (UserStatus::Pending, ..) => ApplicationState::Pending,
            (_, true, _) => ApplicationState::Approved,
            (_, false, Some(_)) => ApplicationState::Rejected,
            (_, false, None) => ApplicationState::None,
        },
        refusal_reason: row.refusal_reason,
        applied_at: row.applied_at,
        decided_at: row.decided_at,
        bio: row.bio,
        banner_image: row.banner_image,
        instagram_url: row.instagram_url,
        tiktok_url: row.tiktok_url,
        is_verified: row.is_verified,
        subscriber_count: row.subscriber_count,
    }))
}

/// Changes a profile; `false` if there is none.
pub async fn update(pool: &PgPool, id: Uuid, profile: &CheckedProfile) -> Result<bool, sqlx::Error> {
    let changed = sqlx::query!(
        "UPDATE influencer_profiles SET
             bio = COALESCE($2, bio),
             banner_image = NULLIF(COALESCE($3, banner_image), ''),
             instagram_url = NULLIF(COALESCE($4, instagram_url), ''),
             tiktok_url = NULLIF(COALESCE($5, tiktok_url), '')
         WHERE user_id = $1",
        id,
        profile.bio,
        profile.banner_image,
        profile.instagram_url,
        profile.tiktok_url
    )
    .execute(pool)
    .await?;
    Ok(changed.rows_affected() > 0)
}

/// One of somebody's gonggus, as figures name it.
pub struct OwnGonggu {
    /// Its id.
    pub id: Uuid,
    /// Its title.
    pub title: String,
    /// When it opens.
    pub open_at: DateTime<Utc>,
    /// When it closes by plan.
    pub close_at: DateTime<Utc>,
    /// When it was closed early.
    pub closed_at: Option<DateTime<Utc>>,
    /// When it was deleted.
    pub deleted_at: Option<DateTime<Utc>>,
}

/// A page of somebody's gonggus, deleted ones too, the newest first.
pub async fn own_gonggus<S>(
    pool: &PgPool,
    id: Uuid,
    page: &PageRequest<S>,
) -> Result<Vec<OwnGonggu>, sqlx::Error> {
    sqlx::query_as!(
        OwnGonggu,
        "SELECT id, title, open_at, close_at, closed_at, deleted_at FROM gonggus WHERE influencer_id = $1
         ORDER BY created_at DESC, id DESC LIMIT $2 OFFSET $3",
        id,
        page.size,
        page.offset()
    )
    .fetch_all(pool)
    .await
}

/// All gonggus that somebody made before a moment, deleted ones too: none has clicks from before it was made.
pub async fn own_gonggu_ids(
    pool: &PgPool,
    id: Uuid,
    before: DateTime<Utc>,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT id FROM gonggus WHERE influencer_id = $1 AND created_at < $2 ORDER BY id",
        id,
        before
    )
    .fetch_all(pool)
    .await
}

/// How many gonggus somebody ever made, and when the first.
pub async fn own_gonggu_span(pool: &PgPool, id: Uuid) -> Result<(i64, Option<DateTime<Utc>>), sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT count(*) AS "count!", min(created_at) AS first FROM gonggus WHERE influencer_id = $1"#,
        id
    )
    .fetch_one(pool)
    .await?;
    Ok((row.count, row.first))
}
