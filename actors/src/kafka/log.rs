//! `clicks.raw` as a [`ClickLog`].
//!
//! Problem: a place that a store holds must mean the same record for ever, or be refused. Kafka's offsets begin
//! again at 0 when a topic is made anew, so a place is the epoch of the log with the offset in it, and is named by
//! a random id, the history, that was given to the epoch when it was first used.
//!
//! ```text
//!   stored place            what a reader does
//!   none                    begins at offset 0; refused if that was deleted
//!   of an earlier epoch     the same: that epoch was read to its end before this one was begun
//!   of this epoch           goes on after it; refused if deleted, beyond the end, or of another history
//!   of a later epoch        refused: this process was started with an old setting
//! ```
//!
//! Invariants: only what Kafka has replicated is seen (the high watermark is the end); nothing is released
//! in Kafka, what readers have stored is remembered for the lag alone.

use super::config::KafkaConfig;
use super::dead_letters::DeadLetters;
use super::error::{KafkaError, unknown};
use super::lag::Lag;
use super::lanes::Lanes;
use super::reader::KafkaReader;
use async_trait::async_trait;
use gonggumoa_core::ids::{PartitionId, Position, RunId};
use gonggumoa_core::log::{ClickLog, LogError, LogPosition, LogReader};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long a question is asked again before its failure counts as lasting.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);
/// One question.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(5);
/// Waits between two tries, doubled from the first to the second.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);
/// A leader that was just elected may know less of the end than the one before it for a moment: a place beyond
/// it is believed only after so many answers.
const BEYOND_ANSWERS: u32 = 5;
const BEYOND_INTERVAL: Duration = Duration::from_millis(300);

/// One life of the topic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogEpoch {
    /// `KAFKA_LOG_EPOCH`: from 1, raised by one whenever the topic is made anew.
    pub number: u16,
    /// Its random id, stored when it was first used.
    pub history: RunId,
}

/// The click log on Kafka.
pub struct KafkaLog {
    shared: Arc<Shared>,
}

/// What the log and its readers have in common.
pub(super) struct Shared {
    pub(super) topic: String,
    pub(super) partitions: u32,
    pub(super) epoch: LogEpoch,
    pub(super) lanes: Arc<Lanes>,
    pub(super) dead_letters: DeadLetters,
    pub(super) lag: Lag,
    /// How long the topic keeps records; none: for ever.
    pub(super) retention: Option<Duration>,
    pub(super) closed: watch::Sender<bool>,
}

impl KafkaLog {
    /// Opens the topic that [`prepare`](super::topics::prepare) has checked.
    ///
    /// # Errors
    /// A setting that cannot be, or a broker that does not answer; see [`KafkaError`].
    pub async fn open(config: &KafkaConfig, epoch: LogEpoch) -> Result<Self, KafkaError> {
        config.check()?;
        if epoch.number == 0 || epoch.number >= 1 << 15 {
            return Err(KafkaError::Setting {
                setting: "KAFKA_LOG_EPOCH".to_owned(),
                value: epoch.number.to_string(),
                problem: "is not between 1 and 32,767 (0 is a single machine's journal)".to_owned(),
            });
        }
        let retention = super::topics::raw_retention(config).await?;
        let shared = Shared {
            topic: config.raw_topic(),
            partitions: config.partitions.get(),
            epoch,
            lanes: Arc::new(Lanes::open(config)?),
            dead_letters: DeadLetters::new(config),
            lag: Lag::default(),
            retention,
            closed: watch::channel(false).0,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Readers get what is in the log now, then `LogError::Closed`. Nothing changes in Kafka.
    pub fn close(&self) {
        self.shared.closed.send_replace(true);
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Shared {
    /// The position of the record at `offset`.
    pub(super) fn position(&self, offset: u64) -> Position {
        Position::in_epoch(self.epoch.number, offset)
    }

    /// The first and the next offset of a partition, as one broker answers now.
    pub(super) async fn watermarks(
        &self,
        partition: PartitionId,
        timeout: Duration,
    ) -> Result<(u64, u64), KafkaError> {
        let lanes = Arc::clone(&self.lanes);
        let number = kafka_partition(partition);
        match tokio::task::spawn_blocking(move || lanes.watermarks(number, timeout)).await {
            Ok(answer) => answer,
            Err(error) => Err(KafkaError::Thread(std::io::Error::other(error))),
        }
    }

    /// The same, asked until there is an answer or the failure is lasting.
    pub(super) async fn lasting_watermarks(&self, partition: PartitionId) -> Result<(u64, u64), LogError> {
        if partition.0 >= self.partitions {
            let problem =
                format!("{} has {} partitions, not partition {partition}", self.topic, self.partitions);
            return Err(LogError::Io(std::io::Error::new(std::io::ErrorKind::InvalidInput, problem)));
        }
        let deadline = Instant::now() + ANSWER_DEADLINE;
        let mut wait = RETRY_MIN;
        loop {
            match self.watermarks(partition, QUESTION_TIMEOUT).await {
                Ok(ends) => return Ok(ends),
                Err(error) if (error.retryable() || unknown(&error)) && Instant::now() < deadline => {
                    tracing::debug!(partition.id = %partition, error = %error, "a broker is asked again");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(RETRY_MAX);
                }
                Err(error) => return Err(io_error(error)),
            }
        }
    }

    /// The offset at which a reader of this place begins.
    async fn start(&self, partition: PartitionId, after: Option<LogPosition>) -> Result<u64, LogError> {
        let (mut low, mut high) = self.lasting_watermarks(partition).await?;
        let next = match self.next_offset(after) {
            Ok(next) => next,
            Err(foreign) => return Err(self.foreign(partition, foreign, low, high)),
        };
        for _ in 1..BEYOND_ANSWERS {
            if next <= high {
                break;
            }
            tokio::time::sleep(BEYOND_INTERVAL).await;
            (low, high) = self.lasting_watermarks(partition).await?;
        }
        if next < low {
            let through = after.map_or(Position(0), |place| place.through);
            return Err(LogError::Deleted { oldest: self.position(low), through });
        }
        match after {
            Some(place) if next > high => Err(self.foreign(partition, place, low, high)),
            _ => Ok(next),
        }
    }

    /// The offset after a place; the place itself if it is not in this log's history.
    fn next_offset(&self, after: Option<LogPosition>) -> Result<u64, LogPosition> {
        let Some(place) = after else { return Ok(0) };
        let epoch = place.through.epoch();
        if epoch < self.epoch.number {
            return Ok(0);
        }
        if epoch > self.epoch.number || place.run != self.epoch.history {
            return Err(place);
        }
        Ok(place.through.offset().map_or(0, |offset| offset + 1))
    }

    /// Says that this place is not in the log, and what is.
    pub(super) fn foreign(
        &self,
        partition: PartitionId,
        place: LogPosition,
        low: u64,
        high: u64,
    ) -> LogError {
        let LogEpoch { number, history } = self.epoch;
        let through = place.through;
        LogError::ForeignPosition {
            through,
            run: place.run,
            chain: format!(
                "{} partition {partition} is in epoch {number}, history {history}, and holds offsets from {low} up \
                 to {high}; the stored position means offset {} of epoch {}",
                self.topic,
                through.offset().map_or_else(|| "none".to_owned(), |offset| offset.to_string()),
                through.epoch(),
            ),
        }
    }
}

/// Kafka counts partitions in `i32`.
pub(super) fn kafka_partition(partition: PartitionId) -> i32 {
    i32::try_from(partition.0).unwrap_or(i32::MAX)
}

/// As the log's contract says it.
pub(super) fn io_error(error: KafkaError) -> LogError {
    LogError::Io(std::io::Error::other(error))
}

#[async_trait]
impl ClickLog for KafkaLog {
    fn partitions(&self) -> Vec<PartitionId> {
        (0..self.shared.partitions).map(PartitionId).collect()
    }

    async fn durable_end(&self, partition: PartitionId) -> Result<Position, LogError> {
        let (_, high) = self.shared.lasting_watermarks(partition).await?;
        Ok(high.checked_sub(1).map_or(Position(0), |last| self.shared.position(last)))
    }

    async fn reader(
        &self,
        partition: PartitionId,
        after: Option<LogPosition>,
    ) -> Result<Box<dyn LogReader>, LogError> {
        let next = self.shared.start(partition, after).await?;
        self.shared.lag.opened(partition, next);
        let reader = KafkaReader::open(Arc::clone(&self.shared), partition, next).await?;
        Ok(Box::new(reader))
    }

    async fn release(&self, partition: PartitionId, reader: &'static str, through: LogPosition) {
        if through.through.epoch() == self.shared.epoch.number && through.run == self.shared.epoch.history {
            let next = through.through.offset().map_or(0, |offset| offset + 1);
            self.shared.lag.stored(partition, reader, next);
        }
    }
}
