#![allow(clippy::unwrap_used, clippy::expect_used)]
//! The store's contract, and what is CQL's own.

mod failures;
mod late;
mod schema;

use super::testing::TestStore;
use super::write::{address_ttl, click_ttl};
use crate::retention::{self, RetentionConfig};
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::kst::DAY_MILLIS;
use gonggumoa_core::store::conformance::fixture::{self, START, Writer};
use gonggumoa_core::store::{ClickQueries, ClickStore, conformance};

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
fn times_to_live_end_with_retention() {
    let day = 86_400;
    let days = |days: i64| START.plus_millis(days * DAY_MILLIS);
    // 23 November in Seoul: the month ends seven days and nine hours before UTC says so.
    assert_eq!(click_ttl(START, 0, START), 8 * day - 9 * 3_600);
    assert_eq!(click_ttl(START, 13, START), 8 * day - 9 * 3_600 + 396 * day);
    assert_eq!(click_ttl(START, 1, days(3)), 8 * day - 9 * 3_600 + 28 * day);
    assert_eq!(address_ttl(START, 90, START), 90 * day);
    assert_eq!(address_ttl(START, 90, days(89)), day);
    // Over already: a day more, as the daily pass of PostgreSQL.
    assert_eq!((click_ttl(UnixMillis(0), 13, START), address_ttl(UnixMillis(0), 90, START)), (day, day));
    // A clock that ran ahead makes nothing immortal, and none overflows.
    for clicked_at in [days(4_000), UnixMillis::MAX] {
        assert_eq!(click_ttl(clicked_at, 13, START), click_ttl(START, 13, START));
        assert_eq!(address_ttl(clicked_at, 90, START), 90 * day);
    }
    assert_eq!(click_ttl(UnixMillis::MIN, 120, START), day);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retention_pass_has_nothing_to_do_but_the_archive() {
    let Some(subject) = TestStore::open().await else { return };
    let (mut writer, gonggu_id) = (Writer::claim(&*subject.store, 0).await, fixture::gonggu());
    let clicks = writer.clicks(&[gonggu_id], 3);
    subject.store.store(&writer.batch(clicks)).await.unwrap();
    let objects = object_store::memory::InMemory::new();
    let config = RetentionConfig { ip_retention_days: 90, click_retention_months: 13 };
    let done = retention::pass(&config, &*subject.store, &objects, START).await.unwrap();
    assert_eq!(done, retention::RetentionPass::default());
    subject.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hot_hour_is_read_in_order_from_all_its_shards() {
    let Some(subject) = TestStore::open().await else { return };
    let (mut writer, gonggu_id, other) =
        (Writer::claim(&*subject.store, 0).await, fixture::gonggu(), fixture::gonggu());
    // Many in one millisecond, over three hours, beside a gonggu whose positions lie between.
    let mut clicks = Vec::new();
    for index in 0..3_000i64 {
        clicks.push(writer.click(gonggu_id, START.plus_millis(index / 7 * 7_000)));
        if index % 3 == 0 {
            clicks.push(writer.click(other, START.plus_millis(index * 11)));
        }
    }
    subject.store.store(&writer.batch(clicks.clone())).await.unwrap();
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = subject.store.clicks(gonggu_id, START, UnixMillis::MAX, after, 173).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.click.clicked_at, last.position));
        assert!(page.len() == 173 || found.len() + page.len() == 3_000, "pages are full but the last");
        found.extend(page);
    }
    clicks.retain(|judged| judged.click.gonggu_id == gonggu_id);
    assert_eq!(found, clicks);
    subject.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_have_a_shorter_time_to_live_than_their_clicks() {
    let Some(subject) = TestStore::open().await else { return };
    let (mut writer, gonggu_id) = (Writer::claim(&*subject.store, 0).await, fixture::gonggu());
    let now = subject.store.clock.now();
    let clicks =
        vec![writer.click(gonggu_id, now.plus_millis(-50 * DAY_MILLIS)), writer.click(gonggu_id, now)];
    subject.store.store(&writer.batch(clicks)).await.unwrap();
    let query = "SELECT ttl(address), ttl(record) FROM clicks";
    let rows = subject.store.session.query_unpaged(query, ()).await.unwrap().into_rows_result().unwrap();
    let mut ttls: Vec<(i32, i32)> = rows.rows::<(i32, i32)>().unwrap().map(Result::unwrap).collect();
    ttls.sort_unstable();
    let day = 86_400;
    assert_eq!(ttls.len(), 2);
    assert!(
        (39 * day..=40 * day).contains(&ttls[0].0) && (89 * day..=90 * day).contains(&ttls[1].0),
        "{ttls:?}"
    );
    assert!(ttls.iter().all(|(address, click)| *click > 330 * day && address < click), "{ttls:?}");
    subject.close().await;
}
