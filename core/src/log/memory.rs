//! A log in memory, for tests of what reads a log: entries are put in by hand, durable at once.

use super::{Arrival, ClickLog, LogBatch, LogEntry, LogError, LogPosition, LogReader};
use crate::ids::{PartitionId, Position, RunId};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::watch;

/// A journal of one partition, number 0, and one run; or a shared log of several, in one epoch.
#[derive(Clone, Debug)]
pub struct MemoryLog {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// The run of a journal, or the history of a shared log.
    identity: RunId,
    /// A journal's is 0.
    epoch: u16,
    partitions: Vec<Partition>,
    released: Mutex<HashMap<(PartitionId, &'static str), LogPosition>>,
}

#[derive(Debug)]
struct Partition {
    records: Mutex<Vec<Record>>,
    /// How many records there are, and whether the log is closed.
    end: watch::Sender<(u64, bool)>,
}

#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly every record is an entry")]
enum Record {
    Entry(LogEntry, Option<Arrival>),
    Newer(u8),
}

impl MemoryLog {
    /// An empty journal of `run`.
    pub fn new(run: RunId) -> Self {
        Self::of(run, 0, 1)
    }

    /// An empty shared log: the life number `epoch` of it, known by `history`.
    pub fn shared(history: RunId, epoch: u16, partitions: u32) -> Self {
        assert!(epoch > 0, "epoch 0 is a journal's");
        Self::of(history, epoch, partitions)
    }

    fn of(identity: RunId, epoch: u16, partitions: u32) -> Self {
        let partition = |_| Partition { records: Mutex::default(), end: watch::channel((0, false)).0 };
        let partitions = (0..partitions).map(partition).collect();
        Self { inner: Arc::new(Inner { identity, epoch, partitions, released: Mutex::default() }) }
    }

    /// Adds an entry to a journal; positions count from 1.
    pub fn push(&self, entry: LogEntry) -> Position {
        self.inner.push(PartitionId(0), Record::Entry(entry, None))
    }

    /// Adds an entry to a partition of a shared log.
    pub fn push_arrival(&self, partition: PartitionId, entry: LogEntry, arrival: Arrival) -> Position {
        self.inner.push(partition, Record::Entry(entry, Some(arrival)))
    }

    /// Adds a record of a version that no reader knows.
    pub fn push_newer(&self, partition: PartitionId, version: u8) -> Position {
        self.inner.push(partition, Record::Newer(version))
    }

    /// No more entries will come.
    pub fn close(&self) {
        self.inner.partitions.iter().for_each(|partition| partition.end.send_modify(|end| end.1 = true));
    }

    /// Takes entries again after a [`close`](Self::close): the next start of the same history.
    pub fn reopen(&self) {
        self.inner.partitions.iter().for_each(|partition| partition.end.send_modify(|end| end.1 = false));
    }

    /// All entries of partition 0.
    pub fn entries(&self) -> Vec<(Position, LogEntry)> {
        self.entries_of(PartitionId(0))
    }

    /// All entries of a partition, those that came again as well.
    pub fn entries_of(&self, partition: PartitionId) -> Vec<(Position, LogEntry)> {
        let records = self.inner.partitions[partition.0 as usize].records.lock();
        let entries = records.iter().zip(0..).filter_map(|(record, offset)| match record {
            Record::Entry(entry, _) => Some((self.inner.position(offset), entry.clone())),
            Record::Newer(_) => None,
        });
        entries.collect()
    }

    /// What a reader has released of partition 0.
    pub fn released(&self, reader: &'static str) -> Option<LogPosition> {
        self.released_of(PartitionId(0), reader)
    }

    /// What a reader has released of a partition.
    pub fn released_of(&self, partition: PartitionId, reader: &'static str) -> Option<LogPosition> {
        self.inner.released.lock().get(&(partition, reader)).copied()
    }
}

impl Inner {
    fn push(&self, partition: PartitionId, record: Record) -> Position {
        let partition = &self.partitions[partition.0 as usize];
        let mut records = partition.records.lock();
        records.push(record);
        let count = records.len() as u64;
        partition.end.send_modify(|end| end.0 = count);
        self.position(count - 1)
    }

    fn position(&self, offset: u64) -> Position {
        Position::in_epoch(self.epoch, offset)
    }

    /// The offset after a place of this log, or of one before it.
    fn next_offset(&self, partition: &Partition, after: Option<LogPosition>) -> Result<u64, LogError> {
        let Some(after) = after.filter(|after| after.through.epoch() >= self.epoch) else { return Ok(0) };
        let (end, _) = *partition.end.borrow();
        let next = after.through.offset().map_or(0, |offset| offset + 1);
        if after.through.epoch() > self.epoch || after.run != self.identity || next > end {
            return Err(LogError::ForeignPosition {
                through: after.through,
                run: after.run,
                chain: format!("{} through {end}", self.identity),
            });
        }
        Ok(next)
    }
}

#[async_trait]
impl ClickLog for MemoryLog {
    fn partitions(&self) -> Vec<PartitionId> {
        (0..self.inner.partitions.len() as u32).map(PartitionId).collect()
    }

    async fn durable_end(&self, partition: PartitionId) -> Result<Position, LogError> {
        let (end, _) = *self.inner.partitions[partition.0 as usize].end.borrow();
        Ok(end.checked_sub(1).map_or(Position(0), |last| self.inner.position(last)))
    }

    async fn reader(
        &self,
        partition: PartitionId,
        after: Option<LogPosition>,
    ) -> Result<Box<dyn LogReader>, LogError> {
        let held = &self.inner.partitions[partition.0 as usize];
        let next = self.inner.next_offset(held, after)?;
        Ok(Box::new(MemoryReader {
            log: Arc::clone(&self.inner),
            partition,
            end: held.end.subscribe(),
            next,
        }))
    }

    async fn release(&self, partition: PartitionId, reader: &'static str, through: LogPosition) {
        self.inner.released.lock().insert((partition, reader), through);
    }
}

struct MemoryReader {
    log: Arc<Inner>,
    partition: PartitionId,
    end: watch::Receiver<(u64, bool)>,
    next: u64,
}

#[async_trait]
impl LogReader for MemoryReader {
    async fn next(&mut self, entries_max: usize) -> Result<LogBatch, LogError> {
        let next = self.next;
        let closed = match self.end.wait_for(|(count, closed)| *count > next || *closed).await {
            Ok(end) => end.0 <= next,
            Err(_) => true,
        };
        if closed {
            return Err(LogError::Closed);
        }
        let records = self.log.partitions[self.partition.0 as usize].records.lock();
        let (mut entries, mut arrivals) = (Vec::new(), Vec::new());
        let from = usize::try_from(next).unwrap_or(usize::MAX);
        for record in records.iter().skip(from).take(entries_max.max(1)) {
            let position = self.log.position(self.next);
            match record {
                Record::Entry(entry, arrival) => {
                    entries.push((position, entry.clone()));
                    arrivals.extend(*arrival);
                }
                Record::Newer(version) if entries.is_empty() => {
                    let place = format!("partition {}", self.partition);
                    return Err(LogError::Newer { place, position, version: *version });
                }
                Record::Newer(_) => break,
            }
            self.next += 1;
        }
        let is_shared = self.log.epoch > 0;
        let through = self.log.position(self.next.saturating_sub(1));
        Ok(LogBatch {
            entries,
            arrivals: is_shared.then_some(arrivals),
            history: is_shared.then_some(self.log.identity),
            end: LogPosition { through, run: self.log.identity },
            more: self.next < records.len() as u64,
        })
    }
}
