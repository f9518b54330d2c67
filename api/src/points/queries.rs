//! The ledger in PostgreSQL. Lock order: whatever the points come from (a coupon), then the account's row (shared), then
//! the balance's row.

use crate::http::error::ApiError;
use crate::http::page::{Order, PageRequest};
use crate::points::types::PointEntryResponse;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// Points that come in or go out.
#[derive(Clone, Debug)]
pub struct NewPointEntry<'a> {
    /// Whose.
    pub user_id: Uuid,
    /// Not 0; bounded by the caller far below what 64 bits hold.
    pub amount: i64,
    /// Why.
    pub reason: &'a str,
    /// What it comes from; one source has one entry.
    pub source: (&'static str, Uuid),
    /// Who did it.
    pub created_by: Uuid,
}

/// Adds an entry and changes the balance by it, or refuses both. A closed account is nobody's: it neither gets nor
/// gives, and cannot be closed meanwhile.
pub async fn add(
    connection: &mut PgConnection,
    entry: &NewPointEntry<'_>,
    now: DateTime<Utc>,
) -> Result<PointEntryResponse, ApiError> {
    let (user_id, amount) = (entry.user_id, entry.amount);
    sqlx::query!("SELECT id FROM users WHERE id = $1 AND closed_at IS NULL FOR SHARE", user_id)
        .fetch_optional(&mut *connection)
        .await?
        .ok_or(ApiError::UserNotFound)?;
    sqlx::query!(
        "INSERT INTO point_balances (user_id, updated_at) VALUES ($1, $2) ON CONFLICT (user_id) DO NOTHING",
        user_id,
        now
    )
    .execute(&mut *connection)
    .await?;
    let changed = sqlx::query!(
        "UPDATE point_balances SET balance = balance + $2, entries = entries + 1, updated_at = $3
         WHERE user_id = $1 AND balance + $2 >= 0 RETURNING balance, entries",
        user_id,
        amount,
        now
    )
    .fetch_optional(&mut *connection)
    .await?
    .ok_or(ApiError::PointsInsufficient)?;
    let id = Uuid::now_v7();
    let (source_kind, source_id) = entry.source;
    sqlx::query!(
        "INSERT INTO point_entries (id, user_id, number, amount, balance_after, reason, source_kind,
                                    source_id, created_at, created_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        id,
        user_id,
        changed.entries,
        amount,
        changed.balance,
        entry.reason,
        source_kind,
        source_id,
        now,
        entry.created_by
    )
    .execute(connection)
    .await?;
    Ok(PointEntryResponse {
        id,
        user_id,
        number: changed.entries,
        amount,
        balance_after: changed.balance,
        reason: entry.reason.to_owned(),
        source: source_kind.to_owned(),
        created_at: now,
    })
}

/// An account's balance with how many entries made it; one that never had points has none.
pub async fn balance(connection: &mut PgConnection, user_id: Uuid) -> Result<(i64, i64), sqlx::Error> {
    let row = sqlx::query!("SELECT balance, entries FROM point_balances WHERE user_id = $1", user_id)
        .fetch_optional(connection)
        .await?;
    Ok(row.map_or((0, 0), |row| (row.balance, row.entries)))
}

/// A page of an account's entries up to the `total`th. Entries are numbered without gaps, so a page is a
/// range of numbers, however long the ledger is.
pub async fn entries(
    connection: &mut PgConnection,
    user_id: Uuid,
    total: i64,
    page: PageRequest<()>,
) -> Result<Vec<PointEntryResponse>, sqlx::Error> {
    let (first, last) = match page.order {
        Order::Asc => (page.offset() + 1, (page.offset() + page.size).min(total)),
        Order::Desc => (total - page.offset() - page.size + 1, total - page.offset()),
    };
    let mut entries = sqlx::query_as!(
        PointEntryResponse,
        "SELECT id, user_id, number, amount, balance_after, reason, source_kind AS source, created_at
         FROM point_entries WHERE user_id = $1 AND number BETWEEN $2 AND $3 ORDER BY number",
        user_id,
        first,
        last
    )
    .fetch_all(connection)
    .await?;
    if page.order == Order::Desc {
        entries.reverse();
    }
    Ok(entries)
}
