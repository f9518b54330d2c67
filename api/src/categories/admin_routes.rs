//! Writing categories: under `/categories`, beside the tree that everybody reads, and under
//! `/admin/categories`, beside the other things that admins keep. Both are the same.

use crate::admin::audit::{self, AuditEntry};
use crate::app::App;
use crate::categories::types::{CategoryCreate, CategoryResponse, CategoryTreeResponse, CategoryUpdate};
use crate::categories::{check, queries};
use crate::http::auth::Admin;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::extract::{JsonBody, Path};
use axum::Json;
use axum::extract::State;
use gonggumoa_analytics::postgres::begin::begin;
use http::StatusCode;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// The routes that write categories.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create_category))
        .routes(routes!(update_category, delete_category))
        .routes(routes!(admin_list_categories, admin_create_category))
        .routes(routes!(admin_update_category, admin_delete_category))
}

/// A new category.
#[utoipa::path(post, path = "/categories", tag = "categories", security(("bearer" = [])),
    extensions(("x-required-role" = json!("admin"))), request_body = CategoryCreate, responses(
    (status = 201, body = CategoryResponse),
    (status = 409, body = ErrorBody, description = "`CATEGORY_NAME_TAKEN`"),
))]
async fn create_category(
    State(app): State<App>,
    Admin(admin): Admin,
    JsonBody(body): JsonBody<CategoryCreate>,
) -> Result<(StatusCode, Json<CategoryResponse>), ApiError> {
    add(&app, admin.id.0, body).await
}

/// Replaces a category.
#[utoipa::path(put, path = "/categories/{id}", tag = "categories", security(("bearer" = [])),
    extensions(("x-required-role" = json!("admin"))), params(("id" = Uuid, Path)), request_body = CategoryUpdate, responses(
    (status = 200, body = CategoryResponse),
    (status = 404, body = ErrorBody, description = "`CATEGORY_NOT_FOUND`"),
    (status = 409, body = ErrorBody, description = "`CATEGORY_NAME_TAKEN`"),
))]
async fn update_category(
    State(app): State<App>,
    Admin(admin): Admin,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<CategoryUpdate>,
) -> Result<Json<CategoryResponse>, ApiError> {
    replace(&app, admin.id.0, &id, body).await
}

/// Removes a category that nothing uses.
#[utoipa::path(delete, path = "/categories/{id}", tag = "categories", security(("bearer" = [])),
    extensions(("x-required-role" = json!("admin"))), params(("id" = Uuid, Path)), responses(
    (status = 204),
    (status = 404, body = ErrorBody, description = "`CATEGORY_NOT_FOUND`"),
    (status = 409, body = ErrorBody, description = "`CATEGORY_IN_USE`"),
))]
async fn delete_category(
    State(app): State<App>,
    Admin(admin): Admin,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    remove(&app, admin.id.0, &id).await
}

/// All categories, parents with children.
#[utoipa::path(get, path = "/admin/categories", tag = "categories", security(("bearer" = [])),
    extensions(("x-required-role" = json!("admin"))), responses((status = 200, body = CategoryTreeResponse)))]
async fn admin_list_categories(
    State(app): State<App>,
    _admin: Admin,
) -> Result<Json<CategoryTreeResponse>, ApiError> {
    Ok(Json(CategoryTreeResponse::new(queries::all(&app.pool).await?)))
}

/// A new category.
#[utoipa::path(post, path = "/admin/categories", tag = "categories", security(("bearer" = [])),
    extensions(("x-required-role" = json!("admin"))), request_body = CategoryCreate, responses(
    (status = 201, body = CategoryResponse),
    (status = 409, body = ErrorBody, description = "`CATEGORY_NAME_TAKEN`"),
))]
async fn admin_create_category(
    State(app): State<App>,
    Admin(admin): Admin,
    JsonBody(body): JsonBody<CategoryCreate>,
) -> Result<(StatusCode, Json<CategoryResponse>), ApiError> {
    add(&app, admin.id.0, body).await
}

/// Replaces a category.
#[utoipa::path(put, path = "/admin/categories/{id}", tag = "categories", security(("bearer" = [])),
    extensions(("x-required-role" = json!("admin"))), params(("id" = Uuid, Path)), request_body = CategoryUpdate, responses(
    (status = 200, body = CategoryResponse),
    (status = 404, body = ErrorBody, description = "`CATEGORY_NOT_FOUND`"),
    (status = 409, body = ErrorBody, description = "`CATEGORY_NAME_TAKEN`"),
))]
async fn admin_update_category(
    State(app): State<App>,
    Admin(admin): Admin,
    Path(id): Path<String>,
    JsonBody(body): JsonBody<CategoryUpdate>,
) -> Result<Json<CategoryResponse>, ApiError> {
    replace(&app, admin.id.0, &id, body).await
}

/// Removes a category that nothing uses.
#[utoipa::path(delete, path = "/admin/categories/{id}", tag = "categories", security(("bearer" = [])),
    extensions(("x-required-role" = json!("admin"))), params(("id" = Uuid, Path)), responses(
    (status = 204),
    (status = 404, body = ErrorBody, description = "`CATEGORY_NOT_FOUND`"),
    (status = 409, body = ErrorBody, description = "`CATEGORY_IN_USE`"),
))]
async fn admin_delete_category(
    State(app): State<App>,
    Admin(admin): Admin,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    remove(&app, admin.id.0, &id).await
}

async fn add(
    app: &App,
    actor_id: Uuid,
    body: CategoryCreate,
) -> Result<(StatusCode, Json<CategoryResponse>), ApiError> {
    let checked = check::check(body)?;
    let mut transaction = begin(&app.pool).await?;
    queries::lock_tree(&mut transaction).await?;
    queries::check_parent(&mut transaction, None, checked.parent_id).await?;
    let category = queries::insert(&mut transaction, &checked).await?;
    let entry = entry(actor_id, "category.create", category.id, json!({"after": category}));
    audit::record(&mut transaction, &entry).await?;
    transaction.commit().await?;
    app.catalog.changed();
    Ok((StatusCode::CREATED, Json(category)))
}

async fn replace(
    app: &App,
    actor_id: Uuid,
    id: &str,
    body: CategoryUpdate,
) -> Result<Json<CategoryResponse>, ApiError> {
    let id = parse_id(id)?;
    let checked = check::check(body.0)?;
    let mut transaction = begin(&app.pool).await?;
    queries::lock_tree(&mut transaction).await?;
    let before = queries::by_id(&mut transaction, id).await?.ok_or(ApiError::CategoryNotFound)?;
    queries::check_parent(&mut transaction, Some(id), checked.parent_id).await?;
    let category = queries::update(&mut transaction, id, &checked).await?;
    let details = json!({"before": before, "after": category});
    audit::record(&mut transaction, &entry(actor_id, "category.update", id, details)).await?;
    transaction.commit().await?;
    app.catalog.changed();
    Ok(Json(category))
}

async fn remove(app: &App, actor_id: Uuid, id: &str) -> Result<StatusCode, ApiError> {
    let id = parse_id(id)?;
    let mut transaction = begin(&app.pool).await?;
    queries::lock_tree(&mut transaction).await?;
    let before = queries::by_id(&mut transaction, id).await?.ok_or(ApiError::CategoryNotFound)?;
    queries::delete(&mut transaction, id).await?;
    let entry = entry(actor_id, "category.delete", id, json!({"before": before}));
    audit::record(&mut transaction, &entry).await?;
    transaction.commit().await?;
    app.catalog.changed();
    Ok(StatusCode::NO_CONTENT)
}

fn parse_id(id: &str) -> Result<Uuid, ApiError> {
    Uuid::try_parse(id).map_err(|_| ApiError::CategoryNotFound)
}

fn entry(actor_id: Uuid, action: &'static str, id: Uuid, details: Value) -> AuditEntry {
    AuditEntry { actor_id, action, target_type: "category", target_id: id.to_string(), details }
}
