//! Categories in PostgreSQL.

use crate::categories::types::CategoryResponse;
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

/// The categories of each of these gonggus, by slot.
pub async fn of_gonggus(
    connection: &mut PgConnection,
    gonggu_ids: &[Uuid],
) -> Result<Vec<(Uuid, CategoryResponse)>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT gc.gonggu_id, c.id, c.parent_id, c.name, c.icon, c.sort_order
         FROM gonggu_categories gc JOIN categories c ON c.id = gc.category_id
         WHERE gc.gonggu_id = ANY($1) ORDER BY gc.gonggu_id, gc.slot",
        gonggu_ids
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let category = CategoryResponse {
                id: row.id,
                parent_id: row.parent_id,
                name: row.name,
                icon: row.icon,
                sort_order: row.sort_order,
            };
            (row.gonggu_id, category)
        })
        .collect())
}
