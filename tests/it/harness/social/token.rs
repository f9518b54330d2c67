//! Token endpoints and profiles, each with its own strictness and its own errors.

use super::signing;
use super::{
    APPLE_ID, Fault, GOOGLE_ID, GOOGLE_SECRET, Grant, KAKAO_ID, KAKAO_SECRET, NAVER_ID, NAVER_SECRET, Vendors,
};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use uuid::Uuid;

type Form = HashMap<String, String>;

fn answer(status: u16, body: &Value) -> Response {
    let kind = (header::CONTENT_TYPE, "application/json;charset=UTF-8");
    (StatusCode::from_u16(status).unwrap(), [kind], body.to_string()).into_response()
}

/// The form, if it is one: right type, no field twice.
fn form(headers: &HeaderMap, body: &Bytes) -> Option<Form> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    if kind.split(';').next()?.trim() != "application/x-www-form-urlencoded" {
        return None;
    }
    let mut fields = Form::new();
    for (name, value) in url::form_urlencoded::parse(body) {
        if fields.insert(name.into_owned(), value.into_owned()).is_some() {
            return None;
        }
    }
    Some(fields)
}

/// What a fault does to a whole answer; `None`: nothing.
async fn broken(fault: Fault) -> Option<Response> {
    let json = [(header::CONTENT_TYPE, "application/json")];
    Some(match fault {
        Fault::Timeout => std::future::pending().await,
        // begins, and never goes on
        Fault::SlowBody => {
            (json, Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>()))
                .into_response()
        }
        Fault::ServerError => (StatusCode::BAD_GATEWAY, "<html>502 Bad Gateway</html>").into_response(),
        Fault::TooMany => answer(429, &json!({"msg": "API limit has been exceeded.", "code": -10})),
        Fault::TooManyWithRetryAfter => {
            (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "17")], "slow down").into_response()
        }
        Fault::MalformedJson => (json, r#"{"access_token":"abc","#).into_response(),
        Fault::EmptyBody => (json, "").into_response(),
        _ => return None,
    })
}

/// The consent of a code that is shown for the first time, by whom and as it was given.
fn redeemed(vendors: &Vendors, provider: &str, form: &Form) -> Result<Grant, &'static str> {
    let mut memory = vendors.memory();
    memory.token_calls += 1;
    let code = form.get("code").ok_or("code")?;
    if memory.grants.get(code).is_none_or(|grant| grant.provider != provider) {
        return Err("code");
    }
    let grant = memory.grants.remove(code).ok_or("code")?;
    if provider != "naver" && form.get("redirect_uri") != Some(&grant.redirect_uri) {
        return Err("redirect_uri");
    }
    if let Some(challenge) = &grant.challenge {
        let verifier = form.get("code_verifier").ok_or("code_verifier")?;
        if !(43..=128).contains(&verifier.len())
            || URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes())) != *challenge
        {
            return Err("code_verifier");
        }
    } else if form.contains_key("code_verifier") {
        return Err("code_verifier");
    }
    Ok(grant)
}

/// Keeps the consent under a new access token, odd enough to need care in headers and addresses.
fn access_token(vendors: &Vendors, grant: &Grant) -> String {
    let token = format!("AAAA{}+/x=", Uuid::new_v4().simple());
    vendors.memory().tokens.insert(token.clone(), grant.clone());
    token
}

fn has(form: &Form, name: &str, value: &str) -> bool {
    form.get(name).is_some_and(|given| given == value)
}

pub(super) async fn kakao(State(vendors): State<Vendors>, headers: HeaderMap, body: Bytes) -> Response {
    let error = |status, error: &str, code: &str| {
        answer(status, &json!({"error": error, "error_description": "…", "error_code": code}))
    };
    let Some(form) = form(&headers, &body) else { return error(400, "invalid_request", "KOE310") };
    if !has(&form, "grant_type", "authorization_code") {
        return error(400, "unsupported_grant_type", "KOE310");
    }
    if !has(&form, "client_id", KAKAO_ID) {
        return error(400, "invalid_client", "KOE101");
    }
    if !has(&form, "client_secret", KAKAO_SECRET) {
        return error(401, "invalid_client", "KOE010");
    }
    let grant = match redeemed(&vendors, "kakao", &form) {
        Ok(grant) => grant,
        Err("redirect_uri") => return error(400, "invalid_grant", "KOE303"),
        Err(_) => return error(400, "invalid_grant", "KOE320"),
    };
    if let Some(broken) = broken(grant.fault).await {
        return broken;
    }
    let mut body = json!({
        "token_type": "bearer", "access_token": access_token(&vendors, &grant), "expires_in": 21_599,
        "refresh_token": "krt-55ab", "refresh_token_expires_in": 5_184_000, "scope": "account_email openid",
    });
    let by_profile = [Fault::NoIdToken, Fault::ProfileError, Fault::GatewayError];
    if !by_profile.contains(&grant.fault) {
        body["id_token"] = json!(signing::id_token(&vendors, &grant, KAKAO_ID));
    }
    answer(200, &body)
}

pub(super) async fn kakao_profile(State(vendors): State<Vendors>, headers: HeaderMap) -> Response {
    let Some(grant) = bearer(&vendors, &headers, "kakao") else {
        return answer(401, &json!({"msg": "this access token does not exist", "code": -401}));
    };
    match grant.fault {
        Fault::ProfileError => {
            return answer(400, &json!({"msg": "NotRegisteredUserException", "code": -101}));
        }
        Fault::GatewayError => return answer(503, &json!({"msg": "under maintenance", "code": -9798})),
        _ => {}
    }
    let human = &grant.human;
    let mut account = json!({
        "profile_nickname_needs_agreement": false,
        "profile": {"nickname": human.name, "is_default_nickname": false},
        "email_needs_agreement": human.email.is_none(),
        "phone_number_needs_agreement": true,
    });
    if let Some(email) = &human.email {
        account["is_email_valid"] = json!(true);
        account["is_email_verified"] = json!(human.email_verified);
        account["email"] = json!(email);
    }
    let id: i64 = human.subject.parse().unwrap();
    answer(200, &json!({"id": id, "kakao_account": account, "properties": {}}))
}

/// Naver takes the query too; ours sends a form.
pub(super) async fn naver_by_query() -> Response {
    answer(200, &json!({"error": "invalid_request", "error_description": "secret in an address"}))
}

pub(super) async fn naver(State(vendors): State<Vendors>, headers: HeaderMap, body: Bytes) -> Response {
    // errors come with 200
    let error = |error: &str, text: &str| answer(200, &json!({"error": error, "error_description": text}));
    let Some(form) = form(&headers, &body) else { return error("invalid_request", "no form") };
    if !has(&form, "grant_type", "authorization_code") {
        return error("invalid_request", "grant_type is missing");
    }
    if !has(&form, "client_id", NAVER_ID) || !has(&form, "client_secret", NAVER_SECRET) {
        return error("unauthorized_client", "wrong client id / client secret pair");
    }
    let Ok(grant) = redeemed(&vendors, "naver", &form) else {
        return error("invalid_request", "no valid data in session");
    };
    if !has(&form, "state", &grant.state) {
        return error("invalid_request", "state");
    }
    if let Some(broken) = broken(grant.fault).await {
        return broken;
    }
    // a text, as in the official sample
    let token = access_token(&vendors, &grant);
    answer(
        200,
        &json!({"access_token": token, "refresh_token": "c8ce", "token_type": "bearer", "expires_in": "3600"}),
    )
}

pub(super) async fn naver_profile(State(vendors): State<Vendors>, headers: HeaderMap) -> Response {
    let Some(grant) = bearer(&vendors, &headers, "naver") else {
        let text = "Authentication failed (인증 실패하였습니다.)";
        return answer(401, &json!({"resultcode": "024", "message": text}));
    };
    match grant.fault {
        Fault::ProfileError => return answer(200, &json!({"resultcode": "403", "message": "forbidden"})),
        Fault::GatewayError => return answer(401, &json!({"errorMessage": "no", "errorCode": "024"})),
        _ => {}
    }
    let mut person = json!({"id": format!("aB3xQ0-{}", grant.human.subject), "nickname": "공구**"});
    if let Some(email) = &grant.human.email {
        person["email"] = json!(email);
    }
    answer(200, &json!({"resultcode": "00", "message": "success", "response": person}))
}

pub(super) async fn google(State(vendors): State<Vendors>, headers: HeaderMap, body: Bytes) -> Response {
    let error =
        |status, error: &str| answer(status, &json!({"error": error, "error_description": "Bad Request"}));
    let Some(form) = form(&headers, &body) else { return error(400, "invalid_request") };
    if !has(&form, "grant_type", "authorization_code") {
        return error(400, "unsupported_grant_type");
    }
    if !has(&form, "client_id", GOOGLE_ID) || !has(&form, "client_secret", GOOGLE_SECRET) {
        return error(401, "invalid_client");
    }
    let grant = match redeemed(&vendors, "google", &form) {
        Ok(grant) => grant,
        Err("redirect_uri") => return error(400, "redirect_uri_mismatch"),
        Err(_) => return error(400, "invalid_grant"),
    };
    if let Some(broken) = broken(grant.fault).await {
        return broken;
    }
    let mut body = json!({
        "access_token": access_token(&vendors, &grant), "expires_in": 3_599, "token_type": "Bearer",
        "scope": "openid https://www.googleapis.com/auth/userinfo.email",
    });
    if grant.fault != Fault::NoIdToken {
        body["id_token"] = json!(signing::id_token(&vendors, &grant, GOOGLE_ID));
    }
    answer(200, &body)
}

pub(super) async fn apple(State(vendors): State<Vendors>, headers: HeaderMap, body: Bytes) -> Response {
    let error = |error: &str| answer(400, &json!({"error": error}));
    let Some(form) = form(&headers, &body) else { return error("invalid_request") };
    if !has(&form, "grant_type", "authorization_code") {
        return error("unsupported_grant_type");
    }
    let secret = form.get("client_secret").map(String::as_str).unwrap_or_default();
    if !has(&form, "client_id", APPLE_ID) || !vendors.keys.is_our_client_secret(secret) {
        return error("invalid_client");
    }
    let Ok(grant) = redeemed(&vendors, "apple", &form) else { return error("invalid_grant") };
    if let Some(broken) = broken(grant.fault).await {
        return broken;
    }
    let mut body = json!({
        "access_token": access_token(&vendors, &grant), "token_type": "Bearer", "expires_in": 3_600,
        "refresh_token": "r9",
    });
    if grant.fault != Fault::NoIdToken {
        body["id_token"] = json!(signing::id_token(&vendors, &grant, APPLE_ID));
    }
    answer(200, &body)
}

fn bearer(vendors: &Vendors, headers: &HeaderMap, provider: &str) -> Option<Grant> {
    let token = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
    vendors.memory().tokens.get(token).filter(|grant| grant.provider == provider).cloned()
}
