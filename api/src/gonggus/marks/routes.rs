//! `/gonggus/{id}/bookmark`, `/gonggus/{id}/alarm`, `/users/me/bookmarks`.

use crate::app::App;
use crate::gonggus::marks::queries;
use crate::gonggus::marks::types::{AlarmResponse, AlarmUpdate, BookmarkListParameters, BookmarkResponse};
use crate::gonggus::routes::parse_id;
use crate::gonggus::types::GongguListResponse;
use crate::http::auth::AnyUser;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::extract::{JsonBody, Path, Query};
use crate::http::page::PageQuery;
use axum::Json;
use axum::extract::State;
use chrono::Duration;
use http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// A week: earlier than that nobody plans to buy.
pub(crate) const ALARM_MAX_MINUTES: i32 = 7 * 24 * 60;

/// The routes of bookmarks and alarms.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(keep, let_go))
        .routes(routes!(set_alarm, clear_alarm))
        .routes(routes!(bookmarks))
}

/// Keeps a gonggu (찜). Again is the same.
#[utoipa::path(post, path = "/gonggus/{id}/bookmark", tag = "gonggus", operation_id = "create_bookmark", security(("bearer" = [])),
    extensions(("x-required-role" = json!("user"))), params(("id" = Uuid, Path)), responses(
    (status = 201, body = BookmarkResponse),
    (status = 200, body = BookmarkResponse, description = "was kept already"),
    (status = 404, body = ErrorBody, description = "`GONGGU_NOT_FOUND`"),
))]
async fn keep(
    State(app): State<App>,
    AnyUser(user): AnyUser,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<BookmarkResponse>), ApiError> {
    let id = parse_id(&id)?;
    let kept = queries::keep(&app.pool, user.id.0, id, app.clock.now().to_utc()).await?;
    let kept = kept.ok_or(ApiError::GongguNotFound)?;
    let status = if kept.is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(BookmarkResponse { gonggu_id: id, bookmarked: true, created_at: kept.created_at })))
}

/// Keeps a gonggu no longer. Again is the same.
#[utoipa::path(delete, path = "/gonggus/{id}/bookmark", tag = "gonggus", operation_id = "delete_bookmark", security(("bearer" = [])),
    extensions(("x-required-role" = json!("user"))), params(("id" = Uuid, Path)), responses(
    (status = 204),
    (status = 404, body = ErrorBody, description = "`GONGGU_NOT_FOUND`: the id is malformed"),
))]
async fn let_go(
    State(app): State<App>,
    AnyUser(user): AnyUser,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    queries::let_go(&app.pool, user.id.0, parse_id(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The kept gonggus, the latest kept first.
#[utoipa::path(get, path = "/users/me/bookmarks", tag = "gonggus", operation_id = "list_bookmarks", security(("bearer" = [])),
    extensions(("x-required-role" = json!("user"))), params(BookmarkListParameters), responses(
    (status = 200, body = GongguListResponse),
))]
async fn bookmarks(
    State(app): State<App>,
    AnyUser(user): AnyUser,
    Query(asked): Query<BookmarkListParameters>,
) -> Result<Json<GongguListResponse>, ApiError> {
    let page = PageQuery { page: asked.page, size: asked.size, ..PageQuery::default() };
    let page = page.check(|_| Some(()))?;
    let total = queries::count(&app.pool, user.id.0).await?;
    let rows = queries::page(&app.pool, user.id.0, page).await?;
    Ok(Json(GongguListResponse::new(rows, total, &page, app.clock.now())))
}

/// Sets an alarm before a gonggu opens, or moves it.
#[utoipa::path(put, path = "/gonggus/{id}/alarm", tag = "gonggus", operation_id = "set_alarm", security(("bearer" = [])),
    extensions(("x-required-role" = json!("user"))), params(("id" = Uuid, Path)),
    request_body = AlarmUpdate, responses(
    (status = 200, body = AlarmResponse),
    (status = 404, body = ErrorBody, description = "`GONGGU_NOT_FOUND`"),
    (status = 409, body = ErrorBody, description = "`GONGGU_ALREADY_OPEN`"),
))]
async fn set_alarm(
    State(app): State<App>,
    AnyUser(user): AnyUser,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<AlarmUpdate>,
) -> Result<Json<AlarmResponse>, ApiError> {
    let id = parse_id(&id)?;
    let minutes_before = i32::try_from(body.minutes_before).ok();
    let minutes_before = minutes_before
        .filter(|minutes| (0..=ALARM_MAX_MINUTES).contains(minutes))
        .ok_or_else(|| ApiError::field("minutes_before", "0 이상 10080 이하여야 합니다"))?;
    let now = app.clock.now().to_utc();
    let alarm = queries::set_alarm(&app.pool, user.id.0, id, minutes_before, now).await?;
    let alarm = alarm.ok_or(ApiError::GongguNotFound)?;
    if !alarm.is_set {
        return Err(ApiError::GongguAlreadyOpen);
    }
    let rings_at = alarm.open_at - Duration::minutes(minutes_before.into());
    Ok(Json(AlarmResponse { gonggu_id: id, minutes_before, rings_at }))
}

/// Takes the alarm away. Again is the same.
#[utoipa::path(delete, path = "/gonggus/{id}/alarm", tag = "gonggus", operation_id = "delete_alarm", security(("bearer" = [])),
    extensions(("x-required-role" = json!("user"))), params(("id" = Uuid, Path)), responses(
    (status = 204),
    (status = 404, body = ErrorBody, description = "`GONGGU_NOT_FOUND`: the id is malformed"),
))]
async fn clear_alarm(
    State(app): State<App>,
    AnyUser(user): AnyUser,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    queries::clear_alarm(&app.pool, user.id.0, parse_id(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
