//! The asking side: rollups, heads, pages of clicks, progress.

use super::CqlClickStore;
use super::load::{StoredRollup, as_recent, head_row};
use super::progress;
use super::rows::{ClickRead, HeadRow, RecentRollup, click_bucket, rollup_bucket, rollup_of};
use super::session;
use crate::postgres::codes;
use crate::stats::RowRange;
use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use gonggumoa_core::click::JudgedClick;
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::{GongguId, PartitionId, Position};
use gonggumoa_core::judge::totals::{GongguHead, Rollup, RollupLevel};
use gonggumoa_core::store::{ClickQueries, StoreError};
use scylla::value::CqlTimestamp;
use std::collections::BTreeMap;

/// Each shard of an hour is asked for so many more than its part: parts are never equal.
const SPARE_ROWS: usize = 8;

#[async_trait]
impl ClickQueries for CqlClickStore {
    async fn rollups(
        &self,
        gonggu_id: GongguId,
        level: RollupLevel,
        from: UnixMillis,
        to: UnixMillis,
    ) -> Result<Vec<Rollup>, StoreError> {
        // The head first: what is read of the table after it is as new, or newer.
        let Some(head) = head_row(self, gonggu_id).await? else { return Ok(Vec::new()) };
        let rows = whole_rows(self, &head, &RowRange { level, from, to }).await?;
        rows.into_iter().map(|row| rollup_of(gonggu_id, row)).collect()
    }

    async fn heads(&self, gonggu_ids: &[GongguId]) -> Result<Vec<GongguHead>, StoreError> {
        let rows: Vec<Option<HeadRow>> = stream::iter(gonggu_ids.to_vec())
            .map(|gonggu_id| head_row(self, gonggu_id))
            .buffered(self.concurrency)
            .try_collect()
            .await?;
        rows.iter().flatten().map(HeadRow::head).collect()
    }

    async fn complete_through(&self, partitions: &[PartitionId]) -> Result<UnixMillis, StoreError> {
        let stored = progress::complete(self).await?;
        let mut least = None;
        for partition in partitions {
            let Some((_, at)) = stored.iter().find(|(stored, _)| stored == partition) else {
                return Ok(UnixMillis::MIN);
            };
            least = Some(least.map_or(*at, |least: UnixMillis| least.min(*at)));
        }
        Ok(least.unwrap_or(UnixMillis::MIN))
    }

    async fn clicks(
        &self,
        gonggu_id: GongguId,
        from: UnixMillis,
        to: UnixMillis,
        after: Option<(UnixMillis, Position)>,
        limit: usize,
    ) -> Result<Vec<JudgedClick>, StoreError> {
        let mut page = Vec::new();
        // Positions are never negative in the store, so -1 is before the first.
        let mut place =
            after.map_or((from.0, -1), |(at, position)| (at.0, position.0 as i64)).max((from.0, -1));
        if from >= to {
            return Ok(page);
        }
        for (bucket, shards) in self.hours(gonggu_id, UnixMillis(place.0), to).await? {
            while page.len() < limit {
                let rows = limit - page.len();
                let (found, next) = self.hour(gonggu_id, bucket, &shards, (place, to.0), rows).await?;
                page.extend(found);
                let Some(next) = next else { break };
                place = next;
            }
            if page.len() >= limit {
                break;
            }
        }
        page.truncate(limit);
        Ok(page)
    }
}

/// A place in an hour: `clicked_at` and position.
type Place = (i64, i64);

impl CqlClickStore {
    /// The hours that hold clicks of a gonggu, with their shards.
    async fn hours(
        &self,
        gonggu_id: GongguId,
        from: UnixMillis,
        to: UnixMillis,
    ) -> Result<BTreeMap<i64, Vec<i16>>, StoreError> {
        let values = (gonggu_id.0, click_bucket(from), click_bucket(to));
        let rows: Vec<(i64, i16)> =
            session::rows(&self.session, &self.statements.click_buckets, values).await?;
        let mut hours: BTreeMap<i64, Vec<i16>> = BTreeMap::new();
        for (bucket, shard) in rows {
            hours.entry(bucket).or_default().push(shard);
        }
        Ok(hours)
    }

    /// Clicks of an hour between two places, in order, and the place to go on from unless that was all. Each shard
    /// gives about its part of the rows wanted; beyond the last row of one that may have more, nothing is known.
    async fn hour(
        &self,
        gonggu_id: GongguId,
        bucket: i64,
        shards: &[i16],
        (after, to): (Place, i64),
        rows: usize,
    ) -> Result<(Vec<JudgedClick>, Option<Place>), StoreError> {
        let limit = (rows.div_ceil(shards.len().max(1)) + SPARE_ROWS).min(i32::MAX as usize) as i32;
        let pages: Vec<Vec<ClickRead>> = stream::iter(shards.iter().copied())
            .map(|shard| {
                let values = (
                    gonggu_id.0,
                    bucket,
                    shard,
                    CqlTimestamp(after.0),
                    after.1,
                    CqlTimestamp(to),
                    -1i64,
                    limit,
                );
                session::rows(&self.session, &self.statements.clicks, values)
            })
            .buffered(self.concurrency)
            .try_collect()
            .await?;
        let place = |judged: &JudgedClick| (judged.click.clicked_at.0, judged.position.0 as i64);
        let mut known_to: Option<Place> = None;
        let mut clicks = Vec::new();
        for page in pages {
            let is_full = page.len() >= limit as usize;
            let page: Vec<JudgedClick> =
                page.into_iter().filter_map(|row| row.click().transpose()).collect::<Result<_, _>>()?;
            if let Some(last) = page.last().filter(|_| is_full).map(place) {
                known_to = Some(known_to.map_or(last, |known: Place| known.min(last)));
            }
            clicks.extend(page);
        }
        clicks.retain(|judged| known_to.is_none_or(|known| place(judged) <= known));
        clicks.sort_unstable_by_key(place);
        Ok((clicks, known_to))
    }

    /// The buckets of rollup rows of a range that there are.
    pub(super) async fn rollup_buckets(
        &self,
        gonggu_id: GongguId,
        range: &RowRange,
    ) -> Result<Vec<i64>, StoreError> {
        let (level, bucket) = (codes::level_code(range.level), |at| rollup_bucket(range.level, at));
        let values = (gonggu_id.0, level, bucket(range.from), bucket(range.to));
        let rows: Vec<(i64,)> = session::rows(&self.session, &self.statements.rollup_buckets, values).await?;
        Ok(rows.into_iter().map(|(bucket,)| bucket).collect())
    }
}

/// The rows of a range, ascending: those of the table, and over them those that the head carries.
pub(super) async fn whole_rows(
    store: &CqlClickStore,
    head: &HeadRow,
    range: &RowRange,
) -> Result<Vec<RecentRollup>, StoreError> {
    let gonggu_id = GongguId(head.gonggu_id);
    let level = codes::level_code(range.level);
    let (from, to) = (CqlTimestamp(range.from.0), CqlTimestamp(range.to.0));
    let buckets = store.rollup_buckets(gonggu_id, range).await?;
    let stored: Vec<Vec<StoredRollup>> = stream::iter(buckets)
        .map(|bucket| {
            session::rows(&store.session, &store.statements.rollups, (gonggu_id.0, level, bucket, from, to))
        })
        .buffered(store.concurrency)
        .try_collect()
        .await?;
    let mut rows: BTreeMap<i64, (i64, RecentRollup)> = BTreeMap::new();
    for row in stored.into_iter().flatten() {
        rows.insert(row.2.0, as_recent(row));
    }
    for recent in carried(head, range) {
        let is_newer = rows.get(&recent.1.0).is_none_or(|(through, _)| *through <= head.applied_through);
        if is_newer {
            rows.insert(recent.1.0, (head.applied_through, recent.clone()));
        }
    }
    Ok(rows.into_values().map(|(_, row)| row).collect())
}

/// The rows of a range that a head carries.
pub(super) fn carried<'a>(
    head: &'a HeadRow,
    range: &'a RowRange,
) -> impl Iterator<Item = &'a RecentRollup> + 'a {
    let level = codes::level_code(range.level);
    head.recent_rollups
        .iter()
        .filter(move |row| row.0 == level && range.from.0 <= row.1.0 && row.1.0 < range.to.0)
}
