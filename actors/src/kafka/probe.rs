#![allow(clippy::unwrap_used, clippy::expect_used)]
//! Topics of one test, and all that stands in them as a consumer without any of our code finds it.

use super::{KafkaConfig, testing, topics};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(30);

/// The topics of one test, made as a start makes them.
pub(crate) struct TestTopics {
    pub(crate) config: KafkaConfig,
}

impl TestTopics {
    /// `None` when no broker is given, which only a developer's own machine may do.
    pub(crate) async fn create(partitions: u32) -> Option<Self> {
        let config = testing::test_config(partitions)?;
        topics::prepare(&config).await.unwrap();
        Some(Self { config })
    }

    pub(crate) async fn delete(self) {
        testing::remove(&self.config).await;
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
