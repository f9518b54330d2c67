//! `/gonggus`. A change is in force for `/go` of this process before its answer is sent.

use crate::app::App;
use crate::categories;
use crate::gonggus::check;
use crate::gonggus::queries::{self, Sort};
use crate::gonggus::types::{
    GongguCreate, GongguFilter, GongguListResponse, GongguResponse, GongguRow, GongguUpdate,
};
use crate::http::auth::{AnyUser, VerifiedInfluencer};
use crate::http::error::{ApiError, ErrorBody};
use crate::http::extract::{JsonBody, Query};
use crate::http::page::PageQuery;
use crate::users::types::UserRole;
use axum::Json;
use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use gonggumoa_analytics::postgres::begin::begin;
use gonggumoa_core::ids::{GongguId, UserId};
use http::StatusCode;
use sqlx::PgConnection;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// The routes under `/gonggus`.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(read, update, delete))
}

/// A page of gonggus.
#[utoipa::path(get, path = "/gonggus", tag = "gonggus", params(GongguFilter), responses(
    (status = 200, body = GongguListResponse),
    (status = 422, body = ErrorBody),
))]
async fn list(
    State(app): State<App>,
    Query(filter): Query<GongguFilter>,
) -> Result<Json<GongguListResponse>, ApiError> {
    let page =
        PageQuery { page: filter.page, size: filter.size, sort: filter.sort.clone(), order: filter.order };
    let page = page.check(Sort::parse)?;
    let now = app.clock.now();
    let (rows, total) = queries::list(&app.pool, &filter, page, now.to_utc()).await?;
    let mut connection = app.pool.acquire().await?;
    let items = with_categories(&app, &mut connection, rows).await?;
    let pages = page.pages(total);
    Ok(Json(GongguListResponse { items, total, page: page.page, size: page.size, pages }))
}

/// A new gonggu.
#[utoipa::path(post, path = "/gonggus", tag = "gonggus", security(("bearer" = [])),
    extensions(("x-required-role" = json!("influencer"))),
    request_body = GongguCreate, responses(
    (status = 201, body = GongguResponse),
    (status = 403, body = ErrorBody),
    (status = 422, body = ErrorBody, description = "`VALIDATION_ERROR` or `TOO_MANY_CATEGORIES`"),
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
    transaction.commit().await?;
    in_force(&app, id).await;
    Ok((StatusCode::CREATED, Json(response)))
}

/// One gonggu.
#[utoipa::path(get, path = "/gonggus/{id}", tag = "gonggus", params(("id" = Uuid, Path)), responses(
    (status = 200, body = GongguResponse),
    (status = 404, body = ErrorBody),
))]
async fn read(State(app): State<App>, Path(id): Path<String>) -> Result<Json<GongguResponse>, ApiError> {
    let id = parse_id(&id)?;
    let mut connection = app.pool.acquire().await?;
    Ok(Json(whole(&app, &mut connection, id).await?))
}

/// Changes a gonggu; `closed: true` closes it now.
#[utoipa::path(put, path = "/gonggus/{id}", tag = "gonggus", security(("bearer" = [])),
    extensions(("x-required-role" = json!("owner"))),
    params(("id" = Uuid, Path)), request_body = GongguUpdate, responses(
    (status = 200, body = GongguResponse),
    (status = 403, body = ErrorBody),
    (status = 404, body = ErrorBody),
    (status = 422, body = ErrorBody),
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
    let row = queries::by_id(&mut transaction, id).await?.ok_or(ApiError::GongguNotFound)?;
    permit(&user, row.influencer_id)?;
    let checked = check::update(&row, &body)?;
    let closed_at = closed_at(&row, body.closed, now);
    queries::update(&mut transaction, id, &checked, closed_at, now).await?;
    if let Some(category_ids) = &body.category_ids {
        queries::set_categories(&mut transaction, id, category_ids).await?;
    }
    let response = whole(&app, &mut transaction, id).await?;
    transaction.commit().await?;
    in_force(&app, id).await;
    Ok(Json(response))
}

/// Deletes a gonggu; its clicks and money stay.
#[utoipa::path(delete, path = "/gonggus/{id}", tag = "gonggus", security(("bearer" = [])),
    extensions(("x-required-role" = json!("owner"))),
    params(("id" = Uuid, Path)), responses(
    (status = 204),
    (status = 403, body = ErrorBody),
    (status = 404, body = ErrorBody),
))]
async fn delete(
    State(app): State<App>,
    user: AnyUser,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let id = parse_id(&id)?;
    let mut connection = app.pool.acquire().await?;
    let row = queries::by_id(&mut connection, id).await?.ok_or(ApiError::GongguNotFound)?;
    drop(connection);
    permit(&user, row.influencer_id)?;
    if !queries::delete(&app.pool, id, app.clock.now().to_utc()).await? {
        return Err(ApiError::GongguNotFound);
    }
    in_force(&app, id).await;
    Ok(StatusCode::NO_CONTENT)
}

fn parse_id(id: &str) -> Result<Uuid, ApiError> {
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
    if let Err(error) = app.links.refresh(GongguId(id)).await {
        tracing::warn!(
            error = &error as &(dyn std::error::Error + 'static),
            gonggu.id = %id,
            "a change is stored but could not be read back for redirects; links are read again"
        );
    }
}

/// The answer to a call. A change reads it before its commit: after it nothing may fail any more.
async fn whole(app: &App, connection: &mut PgConnection, id: Uuid) -> Result<GongguResponse, ApiError> {
    let row = queries::by_id(connection, id).await?.ok_or(ApiError::GongguNotFound)?;
    with_categories(app, connection, vec![row]).await?.pop().ok_or(ApiError::GongguNotFound)
}

async fn with_categories(
    app: &App,
    connection: &mut PgConnection,
    rows: Vec<GongguRow>,
) -> Result<Vec<GongguResponse>, ApiError> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let found = categories::queries::of_gonggus(connection, &ids).await?;
    let now = app.clock.now();
    let whole = |row: GongguRow| {
        let own = found.iter().filter(|(id, _)| *id == row.id).map(|(_, category)| category.clone());
        let own = own.collect();
        GongguResponse::new(row, own, now)
    };
    Ok(rows.into_iter().map(whole).collect())
}

#[cfg(test)]
mod tests;
