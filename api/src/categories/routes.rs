//! `/categories`.

use crate::app::App;
use crate::categories::queries;
use crate::categories::types::CategoryTreeResponse;
use crate::http::conditional::Conditional;
use crate::http::error::ApiError;
use axum::extract::State;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Categories change a few times a year.
const MAX_AGE_SECONDS: u32 = 60;

/// The routes under `/categories`.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(tree))
}

/// All categories, parents with children.
#[utoipa::path(get, path = "/categories", tag = "categories", operation_id = "list_categories", responses(
    (status = 200, body = CategoryTreeResponse),
    (status = 304, description = "`If-None-Match` names the present `ETag`"),
))]
async fn tree(State(app): State<App>, conditional: Conditional) -> Result<Response, ApiError> {
    conditional.answer(&CategoryTreeResponse::new(queries::all(&app.pool).await?), MAX_AGE_SECONDS)
}
