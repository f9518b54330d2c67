#![allow(clippy::unwrap_used, clippy::expect_used)]
//! The store's contract, and what is PostgreSQL's own.

mod failures;
mod windows;

use super::months::Month;
use super::testing::TestStore;
use super::{PostgresClickStore, copy};
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::store::conformance::fixture::{self, START, Writer};
use gonggumoa_core::store::{ClickQueries, ClickStore, StoreError, conformance};
use sqlx::postgres::PgPoolOptions;

macro_rules! contract {
    ($($promise:ident),+ $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $promise() {
            if let Some(subject) = TestStore::open().await {
                conformance::$promise(&subject).await;
                subject.close().await;
            }
        }
    )+};
}

contract! {
    same_clicks_many_times_are_one_row,
    position_is_compared_and_set,
    one_of_two_writers_wins,
    crash_between_writes_changes_nothing,
    load_keeps_the_window,
    load_answers_in_order,
    clicks_come_back_whole,
    any_time_can_be_stored,
    flags_follow_the_newest,
    quarantine_is_kept,
    rules_are_numbered_once,
    first_activation_wins,
    pages_follow_each_other,
    complete_through_is_the_least,
    only_the_last_claim_stores,
    a_claim_wins_between_any_two_writes,
    a_claim_beside_a_store_is_before_or_after_it,
    of_many_claims_one_remains,
}

#[test]
fn months_tile_all_time() {
    let mut at = UnixMillis::MIN;
    let mut months = 0;
    loop {
        let month = Month::of(at);
        assert_eq!(month.from, at, "no gap before {}", month.table);
        assert!(month.contains(at) && month.from < month.to);
        months += 1;
        if month.to == UnixMillis::MAX {
            break;
        }
        assert_eq!(Month::of(month.to.plus_millis(-1)), month);
        at = month.to;
    }
    assert_eq!(months, 8_030 * 12 + 2);
    assert!(Month::of(UnixMillis::MAX).contains(UnixMillis::MAX));
    assert_eq!(Month::of(START).table, "click_trackings_202611");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_made_at_once_are_one() {
    let Some(subject) = TestStore::open().await else { return };
    let mut tasks = tokio::task::JoinSet::new();
    for partition in 0..6 {
        // Each with its own memory of what exists, as separate processes have.
        let store = PostgresClickStore::new(subject.store.pool().clone());
        tasks.spawn(async move {
            let mut writer = Writer::claim(&store, partition).await;
            let clicks = writer.clicks(&[fixture::gonggu()], 20);
            store.store(&writer.batch(clicks)).await.unwrap();
        });
    }
    tasks.join_all().await;
    subject.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_dropped_elsewhere_is_made_again() {
    let Some(subject) = TestStore::open().await else { return };
    let (mut writer, gonggu_id) = (Writer::claim(&*subject.store, 0).await, fixture::gonggu());
    let clicks = writer.clicks(&[gonggu_id], 2);
    subject.store.store(&writer.batch(clicks)).await.unwrap();
    sqlx::query("DROP TABLE click_trackings_202611").execute(subject.store.pool()).await.unwrap();
    let clicks = writer.clicks(&[gonggu_id], 3);
    subject.store.store(&writer.batch(clicks.clone())).await.unwrap();
    let found = subject.store.clicks(gonggu_id, START, UnixMillis::MAX, None, 10).await.unwrap();
    assert_eq!(found, clicks);
    subject.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_that_a_column_cannot_hold_do_not_stop_the_partition() {
    let Some(subject) = TestStore::open().await else { return };
    let (mut writer, gonggu_id) = (Writer::claim(&*subject.store, 0).await, fixture::gonggu());
    let mut click = writer.click(gonggu_id, START);
    click.click.user_agent = "a\0b".into();
    click.click.referer = "공".repeat(1_500).into();
    click.click.purpose = "\0".into();
    click.click.address = None;
    subject.store.store(&writer.batch(vec![click])).await.unwrap();
    let found = subject.store.clicks(gonggu_id, START, UnixMillis::MAX, None, 10).await.unwrap();
    assert_eq!(&*found[0].click.user_agent, "a\u{fffd}b");
    assert_eq!(found[0].click.referer.chars().count(), 1_000);
    assert_eq!(&*found[0].click.purpose, "\u{fffd}");
    assert_eq!(found[0].click.address, None);
    subject.close().await;
}

#[tokio::test]
async fn an_unreachable_server_is_worth_another_try() {
    let pool = PgPoolOptions::new()
        .acquire_timeout(std::time::Duration::from_secs(5))
        .connect_lazy("postgres://nobody@127.0.0.1:1/none")
        .unwrap();
    let error = PostgresClickStore::new(pool).rules().await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)) && error.retryable(), "{error:?}");
}

#[test]
fn the_copy_stream_is_framed() {
    let mut buffer = Vec::new();
    copy::begin(&mut buffer);
    assert_eq!(buffer.len(), 19);
    let click = fixture::plain_click(gonggumoa_core::ids::RunId::random(), 1, fixture::gonggu(), START);
    copy::encode(0, &click, &mut buffer);
    let columns = u16::from_be_bytes([buffer[19], buffer[20]]);
    assert_eq!(usize::from(columns), copy::COLUMNS.split(", ").count());
    copy::end(&mut buffer);
    assert!(buffer.ends_with(&[0xff, 0xff]));
}
