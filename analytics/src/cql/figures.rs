//! Writing figures: heads first, then what follows them.
//!
//! Problem: a head and the rollup rows and flags of a batch must change together, and rollup rows of 13 months do not
//! fit into one partition beside it.
//!
//! So the head's row carries the rollup rows and flags that the last batch touched, and is written whole: one row of
//! one partition, which CQL writes atomically. Their own tables are written after it, and before the position moves.
//! A crash in between leaves a head that is ahead of its tables by what it carries; readers lay that over
//! what they find, and who loads the gonggu next finishes the tables (see `load`).
//!
//! Every row has a write timestamp made of its position, and a row's value at a position is a function of the log: a late
//! writer's older rows lose, whatever order they come in, and a tie can only be between equal values.

use super::CqlClickStore;
use super::error::damaged;
use super::rows::{HeadRow, RecentFlag, RecentRollup, recent_flag, recent_rollup, rollup_bucket, written_at};
use super::session;
use crate::postgres::codes;
use futures::future::try_join_all;
use futures::{StreamExt, TryStreamExt, stream};
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::GongguId;
use gonggumoa_core::store::{JudgedBatch, StoreError};
use scylla::errors::SerializationError;
use scylla::serialize::row::{RowSerializationContext, SerializeRow};
use scylla::serialize::writers::RowWriter;
use std::collections::{BTreeMap, HashMap};

/// Each head of a batch with its rollups and flags.
pub(crate) fn grouped(batch: &JudgedBatch) -> Result<Vec<HeadRow>, StoreError> {
    let mut heads: HashMap<GongguId, HeadRow> = batch
        .heads
        .iter()
        .map(|head| (head.gonggu_id, HeadRow::new(batch.partition.0 as i32, head)))
        .collect();
    let without_head =
        |gonggu_id: GongguId| damaged("batch", format!("{gonggu_id} has figures without a head"));
    for rollup in &batch.rollups {
        let gonggu_id = rollup.key.gonggu_id;
        let head = heads.get_mut(&gonggu_id).ok_or_else(|| without_head(gonggu_id))?;
        head.recent_rollups.push(recent_rollup(rollup));
    }
    for flag in &batch.flags {
        let head = heads.get_mut(&flag.gonggu_id).ok_or_else(|| without_head(flag.gonggu_id))?;
        head.recent_flags.push(recent_flag(flag));
    }
    Ok(heads.into_values().collect())
}

/// Writes heads and, unless a test stops there, what follows each.
pub(crate) async fn put(
    store: &CqlClickStore,
    heads: Vec<HeadRow>,
    with_tables: bool,
) -> Result<(), StoreError> {
    stream::iter(heads)
        .map(|head| async move {
            session::write(&store.session, &store.statements.put_head, head.values()).await?;
            if with_tables { follow(store, &head).await } else { Ok(()) }
        })
        .buffer_unordered(store.concurrency)
        .try_collect()
        .await
}

/// Brings the tables of rollups and flags to what a head carries.
pub(crate) async fn follow(store: &CqlClickStore, head: &HeadRow) -> Result<(), StoreError> {
    let mut partitions: BTreeMap<(i16, i64), Vec<RollupWrite<'_>>> = BTreeMap::new();
    for row in &head.recent_rollups {
        let level = codes::level_of(row.0).ok_or_else(|| damaged("rollup", format!("level {}", row.0)))?;
        let bucket = rollup_bucket(level, UnixMillis(row.1.0));
        partitions.entry((row.0, bucket)).or_default().push(RollupWrite { head, bucket, row });
    }
    let rollups = partitions.into_iter().map(|((level, bucket), rows)| async move {
        let key = (head.gonggu_id, level, bucket);
        if !store.known_rollup_buckets.contains(&key) {
            session::write(&store.session, &store.statements.put_rollup_bucket, key).await?;
            store.known_rollup_buckets.add([key]);
        }
        put_rollups(store, rows).await
    });
    let flags = head
        .recent_flags
        .iter()
        .map(|flag| session::write(&store.session, &store.statements.put_flag, FlagWrite { head, flag }));
    futures::try_join!(try_join_all(rollups), try_join_all(flags))?;
    Ok(())
}

/// Rows of one partition; a sketch is up to 2.5 KB, so that few go together.
async fn put_rollups(store: &CqlClickStore, mut rows: Vec<RollupWrite<'_>>) -> Result<(), StoreError> {
    const TOGETHER: usize = 12;
    while rows.len() > 1 {
        let rest = rows.split_off(rows.len().min(TOGETHER));
        let piece = rows.into_iter().map(|row| (&store.statements.put_rollup, row)).collect();
        session::write_partition(&store.session, piece).await?;
        rows = rest;
    }
    match rows.pop() {
        Some(row) => session::write(&store.session, &store.statements.put_rollup, row).await,
        None => Ok(()),
    }
}

/// A row of `click_rollups` out of a head.
struct RollupWrite<'a> {
    head: &'a HeadRow,
    bucket: i64,
    row: &'a RecentRollup,
}

impl SerializeRow for RollupWrite<'_> {
    fn serialize(
        &self,
        ctx: &RowSerializationContext<'_>,
        writer: &mut RowWriter<'_>,
    ) -> Result<(), SerializationError> {
        let (level, at, counts, visitors, referrers, devices) = self.row;
        let through = self.head.applied_through;
        let key = (self.head.gonggu_id, level, self.bucket, at);
        (key.0, key.1, key.2, key.3, through, counts, visitors, referrers, devices, written_at(through))
            .serialize(ctx, writer)
    }

    fn is_empty(&self) -> bool {
        false
    }
}

/// A row of `click_flags` out of a head. Its timestamp is its own last position: a flag that a later batch did not
/// touch keeps it, and an older state of it loses.
struct FlagWrite<'a> {
    head: &'a HeadRow,
    flag: &'a RecentFlag,
}

impl SerializeRow for FlagWrite<'_> {
    fn serialize(
        &self,
        ctx: &RowSerializationContext<'_>,
        writer: &mut RowWriter<'_>,
    ) -> Result<(), SerializationError> {
        let flag = self.flag;
        let (id, scope, index, hash, masked) = (flag.0, flag.1, flag.2, &flag.3, &flag.4);
        let (window, limit, opened, held) = (flag.5, flag.6, flag.7, flag.8);
        let (first, last, clicks, visitors) = (flag.9, flag.10, flag.11, &flag.12);
        let gonggu_id = self.head.gonggu_id;
        (
            gonggu_id,
            id,
            scope,
            index,
            hash,
            masked,
            window,
            limit,
            opened,
            held,
            first,
            last,
            clicks,
            visitors,
            written_at(last),
        )
            .serialize(ctx, writer)
    }

    fn is_empty(&self) -> bool {
        false
    }
}
