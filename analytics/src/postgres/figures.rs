//! Writing figures: heads with their open rows, and the rollup rows of the table.
//!
//! Problem: where a row goes depends on what is open in the store (see `open`), and asking for it costs about
//! as much as writing it. So the store remembers which buckets are open, and asks only where a batch opens or
//! closes one.
//!
//! Invariant: what is remembered of a partition is as of a stored position. It is taken out for an attempt, used
//! only if that position is the one found under lock, and put back after the commit; whatever fails in between
//! leaves nothing remembered.

use super::codes;
use super::error::store_error;
use super::millis::PgMillis;
use super::open::{OpenRows, OpenStarts};
use super::write::{Failed, referrers_json};
use gonggumoa_core::ids::GongguId;
use gonggumoa_core::judge::totals::{GongguHead, Rollup, RollupKey, RollupLevel};
use gonggumoa_core::log::LogPosition;
use gonggumoa_core::store::StoreError;
use sqlx::PgConnection;
use std::borrow::Cow;
use std::collections::HashMap;
use uuid::Uuid;

/// Upserts go in statements of at most so many rows, which bounds their memory.
const UPSERT_ROWS_MAX: usize = 20_000;
/// Gonggus of a partition whose open buckets are remembered; beyond, all are forgotten. Some 20 MB.
const KNOWN_MAX: usize = 200_000;

/// The open buckets of a partition's gonggus, as of a position.
#[derive(Debug, Default)]
pub(crate) struct KnownOpen {
    position: Option<LogPosition>,
    starts: HashMap<GongguId, OpenStarts>,
}

impl KnownOpen {
    /// What of it still holds at the position found in the store.
    pub(crate) fn at(mut self, found: Option<LogPosition>) -> Self {
        if self.position != found {
            self.starts.clear();
        }
        self
    }

    /// The same after a batch that ends there was committed.
    pub(crate) fn after(mut self, position: LogPosition) -> Self {
        self.position = Some(position);
        self
    }
}

/// A head and what its row holds besides.
struct HeadWrite<'a> {
    head: &'a GongguHead,
    open: Vec<u8>,
    open_minute_at: Option<PgMillis>,
}

/// Writes all figures of a batch.
pub(crate) async fn put_figures(
    connection: &mut PgConnection,
    heads: &[GongguHead],
    rollups: &[Rollup],
    known: &mut KnownOpen,
) -> Result<(), Failed> {
    let mut heads: Vec<&GongguHead> = heads.iter().collect();
    heads.sort_unstable_by_key(|head| head.gonggu_id);
    let mut rows: Vec<&Rollup> = rollups.iter().collect();
    rows.sort_unstable_by_key(|row| row.key);
    let groups = groups(&heads, &rows)?;

    let moved: Vec<Uuid> = heads
        .iter()
        .zip(&groups)
        .filter(|(head, rows)| {
            known.starts.get(&head.gonggu_id).is_none_or(|starts| !OpenRows::unmoved(starts, rows))
        })
        .map(|(head, _)| head.gonggu_id.0)
        .collect();
    let mut stored = stored_open(connection, &moved).await?;

    let mut writes = Vec::with_capacity(heads.len());
    let mut table: Vec<Cow<'_, Rollup>> = Vec::new();
    let mut opened: Vec<RollupKey> = Vec::new();
    if known.starts.len() + moved.len() > KNOWN_MAX {
        known.starts.clear();
    }
    let mut is_moved = moved.iter().peekable();
    for (head, rows) in heads.iter().copied().zip(groups) {
        let gonggu_id = head.gonggu_id;
        let (before, is_new) = if is_moved.next_if(|id| **id == gonggu_id.0).is_some() {
            let before = stored.remove(&gonggu_id.0);
            let is_new = before.is_none();
            (before.unwrap_or_default(), is_new)
        } else {
            // Nothing moves: the keys are those of the batch.
            let starts = RollupLevel::ALL.map(|level| newest(rows, level));
            (OpenRows::of_starts(gonggu_id, &starts), false)
        };
        let placed = before.place(rows);
        table.extend(placed.table);
        if !is_new {
            opened.extend(placed.opened);
        }
        let starts = placed.open.starts();
        known.starts.insert(gonggu_id, starts);
        writes.push(HeadWrite { head, open: placed.open.pack(), open_minute_at: starts[0].map(PgMillis) });
    }
    put_heads(connection, &writes).await?;
    drop_rollups(connection, &opened).await?;
    table.sort_unstable_by_key(|row| row.key);
    put_rollups(connection, &table).await?;
    Ok(())
}

/// Each head's rows, of rows in the order of their keys.
fn groups<'r, 'a>(heads: &[&GongguHead], rows: &'r [&'a Rollup]) -> Result<Vec<&'r [&'a Rollup]>, Failed> {
    let mut rest = rows;
    let groups: Vec<_> = heads
        .iter()
        .map(|head| {
            let count = rest.iter().take_while(|row| row.key.gonggu_id == head.gonggu_id).count();
            let (group, after) = rest.split_at(count);
            rest = after;
            group
        })
        .collect();
    if let Some(row) = rest.first() {
        // Its place depends on the head's row; the contract brings one with it.
        let problem = format!("{} or a gonggu before it has rollups without a head", row.key.gonggu_id);
        return Err(Failed::Store(StoreError::Damaged { what: "batch", problem }));
    }
    Ok(groups)
}

fn newest(rows: &[&Rollup], level: RollupLevel) -> Option<gonggumoa_core::clock::UnixMillis> {
    rows.iter().rev().find(|row| row.key.level == level).map(|row| row.key.at)
}

/// Open rows of those of these gonggus that have a head.
pub(crate) async fn stored_open(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, OpenRows<'static>>, Failed> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query!(
        "SELECT h.gonggu_id, h.open
         FROM unnest($1::uuid[]) AS w (gonggu_id) JOIN click_heads h ON h.gonggu_id = w.gonggu_id",
        ids
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let open = OpenRows::unpack(GongguId(row.gonggu_id), row.open.as_deref().unwrap_or_default());
            Ok((row.gonggu_id, open.map_err(Failed::Store)?))
        })
        .collect()
}

/// The same for readers.
pub(crate) async fn open_rows(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, OpenRows<'static>>, StoreError> {
    stored_open(connection, ids).await.map_err(|failed| match failed {
        Failed::Sql(error) => store_error(error),
        Failed::Store(error) => error,
    })
}

async fn put_heads(connection: &mut PgConnection, writes: &[HeadWrite<'_>]) -> Result<(), sqlx::Error> {
    for writes in writes.chunks(UPSERT_ROWS_MAX) {
        let heads = || writes.iter().map(|write| write.head);
        let ids: Vec<Uuid> = heads().map(|head| head.gonggu_id.0).collect();
        let counts: Vec<i64> =
            heads().flat_map(|head| head.counts.to_array()).map(|count| count as i64).collect();
        let visitors: Vec<&[u8]> = heads().map(|head| head.visitors.as_bytes()).collect();
        let judged: Vec<PgMillis> = heads().map(|head| PgMillis(head.last_judged_at)).collect();
        let clicked: Vec<PgMillis> = heads().map(|head| PgMillis(head.last_clicked_at)).collect();
        let applied: Vec<i64> = heads().map(|head| head.applied_through.0 as i64).collect();
        let open: Vec<&[u8]> = writes.iter().map(|write| write.open.as_slice()).collect();
        let open_minutes: Vec<Option<PgMillis>> = writes.iter().map(|write| write.open_minute_at).collect();
        sqlx::query_file!(
            "src/postgres/sql/put_heads.sql",
            &ids,
            &counts,
            &visitors as _,
            &judged as _,
            &clicked as _,
            &applied,
            &open as _,
            &open_minutes as _
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

async fn put_rollups(connection: &mut PgConnection, rollups: &[Cow<'_, Rollup>]) -> Result<(), sqlx::Error> {
    for rollups in rollups.chunks(UPSERT_ROWS_MAX) {
        let ids: Vec<Uuid> = rollups.iter().map(|rollup| rollup.key.gonggu_id.0).collect();
        let counts: Vec<i64> =
            rollups.iter().flat_map(|rollup| rollup.counts.to_array()).map(|count| count as i64).collect();
        let devices: Vec<i64> =
            rollups.iter().flat_map(|rollup| rollup.devices).map(|count| count as i64).collect();
        let levels: Vec<i16> = rollups.iter().map(|rollup| codes::level_code(rollup.key.level)).collect();
        let times: Vec<PgMillis> = rollups.iter().map(|rollup| PgMillis(rollup.key.at)).collect();
        let visitors: Vec<&[u8]> = rollups.iter().map(|rollup| rollup.visitors.as_bytes()).collect();
        let referrers: Vec<Option<String>> =
            rollups.iter().map(|rollup| referrers_json(&rollup.referrers)).collect();
        sqlx::query_file!(
            "src/postgres/sql/put_rollups.sql",
            &ids,
            &counts,
            &devices,
            &levels,
            &times as _,
            &visitors as _,
            &referrers as _
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// Takes rows out of the table that stand in a head now. Nearly always there are none: a bucket opens once.
async fn drop_rollups(connection: &mut PgConnection, keys: &[RollupKey]) -> Result<(), sqlx::Error> {
    for keys in keys.chunks(UPSERT_ROWS_MAX) {
        sqlx::query!(
            "DELETE FROM click_rollups r
             USING unnest($1::uuid[], $2::smallint[], $3::timestamptz[]) AS k (gonggu_id, level, at)
             WHERE r.gonggu_id = k.gonggu_id AND r.level = k.level AND r.at = k.at",
            &keys.iter().map(|key| key.gonggu_id.0).collect::<Vec<_>>(),
            &keys.iter().map(|key| codes::level_code(key.level)).collect::<Vec<_>>(),
            &keys.iter().map(|key| PgMillis(key.at)).collect::<Vec<_>>() as _
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
