#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use crate::auth::identity::Identity;
use crate::gonggus::testing::Catalog;
use crate::test_support::{app_on, no_database};
use crate::tracking::links::{Link, Settled};
use crate::users::types::UserStatus;
use http::Method;
use sqlx::PgPool;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

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
        ended_sessions: Vec::new(),
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

/// Another process on the same database: its own links, its own listener.
#[sqlx::test(migrations = "../migrations/postgres")]
async fn a_change_is_in_force_on_another_process_within_a_second(pool: PgPool) {
    let here = Catalog::new(pool.clone());
    let (elsewhere, _) = app_on(pool.clone(), pool.clone(), None);
    let stop = CancellationToken::new();
    let following = tokio::spawn(Arc::clone(&elsewhere.links).run(stop.clone()));
    let owner = here.person(UserRole::Influencer).await;
    within("the other process listens", Duration::from_secs(20), || elsewhere.links.is_synced()).await;
    let body = serde_json::json!({
        "title": "공구", "original_price": 10_000, "gonggu_price": 9_000,
        "open_at": "2026-11-01T00:00:00Z", "close_at": "2026-12-01T00:00:00Z",
        "external_url": "https://shop.example.com/p",
    });
    let made = here.make("/gonggus", &owner, Some(body)).await;
    let id: Uuid = made["id"].as_str().unwrap().parse().unwrap();
    let link = |read: fn(&Link) -> String| {
        let links = Arc::clone(&elsewhere.links);
        move || links.with(GongguId(id), read)
    };
    let url = link(|link| link.external_url.to_string());
    let is_open = link(|link| (link.opens_at < link.closes_at).to_string());
    reached("a new one", || url().as_deref() == Some("https://shop.example.com/p")).await;
    assert_eq!(is_open().as_deref(), Some("true"));

    let change = async |body: serde_json::Value| {
        let answer = here.call(Method::PUT, &format!("/gonggus/{id}"), Some(&owner), Some(body)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    };
    change(serde_json::json!({"external_url": "https://other.example.com/q"})).await;
    reached("another address", || url().as_deref() == Some("https://other.example.com/q")).await;
    change(serde_json::json!({"closed": true})).await;
    reached("an early close", || is_open().as_deref() == Some("false")).await;
    change(serde_json::json!({"closed": false})).await;
    reached("taken back", || is_open().as_deref() == Some("true")).await;
    let stand = async |status: &'static str| {
        let statement = "UPDATE users SET status = $2::user_status WHERE id = $1";
        sqlx::query(statement).bind(owner.id).bind(status).execute(&pool).await.unwrap();
    };
    stand("suspended").await;
    reached("a suspension", || is_open().as_deref() == Some("false")).await;
    stand("active").await;
    reached("its end", || is_open().as_deref() == Some("true")).await;
    here.app.identities.forget(UserId(owner.id));
    let deleted = here.call(Method::DELETE, &format!("/gonggus/{id}"), Some(&owner), None).await;
    assert_eq!(deleted.status, StatusCode::NO_CONTENT);
    reached("a deletion", || url().is_none()).await;
    stop.cancel();
    following.await.unwrap();
}

/// What an admin does to somebody else's gonggu or review is in the log; what its owner does is not.
#[sqlx::test(migrations = "../migrations/postgres")]
async fn an_admins_hand_on_what_is_anothers_is_logged(pool: PgPool) {
    let here = Catalog::new(pool.clone());
    let (admin, owner) = (here.person(UserRole::Admin).await, here.person(UserRole::Influencer).await);
    let buyer = here.person(UserRole::Buyer).await;
    let logged = async || -> Vec<String> {
        let log = "SELECT action || ' ' || target_id FROM audit_log WHERE actor_id = $1 ORDER BY id";
        sqlx::query_scalar(log).bind(admin.id).fetch_all(&pool).await.unwrap()
    };
    let body = serde_json::json!({
        "title": "공구", "original_price": 10_000, "gonggu_price": 9_000,
        "open_at": "2026-11-01T00:00:00Z", "close_at": "2026-12-01T00:00:00Z",
        "external_url": "https://shop.example.com/p", "influencer_id": owner.id,
    });
    let change = serde_json::json!({"external_url": "https://other.example.com/q"});
    let review = serde_json::json!({"rating": 1, "content": "별로예요"});
    let mut expected = Vec::new();
    for person in [&owner, &admin] {
        let made = here.make("/gonggus", person, Some(body.clone())).await;
        let path = format!("/gonggus/{}", made["id"].as_str().unwrap());
        let answer = here.call(Method::PUT, &path, Some(person), Some(change.clone())).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        // what has not opened is not reviewed, and the clock stands long before
        sqlx::query("UPDATE gonggus SET open_at = 'epoch'").execute(&pool).await.unwrap();
        let written = here.make(&format!("{path}/reviews"), &buyer, Some(review.clone())).await;
        let review_id = written["id"].as_str().unwrap();
        let remover = if person.id == admin.id { &admin } else { &buyer };
        for (person, path) in [(remover, format!("/reviews/{review_id}")), (person, path)] {
            let answer = here.call(Method::DELETE, &path, Some(person), None).await;
            assert_eq!(answer.status, StatusCode::NO_CONTENT, "{path}: {}", answer.body);
        }
        if person.id == admin.id {
            let gonggu_id = made["id"].as_str().unwrap();
            expected.push(format!("gonggu.create {gonggu_id}"));
            expected.push(format!("gonggu.update {gonggu_id}"));
            expected.push(format!("review.delete {review_id}"));
            expected.push(format!("gonggu.delete {gonggu_id}"));
        }
    }
    assert_eq!(logged().await, expected);
    let changed: serde_json::Value =
        sqlx::query_scalar("SELECT details FROM audit_log WHERE action = 'gonggu.update'")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(changed["before"]["external_url"], "https://shop.example.com/p");
    assert_eq!(changed["after"]["external_url"], "https://other.example.com/q");
    let entries: i64 = sqlx::query_scalar("SELECT count(*) FROM audit_log").fetch_one(&pool).await.unwrap();
    assert_eq!(entries, 4, "owners and authors are not logged");
}

/// Waits for it, no longer than a change may take.
async fn reached(what: &str, holds: impl Fn() -> bool) {
    within(what, Duration::from_secs(1), holds).await;
}

async fn within(what: &str, deadline: Duration, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < deadline, "{what}: not within {deadline:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
