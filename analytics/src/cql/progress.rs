//! Whose partitions are and how far they are stored: read serially, changed by compare-and-set.
//!
//! Owner, position and activations of a partition are one row, so all of its compare-and-sets, of whichever process,
//! happen one after the other, and each of them sees who the owner is.
//!
//! A compare-and-set that has no answer was done, was not, or is done later by whoever reads serially next (such a
//! read finishes what others began). So it is followed by a serial read. A claim: our own id there means done, any
//! other that it never will be. The position: our own end there means done, the start that it never will be, anything
//! else, or another owner, that the partition is no longer ours.

use super::CqlClickStore;
use super::error::damaged;
use super::session::{self, Set};
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::{PartitionId, Position, RunId};
use gonggumoa_core::log::LogPosition;
use gonggumoa_core::store::{JudgedBatch, PartitionProgress, RunMark, StoreError};
use scylla::value::CqlTimestamp;
use uuid::Uuid;

/// Others may claim first, each once an opening of theirs.
const CLAIM_ATTEMPTS: usize = 32;

/// What is stored of a partition.
pub(crate) struct Stored {
    pub(crate) owner: Option<Uuid>,
    pub(crate) progress: Option<PartitionProgress>,
}

impl Stored {
    fn position(&self) -> Option<LogPosition> {
        self.progress.as_ref().map(|progress| progress.position)
    }

    /// Refuses all but the owner.
    pub(crate) fn check_owner(&self, partition: PartitionId, owner: Uuid) -> Result<(), StoreError> {
        let found = self.owner;
        if found == Some(owner) { Ok(()) } else { Err(StoreError::Fenced { partition, owner, found }) }
    }
}

/// Where a batch stands to what is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// It is the next one.
    Start,
    /// It is stored.
    End,
}

/// Refuses a batch that is not the owner's, or neither the next nor the last one.
pub(crate) fn place_of(batch: &JudgedBatch, stored: &Stored) -> Result<Place, StoreError> {
    stored.check_owner(batch.partition, batch.owner)?;
    match stored.position() {
        found if found == Some(batch.to.position) => Ok(Place::End),
        found if found == batch.from => Ok(Place::Start),
        found => Err(StoreError::PositionMoved {
            partition: batch.partition,
            expected: batch.from.map(|from| from.through),
            found: found.map(|found| found.through),
        }),
    }
}

/// All of the row but its activations.
type Row = (Option<Uuid>, Option<i64>, Option<Uuid>, Option<String>);

pub(crate) async fn stored(store: &CqlClickStore, partition: PartitionId) -> Result<Stored, StoreError> {
    let found: Option<Row> =
        session::row(&store.session, &store.statements.progress, (partition.0 as i32,)).await?;
    let (owner, position, run, marks) = found.unwrap_or_default();
    let progress = match (position, run) {
        (Some(position), Some(run)) => Some(PartitionProgress {
            position: LogPosition { through: Position(position as u64), run: RunId(run) },
            marks: marks.as_deref().map_or(Ok(Vec::new()), parse_marks)?,
        }),
        _ => None,
    };
    Ok(Stored { owner, progress })
}

/// Takes the partition from whoever has it. What is returned is read after that, when nobody else moves it.
pub(crate) async fn claim(
    store: &CqlClickStore,
    partition: PartitionId,
    owner: Uuid,
) -> Result<Option<PartitionProgress>, StoreError> {
    // Claims of this process do not get into each other's way.
    let _turn = store.rare.lock().await;
    let mut is_claimed = false;
    for _ in 0..CLAIM_ATTEMPTS {
        let stored = stored(store, partition).await?;
        // Claimed, and lost again already: the first batch will tell.
        if is_claimed || stored.owner == Some(owner) {
            return Ok(stored.progress);
        }
        let now = CqlTimestamp(store.clock.now().0);
        let values = (owner, now, partition.0 as i32, stored.owner);
        is_claimed = session::set(&store.session, &store.statements.claim, values).await? == Set::Applied;
    }
    Err(StoreError::Unavailable("others claimed the partition all the time".into()))
}

fn parse_marks(marks: &str) -> Result<Vec<RunMark>, StoreError> {
    serde_json::from_str(marks).map_err(|error| damaged("partition", format!("marks: {error}")))
}

/// The partitions of which something is stored, with their marks' least time, ascending.
pub(crate) async fn complete(store: &CqlClickStore) -> Result<Vec<(PartitionId, UnixMillis)>, StoreError> {
    let rows: Vec<(i32, Option<String>)> =
        session::rows(&store.session, &store.statements.all_marks, ()).await?;
    let mut all = Vec::with_capacity(rows.len());
    for (partition, marks) in rows {
        // Claimed, but nothing is stored yet.
        let Some(marks) = marks else { continue };
        let counting = parse_marks(&marks)?.into_iter().filter(|mark| !mark.superseded);
        let at = counting.map(|mark| mark.at).min().unwrap_or(UnixMillis::MIN);
        all.push((PartitionId(partition as u32), at));
    }
    all.sort_unstable_by_key(|(partition, _)| *partition);
    Ok(all)
}

/// Moves the position from the batch's start to its end, if the partition still is its owner's.
pub(crate) async fn advance(store: &CqlClickStore, batch: &JudgedBatch) -> Result<(), StoreError> {
    let PartitionProgress { position, marks } = &batch.to;
    let marks = serde_json::json!(marks).to_string();
    let (through, run) = (position.through.0 as i64, position.run.0);
    let now = CqlTimestamp(store.clock.now().0);
    // Where nothing is stored yet both are null, which a condition compares like any other value.
    let from = (batch.from.map(|from| from.through.0 as i64), batch.from.map(|from| from.run.0));
    let values = (through, run, marks, now, batch.partition.0 as i32, batch.owner, from.0, from.1);
    if session::set(&store.session, &store.statements.next_progress, values).await? == Set::Applied {
        return Ok(());
    }
    match place_of(batch, &stored(store, batch.partition).await?)? {
        Place::End => Ok(()),
        Place::Start => Err(StoreError::Unavailable("the position's compare-and-set was not done".into())),
    }
}
