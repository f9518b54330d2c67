//! What a database error means for the caller: try again, or stop.

use gonggumoa_core::store::StoreError;

/// A row that breaks a unique key: the clicks are already there, at least in part.
pub(crate) const UNIQUE_VIOLATION: &str = "23505";
/// No partition takes the row (and other check violations).
pub(crate) const CHECK_VIOLATION: &str = "23514";

/// `lock_timeout` passed.
pub(crate) const LOCK_NOT_AVAILABLE: &str = "55P03";

/// The SQLSTATE, if the server sent one.
pub(crate) fn sql_state(error: &sqlx::Error) -> Option<String> {
    error.as_database_error().and_then(|error| error.code()).map(|code| code.into_owned())
}

/// Lost connections, shutdowns (57P01 to 57P03), cancelled statements, serialisation failures and
/// deadlocks (40xxx), want of resources (53xxx), a lock not had in time (55P03) and a server read-only
/// after a failover (25006) pass; everything else would fail again.
fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            ["08", "40", "53"].iter().any(|class| code.starts_with(class))
                || ["57P01", "57P02", "57P03", "57014", "55P03", "25006"].contains(&&*code)
        }),
        _ => false,
    }
}

/// The store's error for a database error.
pub(crate) fn store_error(error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::ColumnDecode { ref index, ref source } => {
            StoreError::Damaged { what: "row", problem: format!("column {index}: {source}") }
        }
        error if is_passing(&error) => StoreError::Unavailable(Box::new(error)),
        error => StoreError::Refused(Box::new(error)),
    }
}
