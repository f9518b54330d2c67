//! Demo categories and gonggus.

use super::SeedError;
use super::data::{self, Gonggu, Stands};
use chrono::{DateTime, TimeDelta, Utc};
use gonggumoa_analytics::postgres::begin::begin;
use indicatif::ProgressBar;
use sqlx::PgPool;
use std::collections::HashMap;
use uuid::Uuid;

/// A demo gonggu.
#[derive(Clone, Debug)]
pub struct DemoGonggu {
    /// Its id, the same in every deployment: `/go` links of a tutorial stay true.
    pub id: Uuid,
    /// Its title.
    pub title: &'static str,
    /// `scheduled`, `active` or `closed`.
    pub status: &'static str,
}

impl Stands {
    fn status(self) -> &'static str {
        match self {
            Self::Scheduled(..) => "scheduled",
            Self::Active(..) => "active",
            Self::Closed(..) => "closed",
        }
    }

    fn times(self, now: DateTime<Utc>) -> (DateTime<Utc>, DateTime<Utc>) {
        let (Self::Scheduled(opens, closes) | Self::Active(opens, closes) | Self::Closed(opens, closes)) =
            self;
        (now + TimeDelta::days(opens), now + TimeDelta::days(closes))
    }
}

pub(super) async fn sow(
    pool: &PgPool,
    influencers: &[Uuid],
    progress: &ProgressBar,
) -> Result<Vec<DemoGonggu>, SeedError> {
    let categories = sow_categories(pool).await?;
    let now = Utc::now();
    let mut sown = Vec::new();
    for (index, gonggu) in data::GONGGUS.iter().enumerate() {
        let id = demo_id("gonggu", index as u64);
        let owner = influencers[index % influencers.len()];
        sow_gonggu(pool, id, owner, gonggu, now, &categories).await?;
        sown.push(DemoGonggu { id, title: gonggu.title, status: gonggu.stands.status() });
        progress.inc(1);
    }
    Ok(sown)
}

async fn sow_categories(pool: &PgPool) -> Result<HashMap<&'static str, Uuid>, SeedError> {
    let mut ids = HashMap::new();
    for (order, (parent, children)) in (0..).zip(data::CATEGORIES) {
        let parent_id = sow_category(pool, None, parent, order).await?;
        for (order, child) in (0..).zip(children) {
            ids.insert(*child, sow_category(pool, Some(parent_id), child, order).await?);
        }
    }
    Ok(ids)
}

/// The update changes nothing; it makes the statement return the id of one that is there.
async fn sow_category(
    pool: &PgPool,
    parent: Option<Uuid>,
    name: &str,
    order: i32,
) -> Result<Uuid, sqlx::Error> {
    sqlx::query_scalar!(
        "INSERT INTO categories (id, parent_id, name, sort_order) VALUES ($1, $2, $3, $4)
         ON CONFLICT (parent_id, name) DO UPDATE SET name = EXCLUDED.name RETURNING id",
        Uuid::now_v7(),
        parent,
        name,
        order
    )
    .fetch_one(pool)
    .await
}

async fn sow_gonggu(
    pool: &PgPool,
    id: Uuid,
    owner: Uuid,
    gonggu: &Gonggu,
    now: DateTime<Utc>,
    categories: &HashMap<&'static str, Uuid>,
) -> Result<(), SeedError> {
    let (opens, closes) = gonggu.stands.times(now);
    let mut transaction = begin(pool).await?;
    let inserted = sqlx::query!(
        "INSERT INTO gonggus (id, influencer_id, title, description, original_price, gonggu_price, open_at,
                              close_at, external_url, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, least($7, now())) ON CONFLICT (id) DO NOTHING",
        id,
        owner,
        gonggu.title,
        gonggu.description,
        gonggu.original_price,
        gonggu.gonggu_price,
        opens,
        closes,
        gonggu.shop
    )
    .execute(&mut *transaction)
    .await?;
    if inserted.rows_affected() == 1 {
        for (slot, category) in (1i16..).zip(gonggu.categories) {
            sqlx::query!(
                "INSERT INTO gonggu_categories (gonggu_id, category_id, slot) VALUES ($1, $2, $3)",
                id,
                categories.get(category),
                slot
            )
            .execute(&mut *transaction)
            .await?;
        }
    } else {
        // Time has gone on: back to where it should stand, so that all three states can be seen.
        sqlx::query!(
            "UPDATE gonggus SET open_at = $2, close_at = $3, closed_at = NULL, updated_at = now()
             WHERE id = $1 AND gonggu_status_at(open_at, close_at, closed_at, now()) <> $4::text::gonggu_status",
            id,
            opens,
            closes,
            gonggu.stands.status()
        )
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// The same id for the same thing everywhere (UUIDv8 of its name's hash).
fn demo_id(kind: &str, number: u64) -> Uuid {
    let hash = blake3::hash(format!("gonggumoa demo {kind} {number}").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.as_bytes()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}
