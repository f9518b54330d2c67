//! How far partitions are stored: read serially, moved by compare-and-set.
//!
//! A compare-and-set that has no answer was done, was not, or is done later by whoever reads serially next (such a
//! read finishes what others began). So it is followed by a serial read: our own end there means done, the start means
//! that it never will be, anything else that somebody else stores this partition.

use super::CqlClickStore;
use super::error::damaged;
use super::session::{self, Set};
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::{PartitionId, Position, RunId};
use gonggumoa_core::log::LogPosition;
use gonggumoa_core::store::{JudgedBatch, PartitionProgress, RunMark, StoreError};
use scylla::value::CqlTimestamp;
use uuid::Uuid;

pub(crate) async fn stored(
    store: &CqlClickStore,
    partition: PartitionId,
) -> Result<Option<PartitionProgress>, StoreError> {
    let found: Option<(i64, Uuid, String)> =
        session::row(&store.session, &store.statements.progress, (partition.0 as i32,)).await?;
    let Some((position, run, marks)) = found else { return Ok(None) };
    Ok(Some(PartitionProgress {
        position: LogPosition { through: Position(position as u64), run: RunId(run) },
        marks: parse_marks(&marks)?,
    }))
}

fn parse_marks(marks: &str) -> Result<Vec<RunMark>, StoreError> {
    serde_json::from_str(marks).map_err(|error| damaged("partition", format!("marks: {error}")))
}

/// The partitions of which something is stored, with their marks' least time, ascending.
pub(crate) async fn complete(store: &CqlClickStore) -> Result<Vec<(PartitionId, UnixMillis)>, StoreError> {
    let rows: Vec<(i32, String)> = session::rows(&store.session, &store.statements.all_marks, ()).await?;
    let mut all = Vec::with_capacity(rows.len());
    for (partition, marks) in rows {
        let counting = parse_marks(&marks)?.into_iter().filter(|mark| !mark.superseded);
        let at = counting.map(|mark| mark.at).min().unwrap_or(UnixMillis::MIN);
        all.push((PartitionId(partition as u32), at));
    }
    all.sort_unstable_by_key(|(partition, _)| *partition);
    Ok(all)
}

pub(crate) fn moved(batch: &JudgedBatch, found: Option<LogPosition>) -> StoreError {
    StoreError::PositionMoved {
        partition: batch.partition,
        expected: batch.from.map(|from| from.through),
        found: found.map(|found| found.through),
    }
}

/// Moves the position from the batch's start to its end.
pub(crate) async fn advance(store: &CqlClickStore, batch: &JudgedBatch) -> Result<(), StoreError> {
    let PartitionProgress { position, marks } = &batch.to;
    let marks = serde_json::json!(marks).to_string();
    let (partition, through, run) = (batch.partition.0 as i32, position.through.0 as i64, position.run.0);
    let now = CqlTimestamp(store.clock.now().0);
    let (session, statements) = (&store.session, &store.statements);
    let set = match batch.from {
        None => {
            let values = (partition, through, run, marks, now);
            session::set(session, &statements.first_progress, values).await?
        }
        Some(from) => {
            let values = (through, run, marks, now, partition, from.through.0 as i64, from.run.0);
            session::set(session, &statements.next_progress, values).await?
        }
    };
    if set == Set::Applied {
        return Ok(());
    }
    let found = stored(store, batch.partition).await?.map(|progress| progress.position);
    if found == Some(*position) {
        Ok(())
    } else if found == batch.from {
        Err(StoreError::Unavailable("the position's compare-and-set was not done".into()))
    } else {
        Err(moved(batch, found))
    }
}
