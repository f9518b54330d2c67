//! Points: a ledger that adds up, whatever is asked of it at once and however often.

use crate::harness::api::{answer, assert_error};
use crate::harness::database::Role;
use crate::harness::people::{Person, ask, audited, call, make, only_for_admins};
use crate::harness::{Api, Deployment, shared};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

fn change(user: Uuid, amount: i64) -> Value {
    json!({"user_id": user, "amount": amount, "reason": "이벤트 당첨"})
}

/// Every entry, in order, having checked that they add up to the balance.
async fn ledger(api: &Api) -> (i64, Vec<Value>) {
    let mut entries: Vec<Value> = Vec::new();
    for page in 1.. {
        let (status, body) = ask(api, Method::GET, &format!("/points?order=asc&size=100&page={page}")).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        entries.extend(body["items"].as_array().unwrap().iter().cloned());
        if page >= body["pages"].as_i64().unwrap() {
            assert_eq!(body["total"], entries.len());
            let mut running = 0;
            for (index, entry) in entries.iter().enumerate() {
                running += entry["amount"].as_i64().unwrap();
                assert_eq!((&entry["number"], &entry["balance_after"]), (&json!(index + 1), &json!(running)));
                assert!(running >= 0);
            }
            assert_eq!(body["balance"], running);
            return (running, entries);
        }
    }
    unreachable!()
}

#[tokio::test]
async fn points_come_and_go_but_never_below_zero() {
    let shared = shared().await;
    let admin = shared.admin();
    let person = Person::new(&shared.deployment, Role::Buyer).await;
    assert_eq!(ledger(&person.api).await.0, 0);
    let given = make(&admin, "/admin/points", &change(person.id, 500)).await;
    assert_eq!((&given["balance_after"], &given["source"]), (&json!(500), &json!("admin")));
    make(&admin, "/admin/points", &change(person.id, -200)).await;
    let (status, body) = call(&admin, Method::POST, "/admin/points", &change(person.id, -301)).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_error(&body, "POINTS_INSUFFICIENT");
    make(&admin, "/admin/points", &change(person.id, -300)).await;
    let (balance, entries) = ledger(&person.api).await;
    assert_eq!((balance, entries.len()), (0, 3));
    // newest first is the default
    let (_, page) = ask(&person.api, Method::GET, "/points?size=1").await;
    assert_eq!((&page["items"][0]["number"], &page["pages"]), (&json!(3), &json!(3)));
    let (_, page) = ask(&person.api, Method::GET, "/points?size=2&page=2").await;
    assert_eq!((&page["items"][0]["number"], page["items"].as_array().unwrap().len()), (&json!(1), 1));
    let (_, page) = ask(&person.api, Method::GET, "/points?size=100&page=10000").await;
    assert_eq!(page["items"], json!([]));
    let target = person.id.to_string();
    assert_eq!(audited(&mut shared.deployment.database().await, "points.give", &target).await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_changes_at_once_are_a_hundred_changes() {
    let shared = shared().await;
    let admin = shared.admin();
    let person = Person::new(&shared.deployment, Role::Buyer).await;
    make(&admin, "/admin/points", &change(person.id, 1_000)).await;
    let calls = (0..100).map(|number| {
        let (admin, id) = (admin.clone(), person.id);
        // 50 times +7, 50 times -100: some of the latter find too little
        let amount = if number % 2 == 0 { 7 } else { -100 };
        tokio::spawn(async move {
            (amount, call(&admin, Method::POST, "/admin/points", &change(id, amount)).await.0)
        })
    });
    let (mut sum, mut count) = (1_000, 1);
    for task in calls.collect::<Vec<_>>() {
        let (amount, status) = task.await.unwrap();
        match status {
            StatusCode::CREATED => (sum, count) = (sum + amount, count + 1),
            status => assert_eq!((status, amount), (StatusCode::CONFLICT, -100)),
        }
    }
    let (balance, entries) = ledger(&person.api).await;
    assert_eq!((balance, entries.len()), (sum, count));
}

async fn with_key(admin: &Api, key: &str, body: &Value) -> (StatusCode, Value) {
    answer(admin.request(Method::POST, "/api/v1/admin/points").header("Idempotency-Key", key).json(body))
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_has_one_effect_also_when_all_come_at_once() {
    let shared = shared().await;
    let admin = shared.admin();
    let person = Person::new(&shared.deployment, Role::Buyer).await;
    let key = Uuid::now_v7().to_string();
    let tries = (0..30).map(|_| {
        let (admin, key, body) = (admin.clone(), key.clone(), change(person.id, 10));
        tokio::spawn(async move { with_key(&admin, &key, &body).await })
    });
    let mut ids = BTreeSet::new();
    for task in tries.collect::<Vec<_>>() {
        match task.await.unwrap() {
            (StatusCode::CREATED, body) => drop(ids.insert(body["id"].as_str().unwrap().to_owned())),
            (status, body) => {
                assert_eq!(status, StatusCode::CONFLICT, "{body}");
                assert_error(&body, "IDEMPOTENCY_IN_PROGRESS");
            }
        }
    }
    assert_eq!(ids.len(), 1);
    assert_eq!(ledger(&person.api).await.1.len(), 1);
    // spaces and unknown keys make no other request of it; another amount does
    let spaced =
        format!("{{ \"reason\":\"이벤트 당첨\", \"x\":1, \"amount\": 10,\"user_id\":\"{}\"}}", person.id);
    let request = admin.request(Method::POST, "/api/v1/admin/points").header("Idempotency-Key", &key);
    let (status, body) = answer(request.header("Content-Type", "application/json").body(spaced)).await;
    assert_eq!((status, body["id"].as_str()), (StatusCode::CREATED, ids.first().map(String::as_str)));
    let (status, body) = with_key(&admin, &key, &change(person.id, 11)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_error(&body, "IDEMPOTENCY_KEY_REUSED");
    // another admin's key of the same name is another key
    let other = Person::admin(&shared.deployment).await;
    assert_eq!(with_key(&other.api, &key, &change(person.id, 11)).await.0, StatusCode::CREATED);
    assert_eq!(ledger(&person.api).await.0, 21);
    for key in ["", "a b", "한글", &"k".repeat(256)] {
        assert_eq!(
            with_key(&admin, key, &change(person.id, 1)).await.0,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{key}"
        );
    }
    // what was refused is not kept: it may succeed later
    let key = Uuid::now_v7().to_string();
    assert_eq!(with_key(&admin, &key, &change(person.id, -30)).await.0, StatusCode::CONFLICT);
    make(&admin, "/admin/points", &change(person.id, 9)).await;
    assert_eq!(with_key(&admin, &key, &change(person.id, -30)).await.0, StatusCode::CREATED);
    assert_eq!(ledger(&person.api).await.0, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_given_again_after_a_crash() {
    let mut deployment = Deployment::new();
    deployment.start().await;
    let admin = Api::new(&deployment).admin().await;
    let person = Person::new(&deployment, Role::Buyer).await;
    let first = with_key(&admin, "a-key", &change(person.id, 700)).await;
    assert_eq!(first.0, StatusCode::CREATED);
    deployment.kill();
    deployment.start().await;
    assert_eq!(with_key(&admin, "a-key", &change(person.id, 700)).await, first);
    assert_eq!(with_key(&admin, "a-key", &change(person.id, 701)).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(ledger(&person.api).await.0, 700);
    deployment.stop().await;
}

#[tokio::test]
async fn only_admins_give_points() {
    let shared = shared().await;
    only_for_admins(shared, &[(Method::POST, "/admin/points".to_owned())]).await;
    assert_eq!(ask(&shared.anyone(), Method::GET, "/points").await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn bad_changes_change_nothing() {
    let shared = shared().await;
    let admin = shared.admin();
    let person = Person::new(&shared.deployment, Role::Buyer).await;
    let id = person.id;
    let amounts = [
        "0",
        "1000000001",
        "-1000000001",
        "2147483648000",
        "9223372036854775808",
        "1e3",
        "1.5",
        "\"7\"",
        "null",
    ];
    for amount in amounts {
        let body = format!("{{\"user_id\":\"{id}\",\"amount\":{amount},\"reason\":\"이유\"}}");
        let request = admin.request(Method::POST, "/api/v1/admin/points");
        let (status, answer) = answer(request.header("Content-Type", "application/json").body(body)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{amount}: {answer}");
        assert_error(&answer, "VALIDATION_ERROR");
    }
    let long = "가".repeat(201);
    for reason in ["", "   ", "a\u{0}b", &long] {
        let body = json!({"user_id": id, "amount": 1, "reason": reason});
        let (status, answer) = call(&admin, Method::POST, "/admin/points", &body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{reason:?}");
        assert_eq!(answer["errors"][0]["field"], "reason");
    }
    let (status, body) = call(&admin, Method::POST, "/admin/points", &json!({})).await;
    assert_eq!((status.as_u16(), body["errors"].as_array().unwrap().len()), (422, 3), "{body}");
    let (status, body) = call(&admin, Method::POST, "/admin/points", &change(Uuid::now_v7(), 5)).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_error(&body, "USER_NOT_FOUND");
    for query in
        ["size=1000000", "size=0", "page=0", "page=9223372036854775807", "sort=amount;drop", "order=up"]
    {
        let status = ask(&person.api, Method::GET, &format!("/points?{query}")).await.0;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{query}");
    }
    // what a body says beyond its fields is not believed
    let mut more = change(id, 5);
    more["balance_after"] = json!(1_000_000);
    more["source"] = json!("coupon");
    let given = make(&admin, "/admin/points", &more).await;
    assert_eq!((&given["balance_after"], &given["source"]), (&json!(5), &json!("admin")));
    assert_eq!(ledger(&person.api).await.0, 5);
}

#[tokio::test]
async fn a_closed_account_neither_gets_nor_gives_points() {
    let shared = shared().await;
    let admin = shared.admin();
    let person = Person::new(&shared.deployment, Role::Buyer).await;
    make(&admin, "/admin/points", &change(person.id, 500)).await;
    assert_eq!(ask(&person.api, Method::DELETE, "/users/me").await.0, StatusCode::NO_CONTENT);
    for amount in [100, -100] {
        let (status, body) = call(&admin, Method::POST, "/admin/points", &change(person.id, amount)).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{body}");
        assert_error(&body, "USER_NOT_FOUND");
    }
    let balance: i64 = sqlx::query_scalar("SELECT balance FROM point_balances WHERE user_id = $1")
        .bind(person.id)
        .fetch_one(&mut shared.deployment.database().await)
        .await
        .unwrap();
    assert_eq!(balance, 500);
}
