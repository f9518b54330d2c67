//! The API as a well-behaved client uses it.

use super::deployment::{ADMIN_EMAIL, Deployment, PASSWORD};
use super::stats::{Evidence, Stats};
use super::visitor::Visitor;
use super::wait::{LONG, eventually};
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, redirect};
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

/// A client, signed in or not.
#[derive(Clone)]
pub(crate) struct Api {
    http: Client,
    base_url: String,
    token: Option<String>,
}

/// What a test wants of a gonggu.
#[derive(Clone)]
pub(crate) struct GongguSpec {
    pub(crate) open_at: DateTime<Utc>,
    pub(crate) close_at: DateTime<Utc>,
    pub(crate) external_url: String,
    pub(crate) owner: Option<Uuid>,
}

impl Default for GongguSpec {
    /// Open since an hour, for a day.
    fn default() -> Self {
        let now = Utc::now();
        Self {
            open_at: now - TimeDelta::hours(1),
            close_at: now + TimeDelta::days(1),
            external_url: "https://shop.example.com/products/1".to_owned(),
            owner: None,
        }
    }
}

impl GongguSpec {
    /// Opens tomorrow.
    pub(crate) fn not_open() -> Self {
        let now = Utc::now();
        Self { open_at: now + TimeDelta::days(1), close_at: now + TimeDelta::days(2), ..Self::default() }
    }

    pub(crate) fn owned_by(owner: Uuid) -> Self {
        Self { owner: Some(owner), ..Self::default() }
    }

    pub(crate) fn body(&self) -> Value {
        let mut body = json!({
            "title": "제주 감귤 5kg 공구",
            "description": "산지에서 바로 보내드립니다",
            "original_price": 30_000,
            "gonggu_price": 19_900,
            "open_at": self.open_at,
            "close_at": self.close_at,
            "external_url": self.external_url,
            "category_ids": [],
        });
        if let Some(owner) = self.owner {
            body["influencer_id"] = json!(owner);
        }
        body
    }
}

/// A gonggu that a test made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub(crate) struct Gonggu(pub(crate) Uuid);

impl std::fmt::Display for Gonggu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Api {
    pub(crate) fn new(deployment: &Deployment) -> Self {
        let http = Client::builder()
            .redirect(redirect::Policy::none())
            .timeout(Duration::from_secs(30))
            .build()
            .unwrap();
        Self { http, base_url: deployment.base_url(), token: None }
    }

    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    pub(crate) fn signed_out(&self) -> Self {
        Self { token: None, ..self.clone() }
    }

    pub(crate) fn token(&self) -> &str {
        self.token.as_deref().expect("signed in")
    }

    /// Signed in as the deployment's admin.
    pub(crate) async fn admin(&self) -> Self {
        self.signed_in(ADMIN_EMAIL).await
    }

    /// Signed in as the account of this e-mail.
    pub(crate) async fn signed_in(&self, email: &str) -> Self {
        let (status, body) = self.login(email, PASSWORD).await;
        assert_eq!(status, StatusCode::OK, "login: {body}");
        self.with_token(body["access_token"].as_str().unwrap())
    }

    /// Each login from an address of its own: sign-ins are limited by address.
    pub(crate) async fn login(&self, email: &str, password: &str) -> (StatusCode, Value) {
        let request = self.request(Method::POST, "/api/v1/auth/login");
        let address = Visitor::new().address().to_owned();
        answer(
            request.header("X-Forwarded-For", address).json(&json!({"email": email, "password": password})),
        )
        .await
    }

    /// A request with this client's sign-in; `path` from the root.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base_url));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        answer(self.request(Method::GET, path)).await
    }

    /// Makes a gonggu; the client must be an admin's or a verified influencer's.
    pub(crate) async fn gonggu(&self, spec: &GongguSpec) -> Gonggu {
        let (status, body) = answer(self.request(Method::POST, "/api/v1/gonggus").json(&spec.body())).await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
        Gonggu(body["id"].as_str().unwrap().parse().unwrap())
    }

    /// An open one.
    pub(crate) async fn open_gonggu(&self) -> Gonggu {
        self.gonggu(&GongguSpec::default()).await
    }

    pub(crate) async fn open_gonggus(&self, count: usize) -> Vec<Gonggu> {
        let mut made = Vec::with_capacity(count);
        for _ in 0..count {
            made.push(self.open_gonggu().await);
        }
        made
    }

    pub(crate) async fn replace_gonggu(&self, gonggu: Gonggu, spec: &GongguSpec) -> (StatusCode, Value) {
        answer(self.request(Method::PUT, &format!("/api/v1/gonggus/{gonggu}")).json(&spec.body())).await
    }

    /// Figures; `query` as it stands after the question mark.
    pub(crate) async fn stats_of(&self, gonggu: Gonggu, query: &str) -> (StatusCode, Value) {
        self.get(&format!("/api/v1/tracking/stats/{gonggu}?{query}")).await
    }

    /// Figures of the default range, which always add up.
    pub(crate) async fn stats(&self, gonggu: Gonggu) -> Stats {
        let (status, body) = self.stats_of(gonggu, "").await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let stats: Stats = serde_json::from_value(body).unwrap();
        stats.check_sums();
        stats
    }

    /// Waits until this many clicks are in the figures; more would be a click counted twice.
    pub(crate) async fn settled(&self, gonggu: Gonggu, gross: u64) -> Stats {
        let stats = eventually("all clicks are in the figures", LONG, async || {
            let stats = self.stats(gonggu).await;
            if stats.totals.gross >= gross {
                Ok(stats)
            } else {
                Err(format!("{} of {gross}", stats.totals.gross))
            }
        })
        .await;
        assert_eq!(stats.totals.gross, gross, "more clicks in the figures than were made");
        stats
    }

    /// The evidence file of the default range.
    pub(crate) async fn evidence(&self, gonggu: Gonggu) -> Vec<Evidence> {
        let path = format!("/api/v1/tracking/stats/{gonggu}/clicks.csv");
        let answer = self.request(Method::GET, &path).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        Evidence::parse(&answer.text().await.unwrap())
    }
}

/// Status and JSON body of an answer; an empty body is null.
pub(crate) async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let answer = request.send().await.unwrap();
    let status = answer.status();
    (status, json_body(answer).await)
}

pub(crate) async fn json_body(answer: Response) -> Value {
    let text = answer.text().await.unwrap();
    if text.is_empty() {
        return Value::Null;
    }
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("not JSON ({error}): {text}"))
}

/// Asserts the error format: Korean for people, a fixed code for programs.
pub(crate) fn assert_error(body: &Value, code: &str) {
    assert_eq!(body["code"], code, "{body}");
    let detail = body["detail"].as_str().unwrap_or_default();
    assert!(detail.chars().any(|c| ('가'..='힣').contains(&c)), "the detail is not for people: {body}");
}
