//! Judged clicks into PostgreSQL: whole batches as the partition stores them (clicks by COPY, heads,
//! rollups and the position, one transaction).

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot go on has nothing to say")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gonggumoa_analytics::postgres::PostgresClickStore;
use gonggumoa_benches::database::BenchDatabase;
use gonggumoa_benches::sample::{self, RUN, START};
use gonggumoa_core::ids::{PartitionId, Position};
use gonggumoa_core::judge::totals::{Counts, GongguHead, Rollup, RollupKey, RollupLevel, VisitorSketch};
use gonggumoa_core::log::LogPosition;
use gonggumoa_core::store::{ClickStore, JudgedBatch, PartitionProgress, RunMark};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Clicks that a partition takes at once when it is behind, and gonggus that they are spread over.
const BATCHES: [(u64, u64); 3] = [(20_000, 1), (20_000, 256), (50_000, 40_000)];

fn copy(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut group = criterion.benchmark_group("copy");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    for (clicks, gonggus) in BATCHES {
        group.throughput(Throughput::Elements(clicks));
        let name = format!("{gonggus}_gonggus");
        let Some(database) = runtime.block_on(BenchDatabase::create(&name)).unwrap() else { return };
        let store = PostgresClickStore::new(database.pool.clone());
        let mut stored = 0;
        group.bench_function(format!("batches of {clicks}, {gonggus} gonggus"), |bencher| {
            bencher.iter_custom(|iterations| {
                let mut elapsed = Duration::ZERO;
                for _ in 0..iterations {
                    let batch = batch(stored, clicks, gonggus);
                    let started = Instant::now();
                    runtime.block_on(store.store(&batch)).unwrap();
                    elapsed += started.elapsed();
                    stored += clicks;
                }
                elapsed
            });
        });
        let rows: i64 = runtime
            .block_on(sqlx::query_scalar("SELECT count(*) FROM click_trackings").fetch_one(&database.pool))
            .unwrap();
        assert_eq!(rows as u64, stored, "every click is one row");
    }
}

/// The clicks after the first `stored`, with the heads and rollup rows of their gonggus.
fn batch(stored: u64, clicks: u64, gonggus: u64) -> JudgedBatch {
    let place = |through| LogPosition { through: Position(through), run: RUN };
    let end = stored + clicks;
    let clicks: Vec<_> = (stored..end).map(|number| sample::judged_click(number, number % gonggus)).collect();
    let last_at = clicks[clicks.len() - 1].click.clicked_at;
    let counts = Counts { billable: end / gonggus, ..Counts::default() };
    let mut visitors = VisitorSketch::default();
    visitors.insert(end);
    let ids = (0..gonggus).map(sample::gonggu_id);
    JudgedBatch {
        partition: PartitionId(0),
        from: (stored > 0).then(|| place(stored)),
        to: PartitionProgress { position: place(end), marks: vec![RunMark { run: RUN, at: last_at }] },
        heads: ids
            .clone()
            .map(|gonggu_id| GongguHead {
                gonggu_id,
                counts,
                visitors: visitors.clone(),
                last_judged_at: last_at,
                last_clicked_at: last_at,
                applied_through: Position(end),
            })
            .collect(),
        rollups: ids
            .flat_map(|gonggu_id| {
                [RollupLevel::Minute, RollupLevel::Hour, RollupLevel::Day].map(|level| RollupKey {
                    gonggu_id,
                    level,
                    at: START,
                })
            })
            .map(|key| Rollup {
                key,
                counts,
                visitors: visitors.clone(),
                referrers: BTreeMap::from([("instagram.com".into(), counts.billable)]),
                devices: [counts.billable, 0, 0, 0],
            })
            .collect(),
        clicks,
        flags: Vec::new(),
        quarantined: Vec::new(),
    }
}

criterion_group!(benches, copy);
criterion_main!(benches);
