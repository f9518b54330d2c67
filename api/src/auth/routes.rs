//! Login, rotation, logout.

use crate::app::App;
use crate::auth::email;
use crate::auth::limits::Attempt;
use crate::auth::queries::{self, StoredRefreshToken};
use crate::auth::sessions::{access_cookie, kept_token};
pub(crate) use crate::auth::sessions::{signed_in, start_session};
use crate::auth::tokens::{new_refresh_token, refresh_token_hash};
use crate::auth::turns::Client;
use crate::auth::types::{LoginRequest, RefreshRequest, TokenResponse};
use crate::auth::{recovery, signup, verification};
use crate::http::error::{ApiError, ErrorBody};
use crate::http::extract::{ClientAddress, JsonBody};
use crate::users::types::UserStatus;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::Duration;
use gonggumoa_analytics::postgres::begin::begin;
use gonggumoa_core::ids::UserId;
use http::{StatusCode, header};
use sqlx::{Postgres, Transaction};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// A rotated token shown again within this time is two tabs, not a thief.
const ROTATION_GRACE_SECONDS: i64 = 10;
/// Longer addresses are no account of ours (and the hash of a huge one costs).
const EMAIL_MAX_BYTES: usize = 1_024;

/// The routes under `/auth`.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(login))
        .routes(routes!(refresh))
        .routes(routes!(logout))
        .merge(signup::router())
        .merge(recovery::router())
        .merge(verification::router())
}

/// Signs in. The answer and its time do not tell whether the account exists.
#[utoipa::path(post, path = "/auth/login", tag = "auth", request_body = LoginRequest, responses(
    (status = 200, body = TokenResponse, description = "also sets the cookie `access_token`"),
    (status = 401, body = ErrorBody, description = "`INVALID_CREDENTIALS`"),
    (status = 403, body = ErrorBody, description = "`ACCOUNT_SUSPENDED`"),
    (status = 422, body = ErrorBody),
    (status = 429, body = ErrorBody, description = "`RATE_LIMITED`: too many from this address or on this account"),
    (status = 503, body = ErrorBody, description = "`SERVICE_UNAVAILABLE`: too many people sign in at this moment"),
))]
async fn login(
    State(app): State<App>,
    ClientAddress(address): ClientAddress,
    JsonBody(body): JsonBody<LoginRequest>,
) -> Result<Response, ApiError> {
    if body.email.trim().is_empty() || body.email.len() > EMAIL_MAX_BYTES || body.email.contains('\0') {
        return Err(ApiError::field("email", "이메일을 확인해 주세요"));
    }
    let folded = email::fold(&body.email);
    let network = app.address_key.network_hash(address).0;
    if let Attempt::KnownNetworkOnly { retry_after_seconds } =
        app.limits.login(&app.address_key, address, &folded)?
        && !queries::is_known_network(&app.pool, &folded, &network, app.clock.now().to_utc()).await?
    {
        return Err(ApiError::RateLimited { retry_after_seconds });
    }
    let account = queries::account_by_email(&app.pool, &body.email).await?;
    let hash = account.as_ref().and_then(|account| account.password_hash.clone());
    if !app.passwords.verify(body.password, hash, Client::of(&app.address_key, address)).await? {
        return Err(ApiError::InvalidCredentials);
    }
    let account = account.ok_or(ApiError::InvalidCredentials)?;
    if account.status == UserStatus::Suspended {
        return Err(ApiError::AccountSuspended);
    }
    let answer = start_session(&app, &account).await?;
    queries::remember_network(&app, account.id, &network).await;
    Ok(answer)
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
        queries::revoke_family(&mut transaction, stored.user_id, stored.family_id, now).await?;
        transaction.commit().await?;
        app.identities.forget(UserId(stored.user_id));
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
    signed_in(&app, &account, stored.family_id, refresh_token)
}

/// Ends the session of a refresh token, its access tokens included, and clears the cookie. An unknown token is as good
/// as ended.
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
    let stored = locked(&mut transaction, &hash).await?;
    if let Some(stored) = &stored {
        queries::revoke_family(&mut transaction, stored.user_id, stored.family_id, now).await?;
    }
    transaction.commit().await?;
    if let Some(stored) = stored {
        app.identities.forget(UserId(stored.user_id));
    }
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, access_cookie(&app, "", 0)?)]).into_response())
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

#[cfg(test)]
mod tests;
