#![allow(clippy::unwrap_used, clippy::expect_used)]
//! The forwarder against everything that a broker, a disk and a kill may do to it.

mod broker;
mod journal;
mod model;
mod real;
mod starts;

use super::{ForwarderConfig, Partitioning};
use crate::kafka::{LogEpoch, record};
use gonggumoa_core::click::testing::{ClickBuilder, TEST_EPOCH};
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::{GongguId, PartitionId, Position, RunId};
use gonggumoa_core::log::{LogBatch, LogEntry, LogPosition, arrivals};
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;
use uuid::Uuid;

const DEADLINE: Duration = Duration::from_secs(30);
const HISTORY: RunId = RunId(Uuid::from_u128(0xabcd));
const PARTITIONS: u32 = 3;
/// When the log takes records in these tests: after any clock's time, so that no time is changed.
const LATER: UnixMillis = UnixMillis(4_000_000_000_000);

fn run(number: u128) -> RunId {
    RunId(Uuid::from_u128(number))
}

fn three() -> Partitioning {
    Partitioning::new(NonZeroU32::new(PARTITIONS).unwrap())
}

fn config(folder: &Path) -> ForwarderConfig {
    let log = LogEpoch { number: 1, history: HISTORY };
    ForwarderConfig {
        read_entries_max: 7,
        place_interval: Duration::ZERO,
        retry_min: Duration::from_millis(1),
        retry_max: Duration::from_millis(5),
        ..ForwarderConfig::new(folder.to_owned(), log, three())
    }
}

/// The entry at `position` of `run`: a mark where `kind` is 0, else a click on gonggu number `kind`.
fn entry(run: RunId, position: u64, kind: u8) -> LogEntry {
    let at = UnixMillis(TEST_EPOCH.0 + position as i64);
    if kind == 0 {
        return LogEntry::TimeMark { run, at };
    }
    let click = ClickBuilder::new(position)
        .gonggu(GongguId(Uuid::from_u128(u128::from(kind))))
        .with(|click| (click.run, click.clicked_at) = (run, at))
        .build();
    LogEntry::Click(click)
}

/// What a judge takes of a partition's records, read in batches of `batch_entries`.
fn judged(partition: &[Vec<u8>], batch_entries: usize) -> Vec<LogEntry> {
    let (mut marks, mut taken) = (Vec::new(), Vec::new());
    let mut after = None;
    for (index, records) in partition.chunks(batch_entries).enumerate() {
        let first = (index * batch_entries) as u64;
        let (mut entries, mut arrived) = (Vec::new(), Vec::new());
        for (offset, bytes) in (first..).zip(records) {
            let (entry, arrival) = record::decode(bytes).unwrap().arrived(LATER);
            entries.push((Position::in_epoch(1, offset), entry));
            arrived.push(arrival);
        }
        let end = LogPosition { through: entries.last().unwrap().0, run: HISTORY };
        let mut batch =
            LogBatch { entries, arrivals: Some(arrived), history: Some(HISTORY), end, more: false };
        arrivals::admit(&mut batch, after, &mut marks).expect("no gap");
        after = Some(batch.end);
        taken.extend(batch.entries.into_iter().map(|(_, entry)| entry));
    }
    taken
}

/// What of the journal belongs to a partition.
fn of_partition(journal: &[(Position, LogEntry)], partition: PartitionId) -> Vec<LogEntry> {
    let belongs = |entry: &LogEntry| match entry {
        LogEntry::Click(click) => three().of(click.gonggu_id) == partition,
        LogEntry::TimeMark { .. } | LogEntry::Closing { .. } => true,
    };
    journal.iter().map(|(_, entry)| entry).filter(|entry| belongs(entry)).cloned().collect()
}

/// Whether both are the same, in few words if not.
fn assert_same(partition: PartitionId, taken: &[LogEntry], recorded: &[LogEntry]) {
    let differs = taken.iter().zip(recorded).position(|(taken, recorded)| taken != recorded);
    let lengths = (taken.len(), recorded.len());
    assert!(
        taken == recorded,
        "partition {partition}: {lengths:?} taken and recorded, first difference at {differs:?}: {:?} and {:?}",
        differs.map(|index| &taken[index]),
        differs.map(|index| &recorded[index]),
    );
}
