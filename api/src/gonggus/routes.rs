//! `/gonggus`. A change is in force for `/go` of this process before its answer is sent.

use crate::app::App;
use crate::gonggus::lists::ListQuery;
use crate::gonggus::totals::Asked;
use crate::gonggus::types::{
    ClosingSoonParameters, GongguCreate, GongguDetailResponse, GongguFilter, GongguListResponse,
    GongguResponse, GongguRow, GongguUpdate, ShelfFilter, Status,
};
use crate::gonggus::{audit, check, queries};
use crate::http::auth::{AnyUser, MaybeUser, VerifiedInfluencer};
use crate::http::conditional::{Conditional, Prepared};
use crate::http::error::{ApiError, ErrorBody};
use crate::http::extract::{JsonBody, Path, Query};
use crate::http::page::Order;
use crate::users::types::UserRole;
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Duration, Utc};
use gonggumoa_analytics::postgres::begin::begin;
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::{GongguId, UserId};
use http::StatusCode;
use sqlx::PgConnection;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// Who is not signed in may see what was a second ago: openings and closings are told to the second.
const LIST_MAX_AGE_SECONDS: u32 = 1;
const CLOSING_SOON_HOURS: i64 = 24;
/// What closes later than in a week does not close soon.
pub(crate) const CLOSING_SOON_MAX_HOURS: i64 = 168;

/// The routes under `/gonggus`.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(active))
        .routes(routes!(upcoming))
        .routes(routes!(closing_soon))
        .routes(routes!(read, update, delete))
}

/// A page of gonggus.
#[utoipa::path(get, path = "/gonggus", tag = "gonggus", operation_id = "list_gonggus", params(GongguFilter), responses(
    (status = 200, body = GongguListResponse),
    (status = 304, description = "`If-None-Match` names the present `ETag`"),
))]
async fn list(
    State(app): State<App>,
    conditional: Conditional,
    Query(filter): Query<GongguFilter>,
) -> Result<Response, ApiError> {
    let query = ListQuery::new(filter, app.clock.now().to_utc())?;
    listed(&app, &conditional, query).await
}

/// What is open now.
#[utoipa::path(get, path = "/gonggus/active", tag = "gonggus", operation_id = "list_active_gonggus", params(ShelfFilter), responses(
    (status = 200, body = GongguListResponse),
    (status = 304, description = "`If-None-Match` names the present `ETag`"),
))]
async fn active(
    State(app): State<App>,
    conditional: Conditional,
    Query(filter): Query<ShelfFilter>,
) -> Result<Response, ApiError> {
    let filter = soonest(filter.with_status(Status::Active), "close_at");
    let query = ListQuery::new(filter, app.clock.now().to_utc())?;
    listed(&app, &conditional, query).await
}

/// What is still to open.
#[utoipa::path(get, path = "/gonggus/upcoming", tag = "gonggus", operation_id = "list_upcoming_gonggus", params(ShelfFilter), responses(
    (status = 200, body = GongguListResponse),
    (status = 304, description = "`If-None-Match` names the present `ETag`"),
))]
async fn upcoming(
    State(app): State<App>,
    conditional: Conditional,
    Query(filter): Query<ShelfFilter>,
) -> Result<Response, ApiError> {
    let filter = soonest(filter.with_status(Status::Scheduled), "open_at");
    let query = ListQuery::new(filter, app.clock.now().to_utc())?;
    listed(&app, &conditional, query).await
}

/// What is open and closes soon.
#[utoipa::path(get, path = "/gonggus/closing-soon", tag = "gonggus", operation_id = "list_closing_soon_gonggus",
    params(ShelfFilter, ClosingSoonParameters), responses(
    (status = 200, body = GongguListResponse),
    (status = 304, description = "`If-None-Match` names the present `ETag`"),
))]
async fn closing_soon(
    State(app): State<App>,
    conditional: Conditional,
    Query(filter): Query<ShelfFilter>,
    Query(soon): Query<ClosingSoonParameters>,
) -> Result<Response, ApiError> {
    let hours = soon.hours.unwrap_or(CLOSING_SOON_HOURS);
    if !(1..=CLOSING_SOON_MAX_HOURS).contains(&hours) {
        return Err(ApiError::field("hours", "1 이상 168 이하여야 합니다"));
    }
    let now = app.clock.now().to_utc();
    let filter = soonest(filter.with_status(Status::Active), "close_at");
    let query = ListQuery::new(filter, now)?.closing_until(now + Duration::hours(hours));
    listed(&app, &conditional, query).await
}

/// Unless asked otherwise, what comes first in time stands first.
fn soonest(filter: GongguFilter, sort: &str) -> GongguFilter {
    match filter.sort {
        Some(_) => filter,
        None => GongguFilter {
            sort: Some(sort.to_owned()),
            order: Some(filter.order.unwrap_or(Order::Asc)),
            ..filter
        },
    }
}

/// The same for everybody, so prepared once a moment; who is signed in may only not keep it himself.
async fn listed(app: &App, conditional: &Conditional, query: ListQuery) -> Result<Response, ApiError> {
    let making = || page(app.clone(), query.clone());
    let question = query.question();
    let links_version = app.links.version();
    let prepared = app.catalog.answer(&question, links_version, query.now.into(), making).await?;
    conditional.answer_prepared(&prepared, LIST_MAX_AGE_SECONDS)
}

async fn page(app: App, query: ListQuery) -> Result<Prepared, ApiError> {
    let total = match query.total_key(app.catalog.changes(app.links.version())) {
        Some(key) => {
            let asked = Asked { now: query.now, hears_all: app.links.is_synced() };
            app.totals.get(key, asked, query.count(&app.pool)).await?
        }
        None => query.count(&app.pool).await?.total,
    };
    let rows = query.rows(&app.pool).await?;
    Prepared::of(&GongguListResponse::new(rows, total, &query.page, query.now.into()))
}

/// A new gonggu.
#[utoipa::path(post, path = "/gonggus", tag = "gonggus", operation_id = "create_gonggu", security(("bearer" = [])),
    extensions(("x-required-role" = json!("influencer"))),
    request_body = GongguCreate, responses(
    (status = 201, body = GongguResponse),
    (status = 403, body = ErrorBody),
    (status = 404, body = ErrorBody, description = "`INFLUENCER_NOT_FOUND`: whom an admin named"),
    (status = 422, body = ErrorBody, description = "`VALIDATION_ERROR`, `TOO_MANY_CATEGORIES`"),
))]
async fn create(
    State(app): State<App>,
    VerifiedInfluencer(user): VerifiedInfluencer,
    JsonBody(body): JsonBody<GongguCreate>,
) -> Result<(StatusCode, Json<GongguResponse>), ApiError> {
    check::categories(body.category_ids.as_deref())?;
    let checked = check::create(&body)?;
    let owner_id = body.influencer_id.unwrap_or(user.id.0);
    if owner_id != user.id.0 {
        if user.role != UserRole::Admin {
            return Err(ApiError::Forbidden);
        }
        if !queries::may_own(&app.pool, owner_id).await? {
            return Err(ApiError::InfluencerNotFound);
        }
    }
    let id = Uuid::now_v7();
    let mut transaction = begin(&app.pool).await?;
    queries::insert(&mut transaction, id, owner_id, &checked, app.clock.now().to_utc()).await?;
    queries::set_categories(&mut transaction, id, body.category_ids.as_deref().unwrap_or_default()).await?;
    let response = whole(&app, &mut transaction, id).await?;
    audit::record(&mut transaction, user.id, "gonggu.create", (None, Some(&response))).await?;
    transaction.commit().await?;
    in_force(&app, id).await;
    Ok((StatusCode::CREATED, Json(response)))
}

/// One gonggu; signed in, with one's own bookmark and alarm.
#[utoipa::path(get, path = "/gonggus/{id}", tag = "gonggus", operation_id = "read_gonggu", params(("id" = Uuid, Path)), responses(
    (status = 200, body = GongguDetailResponse),
    (status = 304, description = "`If-None-Match` names the present `ETag`"),
    (status = 404, body = ErrorBody, description = "`GONGGU_NOT_FOUND`, also while its influencer is suspended"),
))]
async fn read(
    State(app): State<App>,
    MaybeUser(user): MaybeUser,
    conditional: Conditional,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let id = parse_id(&id)?;
    let now = app.clock.now();
    let Some(user) = user else {
        let making = || shown_to_all(app.clone(), id, now);
        let (question, links_version) = (format!("gonggu:{id}"), app.links.version());
        let prepared = match app.catalog.is_asked_again(&question) {
            true => app.catalog.answer(&question, links_version, now, making).await?,
            false => making().await?,
        };
        return conditional.answer_prepared(&prepared, LIST_MAX_AGE_SECONDS);
    };
    let mut connection = app.pool.acquire().await?;
    let row = queries::by_id(&mut connection, id, Some(user.id.0)).await?;
    let row = row.filter(|row| row.is_shown || user.role == UserRole::Admin);
    conditional.answer(&detail(row.ok_or(ApiError::GongguNotFound)?, now), LIST_MAX_AGE_SECONDS)
}

async fn shown_to_all(app: App, id: Uuid, now: UnixMillis) -> Result<Prepared, ApiError> {
    let mut connection = app.pool.acquire().await?;
    let row = queries::by_id(&mut connection, id, None).await?.filter(|row| row.is_shown);
    Prepared::of(&detail(row.ok_or(ApiError::GongguNotFound)?, now))
}

fn detail(row: GongguRow, now: UnixMillis) -> GongguDetailResponse {
    let (bookmarked, alarm_minutes_before) = (row.bookmarked, row.alarm_minutes_before);
    GongguDetailResponse { gonggu: GongguResponse::new(row, now), bookmarked, alarm_minutes_before }
}

/// Changes a gonggu; `closed: true` closes it now.
#[utoipa::path(put, path = "/gonggus/{id}", tag = "gonggus", operation_id = "update_gonggu", security(("bearer" = [])),
    extensions(("x-required-role" = json!("owner"))),
    params(("id" = Uuid, Path)), request_body = GongguUpdate, responses(
    (status = 200, body = GongguResponse),
    (status = 403, body = ErrorBody),
    (status = 404, body = ErrorBody, description = "`GONGGU_NOT_FOUND`"),
    (status = 422, body = ErrorBody, description = "`VALIDATION_ERROR`, `TOO_MANY_CATEGORIES`"),
))]
async fn update(
    State(app): State<App>,
    user: AnyUser,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<GongguUpdate>,
) -> Result<Json<GongguResponse>, ApiError> {
    let id = parse_id(&id)?;
    let now = app.clock.now().to_utc();
    check::categories(body.category_ids.as_deref())?;
    let mut transaction = begin(&app.pool).await?;
    queries::lock(&mut transaction, id).await?;
    let row = queries::by_id(&mut transaction, id, None).await?.ok_or(ApiError::GongguNotFound)?;
    permit(&user, row.influencer_id)?;
    let checked = check::update(&row, &body)?;
    let closed_at = closed_at(&row, body.closed, now);
    queries::update(&mut transaction, id, &checked, closed_at, now).await?;
    if let Some(category_ids) = &body.category_ids {
        queries::set_categories(&mut transaction, id, category_ids).await?;
    }
    let response = whole(&app, &mut transaction, id).await?;
    let before = GongguResponse::new(row, now.into());
    audit::record(&mut transaction, user.0.id, "gonggu.update", (Some(&before), Some(&response))).await?;
    transaction.commit().await?;
    in_force(&app, id).await;
    Ok(Json(response))
}

/// Deletes a gonggu; its clicks and money stay.
#[utoipa::path(delete, path = "/gonggus/{id}", tag = "gonggus", operation_id = "delete_gonggu", security(("bearer" = [])),
    extensions(("x-required-role" = json!("owner"))),
    params(("id" = Uuid, Path)), responses(
    (status = 204),
    (status = 403, body = ErrorBody),
    (status = 404, body = ErrorBody, description = "`GONGGU_NOT_FOUND`"),
))]
async fn delete(
    State(app): State<App>,
    user: AnyUser,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let id = parse_id(&id)?;
    let now = app.clock.now();
    let mut transaction = begin(&app.pool).await?;
    queries::lock(&mut transaction, id).await?;
    let row = queries::by_id(&mut transaction, id, None).await?.ok_or(ApiError::GongguNotFound)?;
    permit(&user, row.influencer_id)?;
    queries::delete(&mut transaction, id, now.to_utc()).await?;
    let before = GongguResponse::new(row, now);
    audit::record(&mut transaction, user.0.id, "gonggu.delete", (Some(&before), None)).await?;
    transaction.commit().await?;
    in_force(&app, id).await;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) fn parse_id(id: &str) -> Result<Uuid, ApiError> {
    Uuid::try_parse(id).map_err(|_| ApiError::GongguNotFound)
}

/// The owner, or an admin. Whether the owner is verified is not asked: who no longer is may make nothing
/// new, but can still correct or close what buyers see in his name.
fn permit(user: &AnyUser, owner_id: Uuid) -> Result<(), ApiError> {
    if user.may_act_for(UserId(owner_id)) { Ok(()) } else { Err(ApiError::Forbidden) }
}

/// An early close stays where it was set; taking it back opens the gonggu again until its plan ends.
fn closed_at(row: &GongguRow, closed: Option<bool>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    match closed {
        None => row.closed_at,
        Some(true) => row.closed_at.or(Some(now)),
        Some(false) => None,
    }
}

/// Waits until `/go` of this process follows what was committed. If that fails the call has succeeded all
/// the same (an error would have it repeated): the links are told to be behind and find it themselves.
async fn in_force(app: &App, id: Uuid) {
    app.catalog.changed();
    if let Err(error) = app.links.refresh(GongguId(id)).await {
        tracing::warn!(
            error = &error as &(dyn std::error::Error + 'static),
            gonggu.id = %id,
            "a change is stored but could not be read back for redirects; links are read again"
        );
    }
}

/// The answer to a change, read before its commit: after it nothing may fail any more.
async fn whole(app: &App, connection: &mut PgConnection, id: Uuid) -> Result<GongguResponse, ApiError> {
    let row = queries::by_id(connection, id, None).await?.ok_or(ApiError::GongguNotFound)?;
    Ok(GongguResponse::new(row, app.clock.now()))
}

#[cfg(test)]
mod tests;
