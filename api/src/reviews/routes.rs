//! `/gonggus/{id}/reviews` and `/reviews/{id}`.

use crate::admin::audit::{self, AuditEntry};
use crate::app::App;
use crate::gonggus::routes::parse_id as parse_gonggu_id;
use crate::http::auth::AnyUser;
use crate::http::conditional::Conditional;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::extract::{JsonBody, Path, Query};
use crate::http::page::PageQuery;
use crate::reviews::check;
use crate::reviews::queries::{self, Sort};
use crate::reviews::types::{
    ReviewCreate, ReviewListParameters, ReviewListResponse, ReviewResponse, ReviewUpdate,
};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use gonggumoa_analytics::postgres::begin::begin;
use gonggumoa_core::ids::UserId;
use http::StatusCode;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// Somebody else's new review may be seen a little later.
const MAX_AGE_SECONDS: u32 = 5;

/// The routes of reviews.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(update, delete))
}

/// A page of a gonggu's reviews, and the rating of all of them.
#[utoipa::path(get, path = "/gonggus/{id}/reviews", tag = "reviews", operation_id = "list_reviews",
    params(("id" = Uuid, Path), ReviewListParameters), responses(
    (status = 200, body = ReviewListResponse),
    (status = 304, description = "`If-None-Match` names the present `ETag`"),
    (status = 404, body = ErrorBody, description = "`GONGGU_NOT_FOUND`"),
))]
async fn list(
    State(app): State<App>,
    conditional: Conditional,
    Path(id): Path<String>,
    Query(asked): Query<ReviewListParameters>,
) -> Result<Response, ApiError> {
    let id = parse_gonggu_id(&id)?;
    let page = PageQuery { page: asked.page, size: asked.size, sort: asked.sort, order: asked.order };
    let page = page.check(Sort::parse)?;
    let rating = queries::rating(&app.pool, id).await?.ok_or(ApiError::GongguNotFound)?;
    let rows = queries::page(&app.pool, id, page).await?;
    conditional.answer(&ReviewListResponse::new(rows, rating, &page), MAX_AGE_SECONDS)
}

/// Reviews a gonggu, once; not one's own, and not before it opens.
#[utoipa::path(post, path = "/gonggus/{id}/reviews", tag = "reviews", operation_id = "create_review", security(("bearer" = [])),
    extensions(("x-required-role" = json!("user"))), params(("id" = Uuid, Path)),
    request_body = ReviewCreate, responses(
    (status = 201, body = ReviewResponse),
    (status = 404, body = ErrorBody, description = "`GONGGU_NOT_FOUND`"),
    (status = 409, body = ErrorBody, description = "`REVIEW_EXISTS`, or `GONGGU_NOT_OPENED` before its opening"),
))]
async fn create(
    State(app): State<App>,
    AnyUser(user): AnyUser,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<ReviewCreate>,
) -> Result<(StatusCode, Json<ReviewResponse>), ApiError> {
    let id = parse_gonggu_id(&id)?;
    let checked = check::create(body)?;
    let gonggu = queries::reviewable(&app.pool, id).await?.ok_or(ApiError::GongguNotFound)?;
    if gonggu.influencer_id == user.id.0 {
        return Err(ApiError::Forbidden);
    }
    let now = app.clock.now().to_utc();
    if now < gonggu.open_at {
        return Err(ApiError::GongguNotOpened);
    }
    let row =
        queries::insert(&app.pool, id, user.id.0, &checked, now).await?.ok_or(ApiError::ReviewExists)?;
    Ok((StatusCode::CREATED, Json(row.into())))
}

/// Changes one's own review.
#[utoipa::path(put, path = "/reviews/{id}", tag = "reviews", operation_id = "update_review", security(("bearer" = [])),
    extensions(("x-required-role" = json!("owner"))), params(("id" = Uuid, Path)),
    request_body = ReviewUpdate, responses(
    (status = 200, body = ReviewResponse),
    (status = 404, body = ErrorBody, description = "`REVIEW_NOT_FOUND`"),
))]
async fn update(
    State(app): State<App>,
    AnyUser(user): AnyUser,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<ReviewUpdate>,
) -> Result<Json<ReviewResponse>, ApiError> {
    let id = parse_id(&id)?;
    let row = queries::by_id(&app.pool, id).await?.ok_or(ApiError::ReviewNotFound)?;
    // an admin may take words away, but not put others into somebody's mouth
    if row.user_id != user.id.0 {
        return Err(ApiError::Forbidden);
    }
    let checked = check::update(row, body)?;
    let row = queries::update(&app.pool, id, &checked, app.clock.now().to_utc()).await?;
    row.map(|row| Json(row.into())).ok_or(ApiError::ReviewNotFound)
}

/// Deletes a review: one's own, or as an admin.
#[utoipa::path(delete, path = "/reviews/{id}", tag = "reviews", operation_id = "delete_review", security(("bearer" = [])),
    extensions(("x-required-role" = json!("owner"))), params(("id" = Uuid, Path)), responses(
    (status = 204),
    (status = 404, body = ErrorBody, description = "`REVIEW_NOT_FOUND`"),
))]
async fn delete(
    State(app): State<App>,
    user: AnyUser,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let id = parse_id(&id)?;
    let row = queries::by_id(&app.pool, id).await?.ok_or(ApiError::ReviewNotFound)?;
    if !user.may_act_for(UserId(row.user_id)) {
        return Err(ApiError::Forbidden);
    }
    let mut transaction = begin(&app.pool).await?;
    if !queries::delete(&mut transaction, id).await? {
        return Err(ApiError::ReviewNotFound);
    }
    if row.user_id != user.0.id.0 {
        let details = json!({"user_id": row.user_id, "gonggu_id": row.gonggu_id, "rating": row.rating,
            "content": row.content});
        let entry = AuditEntry::new(user.0.id.0, "review.delete", ("review", id), details);
        audit::record(&mut transaction, &entry).await?;
    }
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

fn parse_id(id: &str) -> Result<Uuid, ApiError> {
    Uuid::try_parse(id).map_err(|_| ApiError::ReviewNotFound)
}
