//! `/users/me`.

use crate::app::App;
use crate::auth::sessions::access_cookie;
use crate::auth::signup;
use crate::http::auth::Buyer;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::extract::{ClientAddress, JsonBody};
use crate::users::types::{ProfileResponse, UserUpdate};
use crate::users::{check, close, devices, notification_settings, queries};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use gonggumoa_analytics::postgres::begin::begin;
use http::{StatusCode, header};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes under `/users`.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(me, update, delete))
        .routes(routes!(send_verification))
        .merge(devices::router())
        .merge(notification_settings::router())
}

/// The signed-in account.
#[utoipa::path(get, path = "/users/me", tag = "users", security(("bearer" = [])),
    extensions(("x-required-role" = json!("user"))), responses(
    (status = 200, body = ProfileResponse),
    (status = 401, body = ErrorBody),
))]
async fn me(State(app): State<App>, Buyer(user): Buyer) -> Result<Json<ProfileResponse>, ApiError> {
    queries::profile(&app.pool, user.id).await?.map(Json).ok_or(ApiError::Unauthorized)
}

/// Changes one's own profile: what is absent stays, `null` takes away.
#[utoipa::path(patch, path = "/users/me", tag = "users", security(("bearer" = [])),
    extensions(("x-required-role" = json!("user"))), request_body = UserUpdate, responses(
    (status = 200, body = ProfileResponse),
))]
async fn update(
    State(app): State<App>,
    Buyer(user): Buyer,
    JsonBody(body): JsonBody<UserUpdate>,
) -> Result<Json<ProfileResponse>, ApiError> {
    let change = check::update(body)?;
    let changed = queries::update(&app.pool, user.id, &change, app.clock.now().to_utc()).await?;
    // an influencer's name and picture stand beside his gonggus
    app.catalog.changed();
    changed.map(Json).ok_or(ApiError::Unauthorized)
}

/// Closes one's own account: personal data is blanked, the address is free again, gonggus close; clicks and
/// money stay. It cannot be taken back.
#[utoipa::path(delete, path = "/users/me", tag = "users", security(("bearer" = [])),
    extensions(("x-required-role" = json!("user"))), responses(
    (status = 204, description = "clears the cookie `access_token`"),
    (status = 409, body = ErrorBody, description = "`LAST_ADMIN`"),
))]
async fn delete(State(app): State<App>, Buyer(user): Buyer) -> Result<Response, ApiError> {
    close::close(&app, user.id).await?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, access_cookie(&app, "", 0)?)]).into_response())
}

/// Sends another code to prove one's e-mail address. The answer is the same when it is proved already, or when
/// enough codes are on their way.
#[utoipa::path(post, path = "/users/me/email-verification", tag = "users", security(("bearer" = [])),
    extensions(("x-required-role" = json!("user"))), responses(
    (status = 202),
    (status = 429, body = ErrorBody, description = "`RATE_LIMITED`"),
))]
async fn send_verification(
    State(app): State<App>,
    Buyer(user): Buyer,
    ClientAddress(address): ClientAddress,
) -> Result<StatusCode, ApiError> {
    app.limits.mail(&app.address_key, address)?;
    let mut transaction = begin(&app.pool).await?;
    let account = sqlx::query!(
        "SELECT email, email_folded FROM users
         WHERE id = $1 AND closed_at IS NULL AND email_verified_at IS NULL FOR NO KEY UPDATE",
        user.id.0
    )
    .fetch_optional(&mut *transaction)
    .await?;
    let address = account.and_then(|account| account.email.zip(account.email_folded));
    if let Some((email, folded)) = &address {
        let now = app.clock.now().to_utc();
        signup::send_code(&app, &mut transaction, user.id.0, email, folded, now).await?;
        transaction.commit().await?;
    }
    Ok(StatusCode::ACCEPTED)
}
