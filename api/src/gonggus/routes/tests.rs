#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use crate::auth::identity::Identity;
use crate::test_support::{app_on, no_database};
use crate::tracking::links::Settled;
use crate::users::types::UserStatus;
use sqlx::PgPool;
use std::sync::Arc;

/// The links' database is away, the catalog's is not: as if it went between commit and read.
#[sqlx::test(migrations = "../migrations/postgres")]
async fn what_is_stored_is_answered_as_stored(pool: PgPool) {
    let (app, _) = app_on(pool.clone(), no_database(), None);
    app.links.be_synced_for_tests();
    let id = UserId(Uuid::now_v7());
    sqlx::query("INSERT INTO users (id, email, nickname, role) VALUES ($1, 'a@b.example', 'admin', 'admin')")
        .bind(id.0)
        .execute(&pool)
        .await
        .unwrap();
    let user = Arc::new(Identity {
        id,
        role: UserRole::Admin,
        status: UserStatus::Active,
        token_version: 0,
        is_verified: false,
    });
    let body: GongguCreate = serde_json::from_value(serde_json::json!({
        "title": "공구", "description": "", "original_price": 10_000, "gonggu_price": 9_000,
        "open_at": "2026-11-01T00:00:00Z", "close_at": "2026-12-01T00:00:00Z",
        "external_url": "https://shop.example.com/p",
    }))
    .unwrap();
    let created = create(State(app.clone()), VerifiedInfluencer(user.clone()), JsonBody(body)).await;
    let (status, Json(created)) = created.unwrap();
    assert_eq!((status, created.title.as_str()), (StatusCode::CREATED, "공구"));
    // not unknown: the id is looked up, and while nobody can tell that is what is said
    assert!(matches!(app.links.settle(GongguId(created.id)).await, Settled::NotNow));

    let change = GongguUpdate { closed: Some(true), ..GongguUpdate::default() };
    let path = || Path(created.id.to_string());
    let updated = update(State(app.clone()), AnyUser(user.clone()), path(), JsonBody(change)).await;
    assert!(updated.is_ok());
    let deleted = delete(State(app.clone()), AnyUser(user), path()).await;
    assert_eq!(deleted.unwrap(), StatusCode::NO_CONTENT);
}
