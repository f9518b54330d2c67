#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;

async fn account(pool: &PgPool) -> UserId {
    let id = uuid::Uuid::now_v7();
    let insert = "INSERT INTO users (id, email, nickname) VALUES ($1, $1::text || '@b.example', 'buyer')";
    sqlx::query(insert).bind(id).execute(pool).await.unwrap();
    UserId(id)
}

#[sqlx::test(migrations = "../migrations/postgres")]
async fn what_was_read_before_a_change_is_not_remembered_after_it(pool: PgPool) {
    let (identities, id) = (Identities::new(), account(&pool).await);
    let version = async || identities.get(&pool, id).await.unwrap().map(|identity| identity.token_version);
    assert_eq!(version().await, Some(0));
    // a read that began before the change ends after it was forgotten
    identities.forget(id);
    let before = identities.forgotten.load(Ordering::SeqCst);
    let (read, ()) = tokio::join!(version(), async {
        sqlx::query("UPDATE users SET token_version = 1").execute(&pool).await.unwrap();
        identities.forget(id);
    });
    assert!(read.is_some() && identities.forgotten.load(Ordering::SeqCst) > before);
    assert_eq!(version().await, Some(1));
}

#[sqlx::test(migrations = "../migrations/postgres")]
async fn a_notification_makes_another_process_forget(pool: PgPool) {
    let (identities, id) = (Identities::new(), account(&pool).await);
    let watch = crate::auth::watch::spawn(pool.clone(), identities.clone());
    let deadline = std::time::Instant::now() + AGE_MAX * 5;
    let listens = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND query ILIKE 'LISTEN%users_changed%'";
    while sqlx::query_scalar::<_, i64>(listens).fetch_one(&pool).await.unwrap() == 0 {
        assert!(std::time::Instant::now() < deadline, "nobody listens");
    }
    identities.get(&pool, id).await.unwrap();
    for (number, change) in [
        "UPDATE users SET token_version = 7",
        "UPDATE users SET role = 'influencer'",
        "UPDATE users SET status = 'suspended'",
        "INSERT INTO influencer_profiles (id, user_id) SELECT id, id FROM users",
        "UPDATE influencer_profiles SET is_verified = true",
        "UPDATE users SET closed_at = now()",
    ]
    .into_iter()
    .enumerate()
    {
        let before = identities.forgotten.load(Ordering::SeqCst);
        sqlx::query(change).execute(&pool).await.unwrap();
        let changed_at = std::time::Instant::now();
        while identities.forgotten.load(Ordering::SeqCst) == before {
            assert!(changed_at.elapsed() < AGE_MAX, "change {number} was not heard: {change}");
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(identities.get(&pool, id).await.unwrap(), None, "closed");
    watch.stop();
}
