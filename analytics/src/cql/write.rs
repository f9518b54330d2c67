//! Storing a batch, in the contract's order; each step is confirmed by a majority before the next begins.
//!
//! ```text
//!   read owner and position serially: another's, or neither at the start nor at the end → refused, nothing written;
//!   at the end → done
//!   1. clicks, what states need of them, quarantined positions
//!   2. each gonggu: its head with the rollup rows and flags that the batch touched, one row, hence atomic;
//!      then the same rollup rows and flags in their own tables
//!   3. the position, by compare-and-set, if the owner still is the batch's
//! ```
//!
//! An owner that loses the partition between the first read and the last step still does steps 1 and 2. All that
//! it writes so was in the log before that read, hence before the claim: what its successor does about it says
//! `gonggumoa_core::store`.
//!
//! Requests of a step go out together, so many at a time as configured; rows of one partition in unlogged batches.

use super::CqlClickStore;
use super::figures;
use super::progress::{self, Place};
use super::rows::{AddressWrite, ClickWrite, NeededWrite};
use super::session;
use crate::postgres::Month;
use futures::{StreamExt, TryStreamExt, stream};
use gonggumoa_core::click::JudgedClick;
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::kst::DAY_MILLIS;
use gonggumoa_core::store::needed::{WindowStarts, is_needed};
use gonggumoa_core::store::{JudgedBatch, StoreError};
use scylla::errors::SerializationError;
use scylla::serialize::row::{RowSerializationContext, SerializeRow};
use scylla::serialize::writers::RowWriter;
use scylla::statement::prepared::PreparedStatement;
use std::collections::HashMap;
use std::time::Instant;
use uuid::Uuid;

/// Rows of a partition in one request: enough to make the request cheap, few enough for a node's memory.
const PIECE_ROWS: usize = 100;
/// And bytes: below Cassandra's limit on batches (50 KiB by default).
const PIECE_BYTES: usize = 36 * 1024;
/// What came so late that its time is over already goes a day later, as the daily pass of the PostgreSQL store
/// has it.
const TTL_SECONDS_MIN: i64 = DAY_MILLIS / 1_000;
/// The servers' limit: 20 years.
const TTL_SECONDS_MAX: i64 = 20 * 365 * DAY_MILLIS / 1_000;

/// Which of the contract's writes to do. All in production; fewer where a test plays a crash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Through {
    /// The clicks only.
    #[cfg_attr(not(test), allow(dead_code, reason = "crashes are played by tests only"))]
    Clicks,
    /// And the heads, but not the tables that follow them.
    #[cfg_attr(not(test), allow(dead_code, reason = "crashes are played by tests only"))]
    Heads,
    /// And rollups and flags.
    #[cfg_attr(not(test), allow(dead_code, reason = "crashes are played by tests only"))]
    Figures,
    /// And the position.
    Position,
}

pub(crate) async fn store(store: &CqlClickStore, batch: &JudgedBatch) -> Result<(), StoreError> {
    let started = Instant::now();
    attempt(store, batch, Through::Position).await?;
    metrics::histogram!("store_batch_seconds").record(started.elapsed().as_secs_f64());
    metrics::counter!("store_rows_total", "table" => "clicks").increment(batch.clicks.len() as u64);
    metrics::counter!("store_rows_total", "table" => "click_heads").increment(batch.heads.len() as u64);
    metrics::counter!("store_rows_total", "table" => "click_rollups").increment(batch.rollups.len() as u64);
    store.touched.add(batch.heads.iter().map(|head| head.gonggu_id));
    Ok(())
}

pub(crate) async fn attempt(
    store: &CqlClickStore,
    batch: &JudgedBatch,
    through: Through,
) -> Result<(), StoreError> {
    // Two callers of this process never write one partition at once; those of two processes write the same values.
    let turn = store.turn(batch.partition);
    let _turn = turn.lock().await;
    match progress::place_of(batch, &progress::stored(store, batch.partition).await?)? {
        Place::End => return Ok(()),
        Place::Start => {}
    }
    let figures = figures::grouped(batch)?;
    put_clicks(store, &batch.clicks).await?;
    put_quarantined(store, batch).await?;
    if through >= Through::Heads {
        figures::put(store, figures, through >= Through::Figures).await?;
    }
    if through >= Through::Position {
        progress::advance(store, batch).await?;
    }
    Ok(())
}

/// A row of a piece.
enum Write {
    Click(ClickWrite),
    Address(AddressWrite),
    Needed(NeededWrite),
}

impl SerializeRow for Write {
    fn serialize(
        &self,
        ctx: &RowSerializationContext<'_>,
        writer: &mut RowWriter<'_>,
    ) -> Result<(), SerializationError> {
        match self {
            Self::Click(row) => row.serialize(ctx, writer),
            Self::Address(row) => row.serialize(ctx, writer),
            Self::Needed(row) => row.serialize(ctx, writer),
        }
    }

    fn is_empty(&self) -> bool {
        false
    }
}

impl Write {
    fn statement<'s>(&self, store: &'s CqlClickStore) -> &'s PreparedStatement {
        match self {
            Self::Click(_) => &store.statements.put_click,
            Self::Address(_) => &store.statements.put_address,
            Self::Needed(_) => &store.statements.put_needed,
        }
    }
}

/// Gathers rows of partitions into pieces.
#[derive(Default)]
struct Pieces<K> {
    open: HashMap<K, (Vec<Write>, usize)>,
    full: Vec<Vec<Write>>,
}

impl<K: std::hash::Hash + Eq> Pieces<K> {
    fn add(&mut self, partition: K, rows: impl IntoIterator<Item = Write>, bytes: usize) {
        let (piece, piece_bytes) = self.open.entry(partition).or_default();
        if piece.len() >= PIECE_ROWS || *piece_bytes + bytes > PIECE_BYTES {
            self.full.push(std::mem::take(piece));
            *piece_bytes = 0;
        }
        piece.extend(rows);
        *piece_bytes += bytes;
    }

    fn all(self) -> Vec<Vec<Write>> {
        let open = self.open.into_values().map(|(piece, _)| piece);
        self.full.into_iter().chain(open).filter(|piece| !piece.is_empty()).collect()
    }
}

/// A raw address takes about so many bytes.
const ADDRESS_BYTES: usize = 90;

async fn put_clicks(store: &CqlClickStore, clicks: &[JudgedClick]) -> Result<(), StoreError> {
    let now = store.clock.now();
    let everything = WindowStarts { marks: UnixMillis::MIN, counts: UnixMillis::MIN };
    let (mut pieces, mut needed) = (Pieces::default(), Pieces::default());
    let mut buckets: HashMap<(Uuid, i64, i16), i32> = HashMap::new();
    let mut hours = HashMap::new();
    for judged in clicks {
        let clicked_at = judged.click.clicked_at;
        let ttl = *hours
            .entry(super::rows::click_bucket(clicked_at))
            .or_insert_with(|| click_ttl(clicked_at, store.retention.click_retention_months, now));
        let row = ClickWrite::new(judged, ttl);
        let (key, mut bytes) = ((row.gonggu_id, row.bucket, row.shard), row.size());
        buckets.insert(key, ttl);
        let address = judged.click.address.map(|address| {
            bytes += ADDRESS_BYTES;
            let days = store.retention.ip_retention_days;
            // Never longer than its row, which would leave an address without a click.
            Write::Address(AddressWrite::new(judged, address, address_ttl(clicked_at, days, now).min(ttl)))
        });
        pieces.add(key, [Write::Click(row)].into_iter().chain(address), bytes);
        if is_needed(&judged.judgement, &everything) {
            let row = NeededWrite::new(judged);
            let (key, bytes) = ((row.gonggu_id, row.bucket), row.size());
            needed.add(key, [Write::Needed(row)], bytes);
        }
    }
    put_buckets(store, buckets).await?;
    let pieces = pieces.all().into_iter().chain(needed.all());
    stream::iter(pieces)
        .map(|piece| async move {
            let rows = piece.into_iter().map(|row| (row.statement(store), row)).collect();
            session::write_partition(&store.session, rows).await
        })
        .buffer_unordered(store.concurrency)
        .try_collect()
        .await
}

/// Enters which hours and shards there are; those that this process entered before are known.
async fn put_buckets(
    store: &CqlClickStore,
    buckets: HashMap<(Uuid, i64, i16), i32>,
) -> Result<(), StoreError> {
    let new: Vec<_> =
        buckets.into_iter().filter(|(key, _)| !store.known_click_buckets.contains(key)).collect();
    let done = stream::iter(new)
        .map(|(key, ttl)| async move {
            let values = (key.0, key.1, key.2, ttl);
            session::write(&store.session, &store.statements.put_click_bucket, values).await?;
            Ok::<_, StoreError>(key)
        })
        .buffer_unordered(store.concurrency)
        .try_collect::<Vec<_>>()
        .await?;
    store.known_click_buckets.add(done);
    Ok(())
}

/// Before the heads: a click that its head has skipped is never quarantined again.
async fn put_quarantined(store: &CqlClickStore, batch: &JudgedBatch) -> Result<(), StoreError> {
    for position in &batch.quarantined {
        let values = (batch.partition.0 as i32, position.0 as i64);
        session::write(&store.session, &store.statements.put_quarantined, values).await?;
    }
    Ok(())
}

/// Seconds until the end of the last month that a click is kept in.
pub(super) fn click_ttl(clicked_at: UnixMillis, months: u32, now: UnixMillis) -> i32 {
    // A clock that ran ahead makes nothing immortal.
    let mut ends_at = Month::of(clicked_at.min(now)).to;
    for _ in 0..months {
        ends_at = Month::of(ends_at).to;
    }
    seconds(ends_at, now)
}

/// Seconds until a raw address goes.
pub(super) fn address_ttl(clicked_at: UnixMillis, days: u32, now: UnixMillis) -> i32 {
    seconds(clicked_at.min(now).plus_millis(i64::from(days) * DAY_MILLIS), now)
}

fn seconds(ends_at: UnixMillis, now: UnixMillis) -> i32 {
    (ends_at.millis_since(now) / 1_000).clamp(TTL_SECONDS_MIN, TTL_SECONDS_MAX) as i32
}
