//! Partitions of a shared log that come and go, with others that archive them at the same time.

use super::super::file::{FileReader, FileWriter, folder};
use super::until;
use crate::archive::*;
use futures::TryStreamExt;
use gonggumoa_core::ids::{PartitionId, Position, RunId};
use gonggumoa_core::log::memory::MemoryLog;
use gonggumoa_core::log::{Arrival, ClickLog, LogEntry, LogPosition, arrivals};
use gonggumoa_core::store::conformance::fixture;
use gonggumoa_core::store::memory::MemoryStore;
use gonggumoa_core::store::{ClickStore, JudgedBatch, PartitionProgress};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::watch;
use uuid::Uuid;

const PARTITIONS: u32 = 2;

fn all() -> BTreeSet<PartitionId> {
    (0..PARTITIONS).map(PartitionId).collect()
}

fn run(number: u128) -> RunId {
    RunId(Uuid::from_u128(number))
}

/// An edge that sends records, some of them again.
struct Edge {
    run: RunId,
    sequence: u64,
    sent: BTreeMap<PartitionId, Vec<(LogEntry, Arrival)>>,
}

impl Edge {
    fn new(number: u128) -> Self {
        Self { run: run(number), sequence: 0, sent: BTreeMap::new() }
    }

    /// So many records to each partition, every third of them twice.
    fn send(&mut self, log: &MemoryLog, records: u64) {
        for _ in 0..records {
            for id in log.partitions() {
                self.sequence += 1;
                let at = fixture::START.plus_millis(self.sequence as i64);
                let entry = match self.sequence % 7 {
                    0 => LogEntry::TimeMark { run: self.run, at },
                    _ => {
                        let click = fixture::plain_click(self.run, self.sequence, fixture::gonggu(), at);
                        LogEntry::Click(click.click)
                    }
                };
                let sent = self.sent.entry(id).or_default();
                let previous = sent.last().map_or(0, |(_, arrival)| arrival.sequence);
                let sequence = self.sequence;
                let arrival =
                    Arrival { run: self.run, sequence, previous, predecessor: None, appended_at: at };
                sent.push((entry, arrival));
                let again = if sequence.is_multiple_of(3) { 3 } else { 1 };
                for (entry, arrival) in &sent[sent.len().saturating_sub(again)..] {
                    log.push_arrival(id, entry.clone(), *arrival);
                }
                // The end is new, as time marks see to.
                if again > 1 {
                    let (entry, arrival) = sent.last().unwrap();
                    log.push_arrival(id, entry.clone(), *arrival);
                }
            }
        }
    }
}

/// A store that says that all of the log is judged.
async fn store_all(store: &MemoryStore, log: &MemoryLog) {
    for partition in log.partitions() {
        let Some((_, end)) = taken(log, partition, true).await else { continue };
        let owner = Uuid::new_v4();
        let from = store.claim(partition, owner).await.unwrap().map(|progress| progress.position);
        let batch = JudgedBatch {
            partition,
            owner,
            from,
            to: PartitionProgress { position: end, marks: Vec::new() },
            clicks: Vec::new(),
            heads: Vec::new(),
            rollups: Vec::new(),
            flags: Vec::new(),
            quarantined: Vec::new(),
        };
        store.store(&batch).await.unwrap();
    }
}

type Taken = (Vec<(Position, LogEntry)>, LogPosition);

/// What a reader of the whole partition takes, without addresses, and where it ends.
async fn taken(log: &MemoryLog, partition: PartitionId, may_end: bool) -> Option<Taken> {
    if log.durable_end(partition).await.unwrap() == Position(0) {
        return None;
    }
    let mut batch = log.reader(partition, None).await.unwrap().next(1_000_000).await.unwrap();
    let result = arrivals::admit(&mut batch, None, &mut Vec::new());
    assert!(may_end || result.is_ok());
    for (_, entry) in &mut batch.entries {
        if let LogEntry::Click(click) = entry {
            click.address = None;
        }
    }
    Some((batch.entries, batch.end))
}

struct Case {
    log: MemoryLog,
    store: MemoryStore,
    objects: Arc<dyn ObjectStore>,
}

impl Case {
    fn new() -> Self {
        Self {
            log: MemoryLog::shared(run(9), 1, PARTITIONS),
            store: MemoryStore::new(),
            objects: Arc::new(InMemory::new()),
        }
    }

    /// Files of a few entries, cut soon.
    fn spawn(&self, store: &MemoryStore) -> (ArchiveHandle, watch::Sender<BTreeSet<PartitionId>>) {
        let config = ArchiveConfig {
            file_bytes_max: 1_500,
            file_age_max: Duration::from_millis(5),
            poll_interval: Duration::from_millis(1),
            entries_max: 5,
        };
        let (assign, assigned) = watch::channel(BTreeSet::new());
        let (log, store) = (Arc::new(self.log.clone()), Arc::new(store.clone()));
        (spawn_assigned(config, log, store, Arc::clone(&self.objects), assigned), assign)
    }

    async fn archived(&self, handle: &ArchiveHandle) {
        let mut ends = BTreeMap::new();
        for id in self.log.partitions() {
            let (entries, _) = taken(&self.log, id, true).await.unwrap();
            ends.insert(id, entries.last().unwrap().0);
        }
        until(|| {
            let through: BTreeMap<_, _> = handle.through().into_iter().collect();
            ends.iter().all(|(id, end)| through.get(id).is_some_and(|through| through >= end))
        })
        .await;
    }

    async fn entries(&self, partition: PartitionId) -> Vec<(Position, LogEntry)> {
        read(Arc::clone(&self.objects), partition).try_collect().await.unwrap()
    }

    async fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut all = BTreeMap::new();
        for partition in self.log.partitions() {
            for name in files(&*self.objects, partition).await.unwrap() {
                let object = self.objects.get(&Path::from(name.as_str())).await.unwrap();
                all.insert(name, object.bytes().await.unwrap().to_vec());
            }
        }
        all
    }

    async fn is_whole(&self) {
        for id in self.log.partitions() {
            let (expected, _) = taken(&self.log, id, false).await.unwrap();
            assert_eq!(self.entries(id).await, expected, "partition {id}: each once, in order");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_that_come_and_go_are_archived_once() {
    let case = Case::new();
    let (mut edge, mut other) = (Edge::new(1), Edge::new(2));
    let (one, assign_one) = case.spawn(&case.store);
    let (two, assign_two) = case.spawn(&case.store);
    let mut known: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for round in 0..24u32 {
        // Each has all, none or one of them, and often both have the same.
        let some = |mask: u32| all().into_iter().filter(|id| mask & (1 << id.0) != 0).collect();
        assign_one.send_replace(some(round));
        assign_two.send_replace(some(round / 3));
        edge.send(&case.log, 9);
        other.send(&case.log, 4);
        store_all(&case.store, &case.log).await;
        if round % 4 == 3 {
            // All of it by both.
            assign_one.send_replace(all());
            assign_two.send_replace(all());
            case.archived(&one).await;
            case.archived(&two).await;
            case.is_whole().await;
        }
        let now = case.files().await;
        assert!(known.iter().all(|(name, bytes)| now[name] == *bytes), "no file ever changes");
        known = now;
    }
    assert!(known.len() > 20);
    let none = BTreeSet::new();
    assign_one.send_replace(none);
    until(|| one.through().is_empty()).await;
    assert_eq!((one.failure(), two.failure()), (None, None));
    one.stop().await;
    two.stop().await;
    case.is_whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_second_goes_on_after_the_first() {
    let case = Case::new();
    let mut edge = Edge::new(1);
    edge.send(&case.log, 40);
    // To this one nothing is stored yet: it waits with what it gathered.
    let blind = MemoryStore::new();
    let (late, assign_late) = case.spawn(&blind);
    assign_late.send_replace(all());
    store_all(&case.store, &case.log).await;
    let (first, assign_first) = case.spawn(&case.store);
    assign_first.send_replace(all());
    case.archived(&first).await;
    let written = case.files().await;
    store_all(&blind, &case.log).await;
    case.archived(&late).await;
    assert_eq!(case.files().await, written);
    assert_eq!(late.failure(), None);
    // And now the late one is first.
    first.stop().await;
    edge.send(&case.log, 20);
    store_all(&blind, &case.log).await;
    case.archived(&late).await;
    late.stop().await;
    case.is_whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gap_ends_the_archive_of_its_partition() {
    let case = Case::new();
    let mut edge = Edge::new(1);
    edge.send(&case.log, 10);
    let (entry, last) = edge.sent[&PartitionId(0)].last().unwrap().clone();
    let torn = Arrival { sequence: last.sequence + 50, previous: last.sequence + 40, ..last };
    case.log.push_arrival(PartitionId(0), entry, torn);
    edge.sent.remove(&PartitionId(0));
    store_all(&case.store, &case.log).await;
    let (handle, assign) = case.spawn(&case.store);
    assign.send_replace(all());
    case.archived(&handle).await;
    until(|| handle.failure().is_some()).await;
    handle.stop().await;
    let (expected, _) = taken(&case.log, PartitionId(0), true).await.unwrap();
    assert_eq!(case.entries(PartitionId(0)).await, expected, "what stands before it");
    let (expected, _) = taken(&case.log, PartitionId(1), false).await.unwrap();
    assert_eq!(case.entries(PartitionId(1)).await, expected, "the other goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_archive_goes_through_all_epochs() {
    let mut case = Case::new();
    let (journal, mut expected) = (MemoryLog::new(run(5)), Vec::new());
    for number in 1..=30 {
        let at = fixture::START.plus_millis(number);
        journal.push(LogEntry::TimeMark { run: run(5), at });
    }
    let shared = |epoch| MemoryLog::shared(run(90 + u128::from(epoch)), epoch, 1);
    let mut edge = Edge::new(1);
    for log in [journal, shared(1), shared(2)] {
        case.log = log;
        if case.log.entries().is_empty() {
            edge = Edge::new(edge.run.0.as_u128() + 1);
            edge.send(&case.log, 25);
        }
        store_all(&case.store, &case.log).await;
        let (handle, assign) = case.spawn(&case.store);
        assign.send_replace([PartitionId(0)].into());
        case.archived(&handle).await;
        handle.stop().await;
        expected.extend(taken(&case.log, PartitionId(0), false).await.unwrap().0);
        assert_eq!(case.entries(PartitionId(0)).await, expected);
    }
    let names = files(&*case.objects, PartitionId(0)).await.unwrap();
    let last = crate::archive::read::open(&*case.objects, names.last().unwrap()).await.unwrap();
    assert_eq!((last.header.format, last.header.history), (2, Some(run(92))));
    let mark = last.header.marks.iter().find(|mark| mark.run == edge.run).unwrap();
    assert_eq!(mark.sequence, edge.sequence, "whoever goes on knows what was taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_of_the_first_format_is_gone_on_with() {
    let mut case = Case::new();
    case.log = MemoryLog::new(run(5));
    let mark = |at| LogEntry::TimeMark { run: run(5), at: fixture::START.plus_millis(at) };
    let mut file = FileWriter::new(None).unwrap();
    for number in 1..=12 {
        let position = case.log.push(mark(number));
        file.push(position, &mark(number)).unwrap();
        file.end = Some(LogPosition { through: position, run: run(5) });
    }
    let (_, bytes, _) = file.finish(PartitionId(0), Vec::new(), Vec::new(), None).unwrap().unwrap();
    let line = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    let mut header: serde_json::Value = serde_json::from_slice(&bytes[..line]).unwrap();
    header["format"] = 1.into();
    header.as_object_mut().unwrap().remove("marks").unwrap();
    let mut old = serde_json::to_vec(&header).unwrap();
    old.extend_from_slice(&bytes[line..bytes.len() - 32]);
    let hash = Sha256::digest(&old);
    old.extend_from_slice(&hash);
    assert!(FileReader::open("old", &old).unwrap().header.marks.is_empty());
    let name = format!("{}/{:020}-{:020}.gmz", folder(PartitionId(0)), 1, 12);
    case.objects.put(&Path::from(name), old.into()).await.unwrap();

    (13..=40).for_each(|number| {
        case.log.push(mark(number));
    });
    store_all(&case.store, &case.log).await;
    let (handle, assign) = case.spawn(&case.store);
    assign.send_replace([PartitionId(0)].into());
    case.archived(&handle).await;
    handle.stop().await;
    assert_eq!(case.entries(PartitionId(0)).await, case.log.entries());
}
