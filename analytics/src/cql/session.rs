//! Running prepared statements: one row, all rows, a change, a compare-and-set.

use super::error::{DriverError, damaged};
use super::migrate::applied_to;
use futures::TryStreamExt;
use gonggumoa_core::store::StoreError;
use scylla::client::session::Session;
use scylla::deserialize::row::DeserializeRow;
use scylla::serialize::row::SerializeRow;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;

/// Writes.
pub(crate) async fn write(
    session: &Session,
    statement: &PreparedStatement,
    values: impl SerializeRow,
) -> Result<(), StoreError> {
    session.execute_unpaged(statement, values).await.map_err(DriverError::store)?;
    Ok(())
}

/// Writes rows of one partition together: one message, one write of the log on each replica.
pub(crate) async fn write_partition<V: SerializeRow>(
    session: &Session,
    rows: Vec<(&PreparedStatement, V)>,
) -> Result<(), StoreError> {
    let mut batch = Batch::new(BatchType::Unlogged);
    batch.set_is_idempotent(true);
    let mut values = Vec::with_capacity(rows.len());
    for (statement, row) in rows {
        batch.append_statement(statement.clone());
        values.push(row);
    }
    session.batch(&batch, values).await.map_err(DriverError::store)?;
    Ok(())
}

/// All rows, page by page.
pub(crate) async fn rows<R>(
    session: &Session,
    statement: &PreparedStatement,
    values: impl SerializeRow,
) -> Result<Vec<R>, StoreError>
where
    R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
{
    let pages = session.execute_iter(statement.clone(), values).await.map_err(DriverError::store)?;
    let rows = pages.rows_stream::<R>().map_err(|error| damaged("row", error))?;
    rows.map_err(DriverError::store).try_collect().await
}

/// The row of a key.
pub(crate) async fn row<R>(
    session: &Session,
    statement: &PreparedStatement,
    values: impl SerializeRow,
) -> Result<Option<R>, StoreError>
where
    R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
{
    let answer = session.execute_unpaged(statement, values).await.map_err(DriverError::store)?;
    let found = answer.into_rows_result().map_err(|error| damaged("answer", error))?;
    found.maybe_first_row::<R>().map_err(|error| damaged("row", error))
}

/// What a compare-and-set came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Set {
    /// It was done.
    Applied,
    /// Its condition did not hold.
    Refused,
    /// Nobody knows: it timed out, and may be done yet. A serial read finishes or ends it, and tells.
    Unknown,
}

/// Runs a compare-and-set.
pub(crate) async fn set(
    session: &Session,
    statement: &PreparedStatement,
    values: impl SerializeRow,
) -> Result<Set, StoreError> {
    match session.execute_unpaged(statement, values).await {
        Ok(answer) => Ok(if applied_to(answer)? { Set::Applied } else { Set::Refused }),
        Err(error) if error.is_lasting() => Err(error.store()),
        Err(error) => {
            tracing::debug!(error = &error as &dyn std::error::Error, "a compare-and-set has no answer");
            Ok(Set::Unknown)
        }
    }
}
