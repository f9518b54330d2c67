#![allow(clippy::unwrap_used, clippy::expect_used)]

mod crowd;
mod damage;
mod failure;
mod history;
mod hooked;
mod live;
mod model;
mod reading;
mod time;

use super::faulty::FaultyIo;
use super::io::{JournalIo, RealIo};
use super::segment::{SegmentHeader, parse_name};
use super::*;
use crate::clock::{ManualClock, SystemClock};
use crate::log::conformance::{self, LogFixture, facts};
use crate::log::{ClickReceipt, LogEntry};
use hooked::{Call, HookedIo};
use std::path::Path;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(30);
const FOLDER: &str = "/journal";
/// The smallest segments there may be: they fill quickly.
const SMALL_SEGMENT_BYTES: u64 = segment::SEGMENT_MIN_BYTES;

/// Small segments, and one time mark only, at the start of each run.
fn config(dir: &Path) -> JournalConfig {
    JournalConfig {
        segment_bytes: SMALL_SEGMENT_BYTES,
        max_bytes: 1 << 30,
        disk_reserve_bytes: 0,
        mark_interval_millis: 3_600_000,
        ..JournalConfig::new(dir.to_owned())
    }
}

fn open_with(io: &FaultyIo, config: JournalConfig) -> Result<Journal, JournalOpenError> {
    Journal::open(config, Arc::new(SystemClock), Arc::new(io.clone()))
}

fn open(io: &FaultyIo) -> Result<Journal, JournalOpenError> {
    open_with(io, config(Path::new(FOLDER)))
}

async fn record(journal: &Journal, name: &str) -> Result<ClickReceipt, AppendError> {
    tokio::time::timeout(DEADLINE, journal.append(&facts(name))).await.expect("an answer in time")
}

/// A click's name, padded so that a segment takes few of them.
fn bulky(number: usize) -> String {
    format!("{number:0>900}")
}

/// All durable clicks as (sequence, user agent), by a reader from the beginning; checks the order.
async fn read_all(journal: &Journal) -> Vec<(u64, Box<str>)> {
    read_from(journal, None).await
}

async fn read_from(journal: &Journal, after: Option<LogPosition>) -> Vec<(u64, Box<str>)> {
    let end = journal.durable_position().through;
    let mut reader = journal.reader(PARTITION, after).await.unwrap();
    let mut through = after.map_or(Position(0), |after| after.through);
    let mut clicks = Vec::new();
    while through < end {
        let batch = tokio::time::timeout(DEADLINE, reader.next(1_000)).await.unwrap().unwrap();
        for (position, entry) in batch.entries {
            assert_eq!(position.0, through.0 + 1, "no gap, nothing twice");
            through = position;
            if let LogEntry::Click(click) = entry {
                assert_eq!(click.sequence, position.0);
                clicks.push((click.sequence, click.user_agent));
            }
        }
    }
    clicks
}

/// Waits until `condition` holds.
async fn until(condition: impl Fn() -> bool) {
    let mut tries = tokio::time::interval(Duration::from_millis(2));
    tokio::time::timeout(DEADLINE, async {
        while !condition() {
            tries.tick().await;
        }
    })
    .await
    .expect("the condition in time");
}

struct Fixture {
    io: Arc<dyn JournalIo>,
    config: JournalConfig,
    journal: Option<Journal>,
    _folder: Option<tempfile::TempDir>,
}

#[async_trait]
impl LogFixture for Fixture {
    async fn open(&mut self) -> Arc<dyn ClickLog> {
        let journal =
            Journal::open(self.config.clone(), Arc::new(SystemClock), Arc::clone(&self.io)).unwrap();
        self.journal = Some(journal.clone());
        Arc::new(journal)
    }

    async fn record(&mut self, facts: &ClickFacts<'_>) -> ClickReceipt {
        self.journal.as_ref().unwrap().append(facts).await.unwrap()
    }

    async fn close(&mut self) {
        self.journal.take().unwrap().close().await.unwrap();
    }

    fn partition(&self) -> PartitionId {
        PARTITION
    }
}

#[tokio::test]
async fn the_suite_on_a_real_disk() {
    conformance::run_all(|| {
        let folder = tempfile::tempdir().unwrap();
        let config = config(&folder.path().join("journal"));
        Fixture { io: Arc::new(RealIo), config, journal: None, _folder: Some(folder) }
    })
    .await;
}

#[tokio::test]
async fn the_suite_on_a_disk_in_memory_with_many_marks() {
    conformance::run_all(|| {
        let config = JournalConfig { mark_interval_millis: 1, ..config(Path::new(FOLDER)) };
        Fixture { io: Arc::new(FaultyIo::new()), config, journal: None, _folder: None }
    })
    .await;
}
