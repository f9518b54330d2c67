//! `/admin/coupons`.

use crate::admin::audit::{self, AuditEntry};
use crate::app::App;
use crate::coupons::queries::Sort;
use crate::coupons::types::{CouponCreate, CouponListResponse, CouponResponse, CouponUpdate};
use crate::coupons::{check, queries};
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

/// The routes under `/admin/coupons`.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_coupons, create_coupon))
        .routes(routes!(update_coupon, delete_coupon))
}

/// A page of coupons. `sort` is `created_at` (default), `starts_at`, `ends_at` or `redeemed_count`.
#[utoipa::path(get, path = "/admin/coupons", tag = "coupons", security(("bearer" = [])), params(PageQuery),
    extensions(("x-required-role" = json!("admin"))), responses((status = 200, body = CouponListResponse)))]
async fn list_coupons(
    State(app): State<App>,
    _admin: Admin,
    Query(page): Query<PageQuery>,
) -> Result<Json<CouponListResponse>, ApiError> {
    let page = page.check(Sort::parse)?;
    let (items, total) = queries::list(&app.pool, page).await?;
    let pages = page.pages(total);
    Ok(Json(CouponListResponse { items, total, page: page.page, size: page.size, pages }))
}

/// A new coupon.
#[utoipa::path(post, path = "/admin/coupons", tag = "coupons", security(("bearer" = [])),
    extensions(("x-required-role" = json!("admin"))), request_body = CouponCreate, responses(
    (status = 201, body = CouponResponse),
    (status = 409, body = ErrorBody, description = "`COUPON_CODE_TAKEN`"),
))]
async fn create_coupon(
    State(app): State<App>,
    Admin(admin): Admin,
    JsonBody(body): JsonBody<CouponCreate>,
) -> Result<(StatusCode, Json<CouponResponse>), ApiError> {
    let checked = check::check(body)?;
    let mut transaction = begin(&app.pool).await?;
    let coupon = queries::insert(&mut transaction, &checked, app.clock.now().to_utc()).await?;
    let entry = AuditEntry::new(admin.id.0, "coupon.create", ("coupon", coupon.id), json!({"after": coupon}));
    audit::record(&mut transaction, &entry).await?;
    transaction.commit().await?;
    Ok((StatusCode::CREATED, Json(coupon)))
}

/// Replaces a coupon; what has been redeemed stays as it was.
#[utoipa::path(put, path = "/admin/coupons/{id}", tag = "coupons", security(("bearer" = [])),
    extensions(("x-required-role" = json!("admin"))), params(("id" = Uuid, Path)),
    request_body = CouponUpdate, responses(
    (status = 200, body = CouponResponse),
    (status = 404, body = ErrorBody, description = "`COUPON_NOT_FOUND`"),
    (status = 409, body = ErrorBody, description = "`COUPON_CODE_TAKEN`"),
))]
async fn update_coupon(
    State(app): State<App>,
    Admin(admin): Admin,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<CouponUpdate>,
) -> Result<Json<CouponResponse>, ApiError> {
    let id = parse_id(&id)?;
    let checked = check::check(body.0)?;
    let mut transaction = begin(&app.pool).await?;
    let before = queries::lock(&mut transaction, id).await?.ok_or(ApiError::CouponNotFound)?;
    let coupon = queries::update(&mut transaction, id, &checked, app.clock.now().to_utc()).await?;
    let details = json!({"before": before, "after": coupon});
    audit::record(&mut transaction, &AuditEntry::new(admin.id.0, "coupon.update", ("coupon", id), details))
        .await?;
    transaction.commit().await?;
    Ok(Json(coupon))
}

/// Takes a coupon away; who redeemed it keeps the points.
#[utoipa::path(delete, path = "/admin/coupons/{id}", tag = "coupons", security(("bearer" = [])),
    extensions(("x-required-role" = json!("admin"))), params(("id" = Uuid, Path)), responses(
    (status = 204),
    (status = 404, body = ErrorBody, description = "`COUPON_NOT_FOUND`"),
))]
async fn delete_coupon(
    State(app): State<App>,
    Admin(admin): Admin,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let id = parse_id(&id)?;
    let mut transaction = begin(&app.pool).await?;
    let before = queries::lock(&mut transaction, id).await?.ok_or(ApiError::CouponNotFound)?;
    queries::delete(&mut transaction, id, app.clock.now().to_utc()).await?;
    let entry = AuditEntry::new(admin.id.0, "coupon.delete", ("coupon", id), json!({"before": before}));
    audit::record(&mut transaction, &entry).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

fn parse_id(id: &str) -> Result<Uuid, ApiError> {
    Uuid::try_parse(id).map_err(|_| ApiError::CouponNotFound)
}
