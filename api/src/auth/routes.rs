//! Login, rotation, logout.

use crate::app::App;
use crate::auth::queries::{self, Account, NewRefreshToken, StoredRefreshToken};
use crate::auth::tokens::{TokenSubject, new_refresh_token, refresh_token_hash};
use crate::auth::types::{LoginRequest, RefreshRequest, TokenResponse};
use crate::http::auth::ACCESS_COOKIE;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::extract::{ClientAddress, JsonBody};
use crate::users::types::UserStatus;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Duration, Utc};
use gonggumoa_analytics::postgres::begin::begin;
use gonggumoa_core::ids::UserId;
use http::{HeaderValue, StatusCode, header};
use sqlx::{Postgres, Transaction};
use unicode_normalization::UnicodeNormalization;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// A rotated token shown again within this time is two tabs, not a thief.
const ROTATION_GRACE_SECONDS: i64 = 10;
/// Longer addresses are no account of ours (and the hash of a huge one costs).
const EMAIL_MAX_BYTES: usize = 1_024;

/// The routes under `/auth`.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(login)).routes(routes!(refresh)).routes(routes!(logout))
}

/// Signs in. The answer and its time do not tell whether the account exists.
#[utoipa::path(post, path = "/auth/login", tag = "auth", request_body = LoginRequest, responses(
    (status = 200, body = TokenResponse, description = "also sets the cookie `access_token`"),
    (status = 401, body = ErrorBody, description = "`INVALID_CREDENTIALS`"),
    (status = 403, body = ErrorBody, description = "`ACCOUNT_SUSPENDED`"),
    (status = 422, body = ErrorBody),
    (status = 429, body = ErrorBody),
))]
async fn login(
    State(app): State<App>,
    ClientAddress(address): ClientAddress,
    JsonBody(body): JsonBody<LoginRequest>,
) -> Result<Response, ApiError> {
    let email: String = body.email.trim().nfc().collect();
    if email.is_empty() || email.len() > EMAIL_MAX_BYTES || email.contains('\0') {
        return Err(ApiError::field("email", "이메일을 확인해 주세요"));
    }
    app.login_limits.check(&app.address_key, address, &email.to_lowercase())?;
    let account = queries::account_by_email(&app.pool, &email).await?;
    let hash = account.as_ref().and_then(|account| account.password_hash.clone());
    if !app.passwords.verify(body.password, hash).await? {
        return Err(ApiError::InvalidCredentials);
    }
    let account = account.ok_or(ApiError::InvalidCredentials)?;
    if account.status == UserStatus::Suspended {
        return Err(ApiError::AccountSuspended);
    }
    start_session(&app, &account).await
}

/// Exchanges a refresh token for the next one.
#[utoipa::path(post, path = "/auth/refresh", tag = "auth", request_body = RefreshRequest, responses(
    (status = 200, body = TokenResponse),
    (status = 401, body = ErrorBody, description = "`UNAUTHORIZED`, or `TOKEN_REUSED`: the family ends"),
    (status = 409, body = ErrorBody, description = "`TOKEN_ROTATED`: rotated within the last 10 s"),
))]
async fn refresh(
    State(app): State<App>,
    JsonBody(body): JsonBody<RefreshRequest>,
) -> Result<Response, ApiError> {
    let now = app.clock.now().to_utc();
    let hash = refresh_token_hash(&body.refresh_token);
    let mut transaction = begin(&app.pool).await?;
    let stored = locked(&mut transaction, &hash).await?.ok_or(ApiError::Unauthorized)?;
    if stored.revoked_at.is_some() || now >= stored.expires_at.min(stored.family_expires_at) {
        return Err(ApiError::Unauthorized);
    }
    if let Some(rotated_at) = stored.rotated_at {
        if now - rotated_at <= Duration::seconds(ROTATION_GRACE_SECONDS) {
            return Err(ApiError::TokenRotated);
        }
        queries::revoke_family(&mut transaction, stored.family_id, now).await?;
        transaction.commit().await?;
        return Err(ApiError::TokenReused);
    }
    let account =
        queries::account_by_id(&mut transaction, stored.user_id).await?.ok_or(ApiError::Unauthorized)?;
    if account.status == UserStatus::Suspended {
        return Err(ApiError::AccountSuspended);
    }
    let refresh_token = new_refresh_token();
    let kept = refresh_token_hash(&refresh_token);
    let kept = kept_token(&app, &kept, stored.family_id, account.id, now, stored.family_expires_at);
    queries::mark_rotated(&mut transaction, &hash, now).await?;
    queries::insert_refresh_token(&mut *transaction, &kept).await?;
    transaction.commit().await?;
    signed_in(&app, &account, refresh_token)
}

/// Ends the session of a refresh token and clears the cookie. An unknown token is as good as ended.
#[utoipa::path(post, path = "/auth/logout", tag = "auth", request_body = RefreshRequest, responses(
    (status = 204, description = "clears the cookie `access_token`"),
))]
async fn logout(
    State(app): State<App>,
    JsonBody(body): JsonBody<RefreshRequest>,
) -> Result<Response, ApiError> {
    let now = app.clock.now().to_utc();
    let mut transaction = begin(&app.pool).await?;
    let hash = refresh_token_hash(&body.refresh_token);
    if let Some(stored) = locked(&mut transaction, &hash).await? {
        queries::revoke_family(&mut transaction, stored.family_id, now).await?;
    }
    transaction.commit().await?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie(&app, "", 0)?)]).into_response())
}

/// Begins a session of an account that has proved who it is: a family of refresh tokens of its own, and the
/// answer with both tokens and the cookie. The caller has refused a suspended account.
pub(crate) async fn start_session(app: &App, account: &Account) -> Result<Response, ApiError> {
    let now = app.clock.now().to_utc();
    let family_ends = now + Duration::days(i64::from(app.settings.refresh_family_days));
    let refresh_token = new_refresh_token();
    let kept = refresh_token_hash(&refresh_token);
    let kept = kept_token(app, &kept, Uuid::now_v7(), account.id, now, family_ends);
    queries::insert_refresh_token(&app.pool, &kept).await?;
    if let Err(error) = queries::delete_expired(&app.pool, account.id, now).await {
        // the next login does it
        tracing::warn!(
            error = &error as &(dyn std::error::Error + 'static),
            "expired refresh tokens were not deleted"
        );
    }
    signed_in(app, account, refresh_token)
}

/// A refresh token as it is once nobody else is at work on its family.
async fn locked(
    transaction: &mut Transaction<'_, Postgres>,
    hash: &[u8],
) -> Result<Option<StoredRefreshToken>, sqlx::Error> {
    if queries::lock_family(transaction, hash).await? {
        queries::lock_refresh_token(transaction, hash).await
    } else {
        Ok(None)
    }
}

/// What is stored of a new refresh token.
pub(crate) fn kept_token<'a>(
    app: &App,
    hash: &'a [u8],
    family_id: Uuid,
    user_id: Uuid,
    now: DateTime<Utc>,
    family_expires_at: DateTime<Utc>,
) -> NewRefreshToken<'a> {
    let expires_at = now + Duration::days(i64::from(app.settings.refresh_token_days));
    NewRefreshToken {
        hash,
        family_id,
        user_id,
        issued_at: now,
        expires_at: expires_at.min(family_expires_at),
        family_expires_at,
    }
}

/// The answer to whoever has just signed in: both tokens, and the cookie. The refresh token is already stored.
pub(crate) fn signed_in(app: &App, account: &Account, refresh_token: String) -> Result<Response, ApiError> {
    let subject = TokenSubject {
        id: UserId(account.id),
        role: account.role,
        token_version: account.token_version,
        created_at: account.created_at.into(),
    };
    let access_token = app.tokens.issue(&subject, app.clock.now()).map_err(ApiError::internal)?;
    let expires_in = app.tokens.life_seconds();
    let cookie = cookie(app, &access_token, expires_in)?;
    let body = TokenResponse { access_token, refresh_token, token_type: "bearer", expires_in };
    let no_store = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(([(header::SET_COOKIE, cookie), no_store], Json(body)).into_response())
}

fn cookie(app: &App, token: &str, max_age_seconds: i64) -> Result<HeaderValue, ApiError> {
    let secure = if app.settings.cookie_secure { "; Secure" } else { "" };
    let text =
        format!("{ACCESS_COOKIE}={token}; Path=/; Max-Age={max_age_seconds}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::from_str(&text).map_err(ApiError::internal)
}

#[cfg(test)]
mod tests;
