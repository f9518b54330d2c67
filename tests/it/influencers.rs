//! Influencers over HTTP: applying, the profile, lists, and the figures of one's gonggus.

use crate::harness::api::assert_error;
use crate::harness::catalog::person;
use crate::harness::database::Role;
use crate::harness::{GongguSpec, Visitor, shared};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

#[tokio::test]
async fn an_application_takes_the_profile_and_nothing_else() {
    let shared = shared().await;
    let buyer = person(shared, Role::Buyer).await;
    for (field, value) in [
        ("bio", json!("가".repeat(2_001))),
        ("bio", json!("a\u{0}b")),
        ("banner_image", json!("javascript:x")),
        ("instagram_url", json!("http://127.0.0.1/")),
        ("instagram_url", json!("javascript:alert(1)")),
        ("tiktok_url", json!("https://user:pw@tiktok.example.com/")),
        ("tiktok_url", json!(format!("https://tiktok.example.com/{}", "x".repeat(500)))),
    ] {
        let answer = buyer.api.expect(Method::POST, "/influencers/apply", &json!({field: value}), 422).await;
        assert_eq!(answer["errors"][0]["field"], field, "{answer}");
    }
    let (status, answer) =
        buyer.api.call_raw(Method::POST, "/influencers/apply", r#"{"bio":"a","bio":"b"}"#).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
    let (status, _) = buyer.api.call_raw(Method::POST, "/influencers/apply", r#"{"bio":"\ud800"}"#).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_error(
        &buyer.api.expect(Method::GET, "/influencers/me", &Value::Null, 404).await,
        "INFLUENCER_NOT_FOUND",
    );

    let greedy = json!({"bio": "안녕하세요", "role": "admin", "is_verified": true, "subscriber_count": 10,
                        "status": "active", "user_id": Uuid::nil()});
    let made = buyer.api.expect(Method::POST, "/influencers/apply", &greedy, 201).await;
    assert_eq!(
        (&made["role"], &made["status"], &made["application"]),
        (&json!("buyer"), &json!("pending"), &json!("pending"))
    );
    assert_eq!((&made["is_verified"], &made["subscriber_count"]), (&json!(false), &json!(0)));
    let again = buyer.api.expect(Method::POST, "/influencers/apply", &greedy, 409).await;
    assert_error(&again, "APPLICATION_PENDING");
    // a buyer's rights until it is decided
    buyer.api.expect(Method::PUT, "/influencers/me", &json!({"bio": "x"}), 403).await;
    buyer.api.expect(Method::GET, "/influencers/me/stats", &Value::Null, 403).await;
    buyer.api.expect(Method::POST, "/gonggus", &GongguSpec::default().body(), 403).await;
    buyer.api.expect(Method::GET, "/subscriptions", &Value::Null, 200).await;
    buyer.api.expect(Method::GET, &format!("/influencers/{}", buyer.id), &Value::Null, 404).await;
    let influencer = person(shared, Role::Influencer).await;
    let already = influencer.api.expect(Method::POST, "/influencers/apply", &json!({}), 409).await;
    assert_error(&already, "ALREADY_INFLUENCER");
    for (method, path) in [
        (Method::POST, "/influencers/apply"),
        (Method::PUT, "/influencers/me"),
        (Method::GET, "/influencers/me"),
        (Method::GET, "/influencers/me/stats"),
    ] {
        shared.anyone().expect(method, path, &json!({}), 401).await;
    }
}

#[tokio::test]
async fn a_profile_is_seen_as_it_was_written() {
    let shared = shared().await;
    let influencer = person(shared, Role::Influencer).await;
    let written = json!({"bio": " 제주 농부 ", "instagram_url": "https://www.instagram.com/jeju",
                         "banner_image": "/images/2026/11/x.webp", "is_verified": false, "subscriber_count": 99});
    influencer.api.expect(Method::PUT, "/influencers/me", &written, 200).await;
    for spec in [GongguSpec::default(), GongguSpec::not_open()] {
        influencer.api.gonggu(&spec).await;
    }
    let path = format!("/influencers/{}", influencer.id);
    let seen = shared.anyone().read(&path).await;
    assert_eq!((&seen["bio"], &seen["is_verified"]), (&json!("제주 농부"), &json!(true)));
    assert_eq!((&seen["subscriber_count"], &seen["subscribed"]), (&json!(0), &Value::Null));
    assert_eq!(seen["gonggu_counts"], json!({"scheduled": 1, "active": 1, "closed": 0, "total": 2}));
    assert!(seen.get("email").is_none() && !seen.to_string().contains('@'));
    // absent stays, empty is taken away
    let update = json!({"instagram_url": ""});
    let own = influencer.api.expect(Method::PUT, "/influencers/me", &update, 200).await;
    assert_eq!((&own["instagram_url"], &own["bio"]), (&Value::Null, &json!("제주 농부")));
    let mut page = 1;
    let found = loop {
        let list = shared.anyone().read(&format!("/influencers?sort=created_at&size=100&page={page}")).await;
        let items = list["items"].as_array().unwrap();
        if let Some(found) = items.iter().find(|item| item["id"] == json!(influencer.id)) {
            break found.clone();
        }
        assert!(!items.is_empty(), "not in the list");
        page += 1;
    };
    assert_eq!(found["gonggu_counts"]["total"], 2);
    for id in ["x".to_owned(), Uuid::now_v7().to_string()] {
        shared.anyone().expect(Method::GET, &format!("/influencers/{id}"), &Value::Null, 404).await;
    }
    for query in ["sort=email", "sort=password_hash", "size=1000000", "page=0"] {
        shared.anyone().expect(Method::GET, &format!("/influencers?{query}"), &Value::Null, 422).await;
    }
}

#[tokio::test]
async fn figures_of_each_add_up_to_those_of_all() {
    let shared = shared().await;
    let influencer = person(shared, Role::Influencer).await;
    let empty = influencer.api.read("/influencers/me/stats").await;
    assert_eq!((&empty["total"], &empty["totals"]["gross"]), (&json!(0), &json!(0)));
    assert!(!empty["series"].as_array().unwrap().is_empty(), "empty buckets are present");
    let gonggus = influencer.api.open_gonggus(3).await;
    let visitor = Visitor::new();
    for (gonggu, clicks) in gonggus.iter().zip([1, 2, 3]) {
        for _ in 0..clicks {
            visitor.go(&influencer.api, *gonggu).await.redirected();
        }
    }
    for (gonggu, clicks) in gonggus.iter().zip([1, 2, 3]) {
        influencer.api.settled(*gonggu, clicks).await;
    }
    // what is deleted keeps its figures
    influencer.api.expect(Method::DELETE, &format!("/gonggus/{}", gonggus[2]), &Value::Null, 204).await;
    let stats = influencer.api.read("/influencers/me/stats?interval=hour").await;
    let number = |value: &Value, key: &str| value[key].as_u64().unwrap();
    let sums = |items: &[Value], key: &str| items.iter().map(|item| number(item, key)).sum::<u64>();
    let items: Vec<Value> =
        stats["items"].as_array().unwrap().iter().map(|item| item["totals"].clone()).collect();
    assert_eq!(
        items.iter().map(|item| number(item, "gross")).collect::<Vec<_>>(),
        [3, 2, 1],
        "the newest first"
    );
    assert_eq!(stats["items"][0]["is_deleted"], true);
    for key in ["gross", "billable", "duplicate", "invalid", "held"] {
        assert_eq!(number(&stats["totals"], key), sums(&items, key), "{key}");
        assert_eq!(number(&stats["totals"], key), sums(stats["series"].as_array().unwrap(), key), "{key}");
    }
    assert_eq!((number(&stats["totals"], "gross"), number(&stats["totals"], "billable")), (6, 3));
    assert!(stats["complete_through"].is_string());
    let page = influencer.api.read("/influencers/me/stats?size=1&page=2").await;
    assert_eq!((&page["items"][0]["totals"]["gross"], &page["pages"]), (&json!(2), &json!(3)));
    assert_eq!((&page["totals"]["gross"], &page["total"]), (&json!(6), &json!(3)), "of all, not of the page");
    for (query, code) in [
        ("size=101", "VALIDATION_ERROR"),
        ("interval=week", "VALIDATION_ERROR"),
        ("tz=Mars/Base", "VALIDATION_ERROR"),
        ("from=2026-01-01T00:00:00Z&to=2025-01-01T00:00:00Z", "VALIDATION_ERROR"),
        ("from=2020-01-01T00:00:00Z&to=2026-01-01T00:00:00Z&interval=minute", "RANGE_TOO_LARGE"),
    ] {
        let path = format!("/influencers/me/stats?{query}");
        assert_error(&influencer.api.expect(Method::GET, &path, &Value::Null, 422).await, code);
    }
}

/// Clicks on the first and the last of more gonggus than a page has.
#[tokio::test]
async fn figures_of_all_are_not_those_of_a_page() {
    let shared = shared().await;
    let influencer = person(shared, Role::Influencer).await;
    let gonggus = influencer.api.open_gonggus(150).await;
    let visitor = Visitor::new();
    for gonggu in [gonggus[0], gonggus[60], gonggus[149]] {
        visitor.go(&influencer.api, gonggu).await.redirected();
        influencer.api.settled(gonggu, 1).await;
    }
    for (query, items, gross_of_items) in [("", 100, 2), ("?page=2", 50, 1), ("?size=1&page=150", 1, 1)] {
        let stats = influencer.api.read(&format!("/influencers/me/stats{query}")).await;
        let shown = stats["items"].as_array().unwrap();
        let gross = shown.iter().map(|item| item["totals"]["gross"].as_u64().unwrap()).sum::<u64>();
        assert_eq!((shown.len(), gross), (items, gross_of_items), "{query}");
        assert_eq!((&stats["totals"]["gross"], &stats["total"]), (&json!(3), &json!(150)), "{query}");
        let series = stats["series"].as_array().unwrap();
        assert_eq!(series.iter().map(|point| point["gross"].as_u64().unwrap()).sum::<u64>(), 3, "{query}");
    }
    // all of them by the minute for six days ahead are too much, and what was before any was made is nothing
    let (now, minutes) = (chrono::Utc::now(), "interval=minute");
    let range = |from, to| {
        let day = |days| (now + chrono::TimeDelta::days(days)).format("%Y-%m-%dT%H:%M:%SZ");
        format!("/influencers/me/stats?{minutes}&from={}&to={}", day(from), day(to))
    };
    let refused = influencer.api.expect(Method::GET, &range(-1, 5), &Value::Null, 422).await;
    assert_error(&refused, "RANGE_TOO_LARGE");
    let none = influencer.api.read(&range(-7, -1)).await;
    assert_eq!((&none["total"], &none["totals"]["gross"]), (&json!(150), &json!(0)));
}
