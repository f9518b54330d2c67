//! `/categories`.

use crate::app::App;
use crate::categories::queries;
use crate::categories::types::CategoryTreeResponse;
use crate::http::error::ApiError;
use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes under `/categories`.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(tree))
}

/// All categories, parents with children.
#[utoipa::path(get, path = "/categories", tag = "categories", responses(
    (status = 200, body = CategoryTreeResponse),
))]
async fn tree(State(app): State<App>) -> Result<Json<CategoryTreeResponse>, ApiError> {
    Ok(Json(CategoryTreeResponse::new(queries::all(&app.pool).await?)))
}
