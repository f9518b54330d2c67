//! `/users/me/social`: the identities of somebody who is signed in.

use super::link;
use super::provider::Provider;
use super::queries;
use super::routes::ended;
use super::types::{SocialIdentityListResponse, SocialIdentityResponse, SocialLoginRequest};
use crate::app::App;
use crate::auth::social::error::SocialError;
use crate::http::auth::AnyUser;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::extract::{ClientAddress, JsonBody};
use axum::Json;
use axum::extract::{Path, State};
use http::{HeaderMap, StatusCode};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(link_provider, unlink_provider))
}

/// The linked social identities.
#[utoipa::path(get, path = "/users/me/social", tag = "users", security(("bearer" = [])),
    extensions(("x-required-role" = json!("user"))), responses(
    (status = 200, body = SocialIdentityListResponse),
))]
async fn list(
    State(app): State<App>,
    AnyUser(user): AnyUser,
) -> Result<Json<SocialIdentityListResponse>, ApiError> {
    let mut connection = app.pool.acquire().await?;
    let identities = queries::identities(&mut connection, user.id.0).await?;
    drop(connection);
    let has_password = queries::has_password(&app.pool, user.id.0).await?;
    Ok(Json(SocialIdentityListResponse {
        items: identities.into_iter().filter_map(shown).collect(),
        has_password,
    }))
}

fn shown(identity: queries::Identity) -> Option<SocialIdentityResponse> {
    Some(SocialIdentityResponse {
        provider: Provider::from_name(&identity.provider)?,
        email: identity.email,
        linked_at: identity.linked_at,
        last_used_at: identity.last_used_at,
    })
}

/// Links a social identity: begun like a sign-in, ended here. Linked already, it stays so (200).
#[utoipa::path(post, path = "/users/me/social/{provider}", tag = "users", security(("bearer" = [])),
    extensions(("x-required-role" = json!("user"))),
    params(("provider" = Provider, Path)), request_body = SocialLoginRequest, responses(
    (status = 200, body = SocialIdentityListResponse, description = "was linked already"),
    (status = 201, body = SocialIdentityListResponse),
    (status = 400, body = ErrorBody, description = "`SOCIAL_STATE_INVALID`: begin again"),
    (status = 401, body = ErrorBody,
        description = "`UNAUTHORIZED`, `SOCIAL_LOGIN_DENIED`, `SOCIAL_CODE_INVALID`, `SOCIAL_TOKEN_INVALID`"),
    (status = 404, body = ErrorBody,
        description = "`SOCIAL_PROVIDER_NOT_FOUND`, `SOCIAL_PROVIDER_NOT_CONFIGURED`"),
    (status = 409, body = ErrorBody,
        description = "`SOCIAL_ALREADY_LINKED`: to another account, or this one has another of the provider"),
    (status = 422, body = ErrorBody),
    (status = 429, body = ErrorBody, description = "`RATE_LIMITED`"),
    (status = 502, body = ErrorBody, description = "`SOCIAL_PROVIDER_ERROR`"),
    (status = 503, body = ErrorBody, description = "`SOCIAL_PROVIDER_UNAVAILABLE`"),
))]
async fn link_provider(
    State(app): State<App>,
    AnyUser(user): AnyUser,
    ClientAddress(address): ClientAddress,
    Path(provider): Path<String>,
    headers: HeaderMap,
    JsonBody(body): JsonBody<SocialLoginRequest>,
) -> Result<(StatusCode, Json<SocialIdentityListResponse>), ApiError> {
    let person = ended(&app, address, &provider, &headers, body).await?;
    let is_new = link::link(&app, &user, &person).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let list = list(State(app), AnyUser(user)).await?;
    Ok((status, list))
}

/// Unlinks a social identity; the last way to sign in stays.
#[utoipa::path(delete, path = "/users/me/social/{provider}", tag = "users", security(("bearer" = [])),
    extensions(("x-required-role" = json!("user"))), params(("provider" = Provider, Path)), responses(
    (status = 204, description = "unlinked, or was not linked"),
    (status = 404, body = ErrorBody, description = "`SOCIAL_PROVIDER_NOT_FOUND`"),
    (status = 409, body = ErrorBody, description = "`LAST_LOGIN_METHOD`"),
))]
async fn unlink_provider(
    State(app): State<App>,
    AnyUser(user): AnyUser,
    Path(provider): Path<String>,
) -> Result<StatusCode, ApiError> {
    let provider = Provider::from_name(&provider).ok_or(SocialError::UnknownProvider)?;
    link::unlink(&app, &user, provider.name()).await?;
    Ok(StatusCode::NO_CONTENT)
}
