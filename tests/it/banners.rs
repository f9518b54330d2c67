//! Banners: what everybody sees is what is on now, in order.

use crate::harness::api::{assert_error, json_body};
use crate::harness::people::{ask, audited, call, make, only_for_admins};
use crate::harness::{Api, shared};
use chrono::{TimeDelta, Utc};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

/// A slot of the test's own.
fn slot() -> String {
    format!("slot-{}", Uuid::new_v4().simple())
}

fn banner(slot: &str) -> Value {
    json!({"slot": slot, "image_url": "/images/2026/11/banner.webp", "link_url": "https://shop.example.com/"})
}

async fn shown(api: &Api, slot: &str, tag: Option<&str>) -> Response {
    let mut request = api.request(Method::GET, &format!("/api/v1/banners?slot={slot}"));
    if let Some(tag) = tag {
        request = request.header("If-None-Match", tag);
    }
    request.send().await.unwrap()
}

#[tokio::test]
async fn what_is_on_now_is_shown_in_order() {
    let shared = shared().await;
    let (admin, anyone, slot) = (shared.admin(), shared.anyone(), slot());
    let now = Utc::now();
    let (earlier, later) = (now - TimeDelta::hours(1), now + TimeDelta::hours(1));
    let cases = [
        (2, true, None, None, true),
        (1, true, Some(earlier), Some(later), true),
        (-1, true, None, Some(later), true),
        (0, false, None, None, false),
        (0, true, Some(later), None, false),
        (0, true, None, Some(earlier), false),
    ];
    let mut expected = Vec::new();
    for (sort_order, active, starts_at, ends_at, is_shown) in cases {
        let mut body = banner(&slot);
        body["sort_order"] = json!(sort_order);
        body["active"] = json!(active);
        body["starts_at"] = json!(starts_at);
        body["ends_at"] = json!(ends_at);
        let made = make(&admin, "/admin/banners", &body).await;
        if is_shown {
            expected.push((sort_order, made["id"].clone()));
        }
    }
    make(&admin, "/admin/banners", &banner(&self::slot())).await;
    expected.sort_by_key(|(order, _)| *order);
    let answer = shown(&anyone, &slot, None).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let body = json_body(answer).await;
    let ids: Vec<Value> = body["items"].as_array().unwrap().iter().map(|item| item["id"].clone()).collect();
    assert_eq!(ids, expected.into_iter().map(|(_, id)| id).collect::<Vec<_>>());
    assert!(body["items"][0].get("active").is_none(), "what admins see is not for all: {body}");
    let (_, all) =
        ask(&admin, Method::GET, &format!("/admin/banners?slot={slot}&sort=sort_order&order=asc")).await;
    assert_eq!((&all["total"], &all["items"][0]["sort_order"]), (&json!(6), &json!(-1)));
}

#[tokio::test]
async fn an_answer_that_still_holds_is_not_sent_again() {
    let shared = shared().await;
    let (admin, anyone, slot) = (shared.admin(), shared.anyone(), slot());
    let made = make(&admin, "/admin/banners", &banner(&slot)).await;
    let first = shown(&anyone, &slot, None).await;
    let tag = first.headers()["etag"].to_str().unwrap().to_owned();
    assert!(first.headers()["cache-control"].to_str().unwrap().starts_with("public, max-age="));
    let again = shown(&anyone, &slot, Some(&tag)).await;
    assert_eq!(
        (again.status(), again.headers()["etag"].to_str().unwrap()),
        (StatusCode::NOT_MODIFIED, &*tag)
    );
    assert!(again.bytes().await.unwrap().is_empty());
    // a change is another answer
    let mut change = banner(&slot);
    change["link_url"] = json!("");
    let path = format!("/admin/banners/{}", made["id"].as_str().unwrap());
    let (status, changed) = call(&admin, Method::PUT, &path, &change).await;
    assert_eq!((status, &changed["link_url"]), (StatusCode::OK, &Value::Null));
    let fresh = shown(&anyone, &slot, Some(&tag)).await;
    assert_eq!(fresh.status(), StatusCode::OK);
    assert_ne!(fresh.headers()["etag"].to_str().unwrap(), tag);
}

#[tokio::test]
async fn only_admins_change_banners_and_each_change_is_logged() {
    let shared = shared().await;
    let admin = shared.admin();
    let made = make(&admin, "/admin/banners", &banner(&slot())).await;
    let id = made["id"].as_str().unwrap();
    let path = format!("/admin/banners/{id}");
    let calls = [
        (Method::GET, "/admin/banners".to_owned()),
        (Method::POST, "/admin/banners".to_owned()),
        (Method::PUT, path.clone()),
        (Method::DELETE, path.clone()),
    ];
    only_for_admins(shared, &calls).await;
    assert_eq!(call(&admin, Method::PUT, &path, &banner(&slot())).await.0, StatusCode::OK);
    assert_eq!(ask(&admin, Method::DELETE, &path).await.0, StatusCode::NO_CONTENT);
    let (status, body) = ask(&admin, Method::DELETE, &path).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_error(&body, "BANNER_NOT_FOUND");
    let mut database = shared.deployment.database().await;
    for action in ["banner.create", "banner.update", "banner.delete"] {
        assert_eq!(audited(&mut database, action, id).await, 1, "{action}");
    }
}

#[tokio::test]
async fn bad_banners_are_named_field_by_field() {
    let shared = shared().await;
    let admin = shared.admin();
    let cases = [
        ("slot", json!("Home Top")),
        ("slot", json!("a\u{0}")),
        ("slot", json!("a".repeat(41))),
        ("image_url", json!("javascript:alert(1)")),
        ("image_url", json!("")),
        ("image_url", json!("//evil.kr/a.webp")),
        ("image_url", json!(format!("/{}", "a".repeat(500)))),
        ("link_url", json!("javascript:alert(1)")),
        ("link_url", json!("http://127.0.0.1/")),
        ("link_url", json!("http://2130706433/")),
        ("link_url", json!("http://[::ffff:127.0.0.1]/")),
        ("link_url", json!("https://user:pw@shop.kr/")),
        ("sort_order", json!(2_147_483_648_i64)),
        ("starts_at", json!("9999-01-01T00:00:00Z")),
    ];
    for (field, value) in cases {
        let mut body = banner(&slot());
        body[field] = value.clone();
        let (status, answer) = call(&admin, Method::POST, "/admin/banners", &body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{field} {value}: {answer}");
        assert_eq!(answer["errors"][0]["field"], field, "{value}: {answer}");
    }
    let mut body = banner(&slot());
    body["starts_at"] = json!("2026-11-02T00:00:00Z");
    body["ends_at"] = json!("2026-11-01T00:00:00Z");
    let (status, answer) = call(&admin, Method::POST, "/admin/banners", &body).await;
    assert_eq!((status.as_u16(), &answer["errors"][0]["field"]), (422, &json!("ends_at")));
    for query in ["slot=", "slot=a%00", "slot=A", "slot=%27%20OR%201%3D1"] {
        let status = ask(&shared.anyone(), Method::GET, &format!("/banners?{query}")).await.0;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{query}");
    }
}
