#![allow(clippy::unwrap_used, clippy::expect_used)]
//! What is old goes, what is not stays.

use super::*;
use crate::postgres::testing::TestStore;
use gonggumoa_core::click::JudgedClick;
use gonggumoa_core::store::conformance::fixture::{self, START, Writer};
use gonggumoa_core::store::{ClickQueries, ClickStore};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_are_masked_and_months_dropped() {
    let Some(subject) = TestStore::open().await else { return };
    let (mut writer, gonggu_id) = (Writer::claim(&*subject.store, 0).await, fixture::gonggu());
    let days = |days: i64| START.plus_millis(-days * DAY_MILLIS);
    // In 1970 by a wrong clock, months ago, just past the border, just before it, and now.
    let times = [UnixMillis(0), days(430), days(100), days(90).plus_millis(-1), days(90), START];
    let clicks: Vec<JudgedClick> = times.iter().map(|at| writer.click(gonggu_id, *at)).collect();
    subject.store.store(&writer.batch(clicks)).await.unwrap();
    let objects = object_store::memory::InMemory::new();
    let config = RetentionConfig { ip_retention_days: 90, click_retention_months: 13 };

    let done = pass(&config, &*subject.store, &objects, START).await.unwrap();
    assert_eq!(done.tables_dropped, vec!["click_trackings_197001", "click_trackings_202509"]);
    assert_eq!(done.addresses_masked, 2);
    let left = subject.store.clicks(gonggu_id, UnixMillis::MIN, UnixMillis::MAX, None, 10).await.unwrap();
    let raw: Vec<bool> = left.iter().map(|click| click.click.address.is_some()).collect();
    assert_eq!(raw, vec![false, false, true, true]);
    assert!(left.iter().all(|click| &*click.click.address_masked == "203.0.113.*"));

    let again = pass(&config, &*subject.store, &objects, START).await.unwrap();
    assert_eq!(again, RetentionPass::default());
    let later = pass(&config, &*subject.store, &objects, START.plus_millis(HOUR_MILLIS)).await.unwrap();
    assert_eq!(later.addresses_masked, 1);
    subject.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_month_in_use_keeps_no_addresses_raw() {
    let Some(subject) = TestStore::open().await else { return };
    let (mut writer, gonggu_id) = (Writer::claim(&*subject.store, 0).await, fixture::gonggu());
    let days = |days: i64| START.plus_millis(-days * DAY_MILLIS);
    let clicks: Vec<JudgedClick> =
        [days(430), days(100), START].iter().map(|at| writer.click(gonggu_id, *at)).collect();
    subject.store.store(&writer.batch(clicks)).await.unwrap();
    let objects = object_store::memory::InMemory::new();
    let config = RetentionConfig { ip_retention_days: 90, click_retention_months: 13 };

    // A backup, or an export.
    let mut reader = subject.store.pool().begin().await.unwrap();
    sqlx::query("LOCK TABLE click_trackings_202509 IN ACCESS SHARE MODE")
        .execute(&mut *reader)
        .await
        .unwrap();
    let done = pass(&config, &*subject.store, &objects, START).await.unwrap();
    assert_eq!((done.tables_dropped, done.addresses_masked), (Vec::new(), 2));
    reader.rollback().await.unwrap();
    let again = pass(&config, &*subject.store, &objects, START).await.unwrap();
    assert_eq!(again.tables_dropped, vec!["click_trackings_202509"]);
    subject.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_set_forwards_deletes_nothing() {
    let Some(subject) = TestStore::open().await else { return };
    let (mut writer, gonggu_id) = (Writer::claim(&*subject.store, 0).await, fixture::gonggu());
    let click = writer.click(gonggu_id, START);
    subject.store.store(&writer.batch(vec![click])).await.unwrap();
    let objects = object_store::memory::InMemory::new();
    let config = RetentionConfig { ip_retention_days: 900, click_retention_months: 13 };
    let done = pass(&config, &*subject.store, &objects, START.plus_millis(800 * DAY_MILLIS)).await.unwrap();
    assert!(done.tables_dropped.is_empty(), "{:?}", done.tables_dropped);
    subject.close().await;
}

/// Of large tables each hour is looked at; that must not depend on what the clock says, nor on the first table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn masking_takes_as_many_steps_as_there_are_tables() {
    let Some(subject) = TestStore::open().await else { return };
    let (mut writer, gonggu_id) = (Writer::claim(&*subject.store, 0).await, fixture::gonggu());
    let days = |days: i64| START.plus_millis(-days * DAY_MILLIS);
    let times = [days(200), days(150), days(100), START];
    let clicks: Vec<JudgedClick> = times.iter().map(|at| writer.click(gonggu_id, *at)).collect();
    subject.store.store(&writer.batch(clicks)).await.unwrap();
    let first = Month::of(days(200)).table;
    sqlx::query(AssertSqlSafe(format!("TRUNCATE {first}"))).execute(subject.store.pool()).await.unwrap();
    // no table is small; the first one is empty
    assert_eq!(mask(&subject.store, days(90), 0).await.unwrap(), 2);
    assert_eq!(mask(&subject.store, days(90), 0).await.unwrap(), 0);

    let hours = 100_000 * 24;
    let ahead = mask(&subject.store, START.plus_millis(hours * HOUR_MILLIS), 0);
    let masked =
        tokio::time::timeout(Duration::from_secs(60), ahead).await.expect("it walks through empty years");
    assert_eq!(masked.unwrap(), 1);

    // The clock is right again: what came meanwhile is not taken for done.
    let click = writer.click(gonggu_id, START);
    subject.store.store(&writer.batch(vec![click])).await.unwrap();
    assert_eq!(mask(&subject.store, START.plus_millis(HOUR_MILLIS), 0).await.unwrap(), 1);
    subject.close().await;
}
