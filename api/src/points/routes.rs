//! `/points` and `/admin/points`.

use crate::admin::audit::{self, AuditEntry};
use crate::admin::input;
use crate::app::App;
use crate::http::auth::{Admin, AnyUser};
use crate::http::check::Checks;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::extract::{JsonBody, Query};
use crate::http::idempotency::{self, Answer, Claim, IdempotencyKey};
use crate::http::page::PageQuery;
use crate::points::queries::{self, NewPointEntry};
use crate::points::types::{PointEntryResponse, PointsCreate, PointsResponse};
use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use gonggumoa_analytics::postgres::begin::begin;
use http::StatusCode;
use serde_json::json;
use sqlx::PgConnection;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// An admin's slip of the finger stays repairable, and no sum of such amounts leaves 64 bits.
pub(crate) const AMOUNT_MAX: i64 = 1_000_000_000;
pub(crate) const REASON_MAX_CHARS: usize = 200;
const GIVE_ROUTE: &str = "POST /admin/points";

/// The routes of points.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_points)).routes(routes!(give_points))
}

/// What the signed-in account has, and a page of its entries, newest first. `sort` is `created_at`.
#[utoipa::path(get, path = "/points", tag = "points", security(("bearer" = [])), params(PageQuery),
    extensions(("x-required-role" = json!("user"))), responses((status = 200, body = PointsResponse)))]
async fn list_points(
    State(app): State<App>,
    AnyUser(user): AnyUser,
    Query(page): Query<PageQuery>,
) -> Result<Json<PointsResponse>, ApiError> {
    let page = page.check(|name| matches!(name, None | Some("created_at")).then_some(()))?;
    let mut connection = app.pool.acquire().await?;
    // entries up to this balance, whatever comes after it meanwhile
    let (balance, total) = queries::balance(&mut connection, user.id.0).await?;
    let items = queries::entries(&mut connection, user.id.0, total, page).await?;
    let pages = page.pages(total);
    Ok(Json(PointsResponse { balance, items, total, page: page.page, size: page.size, pages }))
}

/// Gives points to an account or takes some. Sent again with the same `Idempotency-Key`, it happens once.
#[utoipa::path(post, path = "/admin/points", tag = "points", security(("bearer" = [])),
    extensions(("x-required-role" = json!("admin"))), request_body = PointsCreate,
    params(("Idempotency-Key" = Option<String>, Header,
            description = "공백 없는 ASCII 1~255자. 24시간 동안 같은 키의 같은 요청은 처음과 같은 응답을 받습니다")),
    responses(
        (status = 201, body = PointEntryResponse),
        (status = 404, body = ErrorBody, description = "`USER_NOT_FOUND`"),
        (status = 409, body = ErrorBody, description = "`POINTS_INSUFFICIENT` or `IDEMPOTENCY_IN_PROGRESS`"),
        (status = 422, body = ErrorBody, description = "`VALIDATION_ERROR` or `IDEMPOTENCY_KEY_REUSED`"),
    ))]
async fn give_points(
    State(app): State<App>,
    Admin(admin): Admin,
    key: IdempotencyKey,
    JsonBody(body): JsonBody<PointsCreate>,
) -> Result<Answer, ApiError> {
    let checked = check(body.clone())?;
    let now = app.clock.now().to_utc();
    let mut transaction = begin(&app.pool).await?;
    let given = give(&mut transaction, admin.id.0, (key, &body), checked, now).await;
    // Ended before the answer is sent, not some time after it: the key is locked until then, and a client that
    // is told "no" may ask again at once.
    match given {
        Ok(answer) => transaction.commit().await.map(|()| answer).map_err(ApiError::from),
        Err(refusal) => {
            transaction.rollback().await?;
            Err(refusal)
        }
    }
}

async fn give(
    connection: &mut PgConnection,
    admin_id: Uuid,
    (key, body): (IdempotencyKey, &PointsCreate),
    (user_id, amount, reason): (Uuid, i64, String),
    now: DateTime<Utc>,
) -> Result<Answer, ApiError> {
    let slot = match idempotency::claim(connection, (admin_id, GIVE_ROUTE), key, body, now).await? {
        Claim::Repeated(answer) => return Ok(answer),
        Claim::Fresh(slot) => slot,
    };
    let source = ("admin", Uuid::now_v7());
    let entry = NewPointEntry { user_id, amount, reason: &reason, source, created_by: admin_id };
    let entry = queries::add(connection, &entry, now).await?;
    let details = json!({"entry_id": entry.id, "amount": amount, "balance_after": entry.balance_after, "reason": reason});
    let audited = AuditEntry::new(admin_id, "points.give", ("user", user_id), details);
    audit::record(connection, &audited).await?;
    slot.keep(connection, StatusCode::CREATED, &entry, now).await
}

fn check(body: PointsCreate) -> Result<(Uuid, i64, String), ApiError> {
    let mut checks = Checks::new();
    let user_id = checks.required(body.user_id, "user_id");
    let amount = checks.required(body.amount, "amount");
    if let Some(amount) = amount {
        let fits = amount != 0 && (-AMOUNT_MAX..=AMOUNT_MAX).contains(&amount);
        checks.ensure(fits, "amount", "0이 아니고 -1000000000 이상 1000000000 이하여야 합니다");
    }
    let reason = input::text(&mut checks, body.reason, "reason", 1..=REASON_MAX_CHARS);
    checks.finish()?;
    user_id
        .zip(amount)
        .zip(reason)
        .map(|((id, amount), reason)| (id, amount, reason))
        .ok_or(ApiError::Malformed)
}
