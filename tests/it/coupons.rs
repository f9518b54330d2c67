//! Coupons: once a person, so many in all, and not to be guessed.

use crate::harness::api::{answer, assert_error};
use crate::harness::database::Role;
use crate::harness::people::{Person, ask, audited, call, make, only_for_admins};
use crate::harness::{Api, Visitor, shared};
use chrono::{TimeDelta, Utc};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

/// A coupon that runs, with a code of its own.
fn coupon(total_limit: Option<i64>) -> Value {
    let now = Utc::now();
    json!({
        "code": format!("OPEN-{}", &Uuid::new_v4().simple().to_string()[..12]),
        "name": "오픈 기념", "points": 700, "total_limit": total_limit,
        "starts_at": now - TimeDelta::hours(1), "ends_at": now + TimeDelta::days(1),
    })
}

/// Each from an address of its own: tries are limited by address too.
async fn redeem(api: &Api, code: &str) -> (StatusCode, Value) {
    let request = api.request(Method::POST, &format!("/api/v1/coupons/{code}/redeem"));
    answer(request.header("X-Forwarded-For", Visitor::new().address())).await
}

async fn balance(api: &Api) -> i64 {
    ask(api, Method::GET, "/points").await.1["balance"].as_i64().unwrap()
}

#[tokio::test]
async fn a_coupon_is_redeemed_once_in_any_spelling() {
    let shared = shared().await;
    let made = make(&shared.admin(), "/admin/coupons", &coupon(None)).await;
    let code = made["code"].as_str().unwrap();
    let person = Person::new(&shared.deployment, Role::Influencer).await;
    let (status, redeemed) = redeem(&person.api, &code.to_lowercase()).await;
    assert_eq!(status, StatusCode::CREATED, "{redeemed}");
    assert_eq!((&redeemed["points"], &redeemed["balance_after"]), (&json!(700), &json!(700)));
    let (status, body) = redeem(&person.api, code).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_error(&body, "COUPON_ALREADY_REDEEMED");
    let (_, own) = ask(&person.api, Method::GET, "/coupons").await;
    assert_eq!((&own["total"], &own["items"][0]), (&json!(1), &redeemed));
    let (_, points) = ask(&person.api, Method::GET, "/points").await;
    assert_eq!((&points["balance"], &points["items"][0]["source"]), (&json!(700), &json!("coupon")));
    // who has redeemed it keeps it when it is gone, and nobody else gets it
    let path = format!("/admin/coupons/{}", made["id"].as_str().unwrap());
    assert_eq!(ask(&shared.admin(), Method::DELETE, &path).await.0, StatusCode::NO_CONTENT);
    assert_eq!(ask(&shared.admin(), Method::DELETE, &path).await.0, StatusCode::NOT_FOUND);
    assert_eq!(ask(&person.api, Method::GET, "/coupons").await.1["total"], 1);
    let late = Person::new(&shared.deployment, Role::Buyer).await;
    assert_eq!(redeem(&late.api, code).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_tries_of_one_at_once_are_one() {
    let shared = shared().await;
    let made = make(&shared.admin(), "/admin/coupons", &coupon(None)).await;
    let code = made["code"].as_str().unwrap().to_owned();
    let person = Person::new(&shared.deployment, Role::Buyer).await;
    let tries = (0..100).map(|_| {
        let (api, code) = (person.api.clone(), code.clone());
        tokio::spawn(async move { redeem(&api, &code).await })
    });
    let mut done = 0;
    for task in tries.collect::<Vec<_>>() {
        let (status, body) = task.await.unwrap();
        match status {
            StatusCode::CREATED => done += 1,
            StatusCode::CONFLICT => assert_error(&body, "COUPON_ALREADY_REDEEMED"),
            status => assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{body}"),
        }
    }
    assert_eq!((done, balance(&person.api).await), (1, 700));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_of_five_is_five() {
    let shared = shared().await;
    let made = make(&shared.admin(), "/admin/coupons", &coupon(Some(5))).await;
    let code = made["code"].as_str().unwrap().to_owned();
    let mut people = Vec::new();
    for _ in 0..12 {
        people.push(Person::new(&shared.deployment, Role::Buyer).await);
    }
    let tries = people.iter().map(|person| {
        let (api, code) = (person.api.clone(), code.clone());
        tokio::spawn(async move { redeem(&api, &code).await })
    });
    let mut done = 0;
    for task in tries.collect::<Vec<_>>() {
        match task.await.unwrap() {
            (StatusCode::CREATED, _) => done += 1,
            (_, body) => assert_error(&body, "COUPON_EXHAUSTED"),
        }
    }
    assert_eq!(done, 5);
    let mut sum = 0;
    for person in &people {
        sum += balance(&person.api).await;
    }
    assert_eq!(sum, 5 * 700);
    // what has been redeemed cannot be made too many afterwards
    let path = format!("/admin/coupons/{}", made["id"].as_str().unwrap());
    let mut less = coupon(Some(4));
    less["code"] = json!(code);
    let (status, body) = call(&shared.admin(), Method::PUT, &path, &less).await;
    assert_eq!((status.as_u16(), &body["errors"][0]["field"]), (422, &json!("total_limit")));
    less["total_limit"] = json!(6);
    let (status, body) = call(&shared.admin(), Method::PUT, &path, &less).await;
    assert_eq!((status.as_u16(), &body["redeemed_count"]), (200, &json!(5)), "{body}");
}

#[tokio::test]
async fn a_coupon_that_does_not_run_is_refused() {
    let shared = shared().await;
    let person = Person::new(&shared.deployment, Role::Buyer).await;
    let now = Utc::now();
    let changes = [
        json!({"active": false}),
        json!({"starts_at": now + TimeDelta::hours(1)}),
        json!({"ends_at": now - TimeDelta::minutes(1)}),
    ];
    for change in changes {
        let mut body = coupon(None);
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let made = make(&shared.admin(), "/admin/coupons", &body).await;
        let (status, answer) = redeem(&person.api, made["code"].as_str().unwrap()).await;
        assert_eq!(status, StatusCode::CONFLICT, "{change}");
        assert_error(&answer, "COUPON_NOT_ACTIVE");
    }
    assert_eq!(balance(&person.api).await, 0);
}

#[tokio::test]
async fn codes_cannot_be_guessed_for_long() {
    let shared = shared().await;
    let person = Person::new(&shared.deployment, Role::Buyer).await;
    let odd = ["%00%00%00%00", "%ff%fe%fd%fc", "a'%20OR%201=1--", "..%2f..%2fetc", "x", &"가".repeat(2_000)];
    for code in odd {
        let (status, body) = redeem(&person.api, code).await;
        assert!(
            status == StatusCode::NOT_FOUND || status == StatusCode::BAD_REQUEST,
            "{code}: {status} {body}"
        );
    }
    let mut limited = false;
    for number in 0..60 {
        let request = person.api.request(Method::POST, &format!("/api/v1/coupons/GUESS-{number}/redeem"));
        let answer = request.header("X-Forwarded-For", Visitor::new().address()).send().await.unwrap();
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            limited = answer.headers().contains_key("retry-after");
            break;
        }
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    }
    assert!(limited, "sixty guesses in a row were let through");
}

#[tokio::test]
async fn only_admins_make_coupons_and_each_change_is_logged() {
    let shared = shared().await;
    let admin = shared.admin();
    let made = make(&admin, "/admin/coupons", &coupon(None)).await;
    let id = made["id"].as_str().unwrap();
    let path = format!("/admin/coupons/{id}");
    let calls = [
        (Method::GET, "/admin/coupons".to_owned()),
        (Method::POST, "/admin/coupons".to_owned()),
        (Method::PUT, path.clone()),
        (Method::DELETE, path.clone()),
    ];
    only_for_admins(shared, &calls).await;
    for (method, path) in [(Method::GET, "/coupons"), (Method::POST, "/coupons/OPEN/redeem")] {
        assert_eq!(ask(&shared.anyone(), method, path).await.0, StatusCode::UNAUTHORIZED);
    }
    let (_, listed) = ask(&admin, Method::GET, "/admin/coupons?size=100").await;
    assert!(listed["items"].as_array().unwrap().contains(&made));
    // the same code in other letters is the same code
    let mut same = coupon(None);
    same["code"] = json!(made["code"].as_str().unwrap().to_lowercase());
    let (status, body) = call(&admin, Method::POST, "/admin/coupons", &same).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_error(&body, "COUPON_CODE_TAKEN");
    let mut change = coupon(Some(3));
    change["redeemed_count"] = json!(3);
    change["id"] = json!(Uuid::now_v7());
    let (status, changed) = call(&admin, Method::PUT, &path, &change).await;
    assert_eq!((status.as_u16(), &changed["redeemed_count"], &changed["id"]), (200, &json!(0), &made["id"]));
    assert_eq!(ask(&admin, Method::DELETE, &path).await.0, StatusCode::NO_CONTENT);
    let mut database = shared.deployment.database().await;
    for action in ["coupon.create", "coupon.update", "coupon.delete"] {
        assert_eq!(audited(&mut database, action, id).await, 1, "{action}");
    }
}

#[tokio::test]
async fn bad_coupons_are_named_field_by_field() {
    let admin = shared().await.admin();
    let cases = [
        ("code", json!("abc")),
        ("code", json!("a b c d")),
        ("code", json!("abcd\u{0}")),
        ("code", json!("a".repeat(41))),
        ("name", json!(" ")),
        ("name", json!("a\u{0}")),
        ("points", json!(0)),
        ("points", json!(-1)),
        ("points", json!(2_147_483_648_i64)),
        ("starts_at", json!("9999-12-31T23:59:59Z")),
        ("starts_at", json!("1999-12-31T23:59:59Z")),
        ("ends_at", json!("2001-01-01T00:00:00Z")),
        ("total_limit", json!(0)),
        ("total_limit", json!(4_294_967_296_i64)),
    ];
    for (field, value) in cases {
        let mut body = coupon(None);
        body[field] = value.clone();
        let (status, answer) = call(&admin, Method::POST, "/admin/coupons", &body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{field} {value}: {answer}");
        assert_eq!(answer["errors"][0]["field"], field, "{value}: {answer}");
    }
    for wrong in [json!("10000-01-01T00:00:00Z"), json!(7), json!("yesterday")] {
        let mut body = coupon(None);
        body["ends_at"] = wrong.clone();
        let status = call(&admin, Method::POST, "/admin/coupons", &body).await.0;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
    }
    for query in ["size=1000000", "sort=code%3BDROP%20TABLE%20coupons", "page=-1"] {
        let status = ask(&admin, Method::GET, &format!("/admin/coupons?{query}")).await.0;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{query}");
    }
    for id in ["x", "%00", "00000000-0000-0000-0000-000000000000"] {
        let (status, body) = call(&admin, Method::PUT, &format!("/admin/coupons/{id}"), &coupon(None)).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert_error(&body, "COUPON_NOT_FOUND");
    }
}
