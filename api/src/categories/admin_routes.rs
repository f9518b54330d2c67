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
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// The routes that write categories, and the tree beside the other things of admins.
pub fn router() -> OpenApiRouter<App> {
    let mut beside_admin = OpenApiRouter::new().nest("/admin/categories", writing());
    for operations in beside_admin.get_openapi_mut().paths.paths.values_mut() {
        let operations = [&mut operations.post, &mut operations.put, &mut operations.delete];
        for operation in operations.into_iter().flatten() {
            // the same operation again; but an id names one only
            operation.operation_id = operation.operation_id.take().map(|id| format!("admin_{id}"));
        }
    }
    OpenApiRouter::new()
        .nest("/categories", writing())
        .merge(beside_admin)
        .routes(routes!(admin_list_categories))
}

fn writing() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create_category)).routes(routes!(update_category, delete_category))
}

/// A new category.
#[utoipa::path(post, path = "/", tag = "categories", security(("bearer" = [])),
    extensions(("x-required-role" = json!("admin"))), request_body = CategoryCreate, responses(
    (status = 201, body = CategoryResponse),
    (status = 409, body = ErrorBody, description = "`CATEGORY_NAME_TAKEN`"),
))]
async fn create_category(
    State(app): State<App>,
    Admin(admin): Admin,
    JsonBody(body): JsonBody<CategoryCreate>,
) -> Result<(StatusCode, Json<CategoryResponse>), ApiError> {
    let checked = check::check(body)?;
    let mut transaction = begin(&app.pool).await?;
    queries::lock_tree(&mut transaction).await?;
    queries::check_parent(&mut transaction, None, checked.parent_id).await?;
    let category = queries::insert(&mut transaction, &checked).await?;
    let entry =
        AuditEntry::new(admin.id.0, "category.create", ("category", category.id), json!({"after": category}));
    audit::record(&mut transaction, &entry).await?;
    transaction.commit().await?;
    app.catalog.changed();
    Ok((StatusCode::CREATED, Json(category)))
}

/// Replaces a category.
#[utoipa::path(put, path = "/{id}", tag = "categories", security(("bearer" = [])),
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
    let id = parse_id(&id)?;
    let checked = check::check(body.0)?;
    let mut transaction = begin(&app.pool).await?;
    queries::lock_tree(&mut transaction).await?;
    let before = queries::by_id(&mut transaction, id).await?.ok_or(ApiError::CategoryNotFound)?;
    queries::check_parent(&mut transaction, Some(id), checked.parent_id).await?;
    let category = queries::update(&mut transaction, id, &checked).await?;
    let details = json!({"before": before, "after": category});
    audit::record(
        &mut transaction,
        &AuditEntry::new(admin.id.0, "category.update", ("category", id), details),
    )
    .await?;
    transaction.commit().await?;
    app.catalog.changed();
    Ok(Json(category))
}

/// Removes a category that nothing uses.
#[utoipa::path(delete, path = "/{id}", tag = "categories", security(("bearer" = [])),
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
    let id = parse_id(&id)?;
    let mut transaction = begin(&app.pool).await?;
    queries::lock_tree(&mut transaction).await?;
    let before = queries::by_id(&mut transaction, id).await?.ok_or(ApiError::CategoryNotFound)?;
    queries::delete(&mut transaction, id).await?;
    let entry = AuditEntry::new(admin.id.0, "category.delete", ("category", id), json!({"before": before}));
    audit::record(&mut transaction, &entry).await?;
    transaction.commit().await?;
    app.catalog.changed();
    Ok(StatusCode::NO_CONTENT)
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

fn parse_id(id: &str) -> Result<Uuid, ApiError> {
    Uuid::try_parse(id).map_err(|_| ApiError::CategoryNotFound)
}
