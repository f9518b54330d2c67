//! Retention: raw addresses go after `IP_RETENTION_DAYS`, clicks after `CLICK_RETENTION_MONTHS`, from the store
//! and from the archive.
//!
//! A CQL store's rows have times to live and go by themselves; a pass only clears the archive beside it. With
//! PostgreSQL it is a daily pass in bounded steps: an hour of clicks is masked per statement (found by a block-range index,
//! since rows lie in the order of time), a month is dropped as a whole table. How far the masking came is
//! remembered after a whole pass, so that the next looks at new hours only; two days are looked at again for clicks
//! that were stored late. Small partitions and the catch-alls are looked at every time: those are where a wrong clock
//! puts clicks.

use crate::archive::{self, ArchiveError};
use crate::postgres::PostgresClickStore;
use crate::postgres::begin::begin;
use crate::postgres::error::{LOCK_NOT_AVAILABLE, sql_state};
use crate::postgres::millis::PgMillis;
use crate::postgres::months::{MONTHS_LOCK, Month};
use crate::recorded::{Cleared, RecordedClicks};
use gonggumoa_core::clock::{Clock, UnixMillis};
use gonggumoa_core::kst::{DAY_MILLIS, HOUR_MILLIS, hour_start};
use gonggumoa_core::store::StoreError;
use object_store::ObjectStore;
use sqlx::AssertSqlSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Where the masking's progress is kept.
const MASKED_THROUGH: &str = "ip_masked_through";
/// Clicks stored later than this after they were made are found only in small partitions.
const LATE_MILLIS: i64 = 2 * DAY_MILLIS;
/// A partition up to this size is read whole in well under a second.
const SMALL_BYTES: i64 = 64 * 1024 * 1024;
/// Pause between passes.
const PASS_INTERVAL: Duration = Duration::from_secs(24 * 3_600);
/// A failed pass is tried again sooner.
const RETRY_INTERVAL: Duration = Duration::from_secs(600);

/// How long what is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetentionConfig {
    /// Raw addresses, in days.
    pub ip_retention_days: u32,
    /// Clicks, in months besides the running one.
    pub click_retention_months: u32,
}

/// What a pass did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RetentionPass {
    /// Clicks whose raw address went.
    pub addresses_masked: u64,
    /// Partitions dropped.
    pub tables_dropped: Vec<String>,
    /// Archive files deleted.
    pub files_deleted: Vec<String>,
}

/// Why a pass ended early; what it did stays done.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    /// The database did not answer, or refused.
    #[error("stored clicks could not be cleared")]
    Store(#[from] sqlx::Error),
    /// How far the log has come cannot be told.
    #[error("the log's time cannot be read")]
    Progress(#[from] StoreError),
    /// The archive cannot be read or deleted from.
    #[error("the archive could not be cleared")]
    Archive(#[from] ArchiveError),
}

impl RetentionError {
    /// Whether the same pass may go through later: a pass is idempotent, and each begins anew.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Store(_) => true,
            Self::Progress(error) => error.retryable(),
            Self::Archive(error) => error.retryable(),
        }
    }
}

/// The running daily pass.
#[derive(Debug)]
pub struct RetentionHandle {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl RetentionHandle {
    /// Stops; a step in progress is rolled back.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        let _ = self.task.await;
    }
}

/// Starts a pass now and one a day.
pub fn spawn(
    config: RetentionConfig,
    store: Arc<dyn RecordedClicks>,
    objects: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
) -> RetentionHandle {
    let (stop, mut stopped) = watch::channel(false);
    let task = tokio::spawn(async move {
        loop {
            let passed = tokio::select! {
                passed = pass(&config, &*store, &*objects, clock.now()) => passed,
                _ = stopped.wait_for(|stop| *stop) => return,
            };
            let pause = match passed {
                Ok(done) => {
                    tracing::info!(
                        retention.addresses_masked = done.addresses_masked,
                        retention.tables_dropped = done.tables_dropped.len(),
                        retention.files_deleted = done.files_deleted.len(),
                        "a retention pass is done"
                    );
                    PASS_INTERVAL
                }
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "a retention pass failed; it is tried again"
                    );
                    RETRY_INTERVAL
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stopped.wait_for(|stop| *stop) => return,
            }
        }
    });
    RetentionHandle { stop, task }
}

/// One pass, as of `now`.
pub async fn pass(
    config: &RetentionConfig,
    store: &dyn RecordedClicks,
    objects: &dyn ObjectStore,
    now: UnixMillis,
) -> Result<RetentionPass, RetentionError> {
    // The start of the month that lies the given number of months back. The log's time counts too, since it does
    // not leap: a wall clock set forwards by years deletes nothing.
    let mut keep_from =
        Month::of(now.min(store.complete_through(&store.stored_partitions().await?).await?)).from;
    for _ in 0..config.click_retention_months {
        keep_from = Month::of(keep_from.plus_millis(-1)).from;
    }
    let Cleared { addresses_masked, tables_dropped } = store.clear(config, keep_from, now).await?;
    // Last: a damaged file must not keep raw addresses.
    let files_deleted = archive::delete_before(objects, keep_from).await?;
    Ok(RetentionPass { addresses_masked, tables_dropped, files_deleted })
}

/// The part of a pass that is PostgreSQL's.
pub(crate) async fn clear_postgres(
    config: &RetentionConfig,
    store: &PostgresClickStore,
    keep_from: UnixMillis,
    now: UnixMillis,
) -> Result<Cleared, RetentionError> {
    let mut done = Cleared::default();
    for (table, _) in partitions(store).await? {
        if month_of(&table).is_some_and(|month| month.to <= keep_from)
            && drop_partition(store, &table).await?
        {
            done.tables_dropped.push(table);
        }
    }
    let mask_before = hour_start(now.plus_millis(-i64::from(config.ip_retention_days) * DAY_MILLIS));
    done.addresses_masked = mask(store, mask_before, SMALL_BYTES).await?;
    Ok(done)
}

/// Partitions with their sizes in bytes.
async fn partitions(store: &PostgresClickStore) -> Result<Vec<(String, i64)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT inhrelid::regclass::text AS "table!", pg_relation_size(inhrelid) AS "size_bytes!"
           FROM pg_inherits WHERE inhparent = 'click_trackings'::regclass ORDER BY 1"#
    )
    .fetch_all(store.pool())
    .await?;
    Ok(rows.into_iter().map(|row| (row.table, row.size_bytes)).collect())
}

/// The month of a partition; `None` for the catch-alls, where only a wrong clock puts clicks: they are kept for a
/// person to look at.
fn month_of(table: &str) -> Option<Month> {
    let digits = table.strip_prefix("click_trackings_").filter(|digits| digits.len() == 6)?;
    let month = chrono::NaiveDate::parse_from_str(&format!("{digits}15"), "%Y%m%d").ok()?;
    let middle = UnixMillis::from(month.and_time(chrono::NaiveTime::MIN).and_utc());
    Some(Month::of(middle)).filter(|month| month.table == table)
}

/// Detaches and drops; `false` when somebody holds the table: the rest of the pass does not wait for that, and
/// the next one tries again.
async fn drop_partition(store: &PostgresClickStore, table: &str) -> Result<bool, sqlx::Error> {
    match detach_and_drop(store, table).await {
        Err(error) if sql_state(&error).as_deref() == Some(LOCK_NOT_AVAILABLE) => {
            tracing::warn!(store.table = table, "a click partition is in use and stays until the next pass");
            Ok(false)
        }
        result => result.map(|()| true),
    }
}

async fn detach_and_drop(store: &PostgresClickStore, table: &str) -> Result<(), sqlx::Error> {
    let mut transaction = begin(store.pool()).await?;
    sqlx::query("SET LOCAL lock_timeout = '2s'").execute(&mut *transaction).await?;
    sqlx::query!("SELECT pg_advisory_xact_lock($1) AS \"locked: ()\"", MONTHS_LOCK)
        .fetch_one(&mut *transaction)
        .await?;
    // The name was read from the catalog and has the form of a month.
    for statement in
        [format!("ALTER TABLE click_trackings DETACH PARTITION {table}"), format!("DROP TABLE {table}")]
    {
        sqlx::query(AssertSqlSafe(statement)).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    tracing::info!(store.table = table, "a click partition was dropped after its time");
    Ok(())
}

/// Masks all raw addresses of clicks before `before`. Tables of up to `small_bytes` are read whole, and so are the
/// catch-alls, whose clicks may be of any time; of the others each hour that they can hold and that is not behind the
/// mark. So the number of steps follows from the tables that there are and not from what a clock says.
async fn mask(store: &PostgresClickStore, before: UnixMillis, small_bytes: i64) -> Result<u64, sqlx::Error> {
    let progress = sqlx::query_scalar!("SELECT value FROM deployment_facts WHERE name = $1", MASKED_THROUGH)
        .fetch_optional(store.pool())
        .await?
        .and_then(|value| value.parse().ok().map(UnixMillis))
        // A mark that lies ahead was set by a clock that was; what came since was not looked at.
        .filter(|through| *through <= before);
    let resume = progress.map_or(UnixMillis::MIN, |through| through.plus_millis(-LATE_MILLIS));
    let mut masked = 0;
    for (table, size_bytes) in partitions(store).await? {
        match month_of(&table) {
            Some(month) if size_bytes > small_bytes => {
                let (mut from, end) = (month.from.max(resume), month.to.min(before));
                while from < end {
                    let to = hour_start(from).plus_millis(HOUR_MILLIS).min(end);
                    masked += mask_between(store, from, to, &table).await?;
                    from = to;
                }
            }
            _ => masked += mask_between(store, UnixMillis::MIN, before, &table).await?,
        }
    }
    remember(store, before).await?;
    Ok(masked)
}

async fn mask_between(
    store: &PostgresClickStore,
    from: UnixMillis,
    to: UnixMillis,
    table: &str,
) -> Result<u64, sqlx::Error> {
    let statement = format!(
        "UPDATE {table} SET ip_address = ip_masked
         WHERE clicked_at >= $1 AND clicked_at < $2 AND ip_address <> ip_masked"
    );
    let done = sqlx::query(AssertSqlSafe(statement))
        .bind(PgMillis(from))
        .bind(PgMillis(to))
        .execute(store.pool())
        .await?;
    Ok(done.rows_affected())
}

async fn remember(store: &PostgresClickStore, through: UnixMillis) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO deployment_facts (name, value) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        MASKED_THROUGH,
        through.0.to_string()
    )
    .execute(store.pool())
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests;
