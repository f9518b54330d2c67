//! What a partition is told, by its tasks and its gonggus. Nobody waits for an answer.

use crate::gonggu::Folded;
use gonggumoa_core::ids::GongguId;
use gonggumoa_core::judge::rules::RulesHistory;
use gonggumoa_core::judge::state::GongguState;
use gonggumoa_core::log::LogBatch;
use gonggumoa_core::store::PartitionProgress;
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

/// A batch read from the log, with the permit that bounds how many wait.
pub(crate) struct ReadBatch {
    pub(crate) batch: LogBatch,
    pub(crate) permit: OwnedSemaphorePermit,
}

pub(crate) enum PartitionMessage {
    /// Claimed as this owner: this is where to go on.
    Opened {
        owner: Uuid,
        progress: Option<PartitionProgress>,
        history: Box<RulesHistory>,
        quarantined: Vec<gonggumoa_core::ids::Position>,
    },
    /// The log's reader is open at the stored place.
    ReaderOpened,
    /// The next entries.
    Read(Box<ReadBatch>),
    /// The log was closed and all of it has been read.
    EndOfLog,
    /// States asked for, ready to fold for `batch`.
    Loaded { batch: u64, states: Vec<(GongguId, Box<GongguState>)> },
    /// A gonggu's answer.
    Folded(Box<Folded>),
    /// The batch in flight is stored.
    Stored,
    /// Looks for idle gonggus.
    IdleCheck,
    /// A task of the partition cannot go on; the partition ends and is opened again.
    Failed(String),
    /// It can never run as things are; the partition ends for good.
    Refused(String),
    /// What the log holds next cannot be judged; once all before it is stored, the partition ends for good.
    NoMore(String),
    /// A judged batch can never be stored; the partition ends for good, at once.
    Stopped(String),
    /// It goes to somebody else: what has been read is stored, then the partition ends.
    Leave,
}
