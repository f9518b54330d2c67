//! One buyer's browser.

use super::agents::CHROME;
use super::api::{Api, Gonggu, json_body};
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, Ordering};
use uuid::Uuid;

/// Where a click comes from. The address is given in `X-Forwarded-For`, which deployments under test
/// trust when it comes from this machine.
#[derive(Clone)]
pub(crate) struct Visitor {
    address: String,
    agent: Option<String>,
    token: Option<String>,
    headers: Vec<(&'static str, String)>,
}

/// What a click was answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Visitor {
    /// A desktop browser at an address that no other visitor has.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self::at(&address(number))
    }

    pub(crate) fn at(address: &str) -> Self {
        Self { address: address.to_owned(), agent: Some(CHROME.to_owned()), token: None, headers: Vec::new() }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn agent(mut self, agent: &str) -> Self {
        self.agent = Some(agent.to_owned());
        self
    }

    /// Sends no agent at all.
    pub(crate) fn no_agent(mut self) -> Self {
        self.agent = None;
        self
    }

    /// Signed in.
    pub(crate) fn token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    fn dressed(&self, mut request: RequestBuilder) -> RequestBuilder {
        request = request.header("X-Forwarded-For", &self.address);
        if let Some(agent) = &self.agent {
            request = request.header("User-Agent", agent);
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        request
    }

    /// `GET /go/{id}`.
    pub(crate) async fn go(&self, api: &Api, gonggu: Gonggu) -> Answer {
        self.ask(api, Method::GET, &format!("/go/{gonggu}")).await
    }

    /// `HEAD /go/{id}`.
    pub(crate) async fn head(&self, api: &Api, gonggu: Gonggu) -> Answer {
        self.ask(api, Method::HEAD, &format!("/go/{gonggu}")).await
    }

    /// Any path, as this visitor.
    pub(crate) async fn ask(&self, api: &Api, method: Method, path: &str) -> Answer {
        Answer::of(self.dressed(api.signed_out().request(method, path))).await
    }

    /// `POST /tracking/click`.
    pub(crate) async fn post(&self, api: &Api, gonggu: Gonggu) -> Answer {
        let request = api.signed_out().request(Method::POST, "/api/v1/tracking/click");
        Answer::of(self.dressed(request).json(&json!({"gonggu_id": gonggu.0}))).await
    }
}

impl Answer {
    async fn of(request: RequestBuilder) -> Self {
        let answer = request.send().await.unwrap();
        Self { status: answer.status(), headers: answer.headers().clone(), body: json_body(answer).await }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The id given in `X-Click-Id` or, for a POST, in the body.
    pub(crate) fn click_id(&self) -> Option<Uuid> {
        let text = self.header("x-click-id").or_else(|| self.body["click_id"].as_str())?;
        Some(text.parse().unwrap())
    }

    /// A redirect with an id: what a buyer gets.
    pub(crate) fn redirected(self) -> Uuid {
        assert_eq!(self.status, StatusCode::FOUND, "{}", self.body);
        self.click_id().expect("a redirect of a recorded click carries its id")
    }
}

/// The n-th of 2^24 different addresses (benchmark range 198.18.0.0/15 and its neighbours are not
/// used for anything else here).
pub(crate) fn address(number: u32) -> String {
    let [_, a, b, c] = number.to_be_bytes();
    format!("101.{a}.{b}.{c}")
}
