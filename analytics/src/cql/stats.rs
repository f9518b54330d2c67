//! The rows of a stats plan.
//!
//! CQL has no snapshots, so the order of reading stands for one: first how far the partitions are complete, then the
//! head, then the tables. What is read later is as new or newer, so that all clicks before `complete_through` are in the
//! figures. Totals are the sum of the series in any case. Adjustments are PostgreSQL's.

use super::CqlClickStore;
use super::error::damaged;
use super::load::head_row;
use super::progress;
use super::queries::{carried, whole_rows};
use super::rows::{HeadRow, RecentRollup, rollup_of};
use super::session;
use crate::postgres::{adjustments_in, codes, store_error};
use crate::stats::{RangeTotals, RollupAdjustment, RowRange, StatsPlan, StatsRows, StatsStore};
use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::GongguId;
use gonggumoa_core::judge::totals::{Counts, RollupLevel};
use gonggumoa_core::store::StoreError;
use scylla::value::CqlTimestamp;
use std::collections::BTreeMap;

#[async_trait]
impl StatsStore for CqlClickStore {
    async fn stats_rows(&self, gonggu_id: GongguId, plan: &StatsPlan) -> Result<StatsRows, StoreError> {
        let complete = progress::complete(self).await?;
        let complete_through = complete.iter().map(|(_, at)| *at).min().unwrap_or(UnixMillis::MIN);
        let mut rows = StatsRows { complete_through, ..StatsRows::default() };
        let head = head_row(self, gonggu_id).await?;
        let (of_series, of_totals) = futures::try_join!(
            adjustments_of(self, gonggu_id, &plan.series),
            adjustments_of(self, gonggu_id, &plan.totals),
        )?;
        rows.series_adjustments = of_series.into_iter().map(|row| (row.at, row.counts)).collect();
        for row in of_totals {
            rows.totals.add_devices(row.devices);
            rows.totals.add_differences(&row.referrers);
        }
        let Some(head) = head else { return Ok(rows) };
        let (series, totals) = futures::try_join!(series(self, &head, plan), totals(self, &head, plan))?;
        rows.series = series;
        rows.totals.merge(totals);
        Ok(rows)
    }

    async fn adjustments(
        &self,
        gonggu_id: GongguId,
        level: RollupLevel,
        from: UnixMillis,
        to: UnixMillis,
    ) -> Result<Vec<RollupAdjustment>, StoreError> {
        adjustments_of(self, gonggu_id, &[RowRange { level, from, to }]).await
    }
}

async fn adjustments_of(
    store: &CqlClickStore,
    gonggu_id: GongguId,
    ranges: &[RowRange],
) -> Result<Vec<RollupAdjustment>, StoreError> {
    let mut connection = store.catalog.acquire().await.map_err(store_error)?;
    adjustments_in(&mut connection, gonggu_id, ranges).await
}

async fn series(
    store: &CqlClickStore,
    head: &HeadRow,
    plan: &StatsPlan,
) -> Result<Vec<(UnixMillis, Counts)>, StoreError> {
    let ranges: Vec<Vec<(UnixMillis, Counts)>> = stream::iter(plan.series.clone())
        .map(|range| async move { series_of(store, head, &range).await })
        .buffered(store.concurrency)
        .try_collect()
        .await?;
    Ok(ranges.into_iter().flatten().collect())
}

async fn series_of(
    store: &CqlClickStore,
    head: &HeadRow,
    range: &RowRange,
) -> Result<Vec<(UnixMillis, Counts)>, StoreError> {
    let gonggu_id = GongguId(head.gonggu_id);
    let (level, from, to) = bounds(range);
    let buckets = store.rollup_buckets(gonggu_id, range).await?;
    let stored: Vec<Vec<(i64, CqlTimestamp, Vec<i64>)>> = stream::iter(buckets)
        .map(|bucket| {
            let values = (gonggu_id.0, level, bucket, from, to);
            session::rows(&store.session, &store.statements.rollup_counts, values)
        })
        .buffered(store.concurrency)
        .try_collect()
        .await?;
    let mut rows: BTreeMap<i64, (i64, Vec<i64>)> = BTreeMap::new();
    for (through, at, counts) in stored.into_iter().flatten() {
        rows.insert(at.0, (through, counts));
    }
    for recent in carried(head, range) {
        if rows.get(&recent.1.0).is_none_or(|(through, _)| *through <= head.applied_through) {
            rows.insert(recent.1.0, (head.applied_through, recent.2.clone()));
        }
    }
    rows.into_iter()
        .map(|(at, (_, counts))| {
            let counts: [i64; Counts::LEN] =
                counts.try_into().map_err(|_| damaged("rollup", "its counts are not nine"))?;
            Ok((UnixMillis(at), Counts::from_array(counts.map(i64::cast_unsigned))))
        })
        .collect()
}

fn bounds(range: &RowRange) -> (i16, CqlTimestamp, CqlTimestamp) {
    (codes::level_code(range.level), CqlTimestamp(range.from.0), CqlTimestamp(range.to.0))
}

async fn totals(store: &CqlClickStore, head: &HeadRow, plan: &StatsPlan) -> Result<RangeTotals, StoreError> {
    let gonggu_id = GongguId(head.gonggu_id);
    let is_whole = covers_all(store, head, plan).await?;
    let rows: Vec<Vec<RecentRollup>> = stream::iter(plan.totals.clone())
        .map(|range| async move {
            if is_whole {
                unsketched_rows(store, head, &range).await
            } else {
                whole_rows(store, head, &range).await
            }
        })
        .buffered(store.concurrency)
        .try_collect()
        .await?;
    let mut totals = RangeTotals::default();
    for row in rows.into_iter().flatten() {
        let rollup = rollup_of(gonggu_id, row)?;
        totals.add_devices(rollup.devices.map(u64::cast_signed));
        totals.add_hosts(&rollup.referrers);
        if !is_whole {
            totals.visitors.merge(&rollup.visitors);
        }
    }
    if is_whole {
        totals.visitors.merge(&head.head()?.visitors);
    }
    Ok(totals)
}

/// Whether no click lies outside of a plan: then the head's sketch is that of the range, and those of the rows, most of
/// the bytes, stay where they are.
async fn covers_all(store: &CqlClickStore, head: &HeadRow, plan: &StatsPlan) -> Result<bool, StoreError> {
    let (Some(first), Some(last)) = (plan.totals.first(), plan.totals.last()) else { return Ok(false) };
    if head.last_clicked_at.0 >= last.to.0 {
        return Ok(false);
    }
    let minute = codes::level_code(RollupLevel::Minute);
    let oldest: Option<(i64,)> =
        session::row(&store.session, &store.statements.first_rollup_bucket, (head.gonggu_id, minute)).await?;
    let Some((bucket,)) = oldest else { return Ok(false) };
    let before = RowRange { level: RollupLevel::Minute, from: UnixMillis::MIN, to: first.from };
    if bucket < super::rows::rollup_bucket(RollupLevel::Minute, first.from)
        || carried(head, &before).next().is_some()
    {
        return Ok(false);
    }
    let values = (head.gonggu_id, minute, bucket, CqlTimestamp(i64::MIN), CqlTimestamp(first.from.0));
    let earlier: Vec<(i64, CqlTimestamp, Vec<i64>)> =
        session::rows(&store.session, &store.statements.rollup_counts, values).await?;
    Ok(earlier.is_empty())
}

/// As [`whole_rows`], without sketches.
async fn unsketched_rows(
    store: &CqlClickStore,
    head: &HeadRow,
    range: &RowRange,
) -> Result<Vec<RecentRollup>, StoreError> {
    type Row = (i64, i16, CqlTimestamp, Vec<i64>, Option<BTreeMap<String, i64>>, Vec<i64>);
    let gonggu_id = GongguId(head.gonggu_id);
    let (level, from, to) = bounds(range);
    let buckets = store.rollup_buckets(gonggu_id, range).await?;
    let stored: Vec<Vec<Row>> = stream::iter(buckets)
        .map(|bucket| {
            let values = (gonggu_id.0, level, bucket, from, to);
            session::rows(&store.session, &store.statements.rollups_unsketched, values)
        })
        .buffered(store.concurrency)
        .try_collect()
        .await?;
    let mut rows: BTreeMap<i64, (i64, RecentRollup)> = BTreeMap::new();
    for (through, level, at, counts, referrers, devices) in stored.into_iter().flatten() {
        let row = (level, at, counts, Vec::new(), referrers.unwrap_or_default(), devices);
        rows.insert(at.0, (through, row));
    }
    for recent in carried(head, range) {
        if rows.get(&recent.1.0).is_none_or(|(through, _)| *through <= head.applied_through) {
            rows.insert(recent.1.0, (head.applied_through, recent.clone()));
        }
    }
    Ok(rows.into_values().map(|(_, row)| row).collect())
}
