#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use crate::test_support::{app_on, no_database};
use sqlx::PgPool;

/// Two admins close at once: one stays.
#[sqlx::test(migrations = "../migrations/postgres")]
async fn an_admin_is_left(pool: PgPool) {
    let (app, _) = app_on(pool.clone(), no_database(), None);
    let ids = [Uuid::now_v7(), Uuid::now_v7()];
    for id in ids {
        let insert = "INSERT INTO users (id, email, nickname, role) VALUES ($1, $1::text || '@b.example', 'a', 'admin')";
        sqlx::query(insert).bind(id).execute(&pool).await.unwrap();
    }
    let (one, other) = tokio::join!(close(&app, UserId(ids[0])), close(&app, UserId(ids[1])));
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    let refused = [one, other].into_iter().find_map(Result::err);
    assert!(matches!(refused, Some(ApiError::LastAdmin)), "{refused:?}");
}

/// Ids are public; no address that somebody signs up with may stand in the way.
#[sqlx::test(migrations = "../migrations/postgres")]
async fn nobody_can_keep_another_from_closing(pool: PgPool) {
    let (app, _) = app_on(pool.clone(), no_database(), None);
    let (id, other) = (Uuid::now_v7(), Uuid::now_v7());
    for (id, email) in [(id, "a@b.example".to_owned()), (other, format!("{}@closed.invalid", id.simple()))] {
        let insert = "INSERT INTO users (id, email, nickname) VALUES ($1, $2, 'a')";
        sqlx::query(insert).bind(id).bind(email).execute(&pool).await.unwrap();
    }
    close(&app, UserId(id)).await.unwrap();
    let gone =
        "SELECT email IS NULL AND email_folded IS NULL AND closed_at IS NOT NULL FROM users WHERE id = $1";
    assert!(sqlx::query_scalar::<_, bool>(gone).bind(id).fetch_one(&pool).await.unwrap());
}

/// Two influencers who subscribe to each other close at once. Their subscriptions are held until both are under way, so
/// that each has taken its own profile before it could come to the other's.
#[sqlx::test(migrations = "../migrations/postgres")]
async fn mutual_subscribers_do_not_wait_for_each_other(pool: PgPool) {
    let (app, _) = app_on(pool.clone(), no_database(), None);
    let ids = [Uuid::now_v7(), Uuid::now_v7()];
    for insert in [
        "INSERT INTO users (id, email, nickname, role) SELECT id, id::text || '@b.example', 'a', 'influencer' FROM unnest($1) id",
        "INSERT INTO influencer_profiles (id, user_id, is_verified) SELECT id, id, true FROM unnest($1) id",
        "INSERT INTO subscriptions (id, buyer_id, influencer_id)
         SELECT gen_random_uuid(), a, b FROM unnest($1) a, unnest($1) b WHERE a <> b",
    ] {
        sqlx::query(insert).bind(&ids[..]).execute(&pool).await.unwrap();
    }
    let mut held = pool.begin().await.unwrap();
    sqlx::query("SELECT id FROM subscriptions FOR UPDATE").fetch_all(&mut *held).await.unwrap();
    let closing: Vec<_> = ids
        .into_iter()
        .map(|id| {
            let app = app.clone();
            tokio::spawn(async move { close(&app, UserId(id)).await })
        })
        .collect();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let waits = "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while sqlx::query_scalar::<_, i64>(waits).fetch_one(&pool).await.unwrap() < 2 {
        assert!(std::time::Instant::now() < deadline, "not both are under way");
    }
    held.rollback().await.unwrap();
    for closed in closing {
        closed.await.unwrap().unwrap();
    }
    let counts: Vec<i32> = sqlx::query_scalar("SELECT subscriber_count FROM influencer_profiles")
        .fetch_all(&pool)
        .await
        .unwrap();
    assert_eq!(counts, [0, 0]);
}
