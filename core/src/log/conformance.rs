//! What every log must do, as functions that any provider's tests call.
//!
//! A provider implements [`LogFixture`]; [`run_all`] then plays every promise of
//! [`ClickLog`] on logs that the fixture makes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "test code, shared by several crates")]

use super::{ClickLog, ClickReceipt, LogEntry, LogError, LogPosition};
use crate::click::{ClickFacts, ClickMethod, Endpoint, OriginKind, RawClick};
use crate::clock::UnixMillis;
use crate::ids::{GongguId, PartitionId, Position, RunId};
use crate::visitor::AddressHash;
use async_trait::async_trait;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Nothing here takes long; a log that waits for ever must fail, not hang.
const DEADLINE: Duration = Duration::from_secs(30);

/// One log, with the means to write to it and to end and begin it.
#[async_trait]
pub trait LogFixture: Send {
    /// Opens the log: the first time empty, then as it was closed.
    async fn open(&mut self) -> Arc<dyn ClickLog>;
    /// Records a click; returns when it is durable and readers of the open log may see it.
    async fn record(&mut self, facts: &ClickFacts<'_>) -> ClickReceipt;
    /// Ends it cleanly.
    async fn close(&mut self);
    /// The partition that the recorded clicks go to.
    fn partition(&self) -> PartitionId;
}

/// Facts of a plain click that carry `name` as their user agent.
pub fn facts(name: &str) -> ClickFacts<'_> {
    ClickFacts {
        gonggu_id: GongguId(Uuid::from_u128(7)),
        opens_at: UnixMillis(1),
        closes_at: UnixMillis::MAX,
        member: None,
        address: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9)),
        address_hash: AddressHash([1; 16]),
        network_hash: AddressHash([2; 16]),
        user_agent: name,
        referer: "https://example.com/feed",
        endpoint: Endpoint::Go,
        method: ClickMethod::Get,
        purpose: "",
        fetch_site: "cross-site",
        fetch_mode: "navigate",
        fetch_dest: "document",
        fetch_user: "?1",
        origin: OriginKind::Absent,
    }
}

/// All the promises, each on a log of its own.
pub async fn run_all<F: LogFixture>(mut make: impl FnMut() -> F) {
    clicks_come_back_as_recorded(&mut make()).await;
    every_place_gives_the_rest(&mut make()).await;
    a_reader_waits_for_what_comes(&mut make()).await;
    closing_gives_the_rest_and_then_ends(&mut make()).await;
    a_log_opened_again_goes_on(&mut make()).await;
    a_foreign_place_is_refused(&mut make()).await;
    what_one_reader_released_stays_for_the_other(&mut make()).await;
}

async fn record_many(log: &mut impl LogFixture, from: usize, count: usize) -> Vec<ClickReceipt> {
    let mut receipts = Vec::new();
    for number in from..from + count {
        receipts.push(log.record(&facts(&format!("click {number}"))).await);
    }
    receipts
}

/// Reads `count` clicks after `after`, in calls of at most `entries_max`; checks the order on the way.
async fn read_clicks(
    log: &dyn ClickLog,
    partition: PartitionId,
    after: Option<LogPosition>,
    count: usize,
    entries_max: usize,
) -> Vec<(LogPosition, RawClick)> {
    let mut reader = log.reader(partition, after).await.unwrap();
    let mut place = after.map_or(Position(0), |after| after.through);
    let mut clicks = Vec::new();
    while clicks.len() < count {
        let end_before = log.durable_end(partition).await.unwrap();
        let batch = tokio::time::timeout(DEADLINE, reader.next(entries_max)).await.unwrap().unwrap();
        let end_after = log.durable_end(partition).await.unwrap();
        assert!(!batch.entries.is_empty() && batch.entries.len() <= entries_max);
        assert!(batch.more || batch.end.through >= end_before, "there was more");
        assert!(!batch.more || batch.end.through < end_after, "there was no more");
        assert!(batch.arrivals.as_ref().is_none_or(|arrivals| arrivals.len() == batch.entries.len()));
        for (index, (position, entry)) in batch.entries.iter().enumerate() {
            assert!(*position > place, "positions ascend");
            place = *position;
            if let LogEntry::Click(click) = entry {
                clicks.push((batch.place(index).unwrap(), click.clone()));
            }
        }
        assert!(batch.end.through >= place);
    }
    clicks
}

/// A click is read as it was recorded, once, in order, by any number of readers.
pub async fn clicks_come_back_as_recorded(fixture: &mut impl LogFixture) {
    let log = fixture.open().await;
    let partition = fixture.partition();
    assert!(log.partitions().contains(&partition));
    let receipts = record_many(fixture, 0, 20).await;
    let read = read_clicks(log.as_ref(), partition, None, 20, 7).await;
    for (number, ((_, click), receipt)) in read.iter().zip(&receipts).enumerate() {
        assert_eq!(*click.user_agent, *format!("click {number}"));
        assert_eq!((click.id, click.run, click.sequence), (receipt.id, receipt.run, receipt.sequence));
        assert_eq!(click.clicked_at, receipt.clicked_at);
        assert_eq!(&*click.address_masked, "203.0.113.*");
    }
    assert!(read.windows(2).all(|pair| pair[0].1.clicked_at <= pair[1].1.clicked_at));
    assert_eq!(read, read_clicks(log.as_ref(), partition, None, 20, 1_000).await);
    let end = log.durable_end(partition).await.unwrap();
    assert!(end >= read[19].0.through);
    fixture.close().await;
}

/// A reader opened at any place sees exactly what follows it.
pub async fn every_place_gives_the_rest(fixture: &mut impl LogFixture) {
    let log = fixture.open().await;
    let partition = fixture.partition();
    record_many(fixture, 0, 12).await;
    let all = read_clicks(log.as_ref(), partition, None, 12, 100).await;
    for index in 0..11 {
        let rest = read_clicks(log.as_ref(), partition, Some(all[index].0), 11 - index, 100).await;
        assert_eq!(rest, all[index + 1..]);
    }
    fixture.close().await;
}

/// `next` waits when there is nothing, may be dropped, and misses nothing.
pub async fn a_reader_waits_for_what_comes(fixture: &mut impl LogFixture) {
    let log = fixture.open().await;
    let partition = fixture.partition();
    let first = fixture.record(&facts("first")).await;
    let place = read_clicks(log.as_ref(), partition, None, 1, 1).await[0].0;
    let mut reader = log.reader(partition, Some(place)).await.unwrap();
    for number in 0..5 {
        // Started, then dropped before anything came (or with a mark already there, which is fine).
        let _ = tokio::time::timeout(Duration::from_millis(1), reader.next(1)).await;
        let receipt = fixture.record(&facts(&format!("late {number}"))).await;
        assert!(receipt.sequence > first.sequence);
        loop {
            let batch = tokio::time::timeout(DEADLINE, reader.next(1)).await.unwrap().unwrap();
            if let LogEntry::Click(click) = &batch.entries[0].1 {
                assert_eq!(click.id, receipt.id);
                break;
            }
        }
    }
    fixture.close().await;
}

/// After a close a reader gets the rest, then `Closed`.
pub async fn closing_gives_the_rest_and_then_ends(fixture: &mut impl LogFixture) {
    let log = fixture.open().await;
    let partition = fixture.partition();
    let mut reader = log.reader(partition, None).await.unwrap();
    let receipts = record_many(fixture, 0, 5).await;
    fixture.close().await;
    let mut ids = Vec::new();
    loop {
        match tokio::time::timeout(DEADLINE, reader.next(2)).await.unwrap() {
            Ok(batch) => ids.extend(batch.entries.iter().filter_map(|(_, entry)| match entry {
                LogEntry::Click(click) => Some(click.id),
                LogEntry::TimeMark { .. } | LogEntry::Closing { .. } => None,
            })),
            Err(LogError::Closed) => break,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(ids, receipts.iter().map(|receipt| receipt.id).collect::<Vec<_>>());
}

/// Positions and clicks go on over a close and an open; places stored before are good after.
pub async fn a_log_opened_again_goes_on(fixture: &mut impl LogFixture) {
    let partition = fixture.partition();
    let mut stored = None;
    for round in 0..4 {
        let log = fixture.open().await;
        let receipts = record_many(fixture, round * 3, 3).await;
        let read = read_clicks(log.as_ref(), partition, stored, 3, 10).await;
        assert!(read.iter().map(|(_, click)| click.id).eq(receipts.iter().map(|receipt| receipt.id)));
        stored = Some(read[2].0);
        let all = read_clicks(log.as_ref(), partition, None, (round + 1) * 3, 100).await;
        assert!(
            all.iter().enumerate().all(|(index, (_, click))| *click.user_agent == *format!("click {index}"))
        );
        fixture.close().await;
    }
}

/// A place of another history is refused: another run, or beyond the end.
pub async fn a_foreign_place_is_refused(fixture: &mut impl LogFixture) {
    let log = fixture.open().await;
    let partition = fixture.partition();
    record_many(fixture, 0, 3).await;
    let good = read_clicks(log.as_ref(), partition, None, 3, 10).await[2].0;
    let foreign = LogPosition { run: RunId(Uuid::from_u128(99)), ..good };
    let beyond = LogPosition { through: Position(good.through.0 + 1_000_000), ..good };
    for place in [foreign, beyond] {
        match log.reader(partition, Some(place)).await {
            Err(LogError::ForeignPosition { through, run, chain }) => {
                assert_eq!((through, run), (place.through, place.run));
                assert!(!chain.is_empty());
            }
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("a foreign place was taken"),
        }
    }
    fixture.close().await;
}

/// One reader's release takes nothing from another.
pub async fn what_one_reader_released_stays_for_the_other(fixture: &mut impl LogFixture) {
    let log = fixture.open().await;
    let partition = fixture.partition();
    record_many(fixture, 0, 10).await;
    let all = read_clicks(log.as_ref(), partition, None, 10, 100).await;
    log.release(partition, "judge", all[9].0).await;
    assert_eq!(all, read_clicks(log.as_ref(), partition, None, 10, 100).await);
    fixture.close().await;
}
