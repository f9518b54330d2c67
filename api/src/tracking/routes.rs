//! The tracking calls. `/go` is served by `tracking::edge` before the router; it stands here for its
//! description, and for the methods that it does not know.

use crate::app::App;
use crate::http::address::Peer;
use crate::http::auth::AnyUser;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::extract::{ClientAddress, JsonBody, Path, Query};
use crate::tracking::edge::{self, EdgeRequest};
use crate::tracking::facts::HeaderFacts;
use crate::tracking::figures::{StatsError, StatsQuery};
use crate::tracking::queries::{self, GongguOwner};
use crate::tracking::types::{ClickCreate, ClickResponse, LiveBody, StatsParameters, StatsResponse};
use crate::tracking::{csv, live, range};
use crate::users::types::UserRole;
use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use gonggumoa_core::click::{ClickMethod, Endpoint};
use gonggumoa_core::ids::GongguId;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tokio::runtime::Handle;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// The routes under `/tracking`, and `/go`.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create_click))
        .routes(routes!(stats))
        .routes(routes!(stats_live))
        .routes(routes!(clicks_csv))
        .routes(routes!(go))
}

/// Records a click and says where it leads.
#[utoipa::path(post, path = "/tracking/click", tag = "tracking", request_body = ClickCreate, responses(
    (status = 201, body = ClickResponse),
    (status = 404, body = ErrorBody, description = "`GONGGU_NOT_FOUND`"),
    (status = 409, body = ErrorBody, description = "`GONGGU_NOT_ACTIVE`; recorded all the same"),
    (status = 415, body = ErrorBody),
    (status = 503, body = ErrorBody, description = "`CLICK_NOT_RECORDED`"),
))]
async fn create_click(
    State(app): State<App>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    JsonBody(body): JsonBody<ClickCreate>,
) -> Result<Response, ApiError> {
    let request = EdgeRequest {
        gonggu_id: GongguId(body.gonggu_id),
        endpoint: Endpoint::Post,
        method: ClickMethod::Post,
        facts: &HeaderFacts::read(&headers),
        address,
    };
    let taken = edge::take(&app, &Handle::current(), request).await?;
    let click_id = taken.click_id.ok_or(ApiError::ClickNotRecorded)?;
    let mut response = match taken.destination {
        Some(destination) => {
            let redirect_url = destination.to_str().map_err(ApiError::internal)?.to_owned();
            (StatusCode::CREATED, Json(ClickResponse { click_id: click_id.0, redirect_url })).into_response()
        }
        None => ApiError::GongguNotActive.into_response(),
    };
    edge::mark(&mut response, Some(click_id));
    Ok(response)
}

/// The short link: records the click and redirects to the shop. Also at the root, as `/go/{gonggu_id}`.
#[utoipa::path(get, path = "/go/{gonggu_id}", tag = "tracking", params(("gonggu_id" = Uuid, Path)), responses(
    (status = 302, description = "to the shop, or to the gonggu's page if it is not open",
     headers(("X-Click-Id" = Uuid, description = "present if the click was recorded"))),
    (status = 404, body = ErrorBody, description = "`GONGGU_NOT_FOUND`; not recorded"),
    (status = 409, body = ErrorBody, description = "`GONGGU_NOT_ACTIVE`; recorded all the same"),
))]
pub(crate) async fn go(
    State(app): State<App>,
    Extension(Peer(peer)): Extension<Peer>,
    Path(id): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let method = if method == Method::HEAD { ClickMethod::Head } else { ClickMethod::Get };
    let address = app.proxies.client_by(peer, &headers);
    edge::go(&app, &Handle::current(), &id, method, &HeaderFacts::read(&headers), address).await
}

/// The figures of one gonggu.
#[utoipa::path(get, path = "/tracking/stats/{gonggu_id}", tag = "tracking", security(("bearer" = [])),
    extensions(("x-required-role" = json!("owner"))),
    params(("gonggu_id" = Uuid, Path), StatsParameters), responses(
    (status = 200, body = StatsResponse),
    (status = 403, body = ErrorBody),
    (status = 404, body = ErrorBody, description = "`GONGGU_NOT_FOUND`"),
    (status = 422, body = ErrorBody, description = "`VALIDATION_ERROR` or `RANGE_TOO_LARGE`"),
))]
async fn stats(
    State(app): State<App>,
    user: AnyUser,
    Path(id): Path<String>,
    Query(asked): Query<StatsParameters>,
) -> Result<Json<StatsResponse>, ApiError> {
    let (gonggu_id, owned) = visible(&app, &user, &id).await?;
    let range = range::resolve(&asked, owned.created_at, app.clock.now())?;
    let query =
        StatsQuery { gonggu_id, from: range.from, to: range.to, interval: range.interval, tz: range.tz };
    let stats = app.figures.gonggu_stats(&query).await?;
    Ok(Json(StatsResponse::new(gonggu_id.0, stats)))
}

/// Totals as they change, as server-sent events named `totals`.
#[utoipa::path(get, path = "/tracking/stats/{gonggu_id}/live", tag = "tracking", security(("bearer" = [])),
    extensions(("x-required-role" = json!("owner"))),
    params(("gonggu_id" = Uuid, Path)), responses(
    (status = 200, body = LiveBody, content_type = "text/event-stream"),
    (status = 403, body = ErrorBody),
    (status = 404, body = ErrorBody, description = "`GONGGU_NOT_FOUND`"),
))]
async fn stats_live(
    State(app): State<App>,
    user: AnyUser,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let (gonggu_id, owned) = visible(&app, &user, &id).await?;
    let keep_alive = KeepAlive::new().interval(app.settings.live_heartbeat);
    let viewer = live::Viewer { identity: user.0, owner: owned.owner_id };
    let events = live::events(app, viewer, gonggu_id, owned.created_at).await;
    let mut response = Sse::new(events).keep_alive(keep_alive).into_response();
    // a buffering proxy would hold events back
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// The evidence: every click of the range, one a row. Owners see masked addresses.
#[utoipa::path(get, path = "/tracking/stats/{gonggu_id}/clicks.csv", tag = "tracking",
    security(("bearer" = [])), extensions(("x-required-role" = json!("owner"))),
    params(("gonggu_id" = Uuid, Path), StatsParameters), responses(
    (status = 200, body = String, content_type = "text/csv"),
    (status = 403, body = ErrorBody),
    (status = 404, body = ErrorBody, description = "`GONGGU_NOT_FOUND`"),
    (status = 422, body = ErrorBody, description = "`VALIDATION_ERROR`, `RANGE_TOO_LARGE`"),
))]
async fn clicks_csv(
    State(app): State<App>,
    user: AnyUser,
    Path(id): Path<String>,
    Query(asked): Query<StatsParameters>,
) -> Result<Response, ApiError> {
    let (gonggu_id, owned) = visible(&app, &user, &id).await?;
    let range = range::resolve(&asked, owned.created_at, app.clock.now())?;
    let rows = app.figures.evidence(gonggu_id, range.from, range.to);
    let body = Body::from_stream(csv::stream(rows, user.0.role == UserRole::Admin));
    let disposition = format!("attachment; filename=\"clicks-{gonggu_id}.csv\"");
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_str(&disposition).map_err(ApiError::internal)?),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, body).into_response())
}

/// The gonggu, if this person may see its figures. That it exists is public, hence 403 and not 404.
async fn visible(app: &App, user: &AnyUser, id: &str) -> Result<(GongguId, GongguOwner), ApiError> {
    let gonggu_id = Uuid::try_parse(id).map(GongguId).map_err(|_| ApiError::GongguNotFound)?;
    let owned = queries::gonggu_owner(&app.pool, gonggu_id).await?.ok_or(ApiError::GongguNotFound)?;
    if user.may_act_for(owned.owner_id) { Ok((gonggu_id, owned)) } else { Err(ApiError::Forbidden) }
}

impl From<StatsError> for ApiError {
    fn from(error: StatsError) -> Self {
        match error {
            StatsError::RangeTooLarge { buckets } => Self::RangeTooLarge { buckets },
            StatsError::Store(error) => error.into(),
        }
    }
}
