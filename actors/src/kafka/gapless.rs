//! The forwarder's producer: what it is given arrives in order, once, without a gap, or not at all.
//!
//! `enable.idempotence` keeps the order and drops what the client itself sends twice; `acks=all` makes an
//! acknowledgement outlive a broker; `message.timeout.ms=0` never gives a record up, however long the brokers are
//! away. One thing is left: a record that the broker refuses for good. The client would go on with the next
//! one, and the judge, which never passes a gap, would stop for ever. With `enable.gapless.guarantee` it
//! stops instead, and the forwarder begins again at the refused one.

use super::config::KafkaConfig;
use super::events::Events;
use crate::forwarder::producer::{Fault, RawProducer, RawRecord, SendError};
use async_trait::async_trait;
use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, ProducerContext, ThreadedProducer};
use std::sync::Arc;
use tokio::sync::Notify;

/// How long a record waits for others to go with it. The judge takes batches half a second apart, so this is
/// not felt; and at 5,000 clicks/s on 24 partitions it needs 730 requests a second, where 10 ms need 1,060 and
/// 5 ms 1,850, and batches of so few clicks compress less well.
const LINGER_MILLIS: &str = "25";
/// On clicks of 400 bytes: full batches leave 90 bytes of each, lz4 108; at 5,000 clicks/s 216 and 234. It is written
/// once and then kept for weeks on every replica, and costs the edge as much as lz4: some 2 µs a click, or 20 µs
/// in small batches, most of it not for compressing.
const COMPRESSION: &str = "zstd";
/// The standard level, 3, takes a third more of the processor in full batches for 4 bytes a click.
const COMPRESSION_LEVEL: &str = "1";
/// A record's key counts against the client's limit of bytes as its value does.
const KEY_BYTES_MAX: usize = 16;

/// What the forwarder has under way at most; the client's own queue holds that, so that it is never full.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GaplessLimits {
    /// Records.
    pub(crate) records: usize,
    /// Bytes of their values.
    pub(crate) bytes: usize,
}

/// What the client's thread tells the forwarder.
#[derive(Default)]
struct Reports {
    told: Mutex<Told>,
    wake: Notify,
}

#[derive(Default)]
struct Told {
    tickets: Vec<u64>,
    fault: Option<Fault>,
    trouble: Option<String>,
}

struct Context {
    reports: Arc<Reports>,
    events: Events,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.events.log(level, facility, message);
    }

    fn error(&self, error: ClientError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
            self.reports.told.lock().fault.get_or_insert_with(|| Fault(reason.to_owned()));
            self.reports.wake.notify_one();
        } else {
            self.reports.told.lock().trouble = Some(reason.to_owned());
        }
        self.events.error(error, reason);
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: usize) {
        let mut told = self.reports.told.lock();
        match result {
            Ok(_) => {
                told.tickets.push(ticket as u64);
                told.trouble = None;
            }
            Err((error, _)) => {
                told.fault.get_or_insert_with(|| Fault(format!("the broker refused a record: {error}")));
            }
        }
        drop(told);
        self.reports.wake.notify_one();
    }
}

/// See the module.
struct GaplessProducer {
    /// `None` only while it is dropped.
    client: Option<ThreadedProducer<Context>>,
    reports: Arc<Reports>,
    topic: String,
}

/// A producer for `clicks.raw`. Connects by itself, now or later.
pub(crate) fn open(config: &KafkaConfig, limits: GaplessLimits) -> Result<Box<dyn RawProducer>, Fault> {
    let reports = Arc::new(Reports::default());
    let context = Context { reports: Arc::clone(&reports), events: Events::new("forwarder") };
    let marks_max = config.partitions.get() as usize;
    let records = limits.records + marks_max;
    let kilobytes = (limits.bytes + records * KEY_BYTES_MAX) / 1_024 + 1_024;
    let mut client = config.client_config("forwarder");
    client
        .set("enable.idempotence", "true")
        .set("enable.gapless.guarantee", "true")
        .set("acks", "all")
        .set("message.timeout.ms", "0")
        .set("compression.type", COMPRESSION)
        .set("compression.level", COMPRESSION_LEVEL)
        .set("linger.ms", LINGER_MILLIS)
        .set("queue.buffering.max.messages", records.to_string())
        .set("queue.buffering.max.kbytes", kilobytes.to_string());
    let client = ThreadedProducer::from_config_and_context(&client, context)
        .map_err(|error| Fault(format!("Kafka's client cannot be started: {error}")))?;
    Ok(Box::new(GaplessProducer { client: Some(client), reports, topic: config.raw_topic() }))
}

#[async_trait]
impl RawProducer for GaplessProducer {
    fn send(&mut self, record: RawRecord<'_>) -> Result<(), SendError> {
        if let Some(fault) = &self.reports.told.lock().fault {
            return Err(SendError::Fault(fault.clone()));
        }
        let Some(client) = &self.client else {
            return Err(Fault("the producer has ended".to_owned()).into());
        };
        let fault = |problem: String| SendError::Fault(Fault(problem));
        let ticket = usize::try_from(record.ticket).map_err(|error| fault(error.to_string()))?;
        let partition = i32::try_from(record.partition.0).map_err(|error| fault(error.to_string()))?;
        let mut message =
            BaseRecord::with_opaque_to(&self.topic, ticket).partition(partition).payload(record.value);
        message.key = record.key;
        match client.send::<[u8], [u8]>(message) {
            Ok(()) => Ok(()),
            Err((ClientError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => Err(SendError::Full),
            Err((error, _)) => Err(fault(format!("Kafka's client refused a record: {error}"))),
        }
    }

    async fn acknowledged(&mut self, tickets: &mut Vec<u64>) -> Result<(), Fault> {
        loop {
            {
                let mut told = self.reports.told.lock();
                tickets.append(&mut told.tickets);
                if let Some(fault) = &told.fault {
                    return Err(fault.clone());
                }
                if !tickets.is_empty() {
                    return Ok(());
                }
            }
            // A wake-up between the look and this is kept by the `Notify`.
            self.reports.wake.notified().await;
        }
    }

    fn trouble(&self) -> Option<String> {
        self.reports.told.lock().trouble.clone()
    }
}

/// The client takes up to a second to end; nobody waits for it.
impl Drop for GaplessProducer {
    fn drop(&mut self) {
        let client = self.client.take();
        let ended = std::thread::Builder::new().name("kafka-end".to_owned()).spawn(move || drop(client));
        if let Err(error) = ended {
            tracing::warn!(%error, "a producer had to be ended where it was used");
        }
    }
}
