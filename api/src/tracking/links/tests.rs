#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::sync::Changes;
use super::*;
use gonggumoa_core::clock::ManualClock;
use sqlx::postgres::PgPoolOptions;

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
    Links::new(LinksDependencies {
        pool: PgPoolOptions::new()
            .acquire_timeout(Duration::from_millis(100))
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
        closed_at: Some(at(800)),
        external_url: "https://shop.kr/".to_owned(),
        owner_status,
    }
}

#[tokio::test]
async fn a_suspension_closes_when_it_is_learnt_and_lifting_it_opens_again() {
    let clock = Arc::new(ManualClock::new(UnixMillis(500)));
    let links = links(clock.clone());
    let id = GongguId(Uuid::from_u128(1));
    let closes_at = || links.with(id, |link| link.closes_at).unwrap();
    links.apply(&row(UserStatus::Active));
    assert_eq!(closes_at(), UnixMillis(800), "an early close counts");
    links.apply(&row(UserStatus::Suspended));
    assert_eq!(closes_at(), UnixMillis(500));
    clock.set(UnixMillis(600));
    links.apply(&row(UserStatus::Suspended));
    assert_eq!(closes_at(), UnixMillis(500), "learnt once");
    links.apply(&row(UserStatus::Active));
    assert_eq!(closes_at(), UnixMillis(800));
}

#[tokio::test]
async fn unknown_ids_of_a_synced_table_need_no_database_and_no_memory() {
    let links = links(Arc::new(ManualClock::new(UnixMillis(0))));
    links.be_synced_for_tests();
    for number in 0..100_000u128 {
        assert!(matches!(links.settle(GongguId(Uuid::from_u128(number))).await, Settled::Unknown));
    }
    links.unknown.run_pending_tasks();
    assert_eq!((links.len(), links.unknown.entry_count()), (0, 0));
}

#[tokio::test]
async fn without_a_database_nobody_can_tell() {
    let links = links(Arc::new(ManualClock::new(UnixMillis(0))));
    let id = GongguId(Uuid::from_u128(9));
    assert!(matches!(links.settle(id).await, Settled::NotNow));
    assert!(!links.unknown.contains_key(&id), "not being told is not being unknown");
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
