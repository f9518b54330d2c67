//! Beginning a transaction so that a caller who goes away leaves none open.
//!
//! Problem: sqlx counts a transaction as begun only after the server has said so. A future that is dropped
//! in between (a client that hangs up, a call that is given up) returns a connection to the pool on which
//! the server has a transaction open, and the next borrower writes into it. So `BEGIN` runs in a task that
//! nobody drops; what it finished for nobody is rolled back as any dropped transaction is.

use sqlx::{PgPool, Postgres, Transaction};

/// Begins a transaction; safe to drop at any point.
pub async fn begin(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let pool = pool.clone();
    finished(tokio::spawn(async move { pool.begin().await })).await
}

/// Begins a transaction that only reads and sees one instant; safe to drop at any point.
pub async fn begin_snapshot(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let pool = pool.clone();
    let begun = async move { pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await };
    finished(tokio::spawn(begun)).await
}

async fn finished(
    task: tokio::task::JoinHandle<Result<Transaction<'static, Postgres>, sqlx::Error>>,
) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    // The task ends early only with its runtime.
    task.await.unwrap_or(Err(sqlx::Error::PoolClosed))
}
