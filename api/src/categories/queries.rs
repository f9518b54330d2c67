//! Categories in PostgreSQL.

use crate::categories::check::CheckedCategory;
use crate::categories::types::CategoryResponse;
use crate::http::error::ApiError;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// All, in the order in which they are shown.
pub async fn all(pool: &PgPool) -> Result<Vec<CategoryResponse>, sqlx::Error> {
    sqlx::query_as!(
        CategoryResponse,
        "SELECT id, parent_id, name, icon, sort_order FROM categories ORDER BY sort_order, name, id"
    )
    .fetch_all(pool)
    .await
}

/// Lets writes of the tree take turns until the transaction ends: whether a category may be a parent depends
/// on rows that another write could be making. Reads, and gonggus that choose a category, do not wait.
pub async fn lock_tree(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("LOCK TABLE categories IN SHARE ROW EXCLUSIVE MODE").execute(connection).await?;
    Ok(())
}

/// One category.
pub async fn by_id(connection: &mut PgConnection, id: Uuid) -> Result<Option<CategoryResponse>, sqlx::Error> {
    sqlx::query_as!(
        CategoryResponse,
        "SELECT id, parent_id, name, icon, sort_order FROM categories WHERE id = $1",
        id
    )
    .fetch_optional(connection)
    .await
}

/// Whether a category may stand under this parent. `id` is the category's own, unless it is new. The caller
/// holds the tree.
pub async fn check_parent(
    connection: &mut PgConnection,
    id: Option<Uuid>,
    parent_id: Option<Uuid>,
) -> Result<(), ApiError> {
    let Some(parent_id) = parent_id else { return Ok(()) };
    let refused = |message: &'static str| Err(ApiError::field("parent_id", message));
    if id == Some(parent_id) {
        return refused("자기 자신을 상위 카테고리로 지정할 수 없습니다");
    }
    match by_id(&mut *connection, parent_id).await? {
        None => return refused("존재하지 않는 카테고리입니다"),
        Some(parent) if parent.parent_id.is_some() => {
            return refused("최상위 카테고리만 상위 카테고리가 될 수 있습니다");
        }
        Some(_) => {}
    }
    let is_parent =
        sqlx::query_scalar!(r#"SELECT EXISTS (SELECT 1 FROM categories WHERE parent_id = $1) AS "is!""#, id);
    if is_parent.fetch_one(connection).await? {
        return refused("하위 카테고리가 있는 카테고리는 다른 카테고리 아래로 옮길 수 없습니다");
    }
    Ok(())
}

/// Adds a category. The caller holds the tree.
pub async fn insert(
    connection: &mut PgConnection,
    category: &CheckedCategory,
) -> Result<CategoryResponse, ApiError> {
    let inserted = sqlx::query_as!(
        CategoryResponse,
        "INSERT INTO categories (id, parent_id, name, icon, sort_order) VALUES ($1, $2, $3, $4, $5)
         RETURNING id, parent_id, name, icon, sort_order",
        Uuid::now_v7(),
        category.parent_id,
        category.name,
        category.icon,
        category.sort_order
    );
    inserted.fetch_one(connection).await.map_err(refused)
}

/// Replaces a category. The caller holds the tree.
pub async fn update(
    connection: &mut PgConnection,
    id: Uuid,
    category: &CheckedCategory,
) -> Result<CategoryResponse, ApiError> {
    let updated = sqlx::query_as!(
        CategoryResponse,
        "UPDATE categories SET parent_id = $2, name = $3, icon = $4, sort_order = $5 WHERE id = $1
         RETURNING id, parent_id, name, icon, sort_order",
        id,
        category.parent_id,
        category.name,
        category.icon,
        category.sort_order
    );
    updated.fetch_one(connection).await.map_err(refused)
}

/// Removes a category that neither children nor gonggus use; deleted gonggus let go of it.
pub async fn delete(connection: &mut PgConnection, id: Uuid) -> Result<(), ApiError> {
    sqlx::query!(
        "DELETE FROM gonggu_categories gc USING gonggus g
         WHERE gc.category_id = $1 AND g.id = gc.gonggu_id AND g.deleted_at IS NOT NULL",
        id
    )
    .execute(&mut *connection)
    .await?;
    let deleted = sqlx::query!("DELETE FROM categories WHERE id = $1", id);
    deleted.execute(connection).await.map_err(refused)?;
    Ok(())
}

fn refused(error: sqlx::Error) -> ApiError {
    let Some(refusal) = error.as_database_error() else { return error.into() };
    if refusal.is_foreign_key_violation() {
        ApiError::CategoryInUse
    } else if refusal.constraint() == Some("categories_name_key") {
        ApiError::CategoryNameTaken
    } else {
        error.into()
    }
}
