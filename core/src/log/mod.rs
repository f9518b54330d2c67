//! The click log: the truth that everything else is folded from.
//!
//! A log has one or more partitions; a partition is an ordered sequence of entries:
//!
//! ```text
//!   position   1      2      3      4      5      6
//!            click  click   mark  click  click   …
//!                      ▲                    ▲
//!               stored position         durable end
//! ```
//!
//! Two sides, two traits. The edge appends through [`ClickSink`]; the judge reads through
//! [`ClickLog`]. One conformance suite (`conformance`) is passed by every provider.

pub mod arrivals;
pub mod codec;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod journal;
#[cfg(any(test, feature = "conformance"))]
pub mod memory;
pub mod partitioning;

use crate::click::{ClickFacts, RawClick};
use crate::clock::UnixMillis;
use crate::ids::{ClickId, PartitionId, Position, RunId};
use async_trait::async_trait;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// What the client may be told about a recorded click.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClickReceipt {
    /// Its id.
    pub id: ClickId,
    /// When it was written down.
    pub clicked_at: UnixMillis,
    /// The run that wrote it.
    pub run: RunId,
    /// Its number in the run's chain.
    pub sequence: u64,
}

/// Why a click could not be recorded. The buyer is redirected all the same.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum AppendError {
    /// No space within the budget; tried again every second.
    #[error("the journal is full")]
    Full,
    /// A write or sync failed; nothing more is acknowledged until a restart.
    #[error("the journal is poisoned: {0}")]
    Poisoned(String),
    /// The log is closing.
    #[error("the journal is closed")]
    Closed,
}

impl AppendError {
    /// Whether the same call may work later in this process.
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Full)
    }
}

/// Resolves when a write is durable, or never will be.
type Durability = Pin<Box<dyn Future<Output = Result<(), AppendError>> + Send>>;

/// A click on its way to the disk. Resolves when the write that covers it is durable, or never will
/// be. Dropping it does not take the click back.
#[must_use = "an append is acknowledged only when awaited"]
pub struct PendingClick {
    /// `None`: refused at the door.
    receipt: Result<ClickReceipt, AppendError>,
    wait: Option<Durability>,
}

impl PendingClick {
    /// A click refused at the door.
    pub fn refused(error: AppendError) -> Self {
        Self { receipt: Err(error), wait: None }
    }

    /// A click whose durability `wait` tells.
    pub fn waiting(
        receipt: ClickReceipt,
        wait: impl Future<Output = Result<(), AppendError>> + Send + 'static,
    ) -> Self {
        Self { receipt: Ok(receipt), wait: Some(Box::pin(wait)) }
    }
}

impl Future for PendingClick {
    type Output = Result<ClickReceipt, AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(wait) = self.wait.as_mut() {
            match wait.as_mut().poll(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(self.receipt.clone())
    }
}

/// Whether clicks can be recorded now; readiness shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SinkHealth {
    /// Yes.
    Ready,
    /// Not until space is found.
    Full,
    /// Not until a restart.
    Poisoned(String),
}

/// The edge's side. `append` MUST give `clicked_at` and sequence together, in one order; the returned
/// click MUST resolve only after it is durable; an error MUST mean that no receipt is ever given.
pub trait ClickSink: Send + Sync + 'static {
    /// Takes down a click. Never blocks; costs no allocation beyond the future's own.
    fn append(&self, facts: &ClickFacts<'_>) -> PendingClick;
    /// Whether it takes clicks now.
    fn health(&self) -> SinkHealth;
}

/// One entry of a partition.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly every entry is a click; a box each would cost more")]
pub enum LogEntry {
    /// A click.
    Click(RawClick),
    /// Up to `at`, every click of `run` in this partition stands before this entry.
    TimeMark {
        /// Whose mark.
        run: RunId,
        /// The time it speaks of.
        at: UnixMillis,
    },
    /// `run` ended cleanly; nothing of it follows.
    Closing {
        /// Which run.
        run: RunId,
    },
}

impl LogEntry {
    /// The run that recorded it.
    pub fn run(&self) -> RunId {
        match self {
            Self::Click(click) => click.run,
            Self::TimeMark { run, .. } | Self::Closing { run } => *run,
        }
    }
}

/// A reader's place, as stored. `run` is the run that holds `through`, so that a store from another
/// history is noticed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogPosition {
    /// Everything up to here has been taken.
    pub through: Position,
    /// The run it lies in.
    pub run: RunId,
}

/// How an entry came into a log that several edges write to. They may send a record again, so a shared log can
/// hold it twice; see [`arrivals`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// The run that recorded the entry.
    pub run: RunId,
    /// Its number there.
    pub sequence: u64,
    /// The number of the run's record before it in this partition; 0: it is the first one.
    pub previous: u64,
    /// The run before this one on the same edge; told by time marks.
    pub predecessor: Option<RunId>,
    /// When the log took it.
    pub appended_at: UnixMillis,
}

/// Consecutive entries, at least one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogBatch {
    /// The entries with their positions, ascending. Positions may skip (records that are not ours to
    /// see), never repeat.
    pub entries: Vec<(Position, LogEntry)>,
    /// One for each entry, in their order, when the log is shared; `None`: the log itself holds every record
    /// once and none is missing, as a journal does.
    pub arrivals: Option<Vec<Arrival>>,
    /// The identity of a shared log, by which its places are named; `None`: a place is named by the run of
    /// its entry.
    pub history: Option<RunId>,
    /// The place after them; its `through` is at or after the last entry's position.
    pub end: LogPosition,
    /// Whether more durable entries stood behind it when it was read: a caller that waits between
    /// batches need not.
    pub more: bool,
}

impl LogBatch {
    /// The place just after the entry at `index`.
    pub fn place(&self, index: usize) -> Option<LogPosition> {
        let (through, entry) = self.entries.get(index)?;
        Some(LogPosition { through: *through, run: self.history.unwrap_or_else(|| entry.run()) })
    }
}

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The stored place is not in this log's history.
    #[error(
        "the stored position {through} of run {run} is not in this log (its run chain: {chain}); \
         the store or the log was restored or copied from elsewhere"
    )]
    ForeignPosition {
        /// The stored position.
        through: Position,
        /// The stored run.
        run: RunId,
        /// The runs known, oldest first, with their last sequences.
        chain: String,
    },
    /// Entries after the place were already deleted.
    #[error("the log begins at {oldest}, after the stored position {through}")]
    Deleted {
        /// The oldest position held.
        oldest: Position,
        /// The stored position.
        through: Position,
    },
    /// Durable bytes are damaged.
    #[error("{place} is corrupt at offset {offset}: {problem}")]
    Corrupt {
        /// The segment or partition.
        place: String,
        /// Byte offset in it.
        offset: u64,
        /// What is wrong.
        problem: String,
    },
    /// A record of ours in a form that this program is too old for: judges are renewed before edges.
    #[error("{place} holds a record of version {version} at {position}, newer than this program knows")]
    Newer {
        /// The partition.
        place: String,
        /// Where.
        position: Position,
        /// The record's version.
        version: u8,
    },
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
    /// The disk or broker.
    #[error("reading the log failed")]
    Io(#[from] std::io::Error),
}

impl LogError {
    /// Whether the same call may work later.
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Io(_))
    }
}

/// The judge's side.
///
/// - Readers see durable entries only, each once, in position order, from just after the place they
///   are opened at; two readers at the same place see the same bytes.
/// - `next` waits for at least one entry, then returns what is there up to the limits: the caller's, and
///   one of the log's own that keeps a batch's memory bounded. `more` tells whether a limit cut it.
///   After the log was closed it returns the rest, then `LogError::Closed`.
/// - An entry MUST NOT be deleted before every name in use has released it.
#[async_trait]
pub trait ClickLog: Send + Sync + 'static {
    /// The partitions there are.
    fn partitions(&self) -> Vec<PartitionId>;
    /// The position of the last durable entry now (0: none).
    async fn durable_end(&self, partition: PartitionId) -> Result<Position, LogError>;
    /// A reader just after `after`; `None` begins at the oldest entry, and is refused with
    /// `Deleted` if that is not the first ever written.
    async fn reader(
        &self,
        partition: PartitionId,
        after: Option<LogPosition>,
    ) -> Result<Box<dyn LogReader>, LogError>;
    /// Says that the reader of this name (`judge`, `archive`) is through with everything up to
    /// `through`, durably. What all readers released may be deleted.
    async fn release(&self, partition: PartitionId, reader: &'static str, through: LogPosition);
}

/// A place in a partition that moves forward.
#[async_trait]
pub trait LogReader: Send {
    /// The next entries, at most `entries_max`. Cancel-safe.
    async fn next(&mut self, entries_max: usize) -> Result<LogBatch, LogError>;
}
