#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::lifecycle::{self, LifecycleError};
use crate::gonggus::testing::{Catalog, Person};
use crate::users::types::UserRole;
use futures::future::join_all;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

async fn stand(pool: &PgPool, id: Uuid) -> (String, String, bool, i32) {
    sqlx::query_as(
        "SELECT u.role::text, u.status::text, COALESCE(p.is_verified, false), u.token_version
         FROM users u LEFT JOIN influencer_profiles p ON p.user_id = u.id WHERE u.id = $1",
    )
    .bind(id)
    .fetch_one(pool)
    .await
    .unwrap()
}

fn standing(role: &str, status: &str, is_verified: bool) -> (String, String, bool, i32) {
    (role.to_owned(), status.to_owned(), is_verified, 0)
}

async fn apply(catalog: &Catalog, person: &Person) -> (u16, Value) {
    let body = json!({
        "bio": " 제철 과일 ", "instagram_url": "https://www.instagram.com/someone",
        "is_verified": true, "role": "admin", "subscriber_count": 9_000, "status": "active",
    });
    let answer = catalog.call(Method::POST, "/influencers/apply", Some(person), Some(body)).await;
    (answer.status.as_u16(), answer.body)
}

fn gonggu_body() -> Value {
    json!({
        "title": "공구", "original_price": 1_000, "gonggu_price": 900, "open_at": "2026-11-01T00:00:00Z",
        "close_at": "2026-12-01T00:00:00Z", "external_url": "https://shop.example.com/p",
    })
}

#[sqlx::test(migrations = "../migrations/postgres")]
async fn apply_refuse_apply_approve(pool: PgPool) {
    let catalog = Catalog::new(pool.clone());
    let person = catalog.person(UserRole::Buyer).await;
    let now = catalog.app.clock.now().to_utc();
    let nothing = catalog.get("/influencers/me", Some(&person)).await;
    assert_eq!(nothing.status, StatusCode::NOT_FOUND);

    let (status, body) = apply(&catalog, &person).await;
    assert_eq!((status, &body["application"]), (201, &json!("pending")), "{body}");
    assert_eq!((&body["bio"], &body["subscriber_count"]), (&json!("제철 과일"), &json!(0)));
    assert_eq!(
        stand(&pool, person.id).await,
        standing("buyer", "pending", false),
        "nothing but the profile is taken"
    );
    let (status, body) = apply(&catalog, &person).await;
    assert_eq!((status, &body["code"]), (409, &json!("APPLICATION_PENDING")));
    let create = |person: &Person| {
        let (catalog, person) = (catalog.clone(), person.clone());
        async move { catalog.call(Method::POST, "/gonggus", Some(&person), Some(gonggu_body())).await.status }
    };
    assert_eq!(create(&person).await, StatusCode::FORBIDDEN, "a buyer's rights until then");
    let update = catalog.call(Method::PUT, "/influencers/me", Some(&person), Some(json!({"bio": "x"}))).await;
    assert_eq!(update.status, StatusCode::FORBIDDEN);

    let mut connection = pool.acquire().await.unwrap();
    lifecycle::reject(&mut connection, person.id, Some(" 소개가 \0부족합니다 "), now).await.unwrap();
    lifecycle::in_force(&catalog.app, person.id).await;
    assert_eq!(stand(&pool, person.id).await, standing("buyer", "active", false));
    let own = catalog.get("/influencers/me", Some(&person)).await.body;
    assert_eq!(
        (&own["application"], &own["refusal_reason"]),
        (&json!("rejected"), &json!("소개가 부족합니다"))
    );
    let again = lifecycle::reject(&mut connection, person.id, None, now).await;
    assert!(matches!(again, Err(LifecycleError::NotPending)));

    let (status, body) = apply(&catalog, &person).await;
    assert_eq!((status, &body["refusal_reason"]), (201, &Value::Null));
    lifecycle::approve(&mut connection, person.id, None, now).await.unwrap();
    catalog.app.identities.forget(gonggumoa_core::ids::UserId(person.id));
    assert_eq!(stand(&pool, person.id).await, standing("influencer", "active", true));
    assert_eq!(create(&person).await, StatusCode::CREATED, "with the token that the buyer had");
    let (status, body) = apply(&catalog, &person).await;
    assert_eq!((status, &body["code"]), (409, &json!("ALREADY_INFLUENCER")));
    let seen = catalog.get(&format!("/influencers/{}", person.id), None).await.body;
    assert_eq!((&seen["gonggu_counts"]["total"], &seen["subscribed"]), (&json!(1), &Value::Null));
    let unknown = lifecycle::approve(&mut connection, Uuid::now_v7(), None, now).await;
    assert!(matches!(unknown, Err(LifecycleError::NotFound)));
}

/// Who signed up as an influencer waits as well, whatever the sign-up wrote.
#[sqlx::test(migrations = "../migrations/postgres")]
async fn a_sign_up_is_an_application(pool: PgPool) {
    let catalog = Catalog::new(pool.clone());
    let now = catalog.app.clock.now().to_utc();
    for (role, approved) in [("buyer", true), ("influencer", true), ("influencer", false)] {
        let person = catalog.person(UserRole::Buyer).await;
        sqlx::query("UPDATE users SET role = $2::user_role, status = 'pending' WHERE id = $1")
            .bind(person.id)
            .bind(role)
            .execute(&pool)
            .await
            .unwrap();
        assert_eq!(
            catalog.get("/influencers?size=100", None).await.body["total"],
            0,
            "not listed while pending"
        );
        let mut connection = pool.acquire().await.unwrap();
        if approved {
            lifecycle::approve(&mut connection, person.id, None, now).await.unwrap();
            assert_eq!(stand(&pool, person.id).await, standing("influencer", "active", true));
            sqlx::query("UPDATE users SET status = 'suspended' WHERE id = $1")
                .bind(person.id)
                .execute(&pool)
                .await
                .unwrap();
        } else {
            lifecycle::reject(&mut connection, person.id, None, now).await.unwrap();
            assert_eq!(stand(&pool, person.id).await, standing("buyer", "active", false));
        }
    }
}

#[sqlx::test(migrations = "../migrations/postgres")]
async fn of_many_decisions_one_is_taken(pool: PgPool) {
    let catalog = Catalog::new(pool.clone());
    let person = catalog.person(UserRole::Buyer).await;
    let applied = join_all((0..20).map(|_| apply(&catalog, &person))).await;
    assert_eq!(applied.iter().filter(|(status, _)| *status == 201).count(), 1);
    let now = catalog.app.clock.now().to_utc();
    let decide = |number: usize| {
        let pool = pool.clone();
        async move {
            let mut transaction = gonggumoa_analytics::postgres::begin::begin(&pool).await.unwrap();
            let decided = if number.is_multiple_of(2) {
                lifecycle::approve(&mut transaction, person.id, None, now).await
            } else {
                lifecycle::reject(&mut transaction, person.id, None, now).await
            };
            transaction.commit().await.unwrap();
            decided.is_ok()
        }
    };
    let decided = join_all((0..20).map(decide)).await;
    assert_eq!(decided.iter().filter(|taken| **taken).count(), 1);
}
