#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::test_support::{app_on, no_database};
use futures::StreamExt;
use sqlx::PgPool;

async fn account(pool: &PgPool, role: &str) -> UserId {
    let id = uuid::Uuid::now_v7();
    let insert = "INSERT INTO users (id, email, nickname, role)
                  VALUES ($1, $1::text || '@b.example', left($1::text, 20), $2::user_role)";
    sqlx::query(insert).bind(id).bind(role).execute(pool).await.unwrap();
    UserId(id)
}

/// Ends soon after each of these changes of its viewer, and not without one.
#[sqlx::test(migrations = "../migrations/postgres")]
async fn a_stream_ends_with_the_right_to_it(pool: PgPool) {
    let (app, _) = app_on(pool.clone(), no_database(), None);
    let owner = account(&pool, "influencer").await;
    let mut ends = Vec::new();
    for (role, change) in [
        ("influencer", Some("UPDATE users SET status = 'suspended' WHERE id = $1")),
        ("influencer", Some("UPDATE users SET token_version = token_version + 1 WHERE id = $1")),
        ("influencer", Some("UPDATE users SET closed_at = now(), status = 'suspended' WHERE id = $1")),
        ("admin", Some("UPDATE users SET role = 'buyer' WHERE id = $1")),
        ("admin", None),
        // a former influencer's own figures stay his
        ("influencer", Some("UPDATE users SET role = 'buyer' WHERE id = $1")),
    ] {
        let id = account(&pool, role).await;
        let identity = app.identities.get(&pool, id).await.unwrap().unwrap();
        let owner = if role == "admin" { owner } else { id };
        let gonggu_id = GongguId(uuid::Uuid::now_v7());
        let viewer = Viewer { identity, owner };
        let events = events(app.clone(), viewer, gonggu_id, Utc::now()).await;
        if let Some(change) = change {
            sqlx::query(change).bind(id.0).execute(&pool).await.unwrap();
        }
        let until = LOOK_AGAIN * 3;
        ends.push(async move { tokio::time::timeout(until, events.count()).await.is_ok() });
    }
    let ended = futures::future::join_all(ends).await;
    assert_eq!(ended, [true, true, true, true, false, false]);
}
