//! Topics of one test on the brokers that `TEST_KAFKA_BROKERS` names, and an edge that writes to them.

use super::config::KafkaConfig;
use super::log::{KafkaLog, LogEpoch};
use super::record::{self, Outgoing};
use super::topics;
use async_trait::async_trait;
use gonggumoa_core::click::ClickFacts;
use gonggumoa_core::clock::{Clock, SystemClock, UnixMillis};
use gonggumoa_core::ids::{ClickId, PartitionId, RunId};
use gonggumoa_core::log::conformance::{LogFixture, facts};
use gonggumoa_core::log::{ClickLog, ClickReceipt, LogEntry, codec};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::FromClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Nothing here takes long; what waits for ever must fail, not hang.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);

/// Settings for topics of its own with this many partitions. `None` when no broker is given, which only a
/// developer's own machine may do.
pub(super) fn test_config(partitions: u32) -> Option<KafkaConfig> {
    let Ok(brokers) = std::env::var("TEST_KAFKA_BROKERS") else {
        assert!(std::env::var("CI").is_err(), "TEST_KAFKA_BROKERS must be set in CI");
        #[expect(clippy::print_stderr, reason = "the only place where a skipped test can say so")]
        {
            eprintln!("skipped: TEST_KAFKA_BROKERS is not set");
        }
        return None;
    };
    let mut config = KafkaConfig::new(brokers);
    config.topic_prefix = format!("test-{}.", Uuid::new_v4().simple());
    config.group_id = format!("{}judges", config.topic_prefix);
    config.partitions = NonZeroU32::new(partitions).unwrap();
    config.replication_factor = Some(1);
    Some(config)
}

pub(super) fn epoch(number: u16, history: u128) -> LogEpoch {
    LogEpoch { number, history: RunId(Uuid::from_u128(history)) }
}

pub(super) fn admin(config: &KafkaConfig) -> AdminClient<DefaultClientContext> {
    AdminClient::from_config(&config.client_config("test")).unwrap()
}

/// Deletes the topics of a test.
pub(super) async fn remove(config: &KafkaConfig) {
    let names = [config.raw_topic(), config.judged_topic(), config.dead_letter_topic()];
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let _ = admin(config).delete_topics(&names, &AdminOptions::new()).await;
}

/// One run of an edge: numbers its records and writes them, each with the one before it in its partition.
pub(super) struct TestEdge {
    pub(super) run: RunId,
    config: KafkaConfig,
    producer: FutureProducer,
    sequence: u64,
    previous: HashMap<PartitionId, u64>,
    clicked_at: UnixMillis,
}

impl TestEdge {
    pub(super) fn new(config: &KafkaConfig) -> Self {
        let mut client = config.client_config("test");
        client.set("acks", "all").set("linger.ms", "0");
        Self {
            run: RunId::random(),
            config: config.clone(),
            producer: FutureProducer::from_config(&client).unwrap(),
            sequence: 0,
            previous: HashMap::new(),
            clicked_at: UnixMillis(0),
        }
    }

    /// Numbers the next record of `partition`.
    pub(super) fn next(&mut self, partition: PartitionId) -> Outgoing {
        self.sequence += 1;
        let previous = self.previous.insert(partition, self.sequence).unwrap_or(0);
        Outgoing { run: self.run, sequence: self.sequence, previous, predecessor: None }
    }

    /// A click with this number that says `name` as its agent.
    pub(super) fn click(&mut self, name: &str, sequence: u64) -> LogEntry {
        self.click_of(&facts(name), sequence)
    }

    fn click_of(&mut self, facts: &ClickFacts<'_>, sequence: u64) -> LogEntry {
        self.clicked_at = self.clicked_at.max(SystemClock.now());
        let mut bytes = Vec::new();
        codec::encode_facts(facts, ClickId(Uuid::now_v7()), self.clicked_at, &mut bytes);
        LogEntry::Click(codec::decode_facts(&bytes, self.run, sequence).unwrap())
    }

    /// Writes any bytes; returns their offset when they are acknowledged.
    pub(super) async fn write(&self, partition: PartitionId, key: Option<&[u8]>, value: &[u8]) -> u64 {
        let topic = self.config.raw_topic();
        let number = i32::try_from(partition.0).unwrap();
        let mut record: FutureRecord<'_, [u8], [u8]> =
            FutureRecord::to(&topic).partition(number).payload(value);
        record.key = key;
        let delivery = self.producer.send(record, DEADLINE).await.map_err(|(error, _)| error).unwrap();
        u64::try_from(delivery.offset).unwrap()
    }

    /// Writes an entry.
    pub(super) async fn send(&self, partition: PartitionId, entry: &LogEntry, outgoing: &Outgoing) -> u64 {
        let mut value = Vec::new();
        record::encode(entry, outgoing, &mut value);
        self.write(partition, record::key(entry).as_ref().map(<[u8; 16]>::as_slice), &value).await
    }

    /// Writes one more click.
    pub(super) async fn say(&mut self, partition: PartitionId, name: &str) -> Outgoing {
        let outgoing = self.next(partition);
        let click = self.click(name, outgoing.sequence);
        self.send(partition, &click, &outgoing).await;
        outgoing
    }

    /// Writes a click of these facts.
    pub(super) async fn record(&mut self, partition: PartitionId, facts: &ClickFacts<'_>) -> ClickReceipt {
        let outgoing = self.next(partition);
        let click = self.click_of(facts, outgoing.sequence);
        self.send(partition, &click, &outgoing).await;
        let LogEntry::Click(click) = click else { panic!("a click") };
        ClickReceipt { id: click.id, clicked_at: click.clicked_at, run: click.run, sequence: click.sequence }
    }

    /// Writes a time mark.
    pub(super) async fn mark(&mut self, partition: PartitionId, predecessor: Option<RunId>) {
        self.clicked_at = self.clicked_at.max(SystemClock.now());
        let outgoing = Outgoing { predecessor, ..self.next(partition) };
        let mark = LogEntry::TimeMark { run: self.run, at: self.clicked_at };
        self.send(partition, &mark, &outgoing).await;
    }

    /// Writes the end of its run.
    pub(super) async fn end(&mut self, partition: PartitionId) {
        let outgoing = self.next(partition);
        self.send(partition, &LogEntry::Closing { run: self.run }, &outgoing).await;
    }
}

/// A log with one edge, for the suite that every log passes.
pub(super) struct KafkaFixture {
    config: KafkaConfig,
    prepared: bool,
    open: Option<(Arc<KafkaLog>, TestEdge)>,
}

impl KafkaFixture {
    pub(super) fn new(config: KafkaConfig) -> Self {
        Self { config, prepared: false, open: None }
    }

    pub(super) fn config(&self) -> &KafkaConfig {
        &self.config
    }
}

#[async_trait]
impl LogFixture for KafkaFixture {
    async fn open(&mut self) -> Arc<dyn ClickLog> {
        if !self.prepared {
            topics::prepare(&self.config).await.unwrap();
            self.prepared = true;
        }
        let log = Arc::new(KafkaLog::open(&self.config, epoch(1, 1)).await.unwrap());
        let mut edge = TestEdge::new(&self.config);
        edge.mark(self.partition(), None).await;
        self.open = Some((Arc::clone(&log), edge));
        log
    }

    async fn record(&mut self, facts: &ClickFacts<'_>) -> ClickReceipt {
        let partition = self.partition();
        let (_, edge) = self.open.as_mut().unwrap();
        edge.record(partition, facts).await
    }

    async fn close(&mut self) {
        let partition = self.partition();
        let (log, mut edge) = self.open.take().unwrap();
        edge.end(partition).await;
        log.close();
    }

    fn partition(&self) -> PartitionId {
        PartitionId(1)
    }
}
