//! Profiles of providers that are asked for them: Naver always, Kakao when its app sends no id_token.
//!
//! Read leniently: fields come and go with what the person agreed to, numbers may be texts.

use super::error::SocialError;
use super::person::{Person, is_true};
use super::provider::Provider;
use super::wire::{Repeat, Reply, Wire};
use http::StatusCode;
use serde_json::Value;

/// Asks and reads.
pub(super) async fn fetched(
    provider: Provider,
    url: &str,
    access_token: &str,
    wire: &Wire,
) -> Result<Person, SocialError> {
    let request = http::Request::get(url)
        .header(http::header::ACCEPT, "application/json")
        .header(http::header::AUTHORIZATION, format!("Bearer {access_token}"))
        .body(Vec::new())
        .map_err(|_| SocialError::ProviderFailed("an access token that fits no header".to_owned()))?;
    let reply = wire.send(request, Repeat::Safe).await?;
    let body = match reply.json() {
        Ok(body) => body,
        Err(error) => return Err(reply.refuse_outage().err().unwrap_or(error)),
    };
    match provider {
        Provider::Naver => naver(&reply, &body),
        Provider::Kakao | Provider::Google | Provider::Apple => kakao(&reply, &body),
    }
}

fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned)
}

/// A number or a text, as text.
fn id(value: &Value, key: &str) -> String {
    match value.get(key) {
        Some(Value::String(id)) => id.clone(),
        Some(Value::Number(id)) => id.to_string(),
        _ => String::new(),
    }
}

fn kakao(reply: &Reply, body: &Value) -> Result<Person, SocialError> {
    if let Some(code) = body.get("code").and_then(Value::as_i64) {
        return Err(match code {
            -1 | -9_798 => SocialError::away("a passing error"),
            -10 => reply.refuse_outage().err().unwrap_or_else(|| SocialError::away("over its limit")),
            // dormant, under age, consent missing: nothing that we could do
            -103 | -406 | -402 => SocialError::Denied,
            code => SocialError::ProviderFailed(format!("profile: code {code}")),
        });
    }
    reply.refuse_outage()?;
    if reply.status != StatusCode::OK {
        return Err(SocialError::ProviderFailed(format!("profile: status {}", reply.status.as_u16())));
    }
    let mut person = Person::new(Provider::Kakao, id(body, "id"))?;
    let account = body.get("kakao_account").unwrap_or(&Value::Null);
    let proved = is_true(account.get("is_email_valid")) && is_true(account.get("is_email_verified"));
    person.set_email(account.get("email").and_then(Value::as_str), proved, false);
    if let Some(profile) = account.get("profile") {
        person.nickname = text(profile, "nickname");
        person.picture = text(profile, "profile_image_url");
    }
    Ok(person)
}

/// Both error forms: `resultcode` of the service, `errorCode` of the gateway before it.
fn naver(reply: &Reply, body: &Value) -> Result<Person, SocialError> {
    let code = text(body, "resultcode").or_else(|| text(body, "errorCode"));
    if code.as_deref() != Some("00") || reply.status != StatusCode::OK {
        reply.refuse_outage()?;
        let code = code.unwrap_or_default();
        return Err(match code.as_str() {
            "500" => SocialError::away("a server error"),
            code => SocialError::ProviderFailed(format!("profile: result {code:.20}")),
        });
    }
    let response = body.get("response").unwrap_or(&Value::Null);
    let mut person = Person::new(Provider::Naver, id(response, "id"))?;
    person.set_email(response.get("email").and_then(Value::as_str), false, false);
    person.nickname = text(response, "nickname").or_else(|| text(response, "name"));
    person.picture = text(response, "profile_image");
    Ok(person)
}
