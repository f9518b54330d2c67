//! What a journal is told, what it tells, and why it may refuse to open.

use crate::log::SinkHealth;
use std::path::PathBuf;

/// The length of a segment where nothing else is said: 200,000 clicks, read in one go and quickly made.
pub const SEGMENT_BYTES: u64 = 64 << 20;

/// Where and how a journal is kept.
#[derive(Clone, Debug)]
pub struct JournalConfig {
    /// The folder; made if missing.
    pub dir: PathBuf,
    /// Length of a segment: [`SEGMENT_BYTES`].
    pub segment_bytes: u64,
    /// A segment with clicks is sealed after this time, so that addresses can go with it: one hour.
    pub segment_millis: i64,
    /// All segments together: 8 GiB are 25 million clicks, a bad day of a stopped store.
    pub max_bytes: u64,
    /// Left free on the disk for others: 1 GiB.
    pub disk_reserve_bytes: u64,
    /// A time mark is written so often, idle or not: every second.
    pub mark_interval_millis: u64,
    /// Clicks gathered while the disk is busy, at most; beyond it they are refused as if it were full.
    /// 64 MiB are 200,000 clicks behind one sync.
    pub gather_max_bytes: usize,
    /// Segments stay until all of these have released them.
    pub required_readers: Vec<&'static str>,
}

impl JournalConfig {
    /// Reasoned defaults.
    pub fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            segment_bytes: SEGMENT_BYTES,
            segment_millis: 3_600_000,
            max_bytes: 8 << 30,
            disk_reserve_bytes: 1 << 30,
            mark_interval_millis: 1_000,
            gather_max_bytes: 64 << 20,
            required_readers: vec!["judge", "archive"],
        }
    }
}

/// Why a journal cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum JournalOpenError {
    /// Another process writes here.
    #[error("the journal in {0} is in use by another process")]
    InUse(PathBuf),
    /// What was durable is damaged.
    #[error("{segment} is corrupt at offset {offset}: {problem}")]
    Corrupt {
        /// The segment's file name.
        segment: String,
        /// The byte in it.
        offset: u64,
        /// What is wrong.
        problem: String,
    },
    /// The configuration contradicts itself.
    #[error("the journal's configuration is wrong: {0}")]
    Config(&'static str),
    /// The disk.
    #[error("the journal's files cannot be used")]
    Io(#[from] std::io::Error),
}

impl JournalOpenError {
    /// Whether the same call may work later.
    pub fn retryable(&self) -> bool {
        matches!(self, Self::InUse(_) | Self::Io(_))
    }
}

/// Figures for metrics and readiness.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JournalStats {
    /// Length of all segments.
    pub bytes: u64,
    /// How many there are.
    pub segments: usize,
    /// The last durable sequence.
    pub durable_sequence: u64,
    /// Whether clicks are taken.
    pub health: SinkHealth,
    /// How long the last sync took.
    pub fsync_micros: u64,
    /// Groups written by this process.
    pub groups: u64,
    /// Records written by this process.
    pub records: u64,
}
