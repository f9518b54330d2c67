//! Judged clicks into a CQL store: whole batches as the partition stores them, each step confirmed by the node. The
//! same batches as `copy` gives PostgreSQL; `TEST_CQL_NODES` says where the nodes are (`.ci/with-engines cassandra`).

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot go on has nothing to say")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gonggumoa_analytics::cql::{self, CqlClickStore, CqlConfig};
use gonggumoa_benches::report::progress;
use gonggumoa_benches::sample;
use gonggumoa_core::ids::{PartitionId, Position};
use gonggumoa_core::store::ClickStore;
use sqlx::postgres::PgPoolOptions;
use std::time::{Duration, Instant};

/// Clicks that a partition takes at once when it is behind, and gonggus that they are spread over.
const BATCHES: [(u64, u64); 3] = [(20_000, 1), (20_000, 256), (20_000, 10_000)];

fn store(criterion: &mut Criterion) {
    let Ok(nodes) = std::env::var("TEST_CQL_NODES") else {
        return progress("TEST_CQL_NODES is not set (`.ci/with-engines cassandra` does it): skipped");
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut group = criterion.benchmark_group("cql");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    for (clicks, gonggus) in BATCHES {
        group.throughput(Throughput::Elements(clicks));
        let store = runtime.block_on(open(&nodes, gonggus));
        let mut stored = 0;
        group.bench_function(format!("batches of {clicks}, {gonggus} gonggus"), |bencher| {
            bencher.iter_custom(|iterations| {
                let mut elapsed = Duration::ZERO;
                for _ in 0..iterations {
                    let batch = sample::judged_batch(stored, clicks, gonggus);
                    let started = Instant::now();
                    runtime.block_on(store.store(&batch)).unwrap();
                    elapsed += started.elapsed();
                    stored += clicks;
                }
                elapsed
            });
        });
        // Nothing, where the arguments chose another bench.
        let found = runtime.block_on(store.progress(PartitionId(0))).unwrap();
        assert_eq!(found.map_or(Position(0), |found| found.position.through), Position(stored));
    }
}

/// A store in a keyspace of its own. It asks PostgreSQL nothing.
async fn open(nodes: &str, gonggus: u64) -> CqlClickStore {
    let keyspace = format!("bench_{gonggus}_{}", std::process::id());
    let mut config = CqlConfig::new(nodes.split(',').map(str::to_owned).collect(), keyspace);
    config.replication_factor = 1;
    cql::migrate(&config).await.unwrap();
    let catalog = PgPoolOptions::new().connect_lazy("postgres://nobody@127.0.0.1:1/none").unwrap();
    CqlClickStore::connect(config, catalog).await.unwrap()
}

criterion_group!(benches, store);
criterion_main!(benches);
