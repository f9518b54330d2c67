#![allow(clippy::unwrap_used, clippy::expect_used)]
//! The archive holds the judged log, whole and in order, through restarts and damage.

use super::*;
use async_trait::async_trait;
use futures::TryStreamExt;
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::{PartitionId, Position, RunId};
use gonggumoa_core::judge::rules::{RulesActivation, RulesSettings, StoredRules};
use gonggumoa_core::log::{ClickLog, LogBatch, LogEntry, LogPosition, LogReader};
use gonggumoa_core::store::conformance::fixture;
use gonggumoa_core::store::{ClickStore, GongguSnapshot, JudgedBatch, LoadRequest, PartitionProgress};
use parking_lot::Mutex;
use tokio::sync::watch;

mod s3;
mod shared;

const PARTITION: PartitionId = PartitionId(0);

/// A log that grows under the test's hand and remembers what was released.
struct MemoryLog {
    run: RunId,
    entries: watch::Sender<Vec<(Position, LogEntry)>>,
    released: Mutex<Option<LogPosition>>,
}

struct MemoryReader {
    run: RunId,
    entries: watch::Receiver<Vec<(Position, LogEntry)>>,
    after: Position,
}

impl MemoryLog {
    fn new() -> Arc<Self> {
        let entries = watch::channel(Vec::new()).0;
        Arc::new(Self { run: RunId::random(), entries, released: Mutex::default() })
    }

    /// Appends clicks, a time mark after every tenth.
    fn grow(&self, count: u64) {
        self.entries.send_modify(|entries| {
            for _ in 0..count {
                let number = entries.len() as u64 + 1;
                let at = fixture::START.plus_millis(number as i64);
                let click = fixture::plain_click(self.run, number, fixture::gonggu(), at).click;
                let entry = match number % 10 {
                    0 => LogEntry::TimeMark { run: self.run, at },
                    _ => LogEntry::Click(click),
                };
                entries.push((Position(number), entry));
            }
        });
    }
}

#[async_trait]
impl ClickLog for MemoryLog {
    fn partitions(&self) -> Vec<PartitionId> {
        vec![PARTITION]
    }
    async fn durable_end(&self, _: PartitionId) -> Result<Position, LogError> {
        Ok(Position(self.entries.borrow().len() as u64))
    }
    async fn reader(
        &self,
        _: PartitionId,
        after: Option<LogPosition>,
    ) -> Result<Box<dyn LogReader>, LogError> {
        let after = after.map_or(Position(0), |after| after.through);
        Ok(Box::new(MemoryReader { run: self.run, entries: self.entries.subscribe(), after }))
    }
    async fn release(&self, _: PartitionId, reader: &'static str, through: LogPosition) {
        assert_eq!(reader, "archive");
        *self.released.lock() = Some(through);
    }
}

#[async_trait]
impl LogReader for MemoryReader {
    async fn next(&mut self, entries_max: usize) -> Result<LogBatch, LogError> {
        let after = self.after.0 as usize;
        let entries =
            self.entries.wait_for(|entries| entries.len() > after).await.map_err(|_| LogError::Closed)?;
        let more = entries.len() - after > entries_max;
        let entries: Vec<_> = entries[after..].iter().take(entries_max).cloned().collect();
        self.after = entries.last().map_or(self.after, |(position, _)| *position);
        Ok(LogBatch {
            entries,
            arrivals: None,
            history: None,
            end: LogPosition { through: self.after, run: self.run },
            more,
        })
    }
}

/// A store of which only the position and the rules are asked.
struct MemoryStore {
    progress: Mutex<Option<PartitionProgress>>,
}

impl MemoryStore {
    fn set(&self, log: &MemoryLog, through: u64) {
        let position = LogPosition { through: Position(through), run: log.run };
        *self.progress.lock() = Some(PartitionProgress { position, marks: Vec::new() });
    }
}

#[async_trait]
impl ClickStore for MemoryStore {
    async fn progress(&self, _: PartitionId) -> Result<Option<PartitionProgress>, StoreError> {
        Ok(self.progress.lock().clone())
    }
    async fn rules(&self) -> Result<Vec<StoredRules>, StoreError> {
        Ok((1..=3).map(|version| StoredRules { version, settings: fixture::settings(version) }).collect())
    }
    async fn put_rules(&self, _: &RulesSettings) -> Result<StoredRules, StoreError> {
        unreachable!("the archive makes no rules")
    }
    async fn activations(&self, partition: PartitionId) -> Result<Vec<RulesActivation>, StoreError> {
        let row = |(from, version)| RulesActivation { partition, from: Position(from), version };
        Ok([(1, 1), (40, 2), (5_000, 3)].map(row).to_vec())
    }
    async fn activate(&self, _: RulesActivation) -> Result<RulesActivation, StoreError> {
        unreachable!("the archive activates nothing")
    }
    async fn quarantined(&self, _: PartitionId, after: Position) -> Result<Vec<Position>, StoreError> {
        Ok([7, 77].map(Position).into_iter().filter(|position| *position > after).collect())
    }
    async fn load(&self, _: &[LoadRequest]) -> Result<Vec<GongguSnapshot>, StoreError> {
        unreachable!("the archive loads no state")
    }
    async fn store(&self, _: &JudgedBatch) -> Result<(), StoreError> {
        unreachable!("the archive stores nothing")
    }
}

struct Bench {
    log: Arc<MemoryLog>,
    store: Arc<MemoryStore>,
    objects: Arc<dyn ObjectStore>,
    /// The objects as files, whatever store they are reached through.
    folder: std::path::PathBuf,
    _keeps: Keeps,
}

/// What goes with the bench.
enum Keeps {
    Folder { _folder: tempfile::TempDir },
    Server { _server: s3::S3Server },
}

impl Bench {
    fn new(objects: Arc<dyn ObjectStore>, folder: std::path::PathBuf, keeps: Keeps) -> Self {
        let store = Arc::new(MemoryStore { progress: Mutex::default() });
        Self { log: MemoryLog::new(), store, objects, folder, _keeps: keeps }
    }

    async fn in_folder() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        Self::new(local_folder(&path).unwrap(), path, Keeps::Folder { _folder: folder })
    }

    async fn on_s3() -> Self {
        let server = s3::S3Server::start().await;
        let objects = super::s3(&server.settings()).unwrap();
        let folder = server.folder();
        Self::new(objects, folder, Keeps::Server { _server: server })
    }

    /// Files of about 20 entries.
    fn spawn(&self) -> ArchiveHandle {
        let config = ArchiveConfig {
            file_bytes_max: 5_000,
            poll_interval: Duration::from_millis(1),
            entries_max: 10,
            ..ArchiveConfig::default()
        };
        spawn(config, self.log.clone(), self.store.clone(), self.objects.clone())
    }

    async fn entries(&self) -> Result<Vec<(Position, LogEntry)>, ArchiveError> {
        read(self.objects.clone(), PARTITION).try_collect().await
    }

    fn files(&self) -> Vec<std::path::PathBuf> {
        let folder = self.folder.join("clicks/p0");
        let mut files: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }
}

/// Waits for a condition, with a deadline.
async fn until(condition: impl Fn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    });
    waited.await.expect("the condition came true in time");
}

fn archived(handle: &ArchiveHandle, through: u64) -> bool {
    handle.through().first().is_some_and(|(_, position)| position.0 >= through)
}

/// Every promise, whatever the archive lies in.
macro_rules! on_every_store {
    ($($test:ident),* $(,)?) => {
        on_every_store!(@ folder, in_folder, $($test),*);
        on_every_store!(@ bucket, on_s3, $($test),*);
    };
    (@ $module:ident, $bench:ident, $($test:ident),*) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::$test(super::Bench::$bench().await).await;
                }
            )*
        }
    };
}

on_every_store!(
    the_judged_log_comes_back_without_addresses,
    a_restart_goes_on_after_the_last_file,
    headers_name_what_a_replay_needs,
    damage_is_found_and_named,
    an_age_cuts_a_small_file,
    old_files_go_from_the_beginning_and_the_rest_is_verified,
);

async fn the_judged_log_comes_back_without_addresses(bench: Bench) {
    bench.log.grow(100);
    bench.store.set(&bench.log, 60);
    let handle = bench.spawn();
    until(|| archived(&handle, 40)).await;
    assert!(handle.through()[0].1 <= Position(60), "never beyond the stored position");
    bench.store.set(&bench.log, 100);
    until(|| archived(&handle, 80)).await;
    handle.stop().await;

    let entries = bench.entries().await.unwrap();
    let originals = bench.log.entries.borrow().clone();
    for (found, original) in entries.iter().zip(&originals) {
        let mut original = original.clone();
        if let LogEntry::Click(click) = &mut original.1 {
            click.address = None;
        }
        assert_eq!(*found, original);
    }
    let last = entries.last().unwrap().0;
    assert_eq!(bench.log.released.lock().unwrap().through, last, "exactly what is archived is released");
    for file in bench.files() {
        let bytes = zstd::decode_all(&std::fs::read(&file).unwrap()[..]).unwrap_or_default();
        assert!(!bytes.windows(11).any(|window| window == b"203.0.113.7"));
    }
    assert!(bench.folder.join("rules/v000001.json").exists());
}

async fn a_restart_goes_on_after_the_last_file(bench: Bench) {
    for round in 1..=4u64 {
        bench.log.grow(50);
        bench.store.set(&bench.log, round * 50);
        *bench.log.released.lock() = None;
        let handle = bench.spawn();
        until(|| archived(&handle, round * 50 - 25)).await;
        assert!(bench.log.released.lock().is_some());
        handle.stop().await;
    }
    let entries = bench.entries().await.unwrap();
    let positions: Vec<u64> = entries.iter().map(|(position, _)| position.0).collect();
    let expected: Vec<u64> = (1..=positions.len() as u64).collect();
    assert_eq!(positions, expected, "each once, in order");
    assert!(positions.len() >= 175);
}

async fn headers_name_what_a_replay_needs(bench: Bench) {
    bench.log.grow(100);
    bench.store.set(&bench.log, 100);
    let handle = bench.spawn();
    until(|| archived(&handle, 80)).await;
    handle.stop().await;
    let mut headers = Vec::new();
    for name in files(&*bench.objects, PARTITION).await.unwrap() {
        headers.push(super::read::open(&*bench.objects, &name).await.unwrap().header);
    }
    assert_eq!(headers[0].after, None);
    assert_eq!(headers[0].previous_sha256, None);
    assert_eq!(headers[0].runs, vec![bench.log.run]);
    for pair in headers.windows(2) {
        assert_eq!(pair[1].after, Some(pair[0].end));
        assert!(pair[1].previous_sha256.is_some());
    }
    let versions = |header: &FileHeader| -> Vec<u32> {
        header.activations.iter().map(|activation| activation.version).collect()
    };
    assert_eq!(versions(&headers[0]), vec![1]);
    let border = headers.iter().find(|header| header.first.0 <= 40 && header.end.through.0 >= 40).unwrap();
    assert!(versions(border).contains(&2));
    let after = headers.iter().find(|header| header.first.0 > 40).unwrap();
    assert_eq!(versions(after), vec![2], "the one in force, and none of the future");
    let quarantined: Vec<Position> = headers.iter().flat_map(|header| header.quarantined.clone()).collect();
    assert_eq!(quarantined, vec![Position(7), Position(77)]);
}

async fn damage_is_found_and_named(bench: Bench) {
    bench.log.grow(100);
    bench.store.set(&bench.log, 100);
    let handle = bench.spawn();
    until(|| archived(&handle, 80)).await;
    handle.stop().await;
    let paths = bench.files();
    let whole = std::fs::read(&paths[1]).unwrap();

    // Any flipped bit and any truncation of a file.
    for offset in (0..whole.len()).step_by(37).chain([whole.len() - 1]) {
        let mut bytes = whole.clone();
        bytes[offset] ^= 1;
        assert!(super::file::FileReader::open("x", &bytes).is_err(), "a flipped bit at {offset}");
        assert!(super::file::FileReader::open("x", &whole[..offset]).is_err());
    }
    std::fs::write(&paths[1], &whole[..whole.len() - 40]).unwrap();
    let name = paths[1].file_name().unwrap().to_string_lossy().into_owned();
    let error = bench.entries().await.unwrap_err();
    assert!(error.to_string().contains(&name) && !error.retryable(), "{error}");

    // A missing file breaks the chain at the one after it.
    std::fs::remove_file(&paths[1]).unwrap();
    let error = bench.entries().await.unwrap_err();
    assert!(matches!(error, ArchiveError::Chain { .. }), "{error}");
}

async fn an_age_cuts_a_small_file(bench: Bench) {
    bench.log.grow(3);
    bench.store.set(&bench.log, 3);
    let config = ArchiveConfig {
        file_age_max: Duration::from_millis(20),
        poll_interval: Duration::from_millis(1),
        ..ArchiveConfig::default()
    };
    let handle = spawn(config, bench.log.clone(), bench.store.clone(), bench.objects.clone());
    until(|| archived(&handle, 3)).await;
    assert_eq!(handle.failure(), None);
    handle.stop().await;
    assert_eq!(bench.entries().await.unwrap().len(), 3);
}

async fn old_files_go_from_the_beginning_and_the_rest_is_verified(bench: Bench) {
    bench.log.grow(200);
    bench.store.set(&bench.log, 200);
    let handle = bench.spawn();
    until(|| archived(&handle, 180)).await;
    handle.stop().await;
    let all = files(&*bench.objects, PARTITION).await.unwrap();
    let entries = bench.entries().await.unwrap();
    assert!(all.len() >= 5);
    // Written today: only the entries' own times tell that a file is old.
    let early = delete_before(&*bench.objects, fixture::START).await.unwrap();
    assert!(early.is_empty());

    let third = super::read::open(&*bench.objects, &all[2]).await.unwrap();
    let last_of_third = fixture::START.plus_millis(third.header.end.through.0 as i64);
    let deleted = delete_before(&*bench.objects, last_of_third).await.unwrap();
    assert_eq!(deleted, all[..2], "the third still holds an entry of that time");
    let kept = bench.entries().await.unwrap();
    assert_eq!(kept[..], entries[entries.len() - kept.len()..]);
    assert_eq!(kept[0].0, third.header.first);

    // What stays is a chain: a file taken out of its middle is missed.
    let fourth = bench.folder.join(&all[3]);
    let bytes = std::fs::read(&fourth).unwrap();
    std::fs::remove_file(&fourth).unwrap();
    let error = bench.entries().await.unwrap_err();
    assert!(matches!(error, ArchiveError::Chain { .. }), "{error}");
    std::fs::write(&fourth, bytes).unwrap();

    // However old it is, the newest stays, and the archive goes on from it.
    let deleted = delete_before(&*bench.objects, UnixMillis::MAX).await.unwrap();
    assert_eq!(deleted, all[2..all.len() - 1]);
    bench.log.grow(60);
    bench.store.set(&bench.log, 260);
    let handle = bench.spawn();
    until(|| archived(&handle, 240)).await;
    handle.stop().await;
    let grown = bench.entries().await.unwrap();
    let positions: Vec<u64> = grown.iter().map(|(position, _)| position.0).collect();
    let expected: Vec<u64> = (positions[0]..positions[0] + positions.len() as u64).collect();
    assert_eq!(positions, expected);
}
