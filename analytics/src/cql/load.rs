//! Loading: all that a gonggu's state is rebuilt from.
//!
//! The judge loads a gonggu only when everything before was stored, so nobody writes it meanwhile and the several
//! reads are of one instant. A crash may have left a head that is ahead of the tables which follow it (see
//! `figures`): then the stored position is below the head, and the tables are brought up first. Only the judge loads,
//! so nobody else needs to, and it always does: what it has not stored it folds again, and for that it loads.

use super::CqlClickStore;
use super::error::damaged;
use super::figures;
use super::progress;
use super::rows::{
    HeadRow, NeededRead, RecentFlag, RecentRollup, flag_of, needed_bucket, rollup_bucket, rollup_of,
};
use super::session;
use crate::postgres::codes;
use futures::{StreamExt, TryStreamExt, stream};
use gonggumoa_core::click::JudgedClick;
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::{GongguId, PartitionId, Position};
use gonggumoa_core::judge::totals::{Flag, GongguHead, Rollup, RollupKey};
use gonggumoa_core::kst::DAY_MILLIS;
use gonggumoa_core::store::needed::{WindowStarts, is_needed};
use gonggumoa_core::store::{GongguSnapshot, LoadRequest, StoreError};
use scylla::value::CqlTimestamp;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use uuid::Uuid;

/// No window can reach back further than its clicks live (`default_time_to_live` of `clicks_needed`).
const NEEDED_MILLIS: i64 = 45 * DAY_MILLIS;

/// A rollup row as the table's statements give it: the position that it is of, then as in a head.
pub(crate) type StoredRollup = (
    i64,
    i16,
    CqlTimestamp,
    Vec<i64>,
    Option<Vec<u8>>,
    Option<std::collections::BTreeMap<String, i64>>,
    Vec<i64>,
);

/// The row without its position.
pub(crate) fn as_recent(row: StoredRollup) -> (i64, RecentRollup) {
    let (through, level, at, counts, visitors, referrers, devices) = row;
    (through, (level, at, counts, visitors.unwrap_or_default(), referrers.unwrap_or_default(), devices))
}

pub(crate) async fn load(
    store: &CqlClickStore,
    requests: &[LoadRequest],
) -> Result<Vec<GongguSnapshot>, StoreError> {
    // Several requests at a time; each is a handful of reads.
    let gonggu_ids: Vec<GongguId> = requests.iter().map(|request| request.gonggu_id).collect();
    let heads: Vec<Option<HeadRow>> = stream::iter(gonggu_ids)
        .map(|gonggu_id| head_row(store, gonggu_id))
        .buffered(store.concurrency)
        .try_collect()
        .await?;
    let mut through: HashMap<i32, Option<Position>> = HashMap::new();
    for head in heads.iter().flatten() {
        if let Entry::Vacant(vacant) = through.entry(head.partition) {
            let stored = progress::stored(store, PartitionId(head.partition as u32)).await?;
            vacant.insert(stored.progress.map(|progress| progress.position.through));
        }
    }
    let through = &through;
    let loads: Vec<(LoadRequest, Option<HeadRow>)> = requests.iter().cloned().zip(heads).collect();
    stream::iter(loads)
        .map(|(request, head)| async move {
            let Some(head) = head else { return Ok(GongguSnapshot::default()) };
            let stored = through.get(&head.partition).copied().flatten();
            if stored.is_none_or(|stored| stored.0 < head.applied_through as u64) {
                figures::follow(store, &head).await?;
            }
            snapshot(store, &request, head).await
        })
        .buffered(store.concurrency.div_ceil(4))
        .try_collect()
        .await
}

pub(crate) async fn head_row(
    store: &CqlClickStore,
    gonggu_id: GongguId,
) -> Result<Option<HeadRow>, StoreError> {
    session::row(&store.session, &store.statements.head, (gonggu_id.0,)).await
}

async fn snapshot(
    store: &CqlClickStore,
    request: &LoadRequest,
    row: HeadRow,
) -> Result<GongguSnapshot, StoreError> {
    let head = row.head()?;
    let window_millis = request.window_millis.min(NEEDED_MILLIS);
    let starts = WindowStarts::new(head.last_judged_at, window_millis, None);
    let (clicks, flags, rollups) = futures::try_join!(
        needed_clicks(store, &head, &starts),
        flags(store, &row, starts.marks),
        rollups(store, &row, &request.rollups),
    )?;
    Ok(GongguSnapshot { head: Some(head), clicks, rollups, flags })
}

async fn needed_clicks(
    store: &CqlClickStore,
    head: &GongguHead,
    starts: &WindowStarts,
) -> Result<Vec<JudgedClick>, StoreError> {
    let (gonggu_id, last) = (head.gonggu_id.0, head.last_judged_at);
    let buckets = needed_bucket(starts.marks)..=needed_bucket(last);
    let (after, to) = (CqlTimestamp(starts.marks.0), CqlTimestamp(last.0));
    let pages: Vec<Vec<NeededRead>> = stream::iter(buckets)
        .map(|bucket| session::rows(&store.session, &store.statements.needed, (gonggu_id, bucket, after, to)))
        .buffered(store.concurrency)
        .try_collect()
        .await?;
    let mut clicks = Vec::with_capacity(pages.iter().map(Vec::len).sum());
    for row in pages.into_iter().flatten() {
        let Some(judged) = row.click()? else { continue };
        // Rows above the head were left by a crash.
        if judged.position <= head.applied_through && is_needed(&judged.judgement, starts) {
            clicks.push(judged);
        }
    }
    clicks.sort_unstable_by_key(|judged| judged.position);
    Ok(clicks)
}

/// Those held after `after`. Of the others only id and time are read.
async fn flags(store: &CqlClickStore, head: &HeadRow, after: UnixMillis) -> Result<Vec<Flag>, StoreError> {
    let gonggu_id = GongguId(head.gonggu_id);
    let held: Vec<(Uuid, CqlTimestamp)> =
        session::rows(&store.session, &store.statements.flags_held, (gonggu_id.0,)).await?;
    let ids = held.into_iter().filter(|(_, last_held_at)| last_held_at.0 > after.0).map(|(id, _)| id);
    let stored: Vec<Option<RecentFlag>> = stream::iter(ids)
        .map(|id| session::row(&store.session, &store.statements.flag, (gonggu_id.0, id)))
        .buffered(store.concurrency)
        .try_collect()
        .await?;
    let mut newest: HashMap<Uuid, Flag> = HashMap::new();
    for row in stored.into_iter().flatten().chain(head.recent_flags.iter().cloned()) {
        let flag = flag_of(gonggu_id, row)?;
        let known = newest.entry(flag.id.0).or_insert_with(|| flag.clone());
        if known.last_position < flag.last_position {
            *known = flag;
        }
    }
    let mut flags: Vec<Flag> = newest.into_values().filter(|flag| flag.last_held_at > after).collect();
    flags.sort_unstable_by_key(|flag| (flag.first_position, flag.id));
    Ok(flags)
}

async fn rollups(
    store: &CqlClickStore,
    head: &HeadRow,
    keys: &[RollupKey],
) -> Result<Vec<Rollup>, StoreError> {
    let gonggu_id = GongguId(head.gonggu_id);
    let mut wanted = keys.to_vec();
    wanted.sort_unstable();
    wanted.dedup();
    let found: Vec<Option<Rollup>> = stream::iter(wanted)
        .map(|key| async move {
            let level = codes::level_code(key.level);
            let values = (gonggu_id.0, level, rollup_bucket(key.level, key.at), CqlTimestamp(key.at.0));
            let stored: Option<StoredRollup> =
                session::row(&store.session, &store.statements.rollup, values).await?;
            let recent = head.recent_rollups.iter().find(|row| row.0 == level && row.1.0 == key.at.0);
            let row = match (stored.map(as_recent), recent) {
                (Some((through, row)), Some(_)) if through > head.applied_through => Some(row),
                (_, Some(recent)) => Some(recent.clone()),
                (stored, None) => stored.map(|(_, row)| row),
            };
            row.map(|row| rollup_of(gonggu_id, row)).transpose()
        })
        .buffered(store.concurrency)
        .try_collect()
        .await?;
    let rollups: Vec<Rollup> = found.into_iter().flatten().collect();
    if rollups.iter().any(|rollup| rollup.key.gonggu_id != gonggu_id) {
        return Err(damaged("rollup", "it belongs to another gonggu"));
    }
    Ok(rollups)
}
