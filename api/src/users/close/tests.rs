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
