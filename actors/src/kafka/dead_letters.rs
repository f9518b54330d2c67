//! Where a record goes that is not ours, or is damaged: kept with its place, and the partition moves on.
//!
//! Invariants: a record is passed over only after the dead-letter topic has confirmed it; it may come there
//! twice (its place tells), since a reader that begins again meets it again.

use super::config::KafkaConfig;
use super::error::{KafkaError, retryable};
use super::events::Events;
use super::record::RecordError;
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::Position;
use parking_lot::Mutex;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use std::time::Duration;

/// A topic's usual limit is 1 MiB with all that stands around the value; a longer value is cut, and can be
/// read in full at its place for as long as the topic keeps it.
const VALUE_MAX_BYTES: usize = 900 << 10;
/// One try; then it is said in the log, and tried again.
const SEND_TIMEOUT: Duration = Duration::from_secs(15);

/// A record that was not taken.
#[derive(Clone, Debug)]
pub(super) struct DeadLetter {
    pub(super) problem: RecordError,
    pub(super) partition: i32,
    pub(super) offset: u64,
    pub(super) position: Position,
    pub(super) appended_at: UnixMillis,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    /// What the value's length was before it was cut.
    pub(super) value_bytes: usize,
}

impl DeadLetter {
    /// Keeps of a value what the dead-letter topic takes.
    pub(super) fn kept(value: &[u8]) -> Vec<u8> {
        value[..value.len().min(VALUE_MAX_BYTES)].to_vec()
    }
}

/// The way to the dead-letter topic; most processes never need it.
pub(super) struct DeadLetters {
    config: KafkaConfig,
    producer: Mutex<Option<FutureProducer<Events>>>,
}

impl DeadLetters {
    pub(super) fn new(config: &KafkaConfig) -> Self {
        Self { config: config.clone(), producer: Mutex::new(None) }
    }

    /// Returns when it is kept; waits as long as no broker takes it.
    pub(super) async fn send(&self, letter: &DeadLetter) -> Result<(), KafkaError> {
        let producer = self.producer()?;
        let topic = self.config.dead_letter_topic();
        let raw = self.config.raw_topic();
        let fields = [
            ("problem", letter.problem.name().to_owned()),
            ("problem-text", letter.problem.to_string()),
            ("topic", raw.clone()),
            ("partition", letter.partition.to_string()),
            ("offset", letter.offset.to_string()),
            ("position", letter.position.to_string()),
            ("appended-at", letter.appended_at.0.to_string()),
            ("value-bytes", letter.value_bytes.to_string()),
        ];
        loop {
            let headers = fields.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
                headers.insert(Header { key, value: Some(value) })
            });
            let mut record: FutureRecord<'_, [u8], [u8]> = FutureRecord::to(&topic).headers(headers);
            record.key = letter.key.as_deref();
            record.payload = letter.value.as_deref();
            match producer.send(record, SEND_TIMEOUT).await {
                Ok(_) => break,
                Err((error, _)) if retryable(&error) => {
                    tracing::warn!(error = %error, topic.name = topic, "a dead letter could not be written yet");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                Err((error, _)) => {
                    return Err(KafkaError::client(format!("writing to topic {topic}"), error));
                }
            }
        }
        metrics::counter!("click_log_dead_letters_total", "problem" => letter.problem.name()).increment(1);
        tracing::error!(
            topic.name = raw,
            partition.id = letter.partition,
            record.offset = letter.offset,
            record.problem = %letter.problem,
            topic.dead_letters = topic,
            "a record on the click log cannot be taken; it was put aside"
        );
        Ok(())
    }

    fn producer(&self) -> Result<FutureProducer<Events>, KafkaError> {
        let mut kept = self.producer.lock();
        if let Some(producer) = kept.as_ref() {
            return Ok(producer.clone());
        }
        let mut client = self.config.client_config("dead-letters");
        client
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", SEND_TIMEOUT.as_millis().to_string());
        let producer = FutureProducer::from_config_and_context(&client, Events::new("dead-letters"))
            .map_err(|error| KafkaError::client("making a client", error))?;
        Ok(kept.insert(producer).clone())
    }
}
