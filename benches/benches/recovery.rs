//! From a journal that nobody closed to judged clicks: opening (every record checked, the tail made
//! durable again), reading, decoding and folding.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot go on has nothing to say")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gonggumoa_benches::sample;
use gonggumoa_core::clock::SystemClock;
use gonggumoa_core::judge::rules::{RulesSettings, StoredRules};
use gonggumoa_core::judge::{GongguState, Rules};
use gonggumoa_core::log::journal::io::RealIo;
use gonggumoa_core::log::journal::{Journal, JournalConfig, PARTITION};
use gonggumoa_core::log::{ClickLog, ClickSink, LogEntry};
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The program's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CLICKS: u64 = 300_000;
const BATCH_ENTRIES: usize = 20_000;

fn recovery(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let settings = RulesSettings::standard("bench".to_owned());
    let rules = Rules::compile(&StoredRules { version: 1, settings }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    for start in (0..CLICKS).step_by(BATCH_ENTRIES) {
        let end = (start + BATCH_ENTRIES as u64).min(CLICKS);
        let mut last = None;
        for number in start..end {
            last = Some(journal.append(&sample::facts(number, 0)));
        }
        runtime.block_on(last.unwrap()).unwrap();
    }
    drop(journal);

    let mut group = criterion.benchmark_group("recovery");
    group.throughput(Throughput::Elements(CLICKS)).sample_size(10).measurement_time(Duration::from_secs(10));
    group.bench_function("open", |bencher| {
        bencher.iter_custom(|iterations| {
            (0..iterations)
                .map(|_| {
                    let started = Instant::now();
                    let journal = open(folder.path());
                    let elapsed = started.elapsed();
                    drop(journal);
                    elapsed
                })
                .sum()
        });
    });
    for (name, rules) in [("open and read", None), ("open, read and judge", Some(&rules))] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|iterations| {
                (0..iterations).map(|_| runtime.block_on(replay(folder.path(), rules))).sum()
            });
        });
    }
    group.finish();
}

fn open(dir: &Path) -> Journal {
    Journal::open(JournalConfig::new(dir.to_owned()), Arc::new(SystemClock), Arc::new(RealIo)).unwrap()
}

async fn replay(dir: &Path, rules: Option<&Rules>) -> Duration {
    let started = Instant::now();
    let journal = open(dir);
    let end = journal.durable_end(PARTITION).await.unwrap();
    let mut reader = journal.reader(PARTITION, None).await.unwrap();
    let mut state = GongguState::new(sample::gonggu_id(0));
    let mut clicks = 0;
    loop {
        let batch = reader.next(BATCH_ENTRIES).await.unwrap();
        for (position, entry) in &batch.entries {
            let LogEntry::Click(click) = entry else { continue };
            clicks += 1;
            if let Some(rules) = rules {
                for key in state.missing_rollups(click) {
                    state.insert_rollup(key, None);
                }
                black_box(state.fold(*position, click, rules));
            }
        }
        if batch.end.through >= end {
            break;
        }
    }
    let elapsed = started.elapsed();
    assert_eq!(clicks, CLICKS, "every click is read once");
    elapsed
}

criterion_group!(benches, recovery);
criterion_main!(benches);
