//! Month partitions of `click_trackings`, made when the first click of a Seoul month arrives.
//!
//! Invariants: a partition is created empty and attached in one transaction under one advisory lock, so
//! two processes never disagree about one; every representable `clicked_at` has a partition, whatever a
//! wrong clock says (two catch-alls lie before 1970 and after 9999). `ATTACH` takes only a lock that
//! running COPYs do not mind, which `CREATE TABLE … PARTITION OF` would not.

use super::begin::begin;
use super::error::store_error;
use chrono::{Datelike, TimeZone, Utc};
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::kst::KST_OFFSET_MILLIS;
use gonggumoa_core::store::StoreError;
use parking_lot::Mutex;
use sqlx::{AssertSqlSafe, PgPool};

/// Serialises the making and dropping of partitions across processes.
pub(crate) const MONTHS_LOCK: i64 = 0x676f_6e67_0001;

/// The months that have names of their own.
const YEAR_FIRST: i32 = 1970;
const YEAR_LAST: i32 = 9999;

/// One partition: a Seoul month, or one of the catch-alls.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Month {
    /// Inclusive.
    pub(crate) from: UnixMillis,
    /// Exclusive; `MAX` is included in the last one.
    pub(crate) to: UnixMillis,
    /// The table's name.
    pub(crate) table: String,
}

impl Month {
    /// The partition that `at` belongs to.
    pub(crate) fn of(at: UnixMillis) -> Self {
        let first = month_start(YEAR_FIRST, 1);
        let end = month_start(YEAR_LAST + 1, 1);
        if at < first {
            return Self { from: UnixMillis::MIN, to: first, table: "click_trackings_before_1970".into() };
        }
        if at >= end {
            return Self { from: end, to: UnixMillis::MAX, table: "click_trackings_after_9999".into() };
        }
        let local = at.plus_millis(KST_OFFSET_MILLIS).to_utc();
        let (year, month) = (local.year(), local.month());
        let (next_year, next_month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
        Self {
            from: month_start(year, month),
            to: month_start(next_year, next_month),
            table: format!("click_trackings_{year:04}{month:02}"),
        }
    }

    /// Whether `at` lies in it.
    #[cfg(test)]
    pub(crate) fn contains(&self, at: UnixMillis) -> bool {
        self.from <= at && (at < self.to || self.to == UnixMillis::MAX)
    }

    /// The bounds as SQL.
    fn bounds(&self) -> String {
        let literal = |at: UnixMillis, open: &str| {
            if at == UnixMillis::MIN || at == UnixMillis::MAX {
                open.to_owned()
            } else {
                format!("'{}'", at.to_utc().format("%Y-%m-%d %H:%M:%S+00"))
            }
        };
        format!("FROM ({}) TO ({})", literal(self.from, "MINVALUE"), literal(self.to, "MAXVALUE"))
    }
}

/// Midnight in Seoul on the first of a month.
fn month_start(year: i32, month: u32) -> UnixMillis {
    let utc = Utc.with_ymd_and_hms(year, month, 1, 0, 0, 0).single().unwrap_or_default();
    UnixMillis::from(utc).plus_millis(-KST_OFFSET_MILLIS)
}

/// Remembers which partitions exist.
#[derive(Debug, Default)]
pub(crate) struct Months {
    known: Mutex<Vec<Month>>,
}

impl Months {
    /// Makes what these times need and nobody has made yet.
    pub(crate) async fn ensure(
        &self,
        pool: &PgPool,
        times: impl Iterator<Item = UnixMillis> + Send,
    ) -> Result<(), StoreError> {
        for month in self.missing(times) {
            create(pool, &month).await.map_err(store_error)?;
            self.known.lock().push(month);
        }
        Ok(())
    }

    /// Forgets all, after a partition was found missing (dropped by another process).
    pub(crate) fn forget(&self) {
        self.known.lock().clear();
    }

    fn missing(&self, times: impl Iterator<Item = UnixMillis>) -> Vec<Month> {
        let known = self.known.lock();
        let mut missing: Vec<Month> = Vec::new();
        // Almost always all clicks of a batch lie in one month: remember its borders.
        let mut current: Option<(UnixMillis, UnixMillis)> = None;
        for at in times {
            if current.is_some_and(|(from, to)| from <= at && at < to) {
                continue;
            }
            let month = Month::of(at);
            current = Some((month.from, month.to));
            if !known.contains(&month) && !missing.contains(&month) {
                missing.push(month);
            }
        }
        missing
    }
}

async fn create(pool: &PgPool, month: &Month) -> Result<(), sqlx::Error> {
    let mut transaction = begin(pool).await?;
    sqlx::query!("SELECT pg_advisory_xact_lock($1) AS \"locked: ()\"", MONTHS_LOCK)
        .fetch_one(&mut *transaction)
        .await?;
    let attached = sqlx::query_scalar!(
        "SELECT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass($1)
                        AND inhparent = 'click_trackings'::regclass) AS \"attached!\"",
        month.table
    )
    .fetch_one(&mut *transaction)
    .await?;
    if !attached {
        let (table, bounds) = (&month.table, month.bounds());
        // Names and bounds are made of digits above; nothing of it comes from outside.
        let create = format!("CREATE TABLE {table} (LIKE click_trackings INCLUDING ALL)");
        let attach = format!("ALTER TABLE click_trackings ATTACH PARTITION {table} FOR VALUES {bounds}");
        sqlx::query(AssertSqlSafe(create)).execute(&mut *transaction).await?;
        sqlx::query(AssertSqlSafe(attach)).execute(&mut *transaction).await?;
        tracing::info!(store.table = %table, "a click partition was created");
    }
    transaction.commit().await
}
