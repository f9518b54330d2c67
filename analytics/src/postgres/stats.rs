//! The rows of a stats plan, as of one instant.

use super::error::store_error;
use super::millis::PgMillis;
use super::queries::complete_through;
use super::rows::{self, RollupRow};
use super::{PostgresClickStore, codes};
use crate::stats::{RollupAdjustment, RowRange, StatsPlan, StatsRows, StatsStore};
use async_trait::async_trait;
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::GongguId;
use gonggumoa_core::judge::totals::{Counts, Rollup, RollupLevel};
use gonggumoa_core::store::StoreError;
use sqlx::PgConnection;

/// Ranges as three columns, for `unnest`.
struct Ranges {
    levels: Vec<i16>,
    from: Vec<PgMillis>,
    to: Vec<PgMillis>,
}

impl Ranges {
    fn new(ranges: &[RowRange]) -> Self {
        Self {
            levels: ranges.iter().map(|range| codes::level_code(range.level)).collect(),
            from: ranges.iter().map(|range| PgMillis(range.from)).collect(),
            to: ranges.iter().map(|range| PgMillis(range.to)).collect(),
        }
    }
}

#[async_trait]
impl StatsStore for PostgresClickStore {
    async fn stats_rows(&self, gonggu_id: GongguId, plan: &StatsPlan) -> Result<StatsRows, StoreError> {
        let mut transaction = self
            .pool
            .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .await
            .map_err(store_error)?;
        let (series, totals) = (Ranges::new(&plan.series), Ranges::new(&plan.totals));
        let rows = StatsRows {
            complete_through: complete_through(&mut transaction).await?,
            series: counts(&mut transaction, gonggu_id, &series).await?,
            series_adjustments: adjustments(&mut transaction, gonggu_id, &series).await?,
            totals: rollups(&mut transaction, gonggu_id, &totals).await?,
            totals_adjustments: adjustments(&mut transaction, gonggu_id, &totals).await?,
        };
        transaction.commit().await.map_err(store_error)?;
        Ok(rows)
    }

    async fn adjustments(
        &self,
        gonggu_id: GongguId,
        level: RollupLevel,
        from: UnixMillis,
        to: UnixMillis,
    ) -> Result<Vec<RollupAdjustment>, StoreError> {
        let mut connection = self.pool.acquire().await.map_err(store_error)?;
        adjustments(&mut connection, gonggu_id, &Ranges::new(&[RowRange { level, from, to }])).await
    }
}

async fn counts(
    connection: &mut PgConnection,
    gonggu_id: GongguId,
    ranges: &Ranges,
) -> Result<Vec<(UnixMillis, Counts)>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT c.at AS "at!: PgMillis", c.counts AS "counts!"
           FROM unnest($2::smallint[], $3::timestamptz[], $4::timestamptz[]) AS r (level, first, beyond)
           CROSS JOIN LATERAL (
               SELECT at, counts FROM click_rollups
               WHERE gonggu_id = $1 AND level = r.level AND at >= r.first AND at < r.beyond OFFSET 0
           ) c"#,
        gonggu_id.0,
        &ranges.levels,
        &ranges.from as _,
        &ranges.to as _
    )
    .fetch_all(connection)
    .await
    .map_err(store_error)?;
    rows.into_iter().map(|row| Ok((row.at.0, rows::counts(&row.counts)?))).collect()
}

async fn rollups(
    connection: &mut PgConnection,
    gonggu_id: GongguId,
    ranges: &Ranges,
) -> Result<Vec<Rollup>, StoreError> {
    let rows = sqlx::query_as!(
        RollupRow,
        r#"SELECT c.gonggu_id AS "gonggu_id!", c.level AS "level!", c.at AS "at!: PgMillis",
                  c.counts AS "counts!", c.visitors AS "visitors!", c.referrers AS "referrers?",
                  c.devices AS "devices!"
           FROM unnest($2::smallint[], $3::timestamptz[], $4::timestamptz[]) AS r (level, first, beyond)
           CROSS JOIN LATERAL (
               SELECT * FROM click_rollups
               WHERE gonggu_id = $1 AND level = r.level AND at >= r.first AND at < r.beyond OFFSET 0
           ) c"#,
        gonggu_id.0,
        &ranges.levels,
        &ranges.from as _,
        &ranges.to as _
    )
    .fetch_all(connection)
    .await
    .map_err(store_error)?;
    rows.into_iter().map(Rollup::try_from).collect()
}

async fn adjustments(
    connection: &mut PgConnection,
    gonggu_id: GongguId,
    ranges: &Ranges,
) -> Result<Vec<RollupAdjustment>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT a.at AS "at!: PgMillis", a.counts AS "counts!", a.referrers AS "referrers?",
                  a.devices AS "devices!"
           FROM unnest($2::smallint[], $3::timestamptz[], $4::timestamptz[]) AS r (level, first, beyond)
           JOIN click_rollup_adjustments a
             ON a.gonggu_id = $1 AND a.level = r.level AND a.at >= r.first AND a.at < r.beyond
           ORDER BY a.at, a.decision_id"#,
        gonggu_id.0,
        &ranges.levels,
        &ranges.from as _,
        &ranges.to as _
    )
    .fetch_all(connection)
    .await
    .map_err(store_error)?;
    rows.into_iter()
        .map(|row| {
            let referrers = row.referrers.map(serde_json::from_value).transpose();
            Ok(RollupAdjustment {
                at: row.at.0,
                counts: rows::signed("counts", &row.counts)?,
                devices: rows::signed("devices", &row.devices)?,
                referrers: referrers
                    .map_err(|error| StoreError::Damaged {
                        what: "adjustment",
                        problem: format!("referrers: {error}"),
                    })?
                    .unwrap_or_default(),
            })
        })
        .collect()
}
