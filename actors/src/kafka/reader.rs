//! A place in one partition that moves forward.
//!
//! Records come into the partition's own queue by the lane's client, which keeps fetching and finds the
//! partition's leader again by itself for as long as a broker is away. The reader takes what is there, decodes
//! it, and waits for the queue's call when there is nothing.
//!
//! Invariants: what is gathered and the next offset agree at every await, so that a call can be dropped, and go
//! out with the next; a record that cannot be taken is passed over only when the dead-letter topic has it;
//! after a fault nothing more is read: the same fault is told again.

use super::dead_letters::DeadLetter;
use super::lanes::Fetching;
use super::log::{Shared, io_error, kafka_partition};
use super::record::{self, RecordError};
use async_trait::async_trait;
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::{PartitionId, Position};
use gonggumoa_core::log::{Arrival, LogBatch, LogEntry, LogError, LogPosition, LogReader};
use rdkafka::Message;
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// A batch ends with the record that passes this, however many entries were asked for.
const BATCH_MAX_BYTES: usize = 8 << 20;
/// Records decoded before others get the thread: about a millisecond.
const DECODED_AT_ONCE_MAX: usize = 1_000;
/// How long a full batch may be held up by the question whether there is more.
const END_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a closed log's reader waits for the rest of it.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);

/// Reads one partition.
pub(super) struct KafkaReader {
    shared: Arc<Shared>,
    partition: PartitionId,
    fetching: Fetching,
    news: Arc<Notify>,
    closed: watch::Receiver<bool>,
    /// The next offset.
    next: u64,
    /// An end that a broker told; there may be more by now.
    end: u64,
    entries: Vec<(Position, LogEntry)>,
    arrivals: Vec<Arrival>,
    bytes: usize,
    /// The first offset since the last batch.
    batch_from: u64,
    /// The record at `next`, on its way to the dead letters.
    dead: Option<Box<DeadLetter>>,
    fault: Option<Fault>,
    /// Once the log was closed: the offset at which it ends for us.
    last: Option<u64>,
}

/// Why nothing more can be read.
#[derive(Clone, Debug)]
enum Fault {
    Newer { version: u8 },
    Corrupt { problem: String },
    OutOfRange { problem: String },
    Client(ClientError),
}

/// What taking a record led to.
enum Taken {
    Entry,
    Nothing,
    Stop,
}

impl KafkaReader {
    pub(super) async fn open(
        shared: Arc<Shared>,
        partition: PartitionId,
        next: u64,
    ) -> Result<Self, LogError> {
        let news = Arc::new(Notify::new());
        let lanes = Arc::clone(&shared.lanes);
        let told = Arc::clone(&news);
        let number = kafka_partition(partition);
        let fetching = tokio::task::spawn_blocking(move || lanes.fetch(number, next, told))
            .await
            .map_err(|error| LogError::Io(std::io::Error::other(error)))?
            .map_err(io_error)?;
        let closed = shared.closed.subscribe();
        Ok(Self {
            shared,
            partition,
            fetching,
            news,
            closed,
            next,
            end: next,
            entries: Vec::new(),
            arrivals: Vec::new(),
            bytes: 0,
            batch_from: next,
            dead: None,
            fault: None,
            last: None,
        })
    }

    /// Takes what the queue holds, up to the limits or until something must be done first.
    async fn gather(&mut self, entries_max: usize) {
        let mut decoded = 0;
        while self.entries.len() < entries_max && self.bytes < BATCH_MAX_BYTES {
            match self.take_one() {
                Taken::Entry => decoded += 1,
                Taken::Nothing | Taken::Stop => return,
            }
            if decoded == DECODED_AT_ONCE_MAX {
                decoded = 0;
                tokio::task::yield_now().await;
            }
        }
    }

    fn take_one(&mut self) -> Taken {
        let Some(queue) = self.fetching.queue() else { return Taken::Stop };
        let message = match queue.poll(Duration::ZERO) {
            None => return Taken::Nothing,
            Some(Ok(message)) => message,
            Some(Err(error)) => return self.failed(error),
        };
        let offset = u64::try_from(message.offset()).unwrap_or(0);
        if offset < self.next {
            // Fetched before this reader began.
            return Taken::Entry;
        }
        let value = message.payload();
        let appended_at = UnixMillis(message.timestamp().to_millis().unwrap_or(0));
        match record::decode(value.unwrap_or_default()) {
            Ok(decoded) => {
                let (entry, arrival) = decoded.arrived(appended_at);
                self.bytes += value.map_or(0, <[u8]>::len);
                self.entries.push((self.shared.position(offset), entry));
                self.arrivals.push(arrival);
                self.next = offset + 1;
                Taken::Entry
            }
            Err(RecordError::Newer(version)) => {
                self.next = offset;
                self.fault = Some(Fault::Newer { version });
                Taken::Stop
            }
            Err(problem) => {
                let letter = DeadLetter {
                    problem,
                    partition: kafka_partition(self.partition),
                    offset,
                    position: self.shared.position(offset),
                    appended_at,
                    key: message.key().map(<[u8]>::to_vec),
                    value: value.map(DeadLetter::kept),
                    value_bytes: value.map_or(0, <[u8]>::len),
                };
                self.next = offset;
                self.dead = Some(Box::new(letter));
                Taken::Stop
            }
        }
    }

    fn failed(&mut self, error: ClientError) -> Taken {
        use RDKafkaErrorCode as Code;
        match error.rdkafka_error_code() {
            Some(Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::LogTruncation) => {
                self.fault = Some(Fault::OutOfRange { problem: error.to_string() });
            }
            Some(Code::BadMessage | Code::InvalidMessage | Code::BadCompression | Code::Underflow) => {
                self.fault = Some(Fault::Corrupt { problem: error.to_string() });
            }
            _ if super::error::retryable(&error) || matches!(error, ClientError::PartitionEOF(_)) => {
                tracing::debug!(partition.id = %self.partition, error = %error, "the client tries again by itself");
                return Taken::Entry;
            }
            _ => self.fault = Some(Fault::Client(error)),
        }
        Taken::Stop
    }

    /// Whether records stand behind what was read; asks a broker unless one has said so already.
    async fn has_more(&mut self) -> bool {
        if self.end <= self.next {
            match self.shared.watermarks(self.partition, END_TIMEOUT).await {
                Ok((_, high)) => self.end = high,
                Err(error) => {
                    tracing::debug!(partition.id = %self.partition, error = %error, "the end is not known");
                }
            }
        }
        self.next < self.end
    }

    /// The fault in the contract's words.
    async fn told(&self, fault: Fault) -> LogError {
        let place = || format!("{} partition {}", self.shared.topic, self.partition);
        match fault {
            Fault::Newer { version } => {
                LogError::Newer { place: place(), position: self.shared.position(self.next), version }
            }
            Fault::Corrupt { problem } => LogError::Corrupt { place: place(), offset: self.next, problem },
            Fault::OutOfRange { problem } => {
                let (low, high) = match self.shared.lasting_watermarks(self.partition).await {
                    Ok(ends) => ends,
                    Err(error) => return error,
                };
                let through = self.next.checked_sub(1).map_or(Position(0), |last| self.shared.position(last));
                let run = self.shared.epoch.history;
                if self.next < low {
                    return LogError::Deleted { oldest: self.shared.position(low), through };
                }
                tracing::error!(partition.id = %self.partition, error = problem, "the log ends before our place");
                self.shared.foreign(self.partition, LogPosition { through, run }, low, high)
            }
            Fault::Client(error) => {
                io_error(super::error::KafkaError::client(format!("reading {}", place()), error))
            }
        }
    }

    /// What was gathered, as a batch.
    fn batch(&mut self, more: bool) -> LogBatch {
        self.bytes = 0;
        let run = self.shared.epoch.history;
        let through = self.shared.position(self.next.saturating_sub(1));
        if let Some(first) = self.arrivals.first() {
            self.shared.lag.read(self.partition, self.batch_from, first.appended_at);
        }
        self.batch_from = self.next;
        LogBatch {
            entries: std::mem::take(&mut self.entries),
            arrivals: Some(std::mem::take(&mut self.arrivals)),
            history: Some(run),
            end: LogPosition { through, run },
            more,
        }
    }

    /// Whether the log was closed and all that it held then has been read. Without an answer from the brokers
    /// what was read must do: the rest stays in the log.
    async fn at_end(&mut self) -> bool {
        if !*self.closed.borrow_and_update() {
            return false;
        }
        let last = match self.last {
            Some(last) => last,
            None => {
                let ends = self.shared.watermarks(self.partition, CLOSE_DEADLINE).await;
                *self.last.insert(ends.map_or(self.next, |(_, high)| high))
            }
        };
        self.next >= last
    }

    /// Waits for records or for the log's closing. False when the rest of a closed log does not come.
    async fn wait(&mut self) -> bool {
        if *self.closed.borrow_and_update() {
            return tokio::time::timeout(CLOSE_DEADLINE, self.news.notified()).await.is_ok();
        }
        tokio::select! {
            () = self.news.notified() => true,
            changed = self.closed.changed() => changed.is_ok(),
        }
    }
}

#[async_trait]
impl LogReader for KafkaReader {
    async fn next(&mut self, entries_max: usize) -> Result<LogBatch, LogError> {
        loop {
            if let Some(letter) = self.dead.clone() {
                self.shared.dead_letters.send(&letter).await.map_err(io_error)?;
                self.next = letter.offset + 1;
                self.dead = None;
            }
            if self.fault.is_none() && !(self.entries.is_empty() && self.at_end().await) {
                self.gather(entries_max.max(1)).await;
            }
            if !self.entries.is_empty() {
                // What must be done first waits for the next call.
                let more = self.dead.is_some() || self.fault.is_some() || self.has_more().await;
                return Ok(self.batch(more));
            }
            if let Some(fault) = self.fault.clone() {
                return Err(self.told(fault).await);
            }
            if self.dead.is_none() && (self.at_end().await || !self.wait().await) {
                return Err(LogError::Closed);
            }
        }
    }
}
