//! Health, metrics, documentation, request ids, CORS and the error format.

use crate::harness::api::{answer, assert_error};
use crate::harness::deployment::OUR_ORIGIN;
use crate::harness::{Visitor, shared};
use reqwest::{Client, Method, StatusCode};
use std::collections::HashSet;

#[tokio::test]
async fn health_is_told() {
    let api = shared().await.anyone();
    for path in ["/health/live", "/health/ready"] {
        let answer = api.request(Method::GET, path).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn metrics_are_served_apart_from_the_public() {
    let shared = shared().await;
    let admin = shared.admin();
    let gonggu = admin.open_gonggu().await;
    Visitor::new().go(&admin, gonggu).await.redirected();
    admin.settled(gonggu, 1).await;
    let answer = Client::new().get(shared.deployment.metrics_url()).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let text = answer.text().await.unwrap();
    assert!(text.lines().any(|line| line.starts_with("clicks_unrecorded_total")), "{text}");
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        assert!(line.rsplit_once(' ').unwrap().1.parse::<f64>().is_ok(), "not a sample: {line}");
        assert!(!line.contains("101.0."), "an address in the metrics: {line}");
    }
    let (status, _) = shared.anyone().get("/metrics").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_contract_documents_itself() {
    let api = shared().await.anyone();
    let (status, document) = api.get("/api/v1/openapi.json").await;
    assert_eq!(status, StatusCode::OK);
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths = document["paths"].as_object().unwrap();
    let wanted = [
        ("/tracking/click", "post"),
        ("/tracking/stats/{gonggu_id}", "get"),
        ("/tracking/stats/{gonggu_id}/live", "get"),
        ("/tracking/stats/{gonggu_id}/clicks.csv", "get"),
        ("/go/{gonggu_id}", "get"),
        ("/auth/login", "post"),
        ("/gonggus", "post"),
    ];
    for (path, method) in wanted {
        let described = paths.iter().any(|(known, item)| known.ends_with(path) && item.get(method).is_some());
        assert!(described, "{method} {path} is not in {:?}", paths.keys());
    }
    let mut page = api.request(Method::GET, "/docs").send().await.unwrap();
    if page.status().is_redirection() {
        page = api.request(Method::GET, "/docs/").send().await.unwrap();
    }
    assert_eq!(page.status(), StatusCode::OK);
    assert!(page.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
}

#[tokio::test]
async fn every_answer_has_a_request_id_of_its_own() {
    let shared = shared().await;
    let admin = shared.admin();
    let gonggu = admin.open_gonggu().await;
    let mut seen = HashSet::new();
    let paths = [
        format!("/go/{gonggu}"),
        "/go/x".into(),
        "/health/live".into(),
        "/nowhere".into(),
        "/api/v1/gonggus".into(),
    ];
    for path in paths.iter().chain(&paths) {
        let answer = Visitor::new().ask(&admin, Method::GET, path).await;
        let id =
            answer.header("x-request-id").unwrap_or_else(|| panic!("{path} has no request id")).to_owned();
        assert!(seen.insert(id), "{path}: a request id came twice");
    }
}

#[tokio::test]
async fn errors_have_one_format() {
    let api = shared().await.anyone();
    let (status, body) = api.get("/api/v1/nowhere").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(body["code"].as_str().unwrap().ends_with("NOT_FOUND"), "{body}");
    assert_error(&body, body["code"].as_str().unwrap());
    for (method, path) in [(Method::DELETE, "/api/v1/tracking/click"), (Method::PUT, "/api/v1/auth/login")] {
        let (status, body) = answer(api.request(method, path)).await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{body}");
        assert_error(&body, body["code"].as_str().unwrap());
    }
    let login =
        api.request(Method::POST, "/api/v1/auth/login").header("X-Forwarded-For", Visitor::new().address());
    let (status, body) = answer(login.json(&serde_json::json!({"email": "x"}))).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
    assert_error(&body, "VALIDATION_ERROR");
    let errors = body["errors"].as_array().unwrap();
    assert!(
        !errors.is_empty()
            && errors.iter().all(|error| error["field"].is_string() && error["message"].is_string())
    );
}

#[tokio::test]
async fn our_origins_get_credentials_and_others_nothing() {
    let api = shared().await.anyone();
    let preflight = |origin: &'static str| {
        api.request(Method::OPTIONS, "/api/v1/tracking/click")
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "POST")
            .header("Access-Control-Request-Headers", "content-type,authorization")
    };
    let answer = preflight(OUR_ORIGIN).send().await.unwrap();
    assert!(answer.status().is_success());
    let header =
        |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_ascii_lowercase());
    assert_eq!(header("access-control-allow-origin").as_deref(), Some(OUR_ORIGIN));
    assert_eq!(header("access-control-allow-credentials").as_deref(), Some("true"));
    assert!(header("access-control-allow-methods").unwrap().contains("post"));
    let allowed = header("access-control-allow-headers").unwrap();
    assert!(allowed.contains("content-type") && allowed.contains("authorization"), "{allowed}");

    let foreign = preflight("https://evil.example").send().await.unwrap();
    assert!(!foreign.headers().contains_key("access-control-allow-origin"));
    let plain =
        api.request(Method::GET, "/api/v1/gonggus").header("Origin", OUR_ORIGIN).send().await.unwrap();
    assert_eq!(plain.headers()["access-control-allow-origin"], OUR_ORIGIN);
}

#[tokio::test]
async fn lists_are_pages() {
    let shared = shared().await;
    shared.admin().open_gonggus(3).await;
    let api = shared.anyone();
    let (status, body) = api.get("/api/v1/gonggus?size=2&page=1").await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(body["items"].as_array().unwrap().len(), 2);
    assert_eq!((body["page"].as_u64(), body["size"].as_u64()), (Some(1), Some(2)));
    let total = body["total"].as_u64().unwrap();
    assert!(total >= 3 && body["pages"].as_u64() >= Some(2), "{body}");
    for query in ["size=0", "size=101", "page=0", "sort=password_hash", "order=sideways"] {
        let (status, body) = api.get(&format!("/api/v1/gonggus?{query}")).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{query}: {body}");
    }
}
