#![allow(clippy::unwrap_used, clippy::expect_used)]
//! The copy follows, and waits for nobody.

use super::*;
use crate::postgres::testing::TestStore;
use gonggumoa_core::ids::GongguId;
use gonggumoa_core::store::ClickStore;
use gonggumoa_core::store::conformance::fixture::{self, Writer};

async fn new_gonggu(subject: &TestStore) -> GongguId {
    let id = fixture::gonggu();
    let user = "INSERT INTO users (id, email, password_hash, nickname) VALUES ($1, $2, 'x', 'x')";
    sqlx::query(user)
        .bind(id.0)
        .bind(format!("{id}@example.com"))
        .execute(subject.store.pool())
        .await
        .unwrap();
    sqlx::query(
        "INSERT INTO gonggus (id, influencer_id, title, original_price, gonggu_price, open_at, close_at,
             external_url)
         VALUES ($1, $1, 'x', 2, 1, now(), now() + interval '1 day', 'https://example.com/')",
    )
    .bind(id.0)
    .execute(subject.store.pool())
    .await
    .unwrap();
    id
}

async fn count(subject: &TestStore, id: GongguId) -> i64 {
    sqlx::query_scalar("SELECT click_count FROM gonggus WHERE id = $1")
        .bind(id.0)
        .fetch_one(subject.store.pool())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_follow_heads_and_adjustments_past_locks() {
    let Some(subject) = TestStore::open().await else { return };
    let (one, two) = (new_gonggu(&subject).await, new_gonggu(&subject).await);
    let mut writer = Writer::new(0);
    let clicks = writer.clicks(&[one, two], 30);
    subject.store.store(&writer.batch(clicks)).await.unwrap();

    let mut holder = subject.store.pool().begin().await.unwrap();
    sqlx::query("SELECT FROM gonggus WHERE id = $1 FOR UPDATE")
        .bind(one.0)
        .execute(&mut *holder)
        .await
        .unwrap();
    follow_changed(&*subject.store).await.unwrap();
    assert_eq!((count(&subject, one).await, count(&subject, two).await), (0, 15));
    holder.rollback().await.unwrap();
    follow_changed(&*subject.store).await.unwrap();
    assert_eq!(count(&subject, one).await, 15);

    sqlx::query(
        "INSERT INTO click_rollup_adjustments (decision_id, gonggu_id, level, at, counts, devices)
         VALUES (gen_random_uuid(), $1, 3, now(), '{-4,0,0,0,0,0,0,0,4}', '{-4,0,0,0}')",
    )
    .bind(one.0)
    .execute(subject.store.pool())
    .await
    .unwrap();
    let follower = spawn(subject.store.clone());
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while count(&subject, one).await != 11 {
            tokio::task::yield_now().await;
        }
    });
    waited.await.expect("a start follows everything once");
    follower.stop().await;
    subject.close().await;
}
