//! The providers' pages: who comes with what is checked as the real ones do, then the ticket's human consents.

use super::{Fault, Grant, Vendors};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::json;
use std::collections::HashMap;
use url::Url;
use uuid::Uuid;

type Parameters = Query<HashMap<String, String>>;

/// What a provider wants in the address beside client and redirect.
struct Rules {
    provider: &'static str,
    client_id: &'static str,
    nonce: bool,
    pkce: bool,
    scope: Option<&'static str>,
    form_post: bool,
    denied: &'static str,
}

pub(super) async fn kakao(State(vendors): State<Vendors>, query: Parameters, headers: HeaderMap) -> Response {
    let rules = Rules {
        provider: "kakao",
        client_id: super::KAKAO_ID,
        nonce: true,
        pkce: true,
        scope: None,
        form_post: false,
        denied: "access_denied",
    };
    page(&vendors, &query.0, &headers, &rules)
}

pub(super) async fn naver(State(vendors): State<Vendors>, query: Parameters, headers: HeaderMap) -> Response {
    let rules = Rules {
        provider: "naver",
        client_id: super::NAVER_ID,
        nonce: false,
        pkce: false,
        scope: None,
        form_post: false,
        denied: "access_denied",
    };
    page(&vendors, &query.0, &headers, &rules)
}

pub(super) async fn google(
    State(vendors): State<Vendors>,
    query: Parameters,
    headers: HeaderMap,
) -> Response {
    let rules = Rules {
        provider: "google",
        client_id: super::GOOGLE_ID,
        nonce: true,
        pkce: true,
        scope: Some("openid email profile"),
        form_post: false,
        denied: "access_denied",
    };
    page(&vendors, &query.0, &headers, &rules)
}

pub(super) async fn apple(State(vendors): State<Vendors>, query: Parameters, headers: HeaderMap) -> Response {
    let rules = Rules {
        provider: "apple",
        client_id: super::APPLE_ID,
        nonce: true,
        pkce: false,
        scope: Some("name email"),
        form_post: true,
        denied: "user_cancelled_authorize",
    };
    page(&vendors, &query.0, &headers, &rules)
}

fn problem(text: &str) -> Response {
    (StatusCode::BAD_REQUEST, text.to_owned()).into_response()
}

fn page(vendors: &Vendors, query: &HashMap<String, String>, headers: &HeaderMap, rules: &Rules) -> Response {
    let get = |name: &str| query.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let callback = format!("{}/api/v1/auth/social/{}/callback", vendors.callback_base, rules.provider);
    if get("client_id") != Some(rules.client_id) {
        return problem("KOE101: unknown client");
    }
    if get("redirect_uri") != Some(callback.as_str()) {
        return problem("KOE006: redirect_uri is not registered");
    }
    if get("response_type") != Some("code") {
        return problem("response_type");
    }
    let Some(state) = get("state").filter(|state| state.len() >= 32) else { return problem("state") };
    if rules.nonce != get("nonce").is_some() || get("nonce") == Some(state) {
        return problem("nonce");
    }
    let challenge = get("code_challenge");
    if rules.pkce != challenge.is_some() || (rules.pkce && get("code_challenge_method") != Some("S256")) {
        return problem("code_challenge");
    }
    if get("scope") != rules.scope {
        return problem("scope");
    }
    if rules.form_post != (get("response_mode") == Some("form_post")) {
        return problem("response_mode: form_post is required when name or email scope is requested");
    }
    let ticket = headers.get("x-ticket").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Some((human, fault)) = vendors.memory().humans.get(ticket).cloned() else {
        return problem("nobody is at the keyboard");
    };
    if fault == Fault::Denied {
        let answer = [("error", rules.denied), ("state", state)];
        return send_back(&callback, &answer.map(|(name, value)| (name, value.to_owned())), rules.form_post);
    }
    // as long and as odd as real ones
    let code = format!("{}.+/={}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    let mut answer = vec![("code", code.clone()), ("state", state.to_owned())];
    let mut memory = vendors.memory();
    if rules.form_post && !memory.known_to_apple.contains(&human.subject) {
        memory.known_to_apple.push(human.subject.clone());
        let name = json!({"firstName": "가상", "lastName": "김"});
        let user = json!({"name": name, "email": "attacker-chosen@example.com"});
        answer.push(("user", user.to_string()));
    }
    let grant = Grant {
        provider: rules.provider,
        human,
        fault,
        redirect_uri: callback.clone(),
        state: state.to_owned(),
        nonce: get("nonce").map(str::to_owned),
        challenge: challenge.map(str::to_owned),
    };
    memory.grants.insert(code, grant);
    drop(memory);
    send_back(&callback, &answer, rules.form_post)
}

/// A redirect, or a page whose form posts itself.
fn send_back(callback: &str, answer: &[(&str, String)], form_post: bool) -> Response {
    if form_post {
        let escaped = |text: &str| text.replace('&', "&amp;").replace('"', "&quot;");
        let inputs: String = answer
            .iter()
            .map(|(name, value)| {
                format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escaped(value))
            })
            .collect();
        return Html(format!("<form method=\"post\" action=\"{callback}\">{inputs}</form>")).into_response();
    }
    let mut url = Url::parse(callback).unwrap();
    url.query_pairs_mut().extend_pairs(answer);
    (StatusCode::FOUND, [(header::LOCATION, url.to_string())]).into_response()
}
