//! `/coupons`: what somebody redeemed, and redeeming.

use crate::app::App;
use crate::coupons::types::{CouponRedemptionListResponse, CouponRedemptionResponse};
use crate::coupons::{check, queries};
use crate::http::auth::AnyUser;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::extract::{ClientAddress, Path, Query};
use crate::http::page::PageQuery;
use axum::Json;
use axum::extract::State;
use gonggumoa_analytics::postgres::begin::begin;
use http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes under `/coupons`.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_own_coupons)).routes(routes!(redeem_coupon))
}

/// The coupons that the signed-in account has redeemed, newest first. `sort` is `redeemed_at`.
#[utoipa::path(get, path = "/coupons", tag = "coupons", security(("bearer" = [])), params(PageQuery),
    extensions(("x-required-role" = json!("user"))),
    responses((status = 200, body = CouponRedemptionListResponse)))]
async fn list_own_coupons(
    State(app): State<App>,
    AnyUser(user): AnyUser,
    Query(page): Query<PageQuery>,
) -> Result<Json<CouponRedemptionListResponse>, ApiError> {
    let page = page.check(|name| matches!(name, None | Some("redeemed_at")).then_some(()))?;
    let (items, total) = queries::redemptions(&app.pool, user.id.0, page).await?;
    let pages = page.pages(total);
    Ok(Json(CouponRedemptionListResponse { items, total, page: page.page, size: page.size, pages }))
}

/// Turns a coupon into points, once a person.
#[utoipa::path(post, path = "/coupons/{code}/redeem", tag = "coupons", security(("bearer" = [])),
    extensions(("x-required-role" = json!("user"))), params(("code" = String, Path)), responses(
    (status = 201, body = CouponRedemptionResponse),
    (status = 404, body = ErrorBody, description = "`COUPON_NOT_FOUND`"),
    (status = 409, body = ErrorBody,
     description = "`COUPON_NOT_ACTIVE`, `COUPON_EXHAUSTED`, `COUPON_ALREADY_REDEEMED`"),
    (status = 429, body = ErrorBody, description = "`RATE_LIMITED`"),
))]
async fn redeem_coupon(
    State(app): State<App>,
    AnyUser(user): AnyUser,
    ClientAddress(address): ClientAddress,
    Path(code): Path<String>,
) -> Result<(StatusCode, Json<CouponRedemptionResponse>), ApiError> {
    app.coupon_limits.check(user.id.0, &app.address_key, address)?;
    let code_key = check::code_key(&code).ok_or(ApiError::CouponNotFound)?;
    let mut transaction = begin(&app.pool).await?;
    let now = app.clock.now().to_utc();
    let redeemed = queries::redeem(&mut transaction, user.id.0, &code_key, now).await?;
    transaction.commit().await?;
    Ok((StatusCode::CREATED, Json(redeemed)))
}
