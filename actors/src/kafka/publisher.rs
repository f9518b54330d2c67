//! `clicks.judged`: every verdict, for other teams.
//!
//! Told before the store confirms a batch, and told again when that is not known to have worked: at least once,
//! with the click's id to know it by (`schema`). The key is the gonggu's id and the partition is
//! computed from it as Kafka's own clients do (murmur2), so a gonggu's clicks stay in their order, and
//! nothing here depends on how many partitions that topic has. It returns when the brokers have confirmed
//! the whole batch; a batch that failed half is published again as a whole.

use super::config::KafkaConfig;
use super::error::{self, KafkaError};
use super::events::Events;
use super::schema::{self, SCHEMA_VERSION, SCHEMA_VERSION_HEADER};
use async_trait::async_trait;
use gonggumoa_core::judged::{JudgedPublisher, PublishError};
use gonggumoa_core::store::JudgedBatch;
use parking_lot::Mutex;
use prost::Message;
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// A batch is whole when it is handed over, so nothing is gained by waiting for more; this lets the client
/// fill its requests.
const LINGER_MILLIS: &str = "5";
/// A record not confirmed in this time fails the batch, which is then published again: long enough for a new
/// leader to be found, short enough for a revoked partition to be let go.
const TIMEOUT_MILLIS: &str = "30000";
/// Records in the client's queue, at most: three of the judge's largest batches.
const QUEUE_RECORDS_MAX: &str = "100000";
/// And their size.
const QUEUE_KILOBYTES_MAX: &str = "131072";
/// When the queue is full, room is looked for so often; other batches are on their way then.
const FULL_WAIT: Duration = Duration::from_millis(5);

/// One batch on its way.
#[derive(Default)]
struct Delivery {
    /// Records handed over and not yet confirmed, and one for whoever still hands over.
    left: AtomicUsize,
    failed: Mutex<Option<ClientError>>,
    done: Notify,
}

impl Delivery {
    fn confirm(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.done.notify_one();
        }
    }
}

struct Context {
    events: Events,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.events.log(level, facility, message);
    }

    fn error(&self, error: ClientError, reason: &str) {
        self.events.error(error, reason);
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Arc<Delivery>;

    fn delivery(&self, result: &DeliveryResult<'_>, delivery: Arc<Delivery>) {
        if let Err((error, _)) = result {
            delivery.failed.lock().get_or_insert_with(|| error.clone());
        }
        delivery.confirm();
    }
}

/// Publishes verdicts to `clicks.judged`.
pub struct KafkaJudgedPublisher {
    settings: ClientConfig,
    /// Replaced when the client says that it will never work again.
    client: Mutex<Arc<Client>>,
    topic: String,
}

type Client = ThreadedProducer<Context>;

impl KafkaJudgedPublisher {
    /// Connects by itself, now or later; the topic is there already (`topics`).
    pub fn new(config: &KafkaConfig) -> Result<Self, KafkaError> {
        let mut settings = config.client_config("judged");
        settings
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("message.timeout.ms", TIMEOUT_MILLIS)
            .set("compression.type", "zstd")
            .set("partitioner", "murmur2_random")
            .set("linger.ms", LINGER_MILLIS)
            .set("queue.buffering.max.messages", QUEUE_RECORDS_MAX)
            .set("queue.buffering.max.kbytes", QUEUE_KILOBYTES_MAX);
        let client = start(&settings)
            .map_err(|error| KafkaError::client("starting the producer of judged clicks", error))?;
        Ok(Self { settings, client: Mutex::new(Arc::new(client)), topic: config.judged_topic() })
    }

    fn client(&self) -> Result<Arc<Client>, ClientError> {
        let mut client = self.client.lock();
        if client.client().fatal_error().is_some() {
            let ended = std::mem::replace(&mut *client, Arc::new(start(&self.settings)?));
            // Ending takes up to a second.
            std::thread::spawn(move || drop(ended));
        }
        Ok(Arc::clone(&client))
    }

    async fn hand_over(&self, batch: &JudgedBatch, delivery: &Arc<Delivery>) -> Result<(), ClientError> {
        let client = self.client()?;
        let mut value = Vec::new();
        for judged in &batch.clicks {
            let message = schema::message(batch.partition, judged);
            value.clear();
            value.reserve(message.encoded_len());
            message.encode_raw(&mut value);
            let key = judged.click.gonggu_id.0.as_bytes().as_slice();
            while let Err(error) = self.send(&client, key, &value, delivery) {
                if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                    return Err(error);
                }
                tokio::time::sleep(FULL_WAIT).await;
            }
        }
        Ok(())
    }

    fn send(
        &self,
        client: &Client,
        key: &[u8],
        value: &[u8],
        delivery: &Arc<Delivery>,
    ) -> Result<(), ClientError> {
        delivery.left.fetch_add(1, Ordering::AcqRel);
        let version = Header { key: SCHEMA_VERSION_HEADER, value: Some(SCHEMA_VERSION) };
        let record = BaseRecord::with_opaque_to(&self.topic, Arc::clone(delivery))
            .key(key)
            .payload(value)
            .headers(OwnedHeaders::new_with_capacity(1).insert(version));
        client.send(record).map_err(|(error, _)| {
            delivery.confirm();
            error
        })
    }
}

fn start(settings: &ClientConfig) -> Result<Client, ClientError> {
    ThreadedProducer::from_config_and_context(settings, Context { events: Events::new("judged") })
}

#[async_trait]
impl JudgedPublisher for KafkaJudgedPublisher {
    async fn publish(&self, batch: &JudgedBatch) -> Result<(), PublishError> {
        let delivery = Arc::new(Delivery { left: AtomicUsize::new(1), ..Delivery::default() });
        let handed_over = self.hand_over(batch, &delivery).await;
        delivery.confirm();
        handed_over.map_err(refusal)?;
        while delivery.left.load(Ordering::Acquire) > 0 {
            delivery.done.notified().await;
        }
        let failed = delivery.failed.lock().take();
        match failed {
            None => {
                metrics::counter!("clicks_judged_published_total").increment(batch.clicks.len() as u64);
                Ok(())
            }
            Some(error) => {
                metrics::counter!("clicks_judged_publish_failures_total").increment(1);
                Err(refusal(error))
            }
        }
    }
}

/// A record that is refused for what it is stays refused. Everything else may pass, or may be put right at the
/// brokers while the partition waits: missing rights, a missing topic, no brokers.
fn refusal(error: ClientError) -> PublishError {
    let lasting = matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::MessageSizeTooLarge
                | RDKafkaErrorCode::InvalidMessage
                | RDKafkaErrorCode::InvalidRecord
        )
    );
    if lasting && !error::retryable(&error) {
        PublishError::Refused(Box::new(error))
    } else {
        PublishError::Unavailable(Box::new(error))
    }
}

#[cfg(test)]
mod tests;
