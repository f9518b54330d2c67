//! The whole forwarder on a real journal and a broker in memory: starts, ends, and what is refused.

use super::super::place::{FILE_NAME, PlaceFile};
use super::super::{DrainError, ForwarderError, ForwarderHandle, ForwarderStatus, ForwarderStep, spawn_with};
use super::broker::Broker;
use super::journal::Edge;
use super::*;
use gonggumoa_core::clock::SystemClock;
use gonggumoa_core::log::ClickSink;
use gonggumoa_core::log::journal::PARTITION;
use gonggumoa_core::log::{ClickLog, SinkHealth};
use std::sync::Arc;

async fn start(edge: &Edge, broker: &Broker) -> Result<ForwarderHandle, ForwarderError> {
    start_with(edge, broker, config(edge.folder.path())).await
}

async fn start_with(
    edge: &Edge,
    broker: &Broker,
    config: ForwarderConfig,
) -> Result<ForwarderHandle, ForwarderError> {
    let broker = broker.clone();
    spawn_with(config, edge.log(), Arc::new(SystemClock), Box::new(move || Ok(broker.producer()))).await
}

fn at_once() -> Broker {
    let broker = Broker::new(PARTITIONS, 1_000);
    broker.immediate(true);
    broker
}

/// Waits until the status is as wanted.
async fn until(handle: &ForwarderHandle, wanted: impl FnMut(&ForwarderStatus) -> bool) {
    let mut status = handle.status();
    tokio::time::timeout(DEADLINE, status.wait_for(wanted)).await.expect("in time").unwrap();
}

async fn drained(edge: &Edge, handle: ForwarderHandle) -> LogPosition {
    edge.journal.close().await.unwrap();
    handle.drain(DEADLINE).await.unwrap().unwrap()
}

fn assert_judged_once(broker: &Broker, journal: &[(Position, LogEntry)]) {
    for (partition, records) in (0..).map(PartitionId).zip(broker.partitions()) {
        assert_same(partition, &judged(&records, 50), &of_partition(journal, partition));
    }
}

#[tokio::test]
async fn what_is_recorded_arrives_and_is_released() {
    let (mut edge, broker) = (Edge::new(), at_once());
    let mut journal = edge.journal.reader(PARTITION, None).await.unwrap();
    edge.click(2_000).await;
    assert!(edge.journal.stats().segments > 3);
    let end = edge.journal.durable_position().through;
    let mut recorded = Vec::new();
    while recorded.last().is_none_or(|(position, _)| *position < end) {
        recorded.extend(journal.next(1_000).await.unwrap().entries);
    }
    let handle = start(&edge, &broker).await.unwrap();
    until(&handle, |status| status.forwarded.is_some_and(|place| place.through >= end)).await;
    edge.journal.close().await.unwrap();
    let place = handle.drain(DEADLINE).await.unwrap().unwrap();
    loop {
        match journal.next(1_000).await {
            Ok(batch) => recorded.extend(batch.entries),
            Err(error) => break assert!(error.to_string().contains("closed")),
        }
    }
    assert_eq!(place, edge.journal.durable_position());
    assert_judged_once(&broker, &recorded);
    assert!(edge.journal.stats().segments <= 2, "what has arrived needs no disk");
    let stored = PlaceFile::new(edge.folder.path().to_owned()).read().unwrap().unwrap();
    assert_eq!(stored.reached.place(), Some(place));
}

/// Killed again and again, with its edge or alone, while records arrive late and answers are lost.
#[tokio::test]
async fn kills_leave_no_gap_and_nothing_twice() {
    let (mut edge, broker) = (Edge::new(), Broker::new(PARTITIONS, 40));
    let (mut recorded, mut read_through) = (Vec::new(), None);
    for round in 0..12 {
        let handle = start(&edge, &broker).await.unwrap();
        edge.click(30).await;
        for turn in 0..6 {
            tokio::task::yield_now().await;
            broker.deliver(turn % 3, turn % PARTITIONS as usize, 5 + round, turn % 4 != 3);
        }
        if round % 4 == 1 {
            broker.fail();
            until(&handle, |status| matches!(status.step, ForwarderStep::Restarting { .. })).await;
        }
        if round % 3 == 2 {
            edge.journal.close().await.unwrap();
            drop(handle);
            recorded.extend(edge.entries(read_through).await);
            read_through = Some(edge.journal.durable_position());
            edge = edge.restart().await;
        }
    }
    broker.immediate(true);
    let handle = start(&edge, &broker).await.unwrap();
    edge.click(10).await;
    drained(&edge, handle).await;
    recorded.extend(edge.entries(read_through).await);
    assert_judged_once(&broker, &recorded);
}

#[tokio::test]
async fn without_a_broker_the_edge_goes_on_and_all_catches_up() {
    let (mut edge, broker) = (Edge::new(), Broker::new(PARTITIONS, 40));
    let alarm_after = Duration::from_millis(1);
    let handle = start_with(&edge, &broker, ForwarderConfig { alarm_after, ..config(edge.folder.path()) })
        .await
        .unwrap();
    edge.click(500).await;
    until(&handle, |status| status.lag_records >= 500 && status.lag > alarm_after && status.lag_bytes > 0)
        .await;
    edge.click(500).await;
    assert_eq!(edge.journal.health(), SinkHealth::Ready);
    assert_eq!(broker.producers(), 1, "waiting is no fault");
    broker.immediate(true);
    let end = edge.journal.durable_position().through;
    until(&handle, |status| status.forwarded.is_some_and(|place| place.through >= end)).await;
    edge.journal.close().await.unwrap();
    handle.drain(DEADLINE).await.unwrap();
    let clicks = |records: &Vec<Vec<u8>>| {
        judged(records, 100).iter().filter(|entry| matches!(entry, LogEntry::Click(_))).count()
    };
    assert_eq!(broker.partitions().iter().map(clicks).sum::<usize>(), 1_000);
}

#[tokio::test]
async fn a_drain_ends_at_its_deadline_and_the_next_start_goes_on() {
    let (mut edge, broker) = (Edge::new(), Broker::new(PARTITIONS, 40));
    let handle = start(&edge, &broker).await.unwrap();
    edge.click(100).await;
    edge.journal.close().await.unwrap();
    let recorded = edge.entries(None).await;
    let DrainError { lag_records } = handle.drain(Duration::from_millis(50)).await.unwrap_err();
    assert!(lag_records >= 100, "{lag_records}");
    let read_through = Some(edge.journal.durable_position());
    edge = edge.restart().await;
    broker.immediate(true);
    let handle = start(&edge, &broker).await.unwrap();
    drained(&edge, handle).await;
    let recorded = [recorded, edge.entries(read_through).await].concat();
    assert_judged_once(&broker, &recorded);
}

/// A machine that judged by itself becomes an edge: nothing that was counted is sent.
#[tokio::test]
async fn what_was_judged_by_the_machine_itself_is_not_sent() {
    let (mut edge, broker) = (Edge::new(), Broker::new(PARTITIONS, 40));
    edge.click(50).await;
    let judged_through = edge.journal.durable_position();
    assert!(edge.journal.has_run(judged_through.run) && !edge.journal.has_run(run(5)));
    edge.click(20).await;
    let begin = ForwarderConfig { begin_after: Some(judged_through), ..config(edge.folder.path()) };
    drop(start_with(&edge, &broker, begin).await.unwrap());
    // The store's place has moved on to the shared log meanwhile, so it says nothing any more.
    broker.immediate(true);
    let handle = start(&edge, &broker).await.unwrap();
    drained(&edge, handle).await;
    assert_judged_once(&broker, &edge.entries(Some(judged_through)).await);
}

#[tokio::test]
async fn a_damaged_place_is_refused_and_named() {
    let (mut edge, broker) = (Edge::new(), at_once());
    let handle = start(&edge, &broker).await.unwrap();
    edge.click(5).await;
    drained(&edge, handle).await;
    let file = edge.folder.path().join(FILE_NAME);
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("through ", "through 1")).unwrap();
    let error = start(&edge, &broker).await.err().unwrap();
    assert!(!error.retryable());
    let message = error.to_string();
    assert!(message.contains(FILE_NAME) && message.contains(&edge.journal.run().to_string()), "{message}");
}

#[tokio::test]
async fn a_place_of_another_journal_or_log_is_refused() {
    let (mut edge, broker) = (Edge::new(), at_once());
    let handle = start(&edge, &broker).await.unwrap();
    edge.click(5).await;
    drained(&edge, handle).await;

    let other = Edge::new();
    std::fs::copy(edge.folder.path().join(FILE_NAME), other.folder.path().join(FILE_NAME)).unwrap();
    let message = start(&other, &broker).await.err().unwrap().to_string();
    for part in [FILE_NAME, &edge.journal.run().to_string(), &other.journal.run().to_string()] {
        assert!(message.contains(part), "{message}");
    }

    for (number, history, refused) in [(1, run(5), true), (0, HISTORY, true), (2, run(5), false)] {
        let config = ForwarderConfig { log: LogEpoch { number, history }, ..config(edge.folder.path()) };
        let started = start_with(&edge, &broker, config).await;
        assert_eq!(matches!(started, Err(ForwarderError::ForeignLog { .. })), refused, "epoch {number}");
    }
}

#[tokio::test]
async fn a_lost_place_is_not_started_over() {
    let (mut edge, broker) = (Edge::new(), at_once());
    let handle = start(&edge, &broker).await.unwrap();
    edge.click(2_000).await;
    let end = edge.journal.durable_position().through;
    until(&handle, |status| status.forwarded.is_some_and(|place| place.through >= end)).await;
    drained(&edge, handle).await;
    std::fs::remove_file(edge.folder.path().join(FILE_NAME)).unwrap();
    let error = start(&edge, &broker).await.err().unwrap();
    assert!(matches!(error, ForwarderError::Deleted { .. }), "{error}");
    assert!(error.to_string().contains(FILE_NAME), "{error}");
}

/// Another number of partitions comes with another epoch, and a run is never split over both.
#[tokio::test]
async fn a_run_is_not_split_over_two_layouts() {
    let (mut edge, broker) = (Edge::new(), at_once());
    let handle = start(&edge, &broker).await.unwrap();
    edge.click(5).await;
    until(&handle, |status| status.forwarded.is_some()).await;
    drop(handle);
    edge.click(5).await;
    let five = Partitioning::new(NonZeroU32::new(5).unwrap());
    let wider = Broker::new(5, 100);
    wider.immediate(true);
    let log = LogEpoch { number: 2, history: run(6) };
    let next = ForwarderConfig { log, partitioning: five, ..config(edge.folder.path()) };
    let handle = start_with(&edge, &wider, next.clone()).await.unwrap();
    until(&handle, |status| {
        matches!(&status.step, ForwarderStep::Restarting { problem } if problem.contains("3 partitions"))
    })
    .await;
    assert!(wider.partitions().iter().all(Vec::is_empty));
    drop(handle);

    // With the settings of before the rest goes where it began; then the next run may go elsewhere.
    let handle = start(&edge, &broker).await.unwrap();
    drained(&edge, handle).await;
    edge = edge.restart().await;
    edge.click(20).await;
    let handle = start_with(&edge, &wider, next).await.unwrap();
    drained(&edge, handle).await;
    assert!(wider.partitions().iter().all(|records| judged(records, 9).len() > 1));
    let refused = start(&edge, &broker).await;
    assert!(matches!(refused, Err(ForwarderError::ForeignLog { .. })), "there is no way back");
}
