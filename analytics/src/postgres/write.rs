//! Storing a batch: one transaction, the partition's row first and last.
//!
//! ```text
//!   lock, compare owner and position → COPY clicks → heads + open rollups → other rollups → flags → quarantine
//!                           → position (CAS) → COMMIT
//! ```
//!
//! The lock of the partition's row keeps its writers apart, and a claim is an update of that row: it waits for the
//! transaction that stores, and counts what that one stored; who comes after it finds another owner. There is no
//! row only where nobody claimed. All upserts go in key order, so that writers of different
//! partitions cannot deadlock. COPY cannot skip a click that is already stored; when it meets one, the
//! transaction is run again through a temporary table and `ON CONFLICT DO NOTHING`.

use super::begin::begin;
use super::error::{CHECK_VIOLATION, UNIQUE_VIOLATION, sql_state, store_error};
use super::figures::put_figures;
use super::millis::PgMillis;
use super::{PostgresClickStore, codes, copy};
use gonggumoa_core::ids::{PartitionId, Position, RunId};
use gonggumoa_core::judge::totals::Flag;
use gonggumoa_core::log::LogPosition;
use gonggumoa_core::store::{JudgedBatch, PartitionProgress, StoreError};
use sqlx::{AssertSqlSafe, PgConnection};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Instant;
use uuid::Uuid;

/// COPY is sent in pieces of about this size: large enough to cost few messages, small enough that the
/// server starts while the rest is encoded.
const COPY_PIECE_BYTES: usize = 128 * 1024;

/// How the clicks go in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// Straight COPY; fails when any is stored already.
    Copy,
    /// By a temporary table; skips those stored.
    Merge,
}

/// Which of the three writes of the store's contract to do. All in production; fewer where a test plays
/// a store without transactions that crashed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Through {
    /// The clicks only.
    #[cfg_attr(not(test), allow(dead_code, reason = "crashes are played by tests only"))]
    Clicks,
    /// And heads, rollups and flags.
    #[cfg_attr(not(test), allow(dead_code, reason = "crashes are played by tests only"))]
    Figures,
    /// And the position.
    Position,
}

pub(crate) async fn store(store: &PostgresClickStore, batch: &JudgedBatch) -> Result<(), StoreError> {
    let started = Instant::now();
    let mut way = Way::Copy;
    let mut partition_missed = false;
    loop {
        store.months.ensure(&store.pool, batch.clicks.iter().map(|judged| judged.click.clicked_at)).await?;
        match attempt(store, batch, way, Through::Position).await {
            Ok(()) => break,
            Err(Failed::Store(error)) => return Err(error),
            Err(Failed::Sql(error)) => match sql_state(&error).as_deref() {
                Some(UNIQUE_VIOLATION) if way == Way::Copy => way = Way::Merge,
                Some(CHECK_VIOLATION) if !partition_missed => {
                    // Dropped by another process since it was last seen.
                    partition_missed = true;
                    store.months.forget();
                }
                _ => return Err(store_error(error)),
            },
        }
    }
    metrics::histogram!("store_batch_seconds").record(started.elapsed().as_secs_f64());
    metrics::counter!("store_rows_total", "table" => "click_trackings").increment(batch.clicks.len() as u64);
    metrics::counter!("store_rows_total", "table" => "click_heads").increment(batch.heads.len() as u64);
    metrics::counter!("store_rows_total", "table" => "click_rollups").increment(batch.rollups.len() as u64);
    store.touched.add(batch.heads.iter().map(|head| head.gonggu_id));
    Ok(())
}

/// Why an attempt ended.
#[derive(Debug)]
pub(crate) enum Failed {
    Sql(sqlx::Error),
    Store(StoreError),
}

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

pub(crate) async fn attempt(
    store: &PostgresClickStore,
    batch: &JudgedBatch,
    way: Way,
    through: Through,
) -> Result<(), Failed> {
    let mut transaction = begin(&store.pool).await?;
    let connection = &mut *transaction;
    let (owner, found) = lock_partition(connection, batch.partition).await?;
    if owner != Some(batch.owner) {
        return Err(Failed::Store(fenced(batch.partition, batch.owner, owner)));
    }
    let mut known = store.known_open.lock().remove(&batch.partition).unwrap_or_default().at(found);
    if found == Some(batch.to.position) {
        return Ok(());
    }
    if found != batch.from {
        return Err(Failed::Store(moved(batch, found)));
    }
    put_clicks(store, connection, batch, way).await?;
    if through >= Through::Figures {
        put_figures(connection, &batch.heads, &batch.rollups, &mut known).await?;
        put_flags(connection, &batch.flags).await?;
        put_quarantined(connection, batch.partition, &batch.quarantined).await?;
    }
    if through >= Through::Position && !advance(connection, batch).await? {
        return Err(Failed::Store(moved(batch, found)));
    }
    transaction.commit().await?;
    if through >= Through::Position {
        store.known_open.lock().insert(batch.partition, known.after(batch.to.position));
    }
    Ok(())
}

fn moved(batch: &JudgedBatch, found: Option<LogPosition>) -> StoreError {
    StoreError::PositionMoved {
        partition: batch.partition,
        expected: batch.from.map(|from| from.through),
        found: found.map(|found| found.through),
    }
}

pub(crate) fn fenced(partition: PartitionId, owner: Uuid, found: Option<Uuid>) -> StoreError {
    StoreError::Fenced { partition, owner, found }
}

/// The partition's owner and position, which stay until the transaction ends.
async fn lock_partition(
    connection: &mut PgConnection,
    partition: PartitionId,
) -> Result<(Option<Uuid>, Option<LogPosition>), sqlx::Error> {
    let row = sqlx::query!(
        "SELECT owner, position, run FROM click_partitions WHERE partition = $1 FOR UPDATE",
        partition.0 as i32
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map_or((None, None), |row| (row.owner, place(row.position, row.run))))
}

/// A stored place; `None` where nothing is stored yet.
pub(crate) fn place(position: Option<i64>, run: Option<Uuid>) -> Option<LogPosition> {
    let (through, run) = (Position(position? as u64), RunId(run?));
    Some(LogPosition { through, run })
}

async fn put_clicks(
    store: &PostgresClickStore,
    connection: &mut PgConnection,
    batch: &JudgedBatch,
    way: Way,
) -> Result<(), sqlx::Error> {
    if batch.clicks.is_empty() {
        return Ok(());
    }
    let table = match way {
        Way::Copy => "click_trackings",
        Way::Merge => {
            sqlx::query("CREATE TEMP TABLE click_trackings_again (LIKE click_trackings) ON COMMIT DROP")
                .execute(&mut *connection)
                .await?;
            "click_trackings_again"
        }
    };
    let mut buffer = store.buffers.lock().pop().unwrap_or_default();
    let copied = copy_clicks(connection, table, batch, &mut buffer).await;
    buffer.clear();
    store.buffers.lock().push(buffer);
    copied?;
    if way == Way::Merge {
        let merge = format!(
            "INSERT INTO click_trackings ({0}) SELECT {0} FROM click_trackings_again ON CONFLICT DO NOTHING",
            copy::COLUMNS
        );
        sqlx::query(AssertSqlSafe(merge)).execute(connection).await?;
    }
    Ok(())
}

async fn copy_clicks(
    connection: &mut PgConnection,
    table: &str,
    batch: &JudgedBatch,
    buffer: &mut Vec<u8>,
) -> Result<(), sqlx::Error> {
    let statement = format!("COPY {table} ({}) FROM STDIN (FORMAT binary)", copy::COLUMNS);
    let mut stream = connection.copy_in_raw(&statement).await?;
    buffer.clear();
    copy::begin(buffer);
    for judged in &batch.clicks {
        copy::encode(batch.partition.0, judged, buffer);
        if buffer.len() >= COPY_PIECE_BYTES {
            stream.send(buffer.as_slice()).await?;
            buffer.clear();
        }
    }
    copy::end(buffer);
    stream.send(buffer.as_slice()).await?;
    stream.finish().await?;
    Ok(())
}

/// Empty is NULL: most rows of quiet gonggus have none. `jsonb` holds no NUL either.
pub(crate) fn referrers_json(referrers: &BTreeMap<Box<str>, u64>) -> Option<String> {
    if referrers.is_empty() {
        return None;
    }
    let object: serde_json::Map<String, serde_json::Value> =
        referrers.iter().map(|(host, count)| (storable_host(host).into_owned(), (*count).into())).collect();
    Some(serde_json::Value::Object(object).to_string())
}

/// A referring host as rollup rows hold it.
pub(crate) fn storable_host(host: &str) -> Cow<'_, str> {
    if host.contains('\0') { Cow::Owned(host.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(host) }
}

async fn put_flags(connection: &mut PgConnection, flags: &[Flag]) -> Result<(), sqlx::Error> {
    if flags.is_empty() {
        return Ok(());
    }
    let mut flags: Vec<&Flag> = flags.iter().collect();
    flags.sort_unstable_by_key(|flag| flag.id);
    let column = |value: fn(&Flag) -> i64| flags.iter().map(|flag| value(flag)).collect::<Vec<i64>>();
    let time = |value: fn(&Flag) -> PgMillis| flags.iter().map(|flag| value(flag)).collect::<Vec<PgMillis>>();
    sqlx::query_file!(
        "src/postgres/sql/put_flags.sql",
        &flags.iter().map(|flag| flag.id.0).collect::<Vec<_>>(),
        &flags.iter().map(|flag| flag.gonggu_id.0).collect::<Vec<_>>(),
        &flags.iter().map(|flag| codes::scope_code(flag.scope)).collect::<Vec<_>>(),
        &flags.iter().map(|flag| i16::from(flag.limit_index)).collect::<Vec<_>>(),
        &flags.iter().map(|flag| flag.address_hash.0.as_slice()).collect::<Vec<_>>() as _,
        &flags.iter().map(|flag| flag.address_masked.to_string()).collect::<Vec<_>>(),
        &column(|flag| flag.window_millis),
        &flags.iter().map(|flag| flag.limit as i32).collect::<Vec<_>>(),
        &time(|flag| PgMillis(flag.opened_at)) as _,
        &time(|flag| PgMillis(flag.last_held_at)) as _,
        &column(|flag| flag.first_position.0 as i64),
        &column(|flag| flag.last_position.0 as i64),
        &column(|flag| flag.clicks as i64),
        &flags.iter().map(|flag| flag.visitors.as_bytes()).collect::<Vec<_>>() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn put_quarantined(
    connection: &mut PgConnection,
    partition: PartitionId,
    positions: &[Position],
) -> Result<(), sqlx::Error> {
    if positions.is_empty() {
        return Ok(());
    }
    let positions: Vec<i64> = positions.iter().map(|position| position.0 as i64).collect();
    sqlx::query!(
        "INSERT INTO click_quarantine (partition, position) SELECT $1, unnest($2::bigint[])
         ON CONFLICT DO NOTHING",
        partition.0 as i32,
        &positions
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Moves the position from the batch's start to its end; `false` when it is not at the start.
async fn advance(connection: &mut PgConnection, batch: &JudgedBatch) -> Result<bool, sqlx::Error> {
    let PartitionProgress { position, marks } = &batch.to;
    let marks = serde_json::json!(marks);
    let (partition, through, run) = (batch.partition.0 as i32, position.through.0 as i64, position.run.0);
    let done = sqlx::query!(
        "UPDATE click_partitions SET position = $2, run = $3, marks = $4, updated_at = now()
         WHERE partition = $1 AND owner = $7 AND position IS NOT DISTINCT FROM $5 AND run IS NOT DISTINCT FROM $6",
        partition,
        through,
        run,
        marks,
        batch.from.map(|from| from.through.0 as i64),
        batch.from.map(|from| from.run.0),
        batch.owner
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}
