//! `/auth/social`: begin, come back, end.

use super::error::SocialError;
use super::link;
use super::person::{Person, clean_name};
use super::provider::Provider;
use super::queries::{self, Ending, Handover, NewState};
use super::state::{self, HANDOVER_LIFE_SECONDS, LoginSecrets, STATE_COOKIE, STATE_LIFE_SECONDS};
use super::types::{AppleCallbackForm, AuthorizeQuery, AuthorizeResponse, CallbackQuery, SocialLoginRequest};
use crate::app::App;
use crate::auth::sessions::start_session;
use crate::auth::types::TokenResponse;
use crate::http::check::Checks;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::extract::{ClientAddress, JsonBody, Query};
use axum::extract::{Form, Path, State};
use axum::response::{IntoResponse, Response};
use axum::{Json, body::Body};
use chrono::Duration;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::Value;
use std::net::IpAddr;
use url::Url;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// No real code is longer.
pub(crate) const CODE_MAX_BYTES: usize = 4_096;
/// What a provider's `error` may be handed on as.
const ERROR_MAX_BYTES: usize = 100;

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(authorize))
        .routes(routes!(callback))
        .routes(routes!(apple_callback, apple_callback_by_get))
        .routes(routes!(sign_in))
        .merge(super::member_routes::router())
}

/// Begins a social sign-in: send the browser to `authorize_url`.
#[utoipa::path(get, path = "/auth/social/{provider}/authorize", tag = "auth",
    params(("provider" = Provider, Path), AuthorizeQuery), responses(
    (status = 200, body = AuthorizeResponse, description = "also sets the cookie `login_state`"),
    (status = 404, body = ErrorBody,
        description = "`SOCIAL_PROVIDER_NOT_FOUND`, `SOCIAL_PROVIDER_NOT_CONFIGURED`"),
    (status = 422, body = ErrorBody, description = "`VALIDATION_ERROR`: `return_to` is not allowed"),
    (status = 429, body = ErrorBody),
))]
async fn authorize(
    State(app): State<App>,
    ClientAddress(address): ClientAddress,
    Path(provider): Path<String>,
    Query(query): Query<AuthorizeQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let exchange = app.social.exchange(&provider)?;
    app.social.limit.check(&app.address_key, address)?;
    let return_to = app.social.return_to(query.return_to.as_deref())?;
    let secrets = LoginSecrets::begin(&headers);
    let authorize_url = exchange.authorize_url(&secrets)?.into();
    let now = app.clock.now().to_utc();
    let (state_hash, browser_hash) = (secrets.state_hash(), secrets.browser_hash());
    let started = NewState {
        state_hash: &state_hash,
        provider: exchange.provider().name(),
        browser_hash: &browser_hash,
        return_to: return_to.as_str(),
        expires_at: now + Duration::seconds(STATE_LIFE_SECONDS),
    };
    queries::insert_state(&app.pool, &started).await?;
    let body = AuthorizeResponse { authorize_url, state: secrets.state().to_owned() };
    let cookie = (header::SET_COOKIE, state_cookie(&app, secrets.browser())?);
    Ok(([cookie, no_store()], Json(body)).into_response())
}

/// Where the provider's page sends the browser: on to `return_to`, with code and state, or with `error`.
#[utoipa::path(get, path = "/auth/social/{provider}/callback", tag = "auth",
    params(("provider" = Provider, Path), CallbackQuery), responses(
    (status = 303, description = "to `return_to`"),
    (status = 400, body = ErrorBody, description = "`SOCIAL_STATE_INVALID`"),
    (status = 404, body = ErrorBody,
        description = "`SOCIAL_PROVIDER_NOT_FOUND`, `SOCIAL_PROVIDER_NOT_CONFIGURED`"),
    (status = 429, body = ErrorBody),
))]
async fn callback(
    State(app): State<App>,
    ClientAddress(address): ClientAddress,
    Path(provider): Path<String>,
    Query(query): Query<CallbackQuery>,
) -> Result<Response, ApiError> {
    called_back(&app, address, &provider, &query).await
}

/// As for the other providers; Apple's page posts, unless something went wrong there.
// the path is one of those above, and must not answer a GET otherwise than they do
#[utoipa::path(get, path = "/auth/social/apple/callback", tag = "auth", params(CallbackQuery), responses(
    (status = 303, description = "to `return_to`"),
    (status = 400, body = ErrorBody, description = "`SOCIAL_STATE_INVALID`"),
    (status = 404, body = ErrorBody, description = "`SOCIAL_PROVIDER_NOT_CONFIGURED`"),
    (status = 429, body = ErrorBody),
))]
async fn apple_callback_by_get(
    State(app): State<App>,
    ClientAddress(address): ClientAddress,
    Query(query): Query<CallbackQuery>,
) -> Result<Response, ApiError> {
    called_back(&app, address, Provider::Apple.name(), &query).await
}

async fn called_back(
    app: &App,
    address: IpAddr,
    provider: &str,
    query: &CallbackQuery,
) -> Result<Response, ApiError> {
    let provider = app.social.exchange(provider)?.provider();
    app.social.limit.check(&app.address_key, address)?;
    let state = query.state.as_deref().and_then(state::well_formed).ok_or(SocialError::StateInvalid)?;
    let now = app.clock.now().to_utc();
    let return_to = queries::return_to(&app.pool, &state::hash(&state), provider.name(), now)
        .await?
        .ok_or(SocialError::StateInvalid)?;
    back(&return_to, &state, query.code.as_deref(), query.error.as_deref())
}

/// Where Apple's page posts to: on to `return_to`, with state and a single-use code (60 s) of ours.
#[utoipa::path(post, path = "/auth/social/apple/callback", tag = "auth",
    request_body(content = AppleCallbackForm, content_type = "application/x-www-form-urlencoded"), responses(
    (status = 303, description = "to `return_to`"),
    (status = 400, body = ErrorBody, description = "`SOCIAL_STATE_INVALID`"),
    (status = 404, body = ErrorBody, description = "`SOCIAL_PROVIDER_NOT_CONFIGURED`"),
    (status = 415, body = ErrorBody),
    (status = 429, body = ErrorBody),
))]
async fn apple_callback(
    State(app): State<App>,
    ClientAddress(address): ClientAddress,
    form: Result<Form<AppleCallbackForm>, axum::extract::rejection::FormRejection>,
) -> Result<Response, ApiError> {
    app.social.exchange(Provider::Apple.name())?;
    app.social.limit.check(&app.address_key, address)?;
    let Form(form) = form.map_err(|rejection| match rejection.into_response().status() {
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ApiError::UnsupportedMediaType,
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::PayloadTooLarge,
        _ => ApiError::Malformed,
    })?;
    let state = form.state.as_deref().and_then(state::well_formed).ok_or(SocialError::StateInvalid)?;
    let (state_hash, now) = (state::hash(&state), app.clock.now().to_utc());
    let Some(code) = form.code.as_deref().filter(|code| is_code(code) && form.error.is_none()) else {
        let return_to = queries::return_to(&app.pool, &state_hash, Provider::Apple.name(), now).await?;
        let error = form.error.as_deref().unwrap_or("invalid_request");
        return back(&return_to.ok_or(SocialError::StateInvalid)?, &state, None, Some(error));
    };
    let (own_code, name) = (state::random(), form.user.as_deref().and_then(apple_name));
    let handover = Handover {
        state_hash: &state_hash,
        handover_hash: &state::hash(&own_code),
        handover_expires_at: now + Duration::seconds(HANDOVER_LIFE_SECONDS),
        provider_code: code,
        person_name: name.as_deref(),
    };
    let return_to = queries::hand_over(&app.pool, &handover, now).await?.ok_or(SocialError::StateInvalid)?;
    back(&return_to, &state, Some(&own_code), None)
}

/// Ends a social sign-in. A new person is signed up.
#[utoipa::path(post, path = "/auth/social/{provider}", tag = "auth",
    params(("provider" = Provider, Path)), request_body = SocialLoginRequest, responses(
    (status = 200, body = TokenResponse, description = "also sets the cookie `access_token`"),
    (status = 400, body = ErrorBody, description = "`SOCIAL_STATE_INVALID`: begin again"),
    (status = 401, body = ErrorBody,
        description = "`SOCIAL_LOGIN_DENIED`, `SOCIAL_CODE_INVALID`, `SOCIAL_TOKEN_INVALID`"),
    (status = 403, body = ErrorBody, description = "`ACCOUNT_SUSPENDED`"),
    (status = 404, body = ErrorBody,
        description = "`SOCIAL_PROVIDER_NOT_FOUND`, `SOCIAL_PROVIDER_NOT_CONFIGURED`"),
    (status = 409, body = ErrorBody,
        description = "`SOCIAL_LINK_REQUIRED`: sign in as before, then link under `/users/me/social`"),
    (status = 422, body = ErrorBody),
    (status = 429, body = ErrorBody),
    (status = 502, body = ErrorBody, description = "`SOCIAL_PROVIDER_ERROR`"),
    (status = 503, body = ErrorBody, description = "`SOCIAL_PROVIDER_UNAVAILABLE`"),
))]
async fn sign_in(
    State(app): State<App>,
    ClientAddress(address): ClientAddress,
    Path(provider): Path<String>,
    headers: HeaderMap,
    JsonBody(body): JsonBody<SocialLoginRequest>,
) -> Result<Response, ApiError> {
    let person = ended(&app, address, &provider, &headers, body).await?;
    let account = link::account(&app, &person).await?;
    start_session(&app, &account).await
}

/// The person at the end of a sign-in, by whichever route it ends.
pub(super) async fn ended(
    app: &App,
    address: IpAddr,
    provider: &str,
    headers: &HeaderMap,
    body: SocialLoginRequest,
) -> Result<Person, ApiError> {
    let exchange = app.social.exchange(provider)?;
    app.social.limit.check(&app.address_key, address)?;
    let (code, state) = checked(&body)?;
    let secrets = LoginSecrets::resume(&state, headers).ok_or(SocialError::StateInvalid)?;
    let is_apple = exchange.provider() == Provider::Apple;
    let handover_hash = is_apple.then(|| state::hash(code.as_deref().unwrap_or_default()));
    let now = app.clock.now();
    let ending = Ending {
        state_hash: &secrets.state_hash(),
        browser_hash: &secrets.browser_hash(),
        provider: exchange.provider().name(),
        handover_hash: handover_hash.as_deref(),
        denied: code.is_none(),
    };
    let kept = queries::end_state(&app.pool, &ending, now.to_utc()).await?;
    let kept = kept.ok_or(SocialError::StateInvalid)?;
    let code = code.ok_or(SocialError::Denied)?;
    let code = if is_apple { kept.provider_code.ok_or(SocialError::StateInvalid)? } else { code };
    let now_seconds = now.0.div_euclid(1_000);
    let mut person = exchange.person(code, &secrets, now_seconds, &app.social.wire).await?;
    person.nickname = person.nickname.or(kept.person_name);
    Ok(person)
}

/// Code (none: denied) and state of a body.
fn checked(body: &SocialLoginRequest) -> Result<(Option<String>, String), ApiError> {
    let mut checks = Checks::new();
    let state = checks.required(body.state.clone(), "state");
    let code = match (&body.code, &body.error) {
        (None, Some(_)) => None,
        (code, _) => checks.required(code.clone(), "code"),
    };
    checks.ensure(code.as_deref().is_none_or(is_code), "code", "값의 형식이 올바르지 않습니다");
    checks.finish()?;
    Ok((code, state.unwrap_or_default()))
}

fn is_code(code: &str) -> bool {
    !code.is_empty() && code.len() <= CODE_MAX_BYTES && !code.chars().any(char::is_control)
}

/// The name in Apple's `user`: family name first, as names are written here. It is unsigned, so its e-mail is
/// not even read.
fn apple_name(user: &str) -> Option<String> {
    let user: Value = serde_json::from_str(user).ok()?;
    let part = |key: &str| user["name"][key].as_str().unwrap_or_default().trim().to_owned();
    let (family, given) = (part("lastName"), part("firstName"));
    let is_hangul = family.chars().chain(given.chars()).all(|c| !c.is_ascii());
    clean_name(&if is_hangul { format!("{family}{given}") } else { format!("{given} {family}") })
}

/// 303 to `return_to`; nothing on the way may keep or pass on what its address holds.
fn back(return_to: &str, state: &str, code: Option<&str>, error: Option<&str>) -> Result<Response, ApiError> {
    let mut url = Url::parse(return_to).map_err(ApiError::internal)?;
    match (code, error) {
        (Some(code), None) => {
            url.query_pairs_mut().append_pair("code", code);
        }
        (_, error) => {
            let error: String = error.unwrap_or("invalid_request").chars().take(ERROR_MAX_BYTES).collect();
            url.query_pairs_mut().append_pair("error", &error);
        }
    }
    url.query_pairs_mut().append_pair("state", state);
    let location = HeaderValue::from_str(url.as_str()).map_err(ApiError::internal)?;
    let quiet = (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, location), no_store(), quiet], Body::empty())
        .into_response())
}

fn no_store() -> (header::HeaderName, HeaderValue) {
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
}

/// The path takes in linking (`/users/me/social`) too.
fn state_cookie(app: &App, browser: &str) -> Result<HeaderValue, ApiError> {
    let secure = if app.settings.cookie_secure { "; Secure" } else { "" };
    let text = format!(
        "{STATE_COOKIE}={browser}; Path=/api/v1; Max-Age={STATE_LIFE_SECONDS}; HttpOnly; SameSite=Lax{secure}"
    );
    HeaderValue::from_str(&text).map_err(ApiError::internal)
}
