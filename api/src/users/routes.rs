//! `/users/me`.

use crate::app::App;
use crate::http::auth::AnyUser;
use crate::http::error::{ApiError, ErrorBody};
use crate::users::queries;
use crate::users::types::UserResponse;
use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes under `/users`.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(me))
}

/// The signed-in account.
#[utoipa::path(get, path = "/users/me", tag = "users", security(("bearer" = [])),
    extensions(("x-required-role" = json!("user"))), responses(
    (status = 200, body = UserResponse),
    (status = 401, body = ErrorBody),
))]
async fn me(State(app): State<App>, AnyUser(user): AnyUser) -> Result<Json<UserResponse>, ApiError> {
    queries::by_id(&app.pool, user.id).await?.map(Json).ok_or(ApiError::Unauthorized)
}
