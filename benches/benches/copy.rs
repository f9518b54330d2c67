//! Judged clicks into PostgreSQL: whole batches as the partition stores them (clicks by COPY, heads,
//! rollups and the position, one transaction); and back: what the state of a busy gonggu is loaded from.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot go on has nothing to say")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gonggumoa_analytics::postgres::PostgresClickStore;
use gonggumoa_benches::database::BenchDatabase;
use gonggumoa_benches::report::progress;
use gonggumoa_benches::sample::{self, OWNER};
use gonggumoa_core::ids::PartitionId;
use gonggumoa_core::judge::rules::RulesSettings;
use gonggumoa_core::store::{ClickStore, LoadRequest};
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
        runtime.block_on(store.claim(PartitionId(0), OWNER)).unwrap();
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
        let rows: i64 = runtime
            .block_on(sqlx::query_scalar("SELECT count(*) FROM click_trackings").fetch_one(&database.pool))
            .unwrap();
        assert_eq!(rows as u64, stored, "every click is one row");
    }
}

/// Clicks inside the windows of the busy gonggu.
const WINDOW_CLICKS: i64 = 2_000_000;
/// Of how many clicks one is a visitor's first: all of them, or one of ten.
const VISITS: [i64; 2] = [1, 10];

/// Time and peak memory of one load. Not by criterion: each is seconds long.
fn load(_: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for visits in VISITS {
        let name = format!("window_{visits}");
        let Some(database) = runtime.block_on(BenchDatabase::create(&name)).unwrap() else { return };
        let store = PostgresClickStore::new(database.pool.clone());
        runtime.block_on(store.claim(PartitionId(0), OWNER)).unwrap();
        let rules = RulesSettings::standard("bench".into());
        runtime.block_on(store.put_rules(&rules)).unwrap();
        let batch = sample::judged_batch(0, 1, 1);
        runtime.block_on(store.store(&batch)).unwrap();
        runtime.block_on(fill(&database.pool, visits));
        let longest = rules.limits.iter().map(|limit| limit.window_millis).max().unwrap_or_default();
        let request = LoadRequest {
            gonggu_id: sample::gonggu_id(0),
            window_millis: longest.max(rules.dedup_window_millis),
            rollups: Vec::new(),
        };
        let before = peak_bytes(true);
        let started = Instant::now();
        let snapshot = runtime.block_on(store.load(&[request])).unwrap().remove(0);
        progress(&format!(
            "load of {WINDOW_CLICKS} clicks in the window, 1 of {visits} counted: {} clicks, {:.2} s, {} MiB more at the peak",
            snapshot.clicks.len(),
            started.elapsed().as_secs_f64(),
            peak_bytes(false).saturating_sub(before) >> 20,
        ));
    }
}

/// Copies the one stored click: 2 M of them, evenly over the five minutes before the last.
async fn fill(pool: &sqlx::PgPool, visits: i64) {
    let columns = "gonggu_id, run, opens_at, closes_at, partition, rules_version, device, endpoint, method, \
                   origin, took_mark, network_hash, burst, ip_address, ip_masked, user_agent, referer, request_facts";
    let statement = format!(
        "INSERT INTO click_trackings (id, clicked_at, judged_at, sequence, position, visitor, verdict, \
             duplicate_of_position, duplicate_of_judged_at, address_hash, {columns}) \
         SELECT gen_random_uuid(), at, at, n, n, n / {visits}, CASE WHEN n % {visits} = 0 THEN 1 ELSE 2 END, \
             CASE WHEN n % {visits} > 0 THEN 1 END, CASE WHEN n % {visits} > 0 THEN at END, \
             decode(md5((n / {visits})::text), 'hex'), {columns} \
         FROM click_trackings, generate_series(2, {WINDOW_CLICKS}::bigint) n, \
              LATERAL (SELECT clicked_at + n * interval '0.149 milliseconds' AS at) later; \
         UPDATE click_heads SET applied_through = {WINDOW_CLICKS}, \
             last_judged_at = (SELECT max(judged_at) FROM click_trackings); \
         VACUUM ANALYZE click_trackings"
    );
    for statement in statement.split(';') {
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned())).execute(pool).await.unwrap();
    }
}

/// The most memory that was resident at once; since now, if asked.
fn peak_bytes(from_now: bool) -> u64 {
    if from_now {
        // Sets the peak to what is resident now.
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
}

criterion_group!(benches, copy, load);
criterion_main!(benches);
