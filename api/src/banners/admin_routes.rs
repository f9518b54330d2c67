//! `/admin/banners`.

use crate::admin::audit::{self, AuditEntry};
use crate::app::App;
use crate::banners::queries::Sort;
use crate::banners::types::{BannerCreate, BannerFilter, BannerListResponse, BannerResponse, BannerUpdate};
use crate::banners::{check, queries};
use crate::http::auth::Admin;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::extract::{JsonBody, Path, Query};
use crate::http::page::PageQuery;
use axum::Json;
use axum::extract::State;
use gonggumoa_analytics::postgres::begin::begin;
use http::StatusCode;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// The routes under `/admin/banners`.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_banners, create_banner))
        .routes(routes!(update_banner, delete_banner))
}

/// A page of banners, shown or not. `sort` is `created_at` (default), `sort_order`, `starts_at` or `ends_at`.
#[utoipa::path(get, path = "/admin/banners", tag = "banners", security(("bearer" = [])),
    extensions(("x-required-role" = json!("admin"))), params(BannerFilter, PageQuery),
    responses((status = 200, body = BannerListResponse)))]
async fn list_banners(
    State(app): State<App>,
    _admin: Admin,
    Query(filter): Query<BannerFilter>,
    Query(page): Query<PageQuery>,
) -> Result<Json<BannerListResponse>, ApiError> {
    check::filter(&filter)?;
    let page = page.check(Sort::parse)?;
    let (items, total) = queries::list(&app.pool, filter.slot.as_deref(), page).await?;
    let pages = page.pages(total);
    Ok(Json(BannerListResponse { items, total, page: page.page, size: page.size, pages }))
}

/// A new banner.
#[utoipa::path(post, path = "/admin/banners", tag = "banners", security(("bearer" = [])),
    extensions(("x-required-role" = json!("admin"))), request_body = BannerCreate,
    responses((status = 201, body = BannerResponse)))]
async fn create_banner(
    State(app): State<App>,
    Admin(admin): Admin,
    JsonBody(body): JsonBody<BannerCreate>,
) -> Result<(StatusCode, Json<BannerResponse>), ApiError> {
    let checked = check::check(body)?;
    let mut transaction = begin(&app.pool).await?;
    let banner = queries::insert(&mut transaction, &checked, app.clock.now().to_utc()).await?;
    let entry = AuditEntry::new(admin.id.0, "banner.create", ("banner", banner.id), json!({"after": banner}));
    audit::record(&mut transaction, &entry).await?;
    transaction.commit().await?;
    Ok((StatusCode::CREATED, Json(banner)))
}

/// Replaces a banner.
#[utoipa::path(put, path = "/admin/banners/{id}", tag = "banners", security(("bearer" = [])),
    extensions(("x-required-role" = json!("admin"))), params(("id" = Uuid, Path)),
    request_body = BannerUpdate, responses(
    (status = 200, body = BannerResponse),
    (status = 404, body = ErrorBody, description = "`BANNER_NOT_FOUND`"),
))]
async fn update_banner(
    State(app): State<App>,
    Admin(admin): Admin,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<BannerUpdate>,
) -> Result<Json<BannerResponse>, ApiError> {
    let id = parse_id(&id)?;
    let checked = check::check(body.0)?;
    let mut transaction = begin(&app.pool).await?;
    let before = queries::lock(&mut transaction, id).await?.ok_or(ApiError::BannerNotFound)?;
    let banner = queries::update(&mut transaction, id, &checked, app.clock.now().to_utc()).await?;
    let details = json!({"before": before, "after": banner});
    audit::record(&mut transaction, &AuditEntry::new(admin.id.0, "banner.update", ("banner", id), details))
        .await?;
    transaction.commit().await?;
    Ok(Json(banner))
}

/// Removes a banner.
#[utoipa::path(delete, path = "/admin/banners/{id}", tag = "banners", security(("bearer" = [])),
    extensions(("x-required-role" = json!("admin"))), params(("id" = Uuid, Path)), responses(
    (status = 204),
    (status = 404, body = ErrorBody, description = "`BANNER_NOT_FOUND`"),
))]
async fn delete_banner(
    State(app): State<App>,
    Admin(admin): Admin,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let id = parse_id(&id)?;
    let mut transaction = begin(&app.pool).await?;
    let before = queries::lock(&mut transaction, id).await?.ok_or(ApiError::BannerNotFound)?;
    queries::delete(&mut transaction, id).await?;
    let entry = AuditEntry::new(admin.id.0, "banner.delete", ("banner", id), json!({"before": before}));
    audit::record(&mut transaction, &entry).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

fn parse_id(id: &str) -> Result<Uuid, ApiError> {
    Uuid::try_parse(id).map_err(|_| ApiError::BannerNotFound)
}
