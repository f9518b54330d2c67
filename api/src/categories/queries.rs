//! Categories in PostgreSQL.

use crate::categories::types::CategoryResponse;
use sqlx::PgPool;

/// All, in the order in which they are shown.
pub async fn all(pool: &PgPool) -> Result<Vec<CategoryResponse>, sqlx::Error> {
    sqlx::query_as!(
        CategoryResponse,
        "SELECT id, parent_id, name, icon, sort_order FROM categories ORDER BY sort_order, name, id"
    )
    .fetch_all(pool)
    .await
}
