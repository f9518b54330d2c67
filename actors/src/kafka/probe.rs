#![allow(clippy::unwrap_used, clippy::expect_used)]
//! Topics of one test on the broker that `TEST_KAFKA_BROKERS` names, and all that stands in them.

use super::KafkaConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};
use uuid::Uuid;

const DEADLINE: Duration = Duration::from_secs(30);

/// `clicks.raw` and `clicks.judged` under a prefix of their own.
pub(crate) struct TestTopics {
    pub(crate) config: KafkaConfig,
    admin: AdminClient<DefaultClientContext>,
}

impl TestTopics {
    /// `None` when no broker is given, which only a developer's own machine may do.
    pub(crate) async fn create(partitions: u32) -> Option<Self> {
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
        config.partitions = NonZeroU32::new(partitions).unwrap();
        let admin: AdminClient<_> =
            ClientConfig::new().set("bootstrap.servers", &config.brokers).create().unwrap();
        let names = [config.raw_topic(), config.judged_topic()];
        let new = names.iter().map(|name| {
            NewTopic::new(name, partitions as i32, TopicReplication::Fixed(1))
                .set("message.timestamp.type", "LogAppendTime")
        });
        let new: Vec<_> = new.collect();
        for created in admin.create_topics(&new, &AdminOptions::new()).await.unwrap() {
            created.unwrap();
        }
        Some(Self { config, admin })
    }

    pub(crate) async fn delete(self) {
        let names = [self.config.raw_topic(), self.config.judged_topic()];
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.admin.delete_topics(&names, &AdminOptions::new()).await.unwrap();
    }
}

/// A record as it stands in a topic.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Vec<u8>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

/// All records that stand in a topic now, by partition. Blocks.
pub(crate) fn read_all(brokers: &str, topic: &str, partitions: u32) -> Vec<Vec<Found>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "reads-all")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let mut assigned = TopicPartitionList::new();
    let mut ends = Vec::new();
    for partition in 0..partitions as i32 {
        ends.push(consumer.fetch_watermarks(topic, partition, DEADLINE).unwrap().1);
        assigned.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&assigned).unwrap();
    let mut found = vec![Vec::new(); partitions as usize];
    let begun = Instant::now();
    while found.iter().zip(&ends).any(|(found, end)| (found.len() as i64) < *end) {
        assert!(begun.elapsed() < DEADLINE, "all records in time");
        let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
        let message = message.unwrap();
        let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
        found[message.partition() as usize].push(Found {
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().unwrap_or_default().to_vec(),
            headers: headers
                .map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec()))
                .collect(),
        });
    }
    found
}
