//! Reviews over HTTP: one each, not of one's own, changed by the author alone.

use crate::harness::api::assert_error;
use crate::harness::catalog::person;
use crate::harness::database::Role;
use crate::harness::{GongguSpec, shared};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

#[tokio::test]
async fn one_each_with_a_rating_of_all() {
    let shared = shared().await;
    let owner = person(shared, Role::Influencer).await;
    let path = format!("/gonggus/{}/reviews", owner.api.open_gonggu().await);
    let empty = shared.anyone().read(&path).await;
    assert_eq!(empty["rating"], json!({"average": null, "count": 0}));
    for (rating, average) in [(5, 5.0), (4, 4.5), (4, 4.33)] {
        let buyer = person(shared, Role::Buyer).await;
        let body = json!({"rating": rating, "content": " 맛있어요 ", "images": ["https://cdn.example.com/1.webp"],
                          "user_id": owner.id, "id": Uuid::nil(), "created_at": "2020-01-01T00:00:00Z"});
        let made = buyer.api.expect(Method::POST, &path, &body, 201).await;
        assert_eq!((&made["user"]["id"], &made["content"]), (&json!(buyer.id), &json!("맛있어요")));
        assert!(made["id"] != json!(Uuid::nil()) && made["created_at"].as_str().unwrap() > "2026");
        assert_error(&buyer.api.expect(Method::POST, &path, &body, 409).await, "REVIEW_EXISTS");
        let list = shared.anyone().read(&path).await;
        assert_eq!(list["rating"]["average"], average);
        assert!(!list.to_string().contains('@'), "no e-mail: {list}");
    }
    let sorted = shared.anyone().read(&format!("{path}?sort=rating&order=asc&size=2")).await;
    assert_eq!(
        (&sorted["items"][0]["rating"], &sorted["total"], &sorted["pages"]),
        (&json!(4), &json!(3), &json!(2))
    );
    let own = json!({"rating": 5, "content": "제 공구 최고"});
    assert_error(&owner.api.expect(Method::POST, &path, &own, 403).await, "FORBIDDEN");
    shared.anyone().expect(Method::POST, &path, &own, 401).await;
    for query in ["sort=content", "size=1000000", "sort=rating;--"] {
        shared.anyone().expect(Method::GET, &format!("{path}?{query}"), &Value::Null, 422).await;
    }
}

/// Nobody can have bought what has not opened; and what somebody wrote who is suspended is not shown.
#[tokio::test]
async fn too_early_and_of_suspended_people() {
    let shared = shared().await;
    let planned = shared.admin().gonggu(&GongguSpec::not_open()).await;
    let (one, other) = (person(shared, Role::Buyer).await, person(shared, Role::Buyer).await);
    let body = |rating: u8| json!({"rating": rating, "content": "좋아요"});
    let path = format!("/gonggus/{planned}/reviews");
    assert_error(&one.api.expect(Method::POST, &path, &body(5), 409).await, "GONGGU_NOT_OPENED");
    let path = format!("/gonggus/{}/reviews", shared.admin().open_gonggu().await);
    one.api.expect(Method::POST, &path, &body(1), 201).await;
    other.api.expect(Method::POST, &path, &body(5), 201).await;
    let user = format!("/admin/users/{}", one.id);
    for (status, shown, average) in [("suspended", 1, 5.0), ("active", 2, 3.0)] {
        let change = json!({"status": status, "reason": "test"});
        shared.admin().expect(Method::PATCH, &user, &change, 200).await;
        for sort in ["created_at", "rating"] {
            let list = shared.anyone().read(&format!("{path}?sort={sort}")).await;
            assert_eq!(list["items"].as_array().unwrap().len(), shown, "{status}");
            assert_eq!(list["rating"], json!({"average": average, "count": shown}), "{status}");
            assert_eq!(list["total"], shown, "{status}");
        }
    }
}

#[tokio::test]
async fn bad_reviews_are_refused_by_name() {
    let shared = shared().await;
    let buyer = person(shared, Role::Buyer).await;
    let path = format!("/gonggus/{}/reviews", shared.admin().open_gonggu().await);
    for (field, value) in [
        ("rating", json!(0)),
        ("rating", json!(6)),
        ("rating", json!(-9_223_372_036_854_775_808i64)),
        ("content", json!("")),
        ("content", json!("a\u{0}b")),
        ("content", json!("가".repeat(2_001))),
        ("images", json!(vec!["https://cdn.example.com/1.webp"; 11])),
        ("images", json!(["javascript:alert(1)"])),
        ("images", json!([format!("https://cdn.example.com/{}", "x".repeat(500))])),
    ] {
        let mut body = json!({"rating": 5, "content": "좋아요"});
        body[field] = value;
        let answer = buyer.api.expect(Method::POST, &path, &body, 422).await;
        assert_eq!(answer["errors"][0]["field"], field, "{answer}");
    }
    for body in [json!({"rating": 4.5, "content": "x"}), json!({"rating": "5", "content": "x"}), json!({})] {
        buyer.api.expect(Method::POST, &path, &body, 422).await;
    }
    for body in [
        r#"{"rating":5,"rating":1,"content":"x"}"#,
        r#"{"rating":5,"content":"\ud83d"}"#,
        r#"{"rating":1e400,"content":"x"}"#,
    ] {
        let (status, answer) = buyer.api.call_raw(Method::POST, &path, body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}: {answer}");
    }
    assert_eq!(shared.anyone().read(&path).await["total"], 0);
}

#[tokio::test]
async fn a_review_is_its_authors() {
    let shared = shared().await;
    let (author, other) = (person(shared, Role::Buyer).await, person(shared, Role::Influencer).await);
    let list = format!("/gonggus/{}/reviews", shared.admin().open_gonggu().await);
    let made = author.api.expect(Method::POST, &list, &json!({"rating": 2, "content": "그냥"}), 201).await;
    let path = format!("/reviews/{}", made["id"].as_str().unwrap());
    let change = json!({"rating": 3, "user_id": other.id});
    for (api, status) in [(&shared.anyone(), 401), (&other.api, 403), (&shared.admin(), 403)] {
        api.expect(Method::PUT, &path, &change, status).await;
    }
    for (api, status) in [(&shared.anyone(), 401), (&other.api, 403)] {
        api.expect(Method::DELETE, &path, &Value::Null, status).await;
    }
    let changed = author.api.expect(Method::PUT, &path, &change, 200).await;
    assert_eq!(
        (&changed["rating"], &changed["content"], &changed["user"]["id"]),
        (&json!(3), &json!("그냥"), &json!(author.id))
    );
    author.api.expect(Method::PUT, &path, &json!({"rating": 9}), 422).await;
    shared.admin().expect(Method::DELETE, &path, &Value::Null, 204).await;
    for id in [path.clone(), "/reviews/x".to_owned(), format!("/reviews/{}", Uuid::now_v7())] {
        assert_error(&author.api.expect(Method::DELETE, &id, &Value::Null, 404).await, "REVIEW_NOT_FOUND");
    }
    // gone is gone: another may be written
    author.api.expect(Method::POST, &list, &json!({"rating": 5, "content": "다시"}), 201).await;
}

/// A hundred at once: one review.
#[tokio::test]
async fn a_review_is_one_however_often_it_is_sent() {
    let shared = shared().await;
    let buyer = person(shared, Role::Buyer).await;
    let path = format!("/gonggus/{}/reviews", shared.admin().open_gonggu().await);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (api, path) = (buyer.api.clone(), path.clone());
        calls.spawn(
            async move { api.call(Method::POST, &path, &json!({"rating": 5, "content": "x"})).await.0 },
        );
    }
    let answers = calls.join_all().await;
    let made = answers.iter().filter(|status| **status == StatusCode::CREATED).count();
    let refused = answers.iter().filter(|status| **status == StatusCode::CONFLICT).count();
    assert_eq!((made, refused), (1, 99), "{answers:?}");
    assert_eq!(shared.anyone().read(&path).await["rating"], json!({"average": 5.0, "count": 1}));
}
