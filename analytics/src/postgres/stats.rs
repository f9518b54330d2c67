//! The rows of a stats plan, as of one instant.

use super::error::store_error;
use super::millis::PgMillis;
use super::open::OpenRows;
use super::queries::least_mark;
use super::rows;
use super::{PostgresClickStore, codes};
use crate::stats::{RollupAdjustment, RowRange, StatsPlan, StatsRows, StatsStore};
use async_trait::async_trait;
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::GongguId;
use gonggumoa_core::judge::totals::{Rollup, RollupKey, RollupLevel};
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
        let (series, totals) = (Ranges::new(&plan.series), Ranges::new(&plan.totals));
        let start = plan.totals.first().map_or(UnixMillis::MIN, |range| range.from);
        let end = plan.totals.last().map_or(UnixMillis::MIN, |range| range.to);
        let found = sqlx::query_file_as!(
            StatsRow,
            "src/postgres/sql/stats_rows.sql",
            gonggu_id.0,
            &series.levels,
            &series.from as _,
            &series.to as _,
            &totals.levels,
            &totals.from as _,
            &totals.to as _,
            PgMillis(start) as _,
            PgMillis(end) as _
        )
        .fetch_all(&self.pool)
        .await
        .map_err(store_error)?;
        stats_rows(gonggu_id, plan, found)
    }

    async fn adjustments(
        &self,
        gonggu_id: GongguId,
        level: RollupLevel,
        from: UnixMillis,
        to: UnixMillis,
    ) -> Result<Vec<RollupAdjustment>, StoreError> {
        let mut connection = self.pool.acquire().await.map_err(store_error)?;
        adjustments_in(&mut connection, gonggu_id, &[RowRange { level, from, to }]).await
    }
}

/// A row of `stats_rows.sql`; which columns are set depends on the part.
struct StatsRow {
    part: i16,
    at: Option<PgMillis>,
    counts: Option<Vec<i64>>,
    visitors: Option<Vec<u8>>,
    json: Option<String>,
    devices: Option<Vec<i64>>,
}

const PART_SERIES: i16 = 1;
const PART_SERIES_ADJUSTMENTS: i16 = 3;
const PART_MARKS: i16 = 4;
const PART_OPEN: i16 = 5;
const PART_OPEN_WITHOUT_VISITORS: i16 = 6;

fn stats_rows(gonggu_id: GongguId, plan: &StatsPlan, found: Vec<StatsRow>) -> Result<StatsRows, StoreError> {
    let mut rows = StatsRows::default();
    let mut complete_through: Option<UnixMillis> = None;
    for row in found {
        let at = row.at.map_or(UnixMillis::MIN, |at| at.0);
        let counts = row.counts.unwrap_or_default();
        match row.part {
            PART_SERIES => rows.series.push((at, rows::counts(&counts)?)),
            PART_SERIES_ADJUSTMENTS => rows.series_adjustments.push((at, rows::signed("counts", &counts)?)),
            PART_MARKS => {
                let marks = row.json.as_deref().map(serde_json::from_str).transpose();
                let marks = marks.map_err(|error| damaged("partition", &error))?.unwrap_or_default();
                let at = least_mark(marks)?;
                complete_through = Some(complete_through.map_or(at, |least| least.min(at)));
            }
            PART_OPEN | PART_OPEN_WITHOUT_VISITORS => {
                let open = OpenRows::unpack(gonggu_id, &row.visitors.unwrap_or_default())?;
                open.into_rows().for_each(|open| add_open(&mut rows, plan, &open, row.part == PART_OPEN));
            }
            _ => {
                if let Some(devices) = row.devices {
                    rows.totals.add_devices(rows::signed("devices", &devices)?);
                }
                if let Some(json) = row.json {
                    rows.totals.add_referrers(&json).map_err(|error| damaged("rollup", &error))?;
                }
                if let Some(visitors) = row.visitors {
                    rows.totals.visitors.merge(&rows::sketch("rollup", &visitors)?);
                }
            }
        }
    }
    rows.complete_through = complete_through.unwrap_or(UnixMillis::MIN);
    Ok(rows)
}

/// Adds a row that stands in the head to what it is part of.
fn add_open(rows: &mut StatsRows, plan: &StatsPlan, open: &Rollup, with_visitors: bool) {
    let RollupKey { level, at, .. } = open.key;
    let lies_in = |ranges: &[RowRange]| {
        ranges.iter().any(|range| range.level == level && range.from <= at && at < range.to)
    };
    if lies_in(&plan.series) {
        rows.series.push((at, open.counts));
    }
    if lies_in(&plan.totals) {
        rows.totals.add_devices(open.devices.map(u64::cast_signed));
        rows.totals.add_hosts(&open.referrers);
        if with_visitors {
            rows.totals.visitors.merge(&open.visitors);
        }
    }
}

fn damaged(what: &'static str, error: &serde_json::Error) -> StoreError {
    StoreError::Damaged { what, problem: error.to_string() }
}

/// Adjustments of one gonggu's rows of these ranges, ascending.
pub(crate) async fn adjustments_in(
    connection: &mut PgConnection,
    gonggu_id: GongguId,
    ranges: &[RowRange],
) -> Result<Vec<RollupAdjustment>, StoreError> {
    adjustments(connection, gonggu_id, &Ranges::new(ranges)).await
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
