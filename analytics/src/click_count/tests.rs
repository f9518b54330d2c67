#![allow(clippy::unwrap_used, clippy::expect_used)]
//! The copy follows, and waits for nobody.

use super::*;
use crate::testing::{RecordedUnderTest, on_both_stores};
use gonggumoa_core::ids::GongguId;
use gonggumoa_core::store::conformance::fixture::{self, Writer};

async fn new_gonggu(subject: &dyn RecordedUnderTest) -> GongguId {
    let id = fixture::gonggu();
    let user = "INSERT INTO users (id, email, password_hash, nickname) VALUES ($1, $2, 'x', 'x')";
    sqlx::query(user)
        .bind(id.0)
        .bind(format!("{id}@example.com"))
        .execute(subject.recorded().catalog())
        .await
        .unwrap();
    sqlx::query(
        "INSERT INTO gonggus (id, influencer_id, title, original_price, gonggu_price, open_at, close_at,
             external_url)
         VALUES ($1, $1, 'x', 2, 1, now(), now() + interval '1 day', 'https://example.com/')",
    )
    .bind(id.0)
    .execute(subject.recorded().catalog())
    .await
    .unwrap();
    id
}

async fn count(subject: &dyn RecordedUnderTest, id: GongguId) -> i64 {
    sqlx::query_scalar("SELECT click_count FROM gonggus WHERE id = $1")
        .bind(id.0)
        .fetch_one(subject.recorded().catalog())
        .await
        .unwrap()
}

on_both_stores! { counts_follow_heads_and_adjustments_past_locks }

async fn counts_follow_heads_and_adjustments_past_locks(subject: &dyn RecordedUnderTest) {
    let (one, two) = (new_gonggu(subject).await, new_gonggu(subject).await);
    let mut writer = Writer::claim(&*subject.writes(), 0).await;
    let clicks = writer.clicks(&[one, two], 30);
    subject.writes().store(&writer.batch(clicks)).await.unwrap();

    let mut holder = subject.recorded().catalog().begin().await.unwrap();
    sqlx::query("SELECT FROM gonggus WHERE id = $1 FOR UPDATE")
        .bind(one.0)
        .execute(&mut *holder)
        .await
        .unwrap();
    follow_changed(&*subject.recorded()).await.unwrap();
    assert_eq!((count(subject, one).await, count(subject, two).await), (0, 15));
    holder.rollback().await.unwrap();
    follow_changed(&*subject.recorded()).await.unwrap();
    assert_eq!(count(subject, one).await, 15);

    sqlx::query(
        "INSERT INTO click_rollup_adjustments (decision_id, gonggu_id, level, at, counts, devices)
         VALUES (gen_random_uuid(), $1, 3, now(), '{-4,0,0,0,0,0,0,0,4}', '{-4,0,0,0}')",
    )
    .bind(one.0)
    .execute(subject.recorded().catalog())
    .await
    .unwrap();
    let follower = spawn(subject.recorded());
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while count(subject, one).await != 11 {
            tokio::task::yield_now().await;
        }
    });
    waited.await.expect("a start follows everything once");
    follower.stop().await;
}
