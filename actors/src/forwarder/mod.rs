//! The forwarder: from an edge's journal to the shared log.
//!
//! # Problem
//!
//! An edge answers from its journal, alone; the judges read a shared log. What was acknowledged to a buyer must
//! arrive there once, in order, however often either side is killed, and the edge must not notice when the
//! shared log is away for an hour.
//!
//! # Shape
//!
//! ```text
//!   journal ──reader──▶ window (what is under way, bounded) ──▶ producer ──▶ clicks.raw
//!      ▲                   │ acknowledged, from the front on       │
//!      └── release ◀── place file (once a second) ◀────────────────┘
//! ```
//!
//! `window` is the state, pure; `chain` what ties records together; `producer` the trait before the broker;
//! `place` the file; `task` moves all of it; `status` tells.
//!
//! # Invariants
//!
//! - The place file is only ever behind what has arrived, and a segment of the journal is released only when
//!   the file says that it has arrived. It is written before the first record is sent, so that a start after
//!   a crash finds where this began.
//! - Sending again from any place gives the same (run, sequence, previous) as the first time: what arrives twice
//!   is dropped at the judge (`gonggumoa_core::log::arrivals`), and a gap cannot arise.
//! - What is under way is bounded in records and bytes; beyond it the journal is not read, and keeps what comes
//!   within its own budget. Edges never wait for any of this.
//! - A fault ends the producer; the next one begins at the last entry that has arrived with all before it.
//!
//! # Not here
//!
//! No judging, no topic settings (`kafka` looks at them before), no throwing away: a record that the broker
//! refuses for good stops the forwarder with an alarm, until a person looks at it.

mod chain;
mod place;
pub(crate) mod producer;
mod status;
mod task;
#[cfg(test)]
mod tests;
mod window;

pub use status::{ForwarderStatus, ForwarderStep};

use self::chain::Chain;
use self::place::{PlaceError, PlaceFile, StoredPlace};
use self::producer::MakeProducer;
use self::task::Task;
use self::window::Reached;
use crate::kafka::gapless::{self, GaplessLimits};
use crate::kafka::{KafkaConfig, LogEpoch};
use gonggumoa_core::clock::Clock;
use gonggumoa_core::ids::{PartitionId, Position, RunId};
use gonggumoa_core::log::partitioning::Partitioning;
use gonggumoa_core::log::{ClickLog, LogError, LogPosition};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

/// The name under which it reads the journal: one of its `required_readers`.
pub const READER_NAME: &str = "forwarder";
/// The partition of a journal.
const JOURNAL_PARTITION: PartitionId = PartitionId(0);

/// How the forwarder works.
#[derive(Clone, Debug)]
pub struct ForwarderConfig {
    /// The folder of the place file: `DATA_DIR`. It stays with the journal; one without the other is refused.
    pub folder: PathBuf,
    /// Which life of the shared log is written to.
    pub log: LogEpoch,
    /// How it is divided.
    pub partitioning: Partitioning,
    /// How far this machine judged its journal by itself, when it becomes an edge and there is no place file yet:
    /// what the store says of partition 0 in epoch 0, if that run is of this journal (`Journal::has_run`). `None`:
    /// the journal is forwarded from its first record on.
    pub begin_after: Option<LogPosition>,
    /// Records under way, at most: half a second of 100,000 clicks a second.
    pub in_flight_records_max: usize,
    /// Their bytes, at most. With the record's own overhead in the client some 64 MB of memory.
    pub in_flight_bytes_max: usize,
    /// Entries of one read: a few milliseconds of work.
    pub read_entries_max: usize,
    /// Least time between two writes of the place. A crash sends at most this much again.
    pub place_interval: Duration,
    /// Records older than this raise the alarm. Judging waits for them, and no disk but the edge's has them.
    pub alarm_after: Duration,
    /// First wait after a fault; doubled up to `retry_max`.
    pub retry_min: Duration,
    /// Longest wait between two tries.
    pub retry_max: Duration,
}

impl ForwarderConfig {
    /// Reasoned defaults.
    pub fn new(folder: PathBuf, log: LogEpoch, partitioning: Partitioning) -> Self {
        Self {
            folder,
            log,
            partitioning,
            begin_after: None,
            in_flight_records_max: 50_000,
            in_flight_bytes_max: 32 << 20,
            read_entries_max: 4_096,
            place_interval: Duration::from_secs(1),
            alarm_after: Duration::from_secs(60),
            retry_min: Duration::from_millis(100),
            retry_max: Duration::from_secs(5),
        }
    }
}

/// Why the forwarder cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ForwarderError {
    /// The place file is not as it was written.
    #[error(
        "{} is damaged: {problem}; the journal it belongs to is {journal}. Bring the file back from a copy that is \
         not older than the journal's oldest segment: what is sent again is dropped, what is passed over is lost",
        file.display()
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        problem: String,
        /// What is known of the journal.
        journal: String,
    },
    /// The place, or the one to begin after, is not in this journal.
    #[error(
        "{place} says that run {run} was forwarded through {through}, but that is not in this journal (its run \
         chain: {chain}); the journal or the file was restored or copied from elsewhere"
    )]
    ForeignJournal {
        /// The file, or the setting.
        place: String,
        /// Its run.
        run: RunId,
        /// Its position.
        through: Position,
        /// The journal's runs.
        chain: String,
    },
    /// The place belongs to another shared log.
    #[error(
        "{} belongs to log epoch {} of history {}, but the log is epoch {} of history {}; look at KAFKA_LOG_EPOCH",
        file.display(), found.number, found.history, wanted.number, wanted.history
    )]
    ForeignLog {
        /// The file.
        file: PathBuf,
        /// What it says.
        found: LogEpoch,
        /// What is written to now.
        wanted: LogEpoch,
    },
    /// The journal has let go of what comes next.
    #[error(
        "{place}: the journal begins at {oldest}, after {through}; records between them were not forwarded"
    )]
    Deleted {
        /// The file, or what stands in for it.
        place: String,
        /// The journal's oldest position.
        oldest: Position,
        /// The place.
        through: Position,
    },
    /// The journal cannot be read.
    #[error("the journal cannot be read")]
    Journal(#[source] LogError),
    /// The place file cannot be read or written.
    #[error("{} cannot be used", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl ForwarderError {
    /// Whether the same call may work later.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Damaged { .. }
            | Self::ForeignJournal { .. }
            | Self::ForeignLog { .. }
            | Self::Deleted { .. } => false,
            Self::Journal(error) => error.retryable(),
            Self::File { .. } => true,
        }
    }
}

/// The journal did not arrive in time; the rest is sent after the next start.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
#[error(
    "{lag_records} records of the journal are not in the shared log yet; they are sent after the next start"
)]
pub struct DrainError {
    /// How many are left.
    pub lag_records: u64,
}

impl DrainError {
    /// Whether the same call may work later: the next start goes on.
    pub fn retryable(&self) -> bool {
        true
    }
}

/// The running forwarder. Dropped without [`drain`](Self::drain), it stops at once, as a crash would.
pub struct ForwarderHandle {
    status: watch::Receiver<ForwarderStatus>,
    stop: Arc<Notify>,
    task: JoinHandle<()>,
}

impl ForwarderHandle {
    /// How it goes.
    pub fn status(&self) -> watch::Receiver<ForwarderStatus> {
        self.status.clone()
    }

    /// After the journal was closed: waits until everything in it has arrived and the place says so, at most so
    /// long. Either way the forwarder has ended then, with its place written.
    pub async fn drain(mut self, deadline: Duration) -> Result<Option<LogPosition>, DrainError> {
        if tokio::time::timeout(deadline, self.status.wait_for(ForwarderStatus::has_ended)).await.is_err() {
            self.stop.notify_one();
            // Writing the place is all that is left to it; a sync that hangs is not waited for.
            let _ = tokio::time::timeout(Duration::from_secs(2), &mut self.task).await;
        }
        let status = self.status.borrow().clone();
        match status.step {
            ForwarderStep::Drained => Ok(status.forwarded),
            ForwarderStep::Running | ForwarderStep::Restarting { .. } | ForwarderStep::Stopped => {
                Err(DrainError { lag_records: status.lag_records })
            }
        }
    }
}

impl Drop for ForwarderHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts forwarding `journal` to `clicks.raw`. Kafka need not be there: it is waited for, with an alarm.
///
/// # Errors
/// When the place file, the journal and the log's identity do not belong together.
pub async fn spawn(
    config: ForwarderConfig,
    kafka: KafkaConfig,
    journal: Arc<dyn ClickLog>,
    clock: Arc<dyn Clock>,
) -> Result<ForwarderHandle, ForwarderError> {
    let limits = GaplessLimits { records: config.in_flight_records_max, bytes: config.in_flight_bytes_max };
    spawn_with(config, journal, clock, Box::new(move || gapless::open(&kafka, limits))).await
}

/// [`spawn`] with producers of one's own.
async fn spawn_with(
    config: ForwarderConfig,
    journal: Arc<dyn ClickLog>,
    clock: Arc<dyn Clock>,
    make_producer: MakeProducer,
) -> Result<ForwarderHandle, ForwarderError> {
    let file = PlaceFile::new(config.folder.clone());
    let stored = begin(&config, &file, journal.as_ref()).await?;
    let (sender, status) = watch::channel(ForwarderStatus::new());
    let stop = Arc::new(Notify::new());
    let task = Task::new(config, journal, clock, make_producer, file, stored, sender);
    let stopped = Arc::clone(&stop);
    let task = tokio::spawn(task.run(stopped));
    Ok(ForwarderHandle { status, stop, task })
}

/// Where to begin, by the file or, the first time, by the configuration; checked against the journal, and in
/// the file before anything is sent.
async fn begin(
    config: &ForwarderConfig,
    file: &PlaceFile,
    journal: &dyn ClickLog,
) -> Result<StoredPlace, ForwarderError> {
    let path = file.path();
    let io = |source| ForwarderError::File { file: path.clone(), source };
    let found = match file.read() {
        Ok(found) => found,
        Err(PlaceError::Io(source)) => return Err(io(source)),
        Err(PlaceError::Damaged(problem)) => {
            let journal = describe(journal).await;
            return Err(ForwarderError::Damaged { file: path.clone(), problem, journal });
        }
    };
    let is_first = found.is_none();
    let (stored, place) = match found {
        Some(found) => {
            check_log(config, &path, found.log)?;
            (found, path.display().to_string())
        }
        None => {
            let run = config.begin_after.map(|place| place.run);
            let through = config.begin_after.map_or(Position(0), |place| place.through);
            let chain = Chain::new(run, config.partitioning.count());
            let place = format!("{} is missing, and the place to begin after", path.display());
            (StoredPlace { log: config.log, reached: Reached { through, chain } }, place)
        }
    };
    match journal.reader(JOURNAL_PARTITION, stored.reached.place()).await {
        Ok(_) => {}
        Err(LogError::ForeignPosition { through, run, chain }) => {
            return Err(ForwarderError::ForeignJournal { place, run, through, chain });
        }
        Err(LogError::Deleted { oldest, through }) => {
            return Err(ForwarderError::Deleted { place, oldest, through });
        }
        Err(error) => return Err(ForwarderError::Journal(error)),
    }
    if is_first {
        file.write(&stored).map_err(io)?;
    }
    Ok(stored)
}

/// An epoch goes on from the one before: the judges' marks do too. The file takes the new one's name with the first
/// record that arrives there.
fn check_log(
    config: &ForwarderConfig,
    path: &std::path::Path,
    found: LogEpoch,
) -> Result<(), ForwarderError> {
    if found == config.log || found.number < config.log.number {
        return Ok(());
    }
    Err(ForwarderError::ForeignLog { file: path.to_owned(), found, wanted: config.log })
}

/// What a journal says of itself when asked for a place that cannot be.
async fn describe(journal: &dyn ClickLog) -> String {
    let nowhere = LogPosition { through: Position(u64::MAX), run: RunId(uuid::Uuid::nil()) };
    match journal.reader(JOURNAL_PARTITION, Some(nowhere)).await {
        Err(LogError::ForeignPosition { chain, .. }) => format!("that of runs {chain}"),
        Ok(_) | Err(_) => "unknown".to_owned(),
    }
}
