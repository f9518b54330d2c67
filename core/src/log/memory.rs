//! A log in memory, for tests of what reads a log: entries are put in by hand, durable at once.

use super::{ClickLog, LogBatch, LogEntry, LogError, LogPosition, LogReader};
use crate::ids::{PartitionId, Position, RunId};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::watch;

/// One partition, number 0, of one run.
#[derive(Clone, Debug)]
pub struct MemoryLog {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    run: RunId,
    entries: Mutex<Vec<(Position, LogEntry)>>,
    /// Last position, and whether the log is closed.
    end: watch::Sender<(Position, bool)>,
    released: Mutex<HashMap<&'static str, LogPosition>>,
}

impl MemoryLog {
    /// An empty log of `run`.
    pub fn new(run: RunId) -> Self {
        let inner = Inner {
            run,
            entries: Mutex::default(),
            end: watch::channel((Position(0), false)).0,
            released: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Adds an entry; positions count from 1.
    pub fn push(&self, entry: LogEntry) -> Position {
        let mut entries = self.inner.entries.lock();
        let position = Position(entries.len() as u64 + 1);
        entries.push((position, entry));
        self.inner.end.send_modify(|end| end.0 = position);
        position
    }

    /// No more entries will come.
    pub fn close(&self) {
        self.inner.end.send_modify(|end| end.1 = true);
    }

    /// Takes entries again after a [`close`](Self::close): the next start of the same history.
    pub fn reopen(&self) {
        self.inner.end.send_modify(|end| end.1 = false);
    }

    /// All entries.
    pub fn entries(&self) -> Vec<(Position, LogEntry)> {
        self.inner.entries.lock().clone()
    }

    /// What a reader has released.
    pub fn released(&self, reader: &str) -> Option<LogPosition> {
        self.inner.released.lock().get(reader).copied()
    }
}

#[async_trait]
impl ClickLog for MemoryLog {
    fn partitions(&self) -> Vec<PartitionId> {
        vec![PartitionId(0)]
    }

    async fn durable_end(&self, _partition: PartitionId) -> Result<Position, LogError> {
        Ok(self.inner.end.borrow().0)
    }

    async fn reader(
        &self,
        _partition: PartitionId,
        after: Option<LogPosition>,
    ) -> Result<Box<dyn LogReader>, LogError> {
        if let Some(after) = after
            && (after.run != self.inner.run || after.through > self.inner.end.borrow().0)
        {
            return Err(LogError::ForeignPosition {
                through: after.through,
                run: after.run,
                chain: format!("{} through {}", self.inner.run, self.inner.end.borrow().0),
            });
        }
        let next = after.map_or(0, |after| after.through.0);
        Ok(Box::new(MemoryReader { log: Arc::clone(&self.inner), end: self.inner.end.subscribe(), next }))
    }

    async fn release(&self, _partition: PartitionId, reader: &'static str, through: LogPosition) {
        self.inner.released.lock().insert(reader, through);
    }
}

struct MemoryReader {
    log: Arc<Inner>,
    end: watch::Receiver<(Position, bool)>,
    next: u64,
}

#[async_trait]
impl LogReader for MemoryReader {
    async fn next(&mut self, entries_max: usize) -> Result<LogBatch, LogError> {
        let next = self.next;
        let closed = match self.end.wait_for(|(last, closed)| last.0 > next || *closed).await {
            Ok(end) => end.0.0 <= next,
            Err(_) => true,
        };
        if closed {
            return Err(LogError::Closed);
        }
        let entries = self.log.entries.lock();
        let from = usize::try_from(next).unwrap_or(usize::MAX);
        let taken: Vec<_> = entries.iter().skip(from).take(entries_max.max(1)).cloned().collect();
        self.next += taken.len() as u64;
        let end = LogPosition { through: Position(self.next), run: self.log.run };
        Ok(LogBatch {
            entries: taken,
            arrivals: None,
            history: None,
            end,
            more: self.next < entries.len() as u64,
        })
    }
}
