//! On a real broker: restarts, and what a consumer finds in the topic.

use super::super::{ForwarderHandle, spawn};
use super::journal::Edge;
use super::*;
use crate::kafka::KafkaConfig;
use crate::kafka::probe::{TestTopics, read_all};
use gonggumoa_core::clock::SystemClock;
use std::sync::Arc;

async fn start(edge: &Edge, kafka: &KafkaConfig) -> ForwarderHandle {
    spawn(config(edge.folder.path()), kafka.clone(), edge.log(), Arc::new(SystemClock)).await.unwrap()
}

#[tokio::test]
async fn restarts_leave_no_gap_and_nothing_twice_on_a_real_broker() {
    let Some(topics) = TestTopics::create(PARTITIONS).await else { return };
    let mut edge = Edge::new();
    let (mut recorded, mut read_through) = (Vec::new(), None);
    for round in 0..4 {
        let handle = start(&edge, &topics.config).await;
        edge.click(300).await;
        if round % 2 == 0 {
            // Killed while records are under way.
            let mut status = handle.status();
            let some = status.wait_for(|status| status.forwarded.is_some());
            tokio::time::timeout(DEADLINE, some).await.unwrap().unwrap();
            edge.click(200).await;
            drop(handle);
            continue;
        }
        edge.journal.close().await.unwrap();
        recorded.extend(edge.entries(read_through).await);
        read_through = Some(edge.journal.durable_position());
        handle.drain(DEADLINE).await.unwrap();
        edge = edge.restart().await;
    }
    let partitions = tokio::task::spawn_blocking(move || {
        let partitions = read_all(&topics.config.brokers, &topics.config.raw_topic(), PARTITIONS);
        (partitions, topics)
    });
    let (partitions, topics) = partitions.await.unwrap();
    for (partition, records) in (0..).map(PartitionId).zip(partitions) {
        let values: Vec<Vec<u8>> = records.into_iter().map(|record| record.value).collect();
        assert_same(partition, &judged(&values, 50), &of_partition(&recorded, partition));
    }
    topics.delete().await;
}

/// No broker at the address: nothing fails, everything waits, and is sent when a start finds one.
#[tokio::test]
async fn a_broker_that_is_not_there_is_waited_for() {
    let Some(topics) = TestTopics::create(PARTITIONS).await else { return };
    let mut edge = Edge::new();
    let nobody = KafkaConfig { brokers: "127.0.0.1:9".to_owned(), ..topics.config.clone() };
    let handle = start(&edge, &nobody).await;
    edge.click(50).await;
    let mut status = handle.status();
    let waits = status.wait_for(|status| status.lag_records >= 50 && status.trouble.is_some());
    tokio::time::timeout(DEADLINE, waits).await.unwrap().unwrap();
    drop(handle);
    let handle = start(&edge, &topics.config).await;
    edge.journal.close().await.unwrap();
    let place = handle.drain(DEADLINE).await.unwrap();
    assert_eq!(place, Some(edge.journal.durable_position()));
    topics.delete().await;
}
