//! `/admin/users`, `/admin/influencers`, `/admin/audit-log`.

use crate::admin::audit::{self, AuditEntry};
use crate::admin::queries::{self, UserSort};
use crate::admin::suspension::{self, StatusChange};
use crate::admin::types::{
    AdminInfluencerListResponse, AdminUserFilter, AdminUserListResponse, AdminUserResponse, AdminUserStatus,
    AdminUserUpdate, ApplicationDecision, ApplicationFilter, AuditFilter, AuditListResponse,
};
use crate::admin::{influencers, input, letters};
use crate::app::App;
use crate::http::auth::Admin;
use crate::http::check::Checks;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::extract::{JsonBody, Path, Query};
use crate::http::page::PageQuery;
use crate::influencers::lifecycle;
use crate::mail;
use axum::Json;
use axum::extract::State;
use gonggumoa_analytics::postgres::begin::begin;
use gonggumoa_core::ids::UserId;
use serde_json::json;
use std::time::Duration;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(crate) const REASON_MAX_CHARS: usize = 500;
pub(crate) const QUERY_MAX_CHARS: usize = 100;
pub(crate) const ACTION_MAX_CHARS: usize = 60;
/// A change that is stored is answered after this, whether or not it could be read back for redirects.
const IN_FORCE_MAX: Duration = Duration::from_secs(3);

/// The routes of people and of the log.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_users))
        .routes(routes!(update_user))
        .routes(routes!(list_influencers))
        .routes(routes!(approve_influencer))
        .routes(routes!(reject_influencer))
        .routes(routes!(list_audit_log))
}

/// A page of accounts. `sort` is `created_at` (default), `email` or `nickname`.
#[utoipa::path(get, path = "/admin/users", tag = "admin", security(("bearer" = [])),
    extensions(("x-required-role" = json!("admin"))), params(AdminUserFilter, PageQuery),
    responses((status = 200, body = AdminUserListResponse)))]
async fn list_users(
    State(app): State<App>,
    _admin: Admin,
    Query(mut filter): Query<AdminUserFilter>,
    Query(page): Query<PageQuery>,
) -> Result<Json<AdminUserListResponse>, ApiError> {
    let page = page.check(UserSort::parse)?;
    let mut checks = Checks::new();
    filter.q = input::text(&mut checks, filter.q, "q", 0..=QUERY_MAX_CHARS).filter(|text| !text.is_empty());
    checks.finish()?;
    let (items, total) = queries::users(&app.pool, &filter, page).await?;
    let pages = page.pages(total);
    Ok(Json(AdminUserListResponse { items, total, page: page.page, size: page.size, pages }))
}

/// Suspends an account, which ends its sessions and closes its gonggus for clicks, or takes that back.
#[utoipa::path(patch, path = "/admin/users/{id}", tag = "admin", security(("bearer" = [])),
    extensions(("x-required-role" = json!("admin"))), params(("id" = Uuid, Path)),
    request_body = AdminUserUpdate, responses(
    (status = 200, body = AdminUserResponse),
    (status = 404, body = ErrorBody, description = "`USER_NOT_FOUND`"),
    (status = 409, body = ErrorBody, description = "`OWN_ACCOUNT`"),
))]
async fn update_user(
    State(app): State<App>,
    Admin(admin): Admin,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<AdminUserUpdate>,
) -> Result<Json<AdminUserResponse>, ApiError> {
    let user_id = Uuid::try_parse(&id).map_err(|_| ApiError::UserNotFound)?;
    let (status, reason) = check_update(body)?;
    let mut transaction = begin(&app.pool).await?;
    let change = StatusChange { actor_id: admin.id.0, user_id, status, reason: &reason };
    suspension::change(&mut transaction, &change, app.clock.now().to_utc()).await?;
    let user = queries::user(&mut transaction, user_id).await?.ok_or(ApiError::UserNotFound)?;
    transaction.commit().await?;
    in_force(&app, user_id).await;
    Ok(Json(user))
}

fn check_update(body: AdminUserUpdate) -> Result<(AdminUserStatus, String), ApiError> {
    let mut checks = Checks::new();
    let status = checks.required(body.status, "status");
    let shortest = usize::from(status == Some(AdminUserStatus::Suspended));
    let reason = input::text(&mut checks, body.reason, "reason", shortest..=REASON_MAX_CHARS);
    checks.finish()?;
    status.zip(reason).ok_or(ApiError::Malformed)
}

/// Those who want to be influencers, or were approved. `sort` is `created_at`.
#[utoipa::path(get, path = "/admin/influencers", tag = "admin", security(("bearer" = [])),
    extensions(("x-required-role" = json!("admin"))), params(ApplicationFilter, PageQuery),
    responses((status = 200, body = AdminInfluencerListResponse)))]
async fn list_influencers(
    State(app): State<App>,
    _admin: Admin,
    Query(filter): Query<ApplicationFilter>,
    Query(page): Query<PageQuery>,
) -> Result<Json<AdminInfluencerListResponse>, ApiError> {
    let page = page.check(|name| matches!(name, None | Some("created_at")).then_some(()))?;
    let (items, total) = influencers::list(&app.pool, filter.status.unwrap_or_default(), page).await?;
    let pages = page.pages(total);
    Ok(Json(AdminInfluencerListResponse { items, total, page: page.page, size: page.size, pages }))
}

/// Makes an applicant a verified influencer.
#[utoipa::path(post, path = "/admin/influencers/{user_id}/approve", tag = "admin", security(("bearer" = [])),
    extensions(("x-required-role" = json!("admin"))), params(("user_id" = Uuid, Path)),
    request_body = Option<ApplicationDecision>, responses(
    (status = 200, body = AdminUserResponse),
    (status = 404, body = ErrorBody, description = "`INFLUENCER_NOT_FOUND`"),
    (status = 409, body = ErrorBody, description = "`APPLICATION_NOT_PENDING`"),
))]
async fn approve_influencer(
    State(app): State<App>,
    Admin(admin): Admin,
    Path(user_id): Path<String>,
    body: Option<JsonBody<ApplicationDecision>>,
) -> Result<Json<AdminUserResponse>, ApiError> {
    decide(&app, admin.id.0, &user_id, body, true).await.map(Json)
}

/// Refuses an applicant, who stays a buyer and may apply again.
#[utoipa::path(post, path = "/admin/influencers/{user_id}/reject", tag = "admin", security(("bearer" = [])),
    extensions(("x-required-role" = json!("admin"))), params(("user_id" = Uuid, Path)),
    request_body = Option<ApplicationDecision>, responses(
    (status = 200, body = AdminUserResponse),
    (status = 404, body = ErrorBody, description = "`INFLUENCER_NOT_FOUND`"),
    (status = 409, body = ErrorBody, description = "`APPLICATION_NOT_PENDING`"),
))]
async fn reject_influencer(
    State(app): State<App>,
    Admin(admin): Admin,
    Path(user_id): Path<String>,
    body: Option<JsonBody<ApplicationDecision>>,
) -> Result<Json<AdminUserResponse>, ApiError> {
    decide(&app, admin.id.0, &user_id, body, false).await.map(Json)
}

async fn decide(
    app: &App,
    actor_id: Uuid,
    user_id: &str,
    body: Option<JsonBody<ApplicationDecision>>,
    approved: bool,
) -> Result<AdminUserResponse, ApiError> {
    let user_id = Uuid::try_parse(user_id).map_err(|_| ApiError::InfluencerNotFound)?;
    let mut checks = Checks::new();
    let reason = body.and_then(|JsonBody(body)| body.reason);
    let reason = input::text(&mut checks, reason, "reason", 0..=REASON_MAX_CHARS);
    checks.finish()?;
    let reason = reason.as_deref().filter(|reason| !reason.is_empty());
    let now = app.clock.now().to_utc();
    let mut transaction = begin(&app.pool).await?;
    let action = if approved {
        lifecycle::approve(&mut transaction, user_id, reason, now).await?;
        "influencer.approve"
    } else {
        lifecycle::reject(&mut transaction, user_id, reason, now).await?;
        "influencer.reject"
    };
    let details = json!({"reason": reason});
    let entry = AuditEntry::new(actor_id, action, ("user", user_id), details);
    audit::record(&mut transaction, &entry).await?;
    let user = queries::user(&mut transaction, user_id).await?.ok_or(ApiError::InfluencerNotFound)?;
    if let Some(email) = &user.email {
        mail::queue(&mut transaction, &letters::decision(email, &user.nickname, approved, reason)).await?;
    }
    transaction.commit().await?;
    in_force(app, user_id).await;
    Ok(user)
}

/// The log, newest first. `sort` is `at`.
#[utoipa::path(get, path = "/admin/audit-log", tag = "admin", security(("bearer" = [])),
    extensions(("x-required-role" = json!("admin"))), params(AuditFilter, PageQuery),
    responses((status = 200, body = AuditListResponse)))]
async fn list_audit_log(
    State(app): State<App>,
    _admin: Admin,
    Query(mut filter): Query<AuditFilter>,
    Query(page): Query<PageQuery>,
) -> Result<Json<AuditListResponse>, ApiError> {
    let page = page.check(|name| matches!(name, None | Some("at")).then_some(()))?;
    let mut checks = Checks::new();
    filter.action = input::text(&mut checks, filter.action, "action", 0..=ACTION_MAX_CHARS)
        .filter(|text| !text.is_empty());
    filter.from = input::time(&mut checks, filter.from, "from");
    filter.to = input::time(&mut checks, filter.to, "to");
    input::ordered(&mut checks, filter.from, filter.to, "to");
    checks.finish()?;
    let (items, total) = queries::audit_log(&app.pool, &filter, page).await?;
    let pages = page.pages(total);
    Ok(Json(AuditListResponse { items, total, page: page.page, size: page.size, pages }))
}

/// Waits until permissions and `/go` of this process follow what was committed. If that fails the call has
/// succeeded all the same: the change's notification brings it about.
async fn in_force(app: &App, user_id: Uuid) {
    app.identities.forget(UserId(user_id));
    app.catalog.changed();
    let refreshed = tokio::time::timeout(IN_FORCE_MAX, app.links.refresh_owner(UserId(user_id))).await;
    if !matches!(refreshed, Ok(Ok(()))) {
        tracing::warn!(user.id = %user_id, "a change is stored but could not be read back for redirects yet");
    }
}
