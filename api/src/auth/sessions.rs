//! Beginning and ending sessions: families of refresh tokens, and the access tokens beside them.
//!
//! A session is a family; the access token names it, and is refused once it has ended ([`super::identity`]). An
//! account has a bounded number of them: the oldest makes room.
//!
//! Whatever rotates, revokes or begins a session holds the account's row (shared by those that concern one
//! family, alone by those that begin one or end all), so that none slips through: a rotation adds a row that an end of all
//! sessions, running at the same time, would not see; a login proves a password that a reset is just replacing.
//! Lock order: the account's row, the family's advisory lock, the tokens.

use crate::app::App;
use crate::auth::queries::{self, Account, NewRefreshToken};
use crate::auth::tokens::{TokenSubject, new_refresh_token, refresh_token_hash};
use crate::auth::types::TokenResponse;
use crate::http::auth::ACCESS_COOKIE;
use crate::http::error::ApiError;
use axum::Json;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Duration, Utc};
use gonggumoa_analytics::postgres::begin::begin;
use gonggumoa_core::ids::UserId;
use http::{HeaderValue, header};
use sqlx::PgConnection;
use uuid::Uuid;

/// Begins a session of an account that has proved who it is: a family of refresh tokens of its own, and the
/// answer with both tokens and the cookie; the oldest sessions end where there are too many. The caller has refused a suspended account; one that changed since it
/// was read (a new password, a suspension) is not signed in.
pub(crate) async fn start_session(app: &App, account: &Account) -> Result<Response, ApiError> {
    let now = app.clock.now().to_utc();
    let family_ends = now + Duration::days(i64::from(app.settings.refresh_family_days));
    let refresh_token = new_refresh_token();
    let (hash, family_id) = (refresh_token_hash(&refresh_token), Uuid::now_v7());
    let kept = kept_token(app, &hash, family_id, account.id, now, family_ends);
    let mut transaction = begin(&app.pool).await?;
    if !queries::lock_unchanged(&mut transaction, account.id, account.token_version).await? {
        return Err(ApiError::InvalidCredentials);
    }
    queries::insert_refresh_token(&mut *transaction, &kept).await?;
    let most = app.settings.sessions_per_account;
    let has_ended = queries::end_oldest_families(&mut transaction, account.id, most, now).await?;
    transaction.commit().await?;
    if has_ended {
        app.identities.forget(UserId(account.id));
    }
    signed_in(app, account, family_id, refresh_token)
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
pub(crate) fn signed_in(
    app: &App,
    account: &Account,
    session_id: Uuid,
    refresh_token: String,
) -> Result<Response, ApiError> {
    let subject = TokenSubject {
        id: UserId(account.id),
        role: account.role,
        token_version: account.token_version,
        created_at: account.created_at.into(),
        session_id,
    };
    let access_token = app.tokens.issue(&subject, app.clock.now()).map_err(ApiError::internal)?;
    let expires_in = app.tokens.life_seconds();
    let cookie = access_cookie(app, &access_token, expires_in)?;
    let body = TokenResponse { access_token, refresh_token, token_type: "bearer", expires_in };
    let no_store = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(([(header::SET_COOKIE, cookie), no_store], Json(body)).into_response())
}

/// The cookie `access_token`; an empty one that lives for nothing clears it.
pub(crate) fn access_cookie(app: &App, token: &str, max_age_seconds: i64) -> Result<HeaderValue, ApiError> {
    let secure = if app.settings.cookie_secure { "; Secure" } else { "" };
    let text =
        format!("{ACCESS_COOKIE}={token}; Path=/; Max-Age={max_age_seconds}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::from_str(&text).map_err(ApiError::internal)
}

/// Ends every session of an account: access tokens are void by their version, refresh tokens are revoked. After
/// the commit the caller has `app.identities` forget the account.
pub async fn end_all(
    connection: &mut PgConnection,
    user_id: Uuid,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE users SET token_version = token_version + 1, updated_at = $2 WHERE id = $1",
        user_id,
        now
    )
    .execute(&mut *connection)
    .await?;
    // a statement of its own: it sees what was committed while the first waited for the row
    sqlx::query!(
        "UPDATE refresh_tokens SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL",
        user_id,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}
