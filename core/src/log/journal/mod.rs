//! The file journal: where a click is written before anybody is answered.
//!
//! # Problem
//!
//! A click that was answered with an id must survive a kill, a crash and a full or failing disk, exactly
//! once, at the speed of the HTTP server in front of it, on a plain file system.
//!
//! # Shape
//!
//! ```text
//!  handlers ──encode under a short lock──▶ gathering buffer ──▶ writer thread ──pwrite, fdatasync──▶ segment
//!     ▲                                                              │
//!     └───────────────── the group's waiters are woken ◀─────────────┴──▶ readers: durable records only
//! ```
//!
//! `record` and `segment` hold the format, `commit` the gathering, `writer` the thread, `active` its segment,
//! `recovery` the opening of what a crash left, `reader` the reading, `space` budget and deletion,
//! `config` what may be set, `time` the times on record, `io` the file layer that tests make fail, `verify` the operator's walk.
//!
//! # Invariants
//!
//! - Acknowledged means durable: a click's future resolves after the fdatasync that covers it.
//! - Sequences have no gaps and no repeats in what is durable; times never descend.
//! - Each start is a new run in a fresh segment; an old run is never appended to. A record's identity is
//!   (run, sequence), so a cloned or restored folder never repeats one, and a reader whose place is not
//!   in the chain of runs is refused.
//! - A failed write or sync is final (poisoned); lack of space is not (full).
//! - Damage to what was durable stops the start and is named; only what was never acknowledged is cut.
//!
//! # Not here
//!
//! No judging, no index, no compression, no network; readers keep their own places and release again
//! after a start.

mod active;
mod commit;
mod config;
#[cfg(any(test, feature = "conformance"))]
pub mod faulty;
pub mod io;
mod reader;
mod record;
mod recovery;
mod segment;
mod space;
mod time;
mod verify;
mod writer;

pub use config::{JournalConfig, JournalOpenError, JournalStats, SEGMENT_BYTES};
pub use time::{Monotonic, SystemMonotonic};
pub use verify::{SegmentReport, SegmentState, VerifyProblem, VerifyReport, verify};

use self::commit::{Gather, Stop};
use self::io::JournalIo;
use self::reader::JournalReader;
use self::recovery::Recovered;
use self::segment::{CHAIN_MAX_RUNS, ChainLink};
use self::space::SegmentTable;
use self::time::RecordClock;
use self::writer::Writer;
use crate::click::ClickFacts;
use crate::clock::{Clock, UnixMillis};
use crate::ids::{PartitionId, Position, RunId};
use crate::log::{
    AppendError, ClickLog, ClickSink, LogError, LogPosition, LogReader, PendingClick, SinkHealth,
};
use async_trait::async_trait;
use parking_lot::{Condvar, Mutex};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use tokio::sync::watch;

/// The only partition of a file journal.
pub const PARTITION: PartitionId = PartitionId(0);

const LOCK_FILE: &str = "lock";
/// Runs that the chain names beyond those that are needed, so that an old place is named, not unknown.
const CHAIN_SPARE_RUNS: usize = 256;
/// Runs that an error message names.
const CHAIN_SHOWN_RUNS: usize = 16;

/// How far the log is durable, as readers are told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Progress {
    durable: u64,
    /// Nothing more will come.
    ended: bool,
}

#[derive(Default)]
struct Counters {
    groups: AtomicU64,
    records: AtomicU64,
    fsync_micros: AtomicU64,
}

/// What handlers, writer and readers share.
struct Shared {
    config: JournalConfig,
    io: Arc<dyn JournalIo>,
    run: RunId,
    /// The first sequence of this run.
    base: u64,
    /// The runs before, oldest first.
    chain: Vec<ChainLink>,
    gather: Mutex<Gather>,
    /// Tells the sleeping writer that there is work.
    work: Condvar,
    progress: watch::Sender<Progress>,
    segments: Mutex<SegmentTable>,
    /// Held while segments are deleted: one after another, in order.
    deleting: Mutex<()>,
    counters: Counters,
}

/// A journal in use. A cheap handle; the last one dropped without [`close`](Self::close) ends the
/// writer at once, as a crash would.
#[derive(Clone)]
pub struct Journal(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Journal {
    /// Opens the journal in `config.dir`, after a crash too, and begins a new run.
    pub fn open(
        config: JournalConfig,
        clock: Arc<dyn Clock>,
        io: Arc<dyn JournalIo>,
    ) -> Result<Self, JournalOpenError> {
        Self::open_with_monotonic(config, clock, Arc::new(SystemMonotonic::default()), io)
    }

    /// [`open`](Self::open) with a monotonic clock of one's own; a test gives the same `ManualClock`
    /// twice, so that its moves are time passing rather than jumps.
    pub fn open_with_monotonic(
        config: JournalConfig,
        clock: Arc<dyn Clock>,
        monotonic: Arc<dyn Monotonic>,
        io: Arc<dyn JournalIo>,
    ) -> Result<Self, JournalOpenError> {
        space::check(&config)?;
        metrics::gauge!("journal_max_bytes").set(config.max_bytes as f64);
        io.create_folder(&config.dir)?;
        let lock = io.lock(&config.dir.join(LOCK_FILE))?;
        let lock = lock.ok_or_else(|| JournalOpenError::InUse(config.dir.clone()))?;
        let Recovered { segments, chain, last, clicked_at_floor } =
            recovery::recover(io.as_ref(), &config.dir)?;
        let oldest = segments.first().map_or(last + 1, |segment| segment.base);
        let run = RunId::random();
        let clock = RecordClock::new(clock, monotonic, clicked_at_floor);
        let shared = Arc::new(Shared {
            io,
            run,
            base: last + 1,
            chain: needed_chain(chain, oldest),
            gather: Mutex::new(Gather::new(run, last + 1, clock, config.gather_max_bytes)),
            work: Condvar::new(),
            progress: watch::Sender::new(Progress { durable: last, ended: false }),
            segments: Mutex::new(SegmentTable::new(segments, config.required_readers.clone())),
            deleting: Mutex::new(()),
            counters: Counters::default(),
            config,
        });
        let mut writer = Writer::new(Arc::clone(&shared), lock, last);
        writer.begin()?;
        metrics::gauge!("journal_ready").set(1.0);
        let thread = std::thread::Builder::new().name("journal".to_owned()).spawn(move || writer.run())?;
        Ok(Self(Arc::new(Handle { shared, thread: Mutex::new(Some(thread)) })))
    }

    /// Takes no more clicks, writes what was taken and a closing record, and lets the folder go. Readers
    /// get the rest, then `LogError::Closed`. A second call waits for the same end.
    pub async fn close(&self) -> Result<LogPosition, AppendError> {
        let shared = &self.0.shared;
        let mut progress = shared.progress.subscribe();
        shared.stop(Stop::Close);
        while !progress.borrow_and_update().ended {
            // The sender lives in `shared`, so this cannot fail while we wait.
            if progress.changed().await.is_err() {
                return Err(AppendError::Closed);
            }
        }
        match self.health() {
            SinkHealth::Poisoned(reason) => Err(AppendError::Poisoned(reason)),
            SinkHealth::Ready | SinkHealth::Full => Ok(self.durable_position()),
        }
    }

    /// The place of the last durable record.
    pub fn durable_position(&self) -> LogPosition {
        let durable = self.0.shared.progress.borrow().durable;
        LogPosition { through: Position(durable), run: self.0.shared.run_holding(durable) }
    }

    /// This start's run.
    pub fn run(&self) -> RunId {
        self.0.shared.run
    }

    /// Whether `run` is one of those that are known to have written here, this one included.
    pub fn has_run(&self, run: RunId) -> bool {
        let shared = &self.0.shared;
        run == shared.run || shared.chain.iter().any(|link| link.run == run)
    }

    /// Figures as of now.
    pub fn stats(&self) -> JournalStats {
        let shared = &self.0.shared;
        let (bytes, segments) = {
            let table = shared.segments.lock();
            (table.bytes(), table.count())
        };
        JournalStats {
            bytes,
            segments,
            durable_sequence: shared.progress.borrow().durable,
            health: self.health(),
            fsync_micros: shared.counters.fsync_micros.load(Ordering::Relaxed),
            groups: shared.counters.groups.load(Ordering::Relaxed),
            records: shared.counters.records.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.stop(Stop::Abandon);
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the journal's writer panicked");
        }
    }
}

impl ClickSink for Journal {
    fn append(&self, facts: &ClickFacts<'_>) -> PendingClick {
        let shared = &self.0.shared;
        let mut gather = shared.gather.lock();
        let pushed = gather.push_click(facts);
        let wake = std::mem::replace(&mut gather.writer_sleeps, false);
        drop(gather);
        if wake {
            shared.work.notify_one();
        }
        match pushed {
            Ok((receipt, wait)) => PendingClick::waiting(receipt, wait),
            Err(error) => PendingClick::refused(error),
        }
    }

    fn health(&self) -> SinkHealth {
        self.0.shared.gather.lock().health.clone()
    }
}

#[async_trait]
impl ClickLog for Journal {
    fn partitions(&self) -> Vec<PartitionId> {
        vec![PARTITION]
    }

    async fn durable_end(&self, _partition: PartitionId) -> Result<Position, LogError> {
        Ok(self.durable_position().through)
    }

    async fn reader(
        &self,
        _partition: PartitionId,
        after: Option<LogPosition>,
    ) -> Result<Box<dyn LogReader>, LogError> {
        let shared = &self.0.shared;
        if let Some(place) = after
            && !shared.knows(place)
        {
            return Err(LogError::ForeignPosition {
                through: place.through,
                run: place.run,
                chain: shared.describe_chain(),
            });
        }
        let through = after.map_or(0, |place| place.through.0);
        let oldest = shared.segments.lock().oldest().unwrap_or(shared.base);
        if through + 1 < oldest {
            return Err(LogError::Deleted { oldest: Position(oldest), through: Position(through) });
        }
        Ok(Box::new(JournalReader::new(Arc::clone(shared), through)))
    }

    async fn release(&self, _partition: PartitionId, reader: &'static str, through: LogPosition) {
        let shared = Arc::clone(&self.0.shared);
        if !shared.knows(through) {
            tracing::error!(log.reader = reader, log.through = %through.through, "a release of a foreign place was ignored");
            return;
        }
        shared.segments.lock().release(reader, through.through.0);
        let done = tokio::task::spawn_blocking(move || {
            let _one_at_a_time = shared.deleting.lock();
            space::delete_released(shared.io.as_ref(), &shared.config.dir, &shared.segments)
        });
        // What could not be deleted is tried again at the next release.
        if let Ok(Err(error)) = done.await {
            tracing::warn!(%error, "a segment could not be deleted");
        }
    }
}

impl Shared {
    fn stop(&self, how: Stop) {
        self.gather.lock().stop.get_or_insert(how);
        self.work.notify_one();
    }

    /// The run that wrote `sequence`; for 0, the oldest known.
    fn run_holding(&self, sequence: u64) -> RunId {
        if sequence >= self.base {
            return self.run;
        }
        self.chain.iter().find(|link| link.last >= sequence).map_or(self.run, |link| link.run)
    }

    /// Whether a place lies in a run of this log, within what that run wrote.
    fn knows(&self, place: LogPosition) -> bool {
        let through = place.through.0;
        let mut before = 0;
        for link in &self.chain {
            if link.run == place.run {
                return (before..=link.last).contains(&through);
            }
            before = link.last;
        }
        place.run == self.run && (before..=self.progress.borrow().durable).contains(&through)
    }

    fn describe_chain(&self) -> String {
        let mut text = String::new();
        let skipped = self.chain.len().saturating_sub(CHAIN_SHOWN_RUNS);
        if skipped > 0 {
            let _ = write!(text, "{skipped} older, ");
        }
        for link in &self.chain[skipped..] {
            let _ = write!(text, "{} through {}, ", link.run, link.last);
        }
        let _ = write!(text, "{} through {}", self.run, self.progress.borrow().durable);
        text
    }
}

/// The runs that a place at or after the oldest record may lie in, and some more.
fn needed_chain(mut chain: Vec<ChainLink>, oldest: u64) -> Vec<ChainLink> {
    let first_needed = chain.partition_point(|link| link.last < oldest - 1);
    let spare = first_needed.min(chain.len().saturating_sub(CHAIN_SPARE_RUNS));
    chain.drain(..spare.max(chain.len().saturating_sub(CHAIN_MAX_RUNS)));
    chain
}

/// What a time mark says.
fn mark_time(payload: &[u8]) -> Option<UnixMillis> {
    Some(UnixMillis(i64::from_le_bytes(*payload.first_chunk::<8>().filter(|_| payload.len() == 8)?)))
}

#[cfg(test)]
mod tests;
