//! Appending to the journal: batched on a real disk (write and fdatasync included), the same with a
//! file layer that keeps nothing (what the CPU has to do), and many handlers that each wait for theirs.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot go on has nothing to say")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gonggumoa_benches::sample;
use gonggumoa_core::clock::SystemClock;
use gonggumoa_core::log::journal::io::{JournalFile, JournalIo, RealIo};
use gonggumoa_core::log::journal::{Journal, JournalConfig, PARTITION};
use gonggumoa_core::log::{ClickLog, ClickSink};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Appended before anything is waited for: several groups' worth, within what may be gathered.
const BATCH_RECORDS: u64 = 100_000;
/// Handlers that wait each for its own click, as many as the load runs keep connections.
const HANDLERS: u64 = 64;
const RECORDS_EACH: u64 = 500;

fn append(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut group = criterion.benchmark_group("journal");
    group.sample_size(20).measurement_time(Duration::from_secs(8));

    group.throughput(Throughput::Elements(BATCH_RECORDS));
    let folder = tempfile::tempdir().unwrap();
    let real = open(folder.path().join("batched"), Arc::new(RealIo));
    group.bench_function("append, batched, real files", |bencher| {
        bencher.iter_custom(|iterations| batched(&runtime, &real, iterations));
    });
    let null = open(PathBuf::from("/nowhere"), Arc::new(NullIo));
    group.bench_function("append, batched, no disk", |bencher| {
        bencher.iter_custom(|iterations| batched(&runtime, &null, iterations));
    });

    group.throughput(Throughput::Elements(HANDLERS * RECORDS_EACH));
    let waiting = open(folder.path().join("waiting"), Arc::new(RealIo));
    group.bench_function(format!("append, {HANDLERS} handlers that wait, real files"), |bencher| {
        bencher.iter_custom(|iterations| handlers(&runtime, &waiting, iterations));
    });
    group.finish();
}

fn open(dir: PathBuf, io: Arc<dyn JournalIo>) -> Journal {
    let mut config = JournalConfig::new(dir);
    config.required_readers = vec!["judge"];
    Journal::open(config, Arc::new(SystemClock), io).unwrap()
}

/// Time until the last of each batch is durable. Segments are let go in between, unmeasured.
fn batched(runtime: &Runtime, journal: &Journal, iterations: u64) -> Duration {
    let facts = sample::facts(7, 0);
    let mut elapsed = Duration::ZERO;
    for _ in 0..iterations {
        let started = Instant::now();
        let mut last = None;
        for _ in 0..BATCH_RECORDS {
            last = Some(journal.append(&facts));
        }
        runtime.block_on(last.unwrap()).unwrap();
        elapsed += started.elapsed();
        let_go(runtime, journal);
    }
    elapsed
}

fn handlers(runtime: &Runtime, journal: &Journal, iterations: u64) -> Duration {
    let mut elapsed = Duration::ZERO;
    for _ in 0..iterations {
        let started = Instant::now();
        runtime.block_on(async {
            let tasks: Vec<_> = (0..HANDLERS)
                .map(|handler| {
                    let journal = journal.clone();
                    tokio::spawn(async move {
                        let facts = sample::facts(handler, 0);
                        for _ in 0..RECORDS_EACH {
                            journal.append(&facts).await.unwrap();
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
        elapsed += started.elapsed();
        let_go(runtime, journal);
    }
    elapsed
}

fn let_go(runtime: &Runtime, journal: &Journal) {
    runtime.block_on(journal.release(PARTITION, "judge", journal.durable_position()));
}

/// A file system that takes everything and keeps nothing.
struct NullIo;
struct NullFile;

impl JournalFile for NullFile {
    fn read_at(&self, _buffer: &mut [u8], _offset: u64) -> io::Result<usize> {
        Ok(0)
    }
    fn write_at(&self, _bytes: &[u8], _offset: u64) -> io::Result<()> {
        Ok(())
    }
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
    fn allocate(&self, _length: u64) -> io::Result<()> {
        Ok(())
    }
    fn set_length(&self, _length: u64) -> io::Result<()> {
        Ok(())
    }
    fn length(&self) -> io::Result<u64> {
        Ok(0)
    }
}

impl JournalIo for NullIo {
    fn create_folder(&self, _folder: &Path) -> io::Result<()> {
        Ok(())
    }
    fn lock(&self, _path: &Path) -> io::Result<Option<Box<dyn Send>>> {
        Ok(Some(Box::new(())))
    }
    fn list(&self, _folder: &Path) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }
    fn create(&self, _path: &Path) -> io::Result<Arc<dyn JournalFile>> {
        Ok(Arc::new(NullFile))
    }
    fn open(&self, _path: &Path, _writable: bool) -> io::Result<Arc<dyn JournalFile>> {
        Ok(Arc::new(NullFile))
    }
    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        Ok(())
    }
    fn remove(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }
    fn sync_folder(&self, _folder: &Path) -> io::Result<()> {
        Ok(())
    }
    fn free_bytes(&self, _folder: &Path) -> io::Result<u64> {
        Ok(u64::MAX / 2)
    }
}

criterion_group!(benches, append);
criterion_main!(benches);
