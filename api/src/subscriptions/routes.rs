//! `/subscriptions`.

use crate::app::App;
use crate::gonggus::types::GongguListResponse;
use crate::http::auth::AnyUser;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::extract::{JsonBody, Path, Query};
use crate::http::page::{PageQuery, PageRequest};
use crate::subscriptions::queries;
use crate::subscriptions::types::{
    SubscriptionListParameters, SubscriptionListResponse, SubscriptionResponse, SubscriptionUpdate,
};
use axum::Json;
use axum::extract::State;
use http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// The routes under `/subscriptions`.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(feed)).routes(routes!(subscribe, end, update))
}

/// One's own subscriptions, the latest first; while an influencer's account is not active, his is left out.
#[utoipa::path(get, path = "/subscriptions", tag = "subscriptions", operation_id = "list_subscriptions", security(("bearer" = [])),
    extensions(("x-required-role" = json!("user"))), params(SubscriptionListParameters), responses(
    (status = 200, body = SubscriptionListResponse),
))]
async fn list(
    State(app): State<App>,
    AnyUser(user): AnyUser,
    Query(asked): Query<SubscriptionListParameters>,
) -> Result<Json<SubscriptionListResponse>, ApiError> {
    let page = checked(asked)?;
    let total = queries::count(&app.pool, user.id.0).await?;
    let items = queries::page(&app.pool, user.id.0, page).await?;
    Ok(Json(SubscriptionListResponse::new(items, total, page)))
}

/// The gonggus of the influencers one subscribes to, newest first.
#[utoipa::path(get, path = "/subscriptions/feed", tag = "subscriptions", operation_id = "read_feed", security(("bearer" = [])),
    extensions(("x-required-role" = json!("user"))), params(SubscriptionListParameters), responses(
    (status = 200, body = GongguListResponse),
))]
async fn feed(
    State(app): State<App>,
    AnyUser(user): AnyUser,
    Query(asked): Query<SubscriptionListParameters>,
) -> Result<Json<GongguListResponse>, ApiError> {
    let page = checked(asked)?;
    let total = queries::feed_count(&app.pool, user.id.0).await?;
    let rows = queries::feed(&app.pool, user.id.0, page).await?;
    Ok(Json(GongguListResponse::new(rows, total, &page, app.clock.now())))
}

/// Subscribes. Again is the same.
#[utoipa::path(post, path = "/subscriptions/{influencer_id}", tag = "subscriptions", operation_id = "create_subscription", security(("bearer" = [])),
    extensions(("x-required-role" = json!("user"))), params(("influencer_id" = Uuid, Path)), responses(
    (status = 201, body = SubscriptionResponse),
    (status = 200, body = SubscriptionResponse, description = "subscribed already"),
    (status = 404, body = ErrorBody, description = "`INFLUENCER_NOT_FOUND`"),
    (status = 409, body = ErrorBody, description = "`SELF_SUBSCRIPTION`"),
))]
async fn subscribe(
    State(app): State<App>,
    AnyUser(user): AnyUser,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<SubscriptionResponse>), ApiError> {
    let influencer_id = parse_id(&id)?;
    if influencer_id == user.id.0 {
        return Err(ApiError::SelfSubscription);
    }
    let now = app.clock.now().to_utc();
    let made = queries::subscribe(&app.pool, user.id.0, influencer_id, now).await?;
    let made = made.ok_or(ApiError::InfluencerNotFound)?;
    let status = if made.is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(made.response(influencer_id))))
}

/// Ends a subscription. Again is the same.
#[utoipa::path(delete, path = "/subscriptions/{influencer_id}", tag = "subscriptions", operation_id = "delete_subscription",
    security(("bearer" = [])), extensions(("x-required-role" = json!("user"))),
    params(("influencer_id" = Uuid, Path)), responses(
    (status = 204),
    (status = 404, body = ErrorBody, description = "`INFLUENCER_NOT_FOUND`: the id is malformed"),
))]
async fn end(
    State(app): State<App>,
    AnyUser(user): AnyUser,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    queries::end(&app.pool, user.id.0, parse_id(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Says whether new gonggus are told.
#[utoipa::path(patch, path = "/subscriptions/{influencer_id}", tag = "subscriptions", operation_id = "update_subscription",
    security(("bearer" = [])), extensions(("x-required-role" = json!("user"))),
    params(("influencer_id" = Uuid, Path)), request_body = SubscriptionUpdate, responses(
    (status = 200, body = SubscriptionResponse),
    (status = 404, body = ErrorBody, description = "`INFLUENCER_NOT_FOUND` or `SUBSCRIPTION_NOT_FOUND`"),
))]
async fn update(
    State(app): State<App>,
    AnyUser(user): AnyUser,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<SubscriptionUpdate>,
) -> Result<Json<SubscriptionResponse>, ApiError> {
    let influencer_id = parse_id(&id)?;
    if !queries::set_notify(&app.pool, user.id.0, influencer_id, body.notify_enabled).await? {
        return Err(ApiError::SubscriptionNotFound);
    }
    let subscription = queries::one(&app.pool, user.id.0, influencer_id).await?;
    subscription.map(Json).ok_or(ApiError::SubscriptionNotFound)
}

fn checked(asked: SubscriptionListParameters) -> Result<PageRequest<()>, ApiError> {
    PageQuery { page: asked.page, size: asked.size, ..PageQuery::default() }.check(|_| Some(()))
}

fn parse_id(id: &str) -> Result<Uuid, ApiError> {
    Uuid::try_parse(id).map_err(|_| ApiError::InfluencerNotFound)
}
