//! `/go/{id}` and `POST /tracking/click`: what a buyer is answered, and that each answer is counted.

use crate::harness::api::{assert_error, json_body};
use crate::harness::{Api, CHROME, Deployment, Gonggu, GongguSpec, LONG, Visitor, eventually, shared};
use chrono::{TimeDelta, Utc};
use reqwest::{Method, StatusCode, Url};
use uuid::Uuid;

/// Query pairs and the rest of a destination.
fn taken_apart(location: &str) -> (String, Vec<(String, String)>, Option<String>) {
    let mut url = Url::parse(location).unwrap();
    let pairs = url.query_pairs().into_owned().collect();
    let fragment = url.fragment().map(str::to_owned);
    url.set_query(None);
    url.set_fragment(None);
    (url.to_string(), pairs, fragment)
}

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

#[tokio::test]
async fn a_click_is_sent_to_the_shop_with_its_source_merged_in() {
    let shared = shared().await;
    let admin = shared.admin();
    let shop = "https://shop.example.com/p/%EA%B0%90?color=%EB%B9%A8%EA%B0%95&utm_source=other&utm_campaign=x&n=1#buy";
    let spec = GongguSpec { external_url: shop.to_owned(), ..GongguSpec::default() };
    let gonggu = admin.gonggu(&spec).await;

    let visitor = Visitor::new();
    let answer = visitor.go(&admin, gonggu).await;
    assert_eq!(answer.status, StatusCode::FOUND);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let location = answer.header("location").unwrap().to_owned();
    let (shop, mut pairs, fragment) = taken_apart(&location);
    assert_eq!(shop, "https://shop.example.com/p/%EA%B0%90");
    assert_eq!(fragment.as_deref(), Some("buy"));
    pairs.sort();
    let expected = [
        pair("color", "빨강"),
        pair("n", "1"),
        pair("utm_campaign", &gonggu.to_string()),
        pair("utm_source", "gonggumoa"),
    ];
    assert_eq!(pairs, expected);
    let id = answer.redirected();
    assert_eq!(id.get_version_num(), 7);

    // HEAD: the same answer, never billed
    let head = visitor.head(&admin, gonggu).await;
    assert_eq!(head.status, StatusCode::FOUND);
    assert_eq!(head.header("location"), Some(location.as_str()));
    assert_ne!(head.click_id().unwrap(), id);

    // POST: the same address in the body, and the path under the base is the same door
    let post = visitor.post(&admin, gonggu).await;
    assert_eq!(post.status, StatusCode::CREATED, "{}", post.body);
    assert_eq!(post.body["redirect_url"], location.as_str());
    assert!(post.body["click_id"].as_str().unwrap().parse::<Uuid>().is_ok());
    let under_base = Visitor::new().ask(&admin, Method::GET, &format!("/api/v1/go/{gonggu}")).await;
    assert_eq!(under_base.header("location"), Some(location.as_str()));
    under_base.redirected();

    let stats = admin.settled(gonggu, 4).await;
    assert_eq!(stats.totals.verdicts(), (2, 1, 1, 0));
    assert_eq!(stats.reason("head"), 1);
    assert_eq!(stats.totals.unique_visitors, 2);
    assert_eq!(admin.evidence(gonggu).await.len(), 4);
    crate::harness::ledger::click_count_follows(&admin, gonggu, 2).await;
}

#[tokio::test]
async fn a_gonggu_that_is_not_open_is_recorded_and_refused() {
    let shared = shared().await;
    let admin = shared.admin();
    let closed = GongguSpec {
        open_at: Utc::now() - TimeDelta::days(2),
        close_at: Utc::now() - TimeDelta::days(1),
        ..GongguSpec::default()
    };
    let visitor = Visitor::new();
    for spec in [GongguSpec::not_open(), closed] {
        let gonggu = admin.gonggu(&spec).await;
        let go = visitor.go(&admin, gonggu).await;
        assert_eq!(go.status, StatusCode::CONFLICT);
        assert_error(&go.body, "GONGGU_NOT_ACTIVE");
        assert!(go.click_id().is_some(), "recorded, so it has an id");
        let head = visitor.head(&admin, gonggu).await;
        assert_eq!(head.status, StatusCode::CONFLICT);
        let post = visitor.post(&admin, gonggu).await;
        assert_eq!(post.status, StatusCode::CONFLICT);
        assert_error(&post.body, "GONGGU_NOT_ACTIVE");

        let stats = admin.settled(gonggu, 3).await;
        assert_eq!(stats.totals.verdicts(), (0, 0, 3, 0));
        assert_eq!((stats.reason("not_active"), stats.reason("head")), (2, 1));
    }
}

#[tokio::test]
async fn with_a_frontend_a_closed_gonggu_shows_its_page() {
    let mut deployment = Deployment::new();
    deployment.set("FRONTEND_URL", "https://www.gonggumoa.example").start().await;
    let admin = Api::new(&deployment).admin().await;
    let gonggu = admin.gonggu(&GongguSpec::not_open()).await;
    let answer = Visitor::new().go(&admin, gonggu).await;
    let page = format!("https://www.gonggumoa.example/gonggus/{gonggu}");
    assert_eq!(answer.header("location"), Some(page.as_str()));
    answer.redirected();
    let stats = admin.settled(gonggu, 1).await;
    assert_eq!(stats.reason("not_active"), 1);
    deployment.stop().await;
}

#[tokio::test]
async fn unknown_and_deleted_gonggus_are_not_found_and_not_recorded() {
    let shared = shared().await;
    let admin = shared.admin();
    let unknown = Gonggu(Uuid::now_v7());
    let visitor = Visitor::new();
    for answer in [visitor.go(&admin, unknown).await, visitor.post(&admin, unknown).await] {
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert_error(&answer.body, "GONGGU_NOT_FOUND");
        assert!(answer.click_id().is_none());
    }
    assert_eq!(visitor.head(&admin, unknown).await.status, StatusCode::NOT_FOUND);

    let gonggu = admin.open_gonggu().await;
    visitor.go(&admin, gonggu).await.redirected();
    let mut database = shared.deployment.database().await;
    sqlx::query("UPDATE gonggus SET deleted_at = now() WHERE id = $1")
        .bind(gonggu.0)
        .execute(&mut database)
        .await
        .unwrap();
    eventually("a deleted gonggu is gone for buyers", LONG, async || {
        match visitor.go(&admin, gonggu).await.status {
            StatusCode::NOT_FOUND => Ok(()),
            status => Err(status.to_string()),
        }
    })
    .await;
}

#[tokio::test]
async fn a_change_is_in_force_before_it_is_answered() {
    let shared = shared().await;
    let admin = shared.admin();
    let mut spec = GongguSpec::default();
    let gonggu = admin.gonggu(&spec).await;
    let visitor = Visitor::new();
    for round in 0..10 {
        spec.external_url = format!("https://shop.example.com/round/{round}");
        let (status, body) = admin.replace_gonggu(gonggu, &spec).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let answer = visitor.go(&admin, gonggu).await;
        let location = answer.header("location").unwrap();
        assert!(location.starts_with(&format!("{}?utm_", spec.external_url)), "stale: {location}");
    }
    spec.close_at = Utc::now() - TimeDelta::seconds(1);
    let (status, body) = admin.replace_gonggu(gonggu, &spec).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(visitor.go(&admin, gonggu).await.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_suspended_owner_closes_the_gonggu() {
    use crate::harness::database::{Role, make_account};
    let shared = shared().await;
    let admin = shared.admin();
    let mut database = shared.deployment.database().await;
    let (owner, _) = make_account(&mut database, Role::Influencer).await;
    let gonggu = admin.gonggu(&GongguSpec::owned_by(owner)).await;
    let visitor = Visitor::new();
    visitor.go(&admin, gonggu).await.redirected();
    sqlx::query("UPDATE users SET status = 'suspended' WHERE id = $1")
        .bind(owner)
        .execute(&mut database)
        .await
        .unwrap();
    let answer = eventually("the redirect stops", LONG, async || {
        let answer = visitor.go(&admin, gonggu).await;
        if answer.status == StatusCode::CONFLICT { Ok(answer) } else { Err(answer.status.to_string()) }
    })
    .await;
    assert!(answer.click_id().is_some());
}

/// Promise 10: nothing that a client sends chooses where it is sent.
#[tokio::test]
async fn the_destination_comes_from_the_database_only() {
    let shared = shared().await;
    let admin = shared.admin();
    let gonggu = admin.open_gonggu().await;
    let expected = Visitor::new().go(&admin, gonggu).await.header("location").unwrap().to_owned();
    let visitor = Visitor::new()
        .header("X-Forwarded-Host", "evil.example")
        .header("Host", "evil.example")
        .header("Referer", "https://evil.example/");
    let path = format!(
        "/go/{gonggu}?external_url=https://evil.example&redirect=https://evil.example&utm_source=evil"
    );
    let answer = visitor.ask(&admin, Method::GET, &path).await;
    assert_eq!(answer.header("location"), Some(expected.as_str()));
    let body = serde_json::json!({
        "gonggu_id": gonggu.0, "redirect_url": "https://evil.example", "external_url": "https://evil.example",
        "user_id": Uuid::now_v7(), "ip_address": "9.9.9.9", "clicked_at": "2020-01-01T00:00:00Z",
    });
    let answer = shared
        .anyone()
        .request(Method::POST, "/api/v1/tracking/click")
        .header("User-Agent", CHROME)
        .header("X-Forwarded-For", Visitor::new().address())
        .json(&body)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    assert_eq!(json_body(answer).await["redirect_url"], expected.as_str());
    let stats = admin.settled(gonggu, 3).await;
    assert_eq!(stats.totals.verdicts(), (3, 0, 0, 0));
    for line in admin.evidence(gonggu).await {
        assert_ne!(line.ip_address, "9.9.9.9");
        assert!(line.clicked_at > Utc::now() - TimeDelta::minutes(10));
    }
}
