#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::sync::Changes;
use super::*;
use futures::FutureExt;
use gonggumoa_core::clock::ManualClock;
use gonggumoa_core::gonggu::{GongguStatus, status_at};
use sqlx::postgres::PgPoolOptions;
use std::time::Instant;

impl Links {
    /// Puts a link in without a database.
    pub(crate) fn put_for_tests(&self, link: Link) {
        self.table.pin().insert(link.gonggu_id, Arc::new(link));
    }

    /// As if the listener were connected.
    pub(crate) fn be_synced_for_tests(&self) {
        self.synced.store(true, Ordering::Release);
    }
}

fn links(clock: Arc<ManualClock>) -> Links {
    links_waiting(clock, Duration::from_millis(100))
}

fn links_waiting(clock: Arc<ManualClock>, acquire_timeout: Duration) -> Links {
    Links::new(LinksDependencies {
        pool: PgPoolOptions::new()
            .acquire_timeout(acquire_timeout)
            .connect_lazy("postgres://nobody@127.0.0.1:1/none")
            .unwrap(),
        clock,
        identities: Identities::new(),
        key_fingerprint: "test".to_owned(),
        snapshot_path: None,
    })
}

fn row(owner_status: UserStatus) -> Row {
    let at = |millis: i64| UnixMillis(millis).to_utc();
    Row {
        id: Uuid::from_u128(1),
        influencer_id: Uuid::from_u128(2),
        open_at: at(100),
        close_at: at(900),
        closed_at: None,
        external_url: "https://shop.kr/".to_owned(),
        owner_status,
    }
}

/// The record's clock may lie behind the wall clock by which an act is dated.
#[tokio::test]
async fn an_early_close_and_a_suspension_hold_at_every_time_of_a_record() {
    let clock = Arc::new(ManualClock::new(UnixMillis(700)));
    let links = links(clock.clone());
    let id = GongguId(Uuid::from_u128(1));
    let is_ever_open = || {
        let times = links.with(id, |link| (link.opens_at, link.closes_at)).unwrap();
        (0..1_000).any(|at| status_at(UnixMillis(at), times.0, times.1) == GongguStatus::Active)
    };
    let closes_at = || links.with(id, |link| link.closes_at).unwrap();
    let closed = |closed_at: i64, owner_status| Row {
        closed_at: Some(UnixMillis(closed_at).to_utc()),
        ..row(owner_status)
    };
    links.apply(&row(UserStatus::Active));
    assert_eq!(closes_at(), UnixMillis(900), "a plan is a time");
    links.apply(&closed(600, UserStatus::Active));
    assert!(!is_ever_open(), "closed early");
    links.apply(&closed(800, UserStatus::Active));
    assert_eq!(closes_at(), UnixMillis(800), "not closed yet");
    links.apply(&row(UserStatus::Suspended));
    assert!(!is_ever_open(), "suspended");
    assert_eq!(links.with(id, |link| link.suspended_at).unwrap(), Some(UnixMillis(700)));
    clock.set(UnixMillis(750));
    links.apply(&row(UserStatus::Suspended));
    assert_eq!(links.with(id, |link| link.suspended_at).unwrap(), Some(UnixMillis(700)), "learnt once");
    links.apply(&row(UserStatus::Active));
    assert_eq!(closes_at(), UnixMillis(900), "open again");
}

#[tokio::test]
async fn unknown_ids_of_a_synced_table_need_no_database_and_no_memory() {
    let links = links(Arc::new(ManualClock::new(UnixMillis(0))));
    links.be_synced_for_tests();
    for number in 0..100_000u128 {
        assert!(matches!(links.settle(GongguId(Uuid::from_u128(number))).await, Settled::Unknown));
    }
    assert_eq!((links.len(), links.lookups.unknown_for_tests(GongguId(Uuid::nil())).0), (0, 0));
}

#[tokio::test]
async fn without_a_database_nobody_can_tell() {
    let links = links(Arc::new(ManualClock::new(UnixMillis(0))));
    let id = GongguId(Uuid::from_u128(9));
    assert!(matches!(links.settle(id).await, Settled::NotNow));
    assert!(!links.lookups.unknown_for_tests(id).1, "not being told is not being unknown");
}

#[tokio::test]
async fn nobody_waits_for_a_database_that_is_away() {
    let links = links_waiting(Arc::new(ManualClock::new(UnixMillis(0))), Duration::from_secs(60));
    let id = |number: u128| GongguId(Uuid::from_u128(number));
    let started = Instant::now();
    let waiting = (0..64u128).map(|number| links.settle(id(number)));
    let answers = futures::future::join_all(waiting).await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(answers.iter().all(|answer| matches!(answer, Settled::NotNow)));
    // and those who come next are told at once
    assert!(matches!(links.settle(id(100)).now_or_never(), Some(Settled::NotNow)));
}

#[tokio::test]
async fn a_full_read_that_takes_its_time_holds_nobody_up() {
    let links = links(Arc::new(ManualClock::new(UnixMillis(0))));
    let _reading = links.order.lock().await;
    let answer = tokio::time::timeout(Duration::from_secs(5), links.settle(GongguId(Uuid::nil()))).await;
    assert!(matches!(answer, Ok(Settled::NotNow)));
}

#[tokio::test]
async fn a_change_that_cannot_be_read_back_leaves_nothing_stale_and_nothing_unknown() {
    let links = links(Arc::new(ManualClock::new(UnixMillis(0))));
    links.be_synced_for_tests();
    links.apply(&row(UserStatus::Active));
    let id = GongguId(Uuid::from_u128(1));
    assert!(links.refresh(id).await.unwrap_err().retryable());
    assert!(!links.is_synced() && links.is_empty());
    assert!(matches!(links.settle(id).await, Settled::NotNow));
    assert!(links.behind.notified().now_or_never().is_some(), "the follower was told");
}

#[test]
fn notifications_are_read_and_merged() {
    let id = Uuid::from_u128(3);
    let mut changes = Changes::default();
    for payload in
        [format!("g:{id}"), format!("g:{id}"), format!("u:{id}"), "x".into(), "g:".into(), "한글".into()]
    {
        changes.add(&payload);
    }
    assert_eq!(changes, Changes { gonggus: vec![GongguId(id)], owners: vec![UserId(id)] });
}
