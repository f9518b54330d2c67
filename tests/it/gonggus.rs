//! Gonggus over HTTP: who may write what, what is refused and how, lists, bookmarks and alarms, and that a
//! change reaches redirects.

use crate::harness::api::assert_error;
use crate::harness::catalog::person;
use crate::harness::database::Role;
use crate::harness::{GongguSpec, Visitor, shared};
use chrono::{TimeDelta, Utc};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

fn ids(list: &Value) -> BTreeSet<String> {
    let items = list["items"].as_array().unwrap().iter();
    items.map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

/// Fields of one value each that is refused as 422, all named in one answer.
fn refused_fields() -> Vec<(&'static str, Vec<Value>)> {
    let (open, over) = (json!("2027-01-02T00:00:00Z"), json!("10000-01-01T00:00:00Z"));
    vec![
        ("title", vec![json!(""), json!("  \n "), json!("a\u{0}b"), json!("a\nb"), json!("가".repeat(201))]),
        ("description", vec![json!("a\u{0}b"), json!("가".repeat(20_001))]),
        ("original_price", vec![json!(0), json!(-1), json!(1i64 << 31), json!(i64::MAX)]),
        ("gonggu_price", vec![json!(0), json!(-19_900), json!(1i64 << 31), json!(30_001)]),
        ("close_at", vec![open, json!("2026-01-01T00:00:00Z"), json!("2100-01-01T00:00:00Z")]),
        (
            "open_at",
            vec![
                json!("1999-12-31T00:00:00Z"),
                json!("+10000-01-01T00:00:00Z"),
                json!("0001-01-01T00:00:00Z"),
            ],
        ),
        (
            "thumbnail",
            vec![
                json!("//evil.example/x"),
                json!("javascript:x"),
                json!("/\\evil.example"),
                json!("x".repeat(501)),
            ],
        ),
        ("category_ids", vec![json!([Uuid::now_v7()]), json!([Uuid::nil(), Uuid::nil()])]),
        // of another shape altogether
        ("", vec![over, json!(["x"])]),
    ]
}

fn good() -> Value {
    let mut body = GongguSpec::default().body();
    (body["open_at"], body["close_at"]) = (json!("2027-01-02T00:00:00Z"), json!("2027-01-03T00:00:00Z"));
    body
}

#[tokio::test]
async fn every_bad_value_is_refused_by_name() {
    let shared = shared().await;
    let owner = person(shared, Role::Influencer).await;
    for (field, values) in refused_fields() {
        for value in values {
            let mut body = good();
            body[if field.is_empty() { "open_at" } else { field }] = value.clone();
            let answer = owner.api.expect(Method::POST, "/gonggus", &body, 422).await;
            assert_error(&answer, "VALIDATION_ERROR");
            let named = answer["errors"].as_array().unwrap().iter().any(|error| error["field"] == field);
            assert!(named || field.is_empty() || field == "open_at", "{field} {value}: {answer}");
        }
    }
    for (field, value) in [("original_price", json!("1")), ("gonggu_price", json!(1.5)), ("title", json!(7))]
    {
        let mut body = good();
        body[field] = value;
        assert_error(&owner.api.expect(Method::POST, "/gonggus", &body, 422).await, "VALIDATION_ERROR");
    }
    let three = json!([Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7()]);
    let mut body = good();
    body["category_ids"] = three;
    assert_error(&owner.api.expect(Method::POST, "/gonggus", &body, 422).await, "TOO_MANY_CATEGORIES");
    // nothing of it was stored
    let list = owner.api.read(&format!("/gonggus?influencer_id={}", owner.id)).await;
    assert_eq!(list["total"], 0);
}

#[tokio::test]
async fn bodies_that_json_does_not_hold_are_malformed() {
    let shared = shared().await;
    let owner = person(shared, Role::Influencer).await;
    let text = good().to_string();
    for (from, to, code) in [
        ("\"title\":\"제주", "\"title\":\"\\ud800", "MALFORMED_REQUEST"),
        ("\"title\":\"제주", "\"title\":\"\\udc00x", "MALFORMED_REQUEST"),
        ("\"title\":", "\"title\":\"x\",\"title\":", "DUPLICATE_KEY"),
        ("30000", "1e400", "MALFORMED_REQUEST"),
        ("30000", "NaN", "MALFORMED_REQUEST"),
        ("30000", "0x10", "MALFORMED_REQUEST"),
    ] {
        let body = text.replacen(from, to, 1);
        assert_ne!(body, text, "{from}");
        let (status, answer) = owner.api.call_raw(Method::POST, "/gonggus", &body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{to}: {answer}");
        assert_error(&answer, code);
    }
    for number in ["9223372036854775808", "-9223372036854775809", "1e3", "99999999999999999999999"] {
        let (status, answer) =
            owner.api.call_raw(Method::POST, "/gonggus", &text.replacen("30000", number, 1)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{number}: {answer}");
    }
}

#[tokio::test]
async fn destinations_are_public_shops_only() {
    let shared = shared().await;
    let owner = person(shared, Role::Influencer).await;
    for bad in [
        "javascript:alert(1)",
        "ftp://shop.example.com/",
        "https://user:pw@shop.example.com/",
        "https://shop.example.com@127.0.0.1/",
        "http://localhost/",
        "http://127.1/",
        "http://2130706433/",
        "http://0177.0.0.1/",
        "http://0x7f000001/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/",
        "http://１２７.０.０.１/",
        "http://intranet/",
        "https://shop.example.com/\r\nSet-Cookie: a=b",
    ] {
        let mut body = good();
        body["external_url"] = json!(bad);
        let answer = owner.api.expect(Method::POST, "/gonggus", &body, 422).await;
        assert_eq!(answer["errors"][0]["field"], "external_url", "{bad}: {answer}");
        // nor by a change
        let gonggu = owner.api.gonggu(&GongguSpec::not_open()).await;
        let change = json!({"external_url": bad});
        owner.api.expect(Method::PUT, &format!("/gonggus/{gonggu}"), &change, 422).await;
    }
}

#[tokio::test]
async fn what_is_not_to_be_written_is_not() {
    let shared = shared().await;
    let (owner, rival) = (person(shared, Role::Influencer).await, person(shared, Role::Influencer).await);
    let buyer = person(shared, Role::Buyer).await;
    let mut body = good();
    for (key, value) in [
        ("id", json!(Uuid::nil())),
        ("click_count", json!(1_000_000)),
        ("discount_rate", json!(99)),
        ("status", json!("closed")),
        ("is_verified", json!(true)),
        ("closed_at", json!("2020-01-01T00:00:00Z")),
        ("deleted_at", json!("2020-01-01T00:00:00Z")),
        ("created_at", json!("2020-01-01T00:00:00Z")),
    ] {
        body[key] = value;
    }
    let made = owner.api.expect(Method::POST, "/gonggus", &body, 201).await;
    assert_eq!((&made["click_count"], &made["status"]), (&json!(0), &json!("scheduled")));
    assert_eq!((&made["discount_rate"], &made["closed_at"]), (&json!(33.67), &Value::Null));
    assert_ne!(made["id"], json!(Uuid::nil()));
    assert!(made["created_at"].as_str().unwrap() > "2026");
    let path = format!("/gonggus/{}", made["id"].as_str().unwrap());

    // an owner is not changed, whoever tries
    body["influencer_id"] = json!(rival.id);
    assert_error(&owner.api.expect(Method::POST, "/gonggus", &body, 403).await, "FORBIDDEN");
    let changed = owner.api.expect(Method::PUT, &path, &body, 200).await;
    assert_eq!((&changed["influencer_id"], &changed["click_count"]), (&json!(owner.id), &json!(0)));
    assert_error(
        &shared
            .admin()
            .expect(
                Method::POST,
                "/gonggus",
                &{
                    let mut body = good();
                    body["influencer_id"] = json!(buyer.id);
                    body
                },
                404,
            )
            .await,
        "INFLUENCER_NOT_FOUND",
    );

    for (api, status) in [(&shared.anyone(), 401), (&buyer.api, 403), (&rival.api, 403)] {
        api.expect(Method::PUT, &path, &json!({"title": "x"}), status).await;
        api.expect(Method::DELETE, &path, &Value::Null, status).await;
    }
    shared.anyone().expect(Method::POST, "/gonggus", &good(), 401).await;
    buyer.api.expect(Method::POST, "/gonggus", &good(), 403).await;
    owner.api.expect(Method::DELETE, &path, &Value::Null, 204).await;
    for method in [Method::GET, Method::DELETE] {
        assert_error(&owner.api.expect(method, &path, &Value::Null, 404).await, "GONGGU_NOT_FOUND");
    }
}

#[tokio::test]
async fn lists_filter_sort_and_page() {
    let shared = shared().await;
    let owner = person(shared, Role::Influencer).await;
    let now = Utc::now();
    let spec = |open: i64, close: i64| GongguSpec {
        open_at: now + TimeDelta::hours(open),
        close_at: now + TimeDelta::hours(close),
        ..GongguSpec::default()
    };
    let mut made = Vec::new();
    for (open, close) in [(-5, -1), (-4, 2), (-3, 30), (1, 5), (2, 300)] {
        made.push(owner.api.gonggu(&spec(open, close)).await.to_string());
    }
    let of = format!("influencer_id={}", owner.id);
    let set = |indexes: &[usize]| indexes.iter().map(|index| made[*index].clone()).collect::<BTreeSet<_>>();
    for (path, expected) in [
        (format!("/gonggus?{of}"), set(&[0, 1, 2, 3, 4])),
        (format!("/gonggus?{of}&status=closed"), set(&[0])),
        (format!("/gonggus?{of}&status=active"), set(&[1, 2])),
        (format!("/gonggus?{of}&status=scheduled"), set(&[3, 4])),
        (format!("/gonggus/active?{of}"), set(&[1, 2])),
        (format!("/gonggus/upcoming?{of}"), set(&[3, 4])),
        (format!("/gonggus/closing-soon?{of}"), set(&[1])),
        (format!("/gonggus/closing-soon?{of}&hours=1"), set(&[])),
        (format!("/gonggus/closing-soon?{of}&hours=31"), set(&[1, 2])),
        (format!("/gonggus?{of}&q=%EA%B0%90%EA%B7%A4"), set(&[0, 1, 2, 3, 4])),
        (format!("/gonggus?{of}&q=%25"), set(&[])),
        (format!("/gonggus?{of}&q=%00"), set(&[0, 1, 2, 3, 4])),
    ] {
        let list = shared.anyone().read(&path).await;
        assert_eq!(ids(&list), expected, "{path}");
        assert_eq!(list["total"], expected.len(), "{path}");
    }
    let first = shared.anyone().read(&format!("/gonggus?{of}&sort=close_at&order=asc&size=1")).await;
    assert_eq!((ids(&first), &first["pages"]), (set(&[0]), &json!(5)));
    let beyond = shared.anyone().read(&format!("/gonggus?{of}&page=9")).await;
    assert_eq!((ids(&beyond), &beyond["total"]), (set(&[]), &json!(5)));
    for query in [
        "size=1000000",
        "size=0",
        "size=101",
        "page=0",
        "page=-1",
        "page=10001",
        "page=99999999999999999999",
        "sort=price;DROP%20TABLE%20gonggus",
        "sort=id",
        "sort=created_at%20desc,(select%201)",
        "order=sideways",
        "status=open",
        "influencer_id=1",
        "category='%20OR%201=1",
        "page=1&page=2",
    ] {
        let (status, body) = shared.anyone().get(&format!("/api/v1/gonggus?{query}")).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{query}: {body}");
        assert_error(&body, "VALIDATION_ERROR");
    }
    for hours in ["0", "-1", "169", "x"] {
        let (status, _) = shared.anyone().get(&format!("/api/v1/gonggus/closing-soon?hours={hours}")).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{hours}");
    }
}

#[tokio::test]
async fn bookmarks_and_alarms_are_ones_own() {
    let shared = shared().await;
    let (buyer, other) = (person(shared, Role::Buyer).await, person(shared, Role::Buyer).await);
    let (open, later) =
        (shared.admin().open_gonggu().await, shared.admin().gonggu(&GongguSpec::not_open()).await);
    let none = Value::Null;
    for gonggu in [open, later] {
        buyer.api.expect(Method::POST, &format!("/gonggus/{gonggu}/bookmark"), &none, 201).await;
        buyer.api.expect(Method::POST, &format!("/gonggus/{gonggu}/bookmark"), &none, 200).await;
    }
    let kept = buyer.api.read("/users/me/bookmarks").await;
    assert_eq!((&kept["total"], &kept["items"][0]["id"]), (&json!(2), &json!(later.0)), "the latest first");
    assert_eq!(other.api.read("/users/me/bookmarks").await["total"], 0);
    let path = format!("/gonggus/{later}");
    let alarm = format!("{path}/alarm");
    let set = buyer.api.expect(Method::PUT, &alarm, &json!({"minutes_before": 10}), 200).await;
    assert_eq!(set["minutes_before"], 10);
    buyer.api.expect(Method::PUT, &alarm, &json!({"minutes_before": 30}), 200).await;
    let seen = buyer.api.read(&path).await;
    assert_eq!((&seen["bookmarked"], &seen["alarm_minutes_before"]), (&json!(true), &json!(30)));
    let by_other = other.api.read(&path).await;
    assert_eq!((&by_other["bookmarked"], &by_other["alarm_minutes_before"]), (&json!(false), &none));
    assert_eq!(shared.anyone().read(&path).await["bookmarked"], none);
    for minutes in [json!(-1), json!(10_081), json!(1i64 << 40), json!("10"), none.clone()] {
        buyer.api.expect(Method::PUT, &alarm, &json!({"minutes_before": minutes}), 422).await;
    }
    let opened = format!("/gonggus/{open}/alarm");
    let refused = buyer.api.expect(Method::PUT, &opened, &json!({"minutes_before": 1}), 409).await;
    assert_error(&refused, "GONGGU_ALREADY_OPEN");
    for _ in 0..2 {
        buyer.api.expect(Method::DELETE, &alarm, &none, 204).await;
        buyer.api.expect(Method::DELETE, &format!("{path}/bookmark"), &none, 204).await;
    }
    for id in ["x", "00000000-0000-0000-0000-000000000000"] {
        for call in [format!("/gonggus/{id}/bookmark"), format!("/gonggus/{id}/reviews")] {
            let review = json!({"rating": 5, "content": "x"});
            assert_error(&buyer.api.expect(Method::POST, &call, &review, 404).await, "GONGGU_NOT_FOUND");
        }
    }
    shared.admin().expect(Method::DELETE, &format!("/gonggus/{open}"), &none, 204).await;
    assert_eq!(buyer.api.read("/users/me/bookmarks").await["total"], 0, "what is deleted is not shown");
    shared.anyone().expect(Method::POST, &format!("{path}/bookmark"), &none, 401).await;
    shared.anyone().expect(Method::GET, "/users/me/bookmarks", &none, 401).await;
}

/// A hundred at once: one bookmark.
#[tokio::test]
async fn a_bookmark_is_one_however_often_it_is_made() {
    let shared = shared().await;
    let buyer = person(shared, Role::Buyer).await;
    let gonggu = shared.admin().open_gonggu().await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (api, path) = (buyer.api.clone(), format!("/gonggus/{gonggu}/bookmark"));
        calls.spawn(async move { api.call(Method::POST, &path, &Value::Null).await.0 });
    }
    let answers = calls.join_all().await;
    assert_eq!(answers.iter().filter(|status| **status == StatusCode::CREATED).count(), 1, "{answers:?}");
    assert!(answers.iter().all(StatusCode::is_success));
}

#[tokio::test]
async fn a_change_is_in_force_for_redirects_before_it_is_answered() {
    let shared = shared().await;
    let owner = person(shared, Role::Influencer).await;
    let gonggu = owner.api.open_gonggu().await;
    let path = format!("/gonggus/{gonggu}");
    let change = async |body: Value| owner.api.expect(Method::PUT, &path, &body, 200).await;
    for shop in ["https://one.example.com/a", "https://two.example.com/b?c=d"] {
        change(json!({"external_url": shop})).await;
        let answer = Visitor::new().go(&owner.api, gonggu).await;
        assert!(answer.header("location").unwrap().starts_with(shop));
    }
    let closed = change(json!({"closed": true})).await;
    assert_eq!(closed["status"], "closed");
    assert_eq!(Visitor::new().go(&owner.api, gonggu).await.status, StatusCode::CONFLICT);
    let of = format!("influencer_id={}", owner.id);
    assert_eq!(shared.anyone().read(&format!("/gonggus/active?{of}")).await["total"], 0);
    assert_eq!(shared.anyone().read(&format!("/gonggus?status=closed&{of}")).await["total"], 1);
    change(json!({"closed": false})).await;
    Visitor::new().go(&owner.api, gonggu).await.redirected();
    // a suspension, written by whoever may: the database tells
    let mut database = shared.deployment.database().await;
    for (status, expected) in [("suspended", StatusCode::CONFLICT), ("active", StatusCode::FOUND)] {
        let statement = "UPDATE users SET status = $2::user_status WHERE id = $1";
        sqlx::query(statement).bind(owner.id).bind(status).execute(&mut database).await.unwrap();
        let written = std::time::Instant::now();
        while Visitor::new().go(&shared.anyone(), gonggu).await.status != expected {
            assert!(written.elapsed() < std::time::Duration::from_secs(1), "{status}: not within a second");
        }
        let listed = shared.anyone().read(&format!("/gonggus?{of}")).await["total"].as_i64();
        assert_eq!(listed, Some(i64::from(expected == StatusCode::FOUND)));
    }
}

/// `If-None-Match` with what was sent before: nothing is sent again until it changes.
#[tokio::test]
async fn what_has_not_changed_is_not_sent_again() {
    let shared = shared().await;
    let owner = person(shared, Role::Influencer).await;
    let gonggu = owner.api.open_gonggu().await;
    let path = format!("/api/v1/gonggus/{gonggu}");
    let ask = async |tag: Option<&str>| {
        let mut request = shared.anyone().request(Method::GET, &path);
        if let Some(tag) = tag {
            request = request.header("If-None-Match", tag);
        }
        let answer = request.send().await.unwrap();
        let tag = answer.headers()["etag"].to_str().unwrap().to_owned();
        (answer.status(), tag, answer.bytes().await.unwrap().len())
    };
    let (status, tag, length) = ask(None).await;
    assert!(status == StatusCode::OK && length > 0 && tag.starts_with('"'));
    assert_eq!(ask(Some(&tag)).await, (StatusCode::NOT_MODIFIED, tag.clone(), 0));
    owner.api.expect(Method::PUT, &format!("/gonggus/{gonggu}"), &json!({"title": "다른 제목"}), 200).await;
    let (status, changed, _) = ask(Some(&tag)).await;
    assert_eq!(status, StatusCode::OK);
    assert_ne!(changed, tag);
}
