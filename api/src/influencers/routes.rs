//! `/influencers`.

use crate::app::App;
use crate::gonggus::types::Status;
use crate::http::auth::{AnyUser, MaybeUser, VerifiedInfluencer};
use crate::http::check::Checks;
use crate::http::conditional::Conditional;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::extract::{JsonBody, Path, Query};
use crate::http::page::PageQuery;
use crate::http::text;
use crate::influencers::queries::{self, Sort};
use crate::influencers::types::{
    GongguFigures, InfluencerDetailResponse, InfluencerFilter, InfluencerListResponse, InfluencerOwnResponse,
    InfluencerStatsParameters, InfluencerStatsResponse, InfluencerUpdate,
};
use crate::influencers::{check, lifecycle, stats};
use crate::tracking::range;
use crate::tracking::types::{CountsBody, SeriesBody, StatsParameters, TotalsBody};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use gonggumoa_analytics::postgres::begin::begin;
use gonggumoa_core::ids::GongguId;
use http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// Somebody else's subscription may be seen a little later.
const MAX_AGE_SECONDS: u32 = 5;
const STATS_SIZE: i64 = 100;
pub(crate) const Q_MAX_CHARS: usize = 100;

/// The routes under `/influencers`.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(apply))
        .routes(routes!(own, update))
        .routes(routes!(own_stats))
        .routes(routes!(read))
}

/// A page of verified influencers.
#[utoipa::path(get, path = "/influencers", tag = "influencers", operation_id = "list_influencers", params(InfluencerFilter), responses(
    (status = 200, body = InfluencerListResponse),
    (status = 304, description = "`If-None-Match` names the present `ETag`"),
))]
async fn list(
    State(app): State<App>,
    conditional: Conditional,
    Query(filter): Query<InfluencerFilter>,
) -> Result<Response, ApiError> {
    let mut checks = Checks::new();
    let q = filter.q.as_deref().and_then(|q| text::sought(q, Q_MAX_CHARS, &mut checks));
    checks.finish()?;
    let page = PageQuery { page: filter.page, size: filter.size, sort: filter.sort, order: filter.order };
    let page = page.check(Sort::parse)?;
    let q = q.as_deref();
    let total = queries::count(&app.pool, q).await?;
    let items = queries::page(&app.pool, q, page, app.clock.now().to_utc()).await?;
    conditional.answer(&InfluencerListResponse::new(items, total, &page), MAX_AGE_SECONDS)
}

/// One verified influencer; signed in, with whether one subscribes.
#[utoipa::path(get, path = "/influencers/{id}", tag = "influencers", operation_id = "read_influencer", params(("id" = Uuid, Path)), responses(
    (status = 200, body = InfluencerDetailResponse),
    (status = 304, description = "`If-None-Match` names the present `ETag`"),
    (status = 404, body = ErrorBody, description = "`INFLUENCER_NOT_FOUND`"),
))]
async fn read(
    State(app): State<App>,
    MaybeUser(user): MaybeUser,
    conditional: Conditional,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let id = Uuid::try_parse(&id).map_err(|_| ApiError::InfluencerNotFound)?;
    let viewer_id = user.map(|user| user.id.0);
    let found = queries::by_id(&app.pool, id, viewer_id, app.clock.now().to_utc()).await?;
    conditional.answer(&found.ok_or(ApiError::InfluencerNotFound)?, MAX_AGE_SECONDS)
}

/// Asks to become an influencer: pending until an admin decides. After a refusal one may ask again.
#[utoipa::path(post, path = "/influencers/apply", tag = "influencers", operation_id = "apply_as_influencer", security(("bearer" = [])),
    extensions(("x-required-role" = json!("user"))), request_body = InfluencerUpdate, responses(
    (status = 201, body = InfluencerOwnResponse),
    (status = 409, body = ErrorBody, description = "`ALREADY_INFLUENCER` or `APPLICATION_PENDING`"),
))]
async fn apply(
    State(app): State<App>,
    AnyUser(user): AnyUser,
    JsonBody(body): JsonBody<InfluencerUpdate>,
) -> Result<(StatusCode, Json<InfluencerOwnResponse>), ApiError> {
    let profile = check::profile(body)?;
    let id = user.id.0;
    let mut transaction = begin(&app.pool).await?;
    lifecycle::apply(&mut transaction, id, &profile, app.clock.now().to_utc()).await?;
    let own = queries::own(&mut transaction, id).await?.ok_or(ApiError::InfluencerNotFound)?;
    transaction.commit().await?;
    lifecycle::in_force(&app, id).await;
    Ok((StatusCode::CREATED, Json(own)))
}

/// One's own profile, and where one's application stands.
#[utoipa::path(get, path = "/influencers/me", tag = "influencers", operation_id = "read_own_influencer", security(("bearer" = [])),
    extensions(("x-required-role" = json!("user"))), responses(
    (status = 200, body = InfluencerOwnResponse),
    (status = 404, body = ErrorBody, description = "`INFLUENCER_NOT_FOUND`: never applied"),
))]
async fn own(
    State(app): State<App>,
    AnyUser(user): AnyUser,
) -> Result<Json<InfluencerOwnResponse>, ApiError> {
    let mut connection = app.pool.acquire().await?;
    queries::own(&mut connection, user.id.0).await?.map(Json).ok_or(ApiError::InfluencerNotFound)
}

/// Changes one's own profile.
#[utoipa::path(put, path = "/influencers/me", tag = "influencers", operation_id = "update_own_influencer", security(("bearer" = [])),
    extensions(("x-required-role" = json!("influencer"))), request_body = InfluencerUpdate, responses(
    (status = 200, body = InfluencerOwnResponse),
    (status = 404, body = ErrorBody, description = "`INFLUENCER_NOT_FOUND`: an admin without a profile"),
))]
async fn update(
    State(app): State<App>,
    VerifiedInfluencer(user): VerifiedInfluencer,
    JsonBody(body): JsonBody<InfluencerUpdate>,
) -> Result<Json<InfluencerOwnResponse>, ApiError> {
    let profile = check::profile(body)?;
    if !queries::update(&app.pool, user.id.0, &profile).await? {
        return Err(ApiError::InfluencerNotFound);
    }
    let mut connection = app.pool.acquire().await?;
    queries::own(&mut connection, user.id.0).await?.map(Json).ok_or(ApiError::InfluencerNotFound)
}

/// The figures of one's own gonggus: all together, and each on this page. Of very many, only so long a range is
/// summed as stays within a million gonggus times buckets.
#[utoipa::path(get, path = "/influencers/me/stats", tag = "influencers", operation_id = "read_own_influencer_stats", security(("bearer" = [])),
    extensions(("x-required-role" = json!("influencer"))), params(InfluencerStatsParameters), responses(
    (status = 200, body = InfluencerStatsResponse),
    (status = 422, body = ErrorBody, description = "`VALIDATION_ERROR` or `RANGE_TOO_LARGE`"),
))]
async fn own_stats(
    State(app): State<App>,
    VerifiedInfluencer(user): VerifiedInfluencer,
    Query(asked): Query<InfluencerStatsParameters>,
) -> Result<Json<InfluencerStatsResponse>, ApiError> {
    let size = asked.size.or(Some(STATS_SIZE));
    let page = PageQuery { page: asked.page, size, ..PageQuery::default() }.check(|_| Some(()))?;
    let now = app.clock.now();
    let (total, first) = queries::own_gonggu_span(&app.pool, user.id.0).await?;
    let asked = StatsParameters { from: asked.from, to: asked.to, interval: asked.interval, tz: asked.tz };
    let range = range::resolve(&asked, first.unwrap_or_else(|| now.to_utc()), now)?;
    let gonggus = queries::own_gonggus(&app.pool, user.id.0, &page).await?;
    // of all, not of the page alone
    let ids = queries::own_gonggu_ids(&app.pool, user.id.0, range.to.to_utc()).await?;
    let ids: Vec<GongguId> = ids.into_iter().map(GongguId).collect();
    let sum = stats::together(&app.figures, &ids, range).await?;
    let figures = |gonggu: queries::OwnGonggu| {
        // one made after the range has nothing in it
        let each = sum.each.get(&GongguId(gonggu.id)).copied().unwrap_or_default();
        let counts = CountsBody::from(&each.totals);
        GongguFigures {
            gonggu_id: gonggu.id,
            status: Status::at(now, gonggu.open_at, gonggu.close_at, gonggu.closed_at),
            title: gonggu.title,
            is_deleted: gonggu.deleted_at.is_some(),
            totals: TotalsBody { counts, unique_visitors: each.unique_visitors },
        }
    };
    let point = |point: &crate::tracking::figures::SeriesPoint| SeriesBody {
        at: point.at.to_utc(),
        counts: CountsBody::from(&point.counts),
    };
    Ok(Json(InfluencerStatsResponse {
        from: range.from.to_utc(),
        to: range.to.to_utc(),
        interval: range.interval.into(),
        tz: range.tz.name().to_owned(),
        totals: CountsBody::from(&sum.totals),
        series: sum.series.iter().map(point).collect(),
        complete_through: sum.complete_through.filter(|at| at.0 > 0).map(|at| at.to_utc()),
        items: gonggus.into_iter().map(figures).collect(),
        total,
        page: page.page,
        size: page.size,
        pages: page.pages(total),
    }))
}
