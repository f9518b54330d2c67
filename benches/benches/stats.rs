//! The figures of one gonggu with 100 M clicks behind them. The clicks themselves are not there: stats
//! read rollup rows only, and those are all there, a year of them.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot go on has nothing to say")]

use criterion::{Criterion, criterion_group, criterion_main};
use gonggumoa_analytics::postgres::PostgresClickStore;
use gonggumoa_analytics::stats::{Interval, StatsQuery, gonggu_stats};
use gonggumoa_benches::database::BenchDatabase;
use gonggumoa_benches::report::progress;
use gonggumoa_benches::sample::{self, OWNER, RUN, START};
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::{PartitionId, Position};
use gonggumoa_core::judge::totals::{Counts, GongguHead, Rollup, RollupKey, RollupLevel, VisitorSketch};
use gonggumoa_core::log::LogPosition;
use gonggumoa_core::store::{ClickStore, JudgedBatch, PartitionProgress, RunMark};
use std::time::{Duration, Instant};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const DAYS: i64 = 365;
const CLICKS: u64 = 100_000_000;
/// Minutes are asked for at most so far back (10,000 buckets an answer).
const MINUTE_DAYS: i64 = 7;
/// A different part of them a bucket, so that every row carries a sketch of full size.
const VISITORS_PER_ROW: u64 = 20_000;
/// Enough for a 99th percentile to mean something.
const CALLS: usize = 2_000;

fn stats(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let Some(database) = runtime.block_on(BenchDatabase::create("stats")).unwrap() else { return };
    let store = PostgresClickStore::new(database.pool.clone());
    runtime.block_on(store.claim(PartitionId(0), OWNER)).unwrap();
    runtime.block_on(store.store(&year())).unwrap();
    runtime.block_on(sqlx::query("ANALYZE").execute(&database.pool)).unwrap();

    let end = START.plus_millis(DAYS * DAY);
    let mut group = criterion.benchmark_group("stats");
    group.measurement_time(Duration::from_secs(8));
    for (name, days, interval) in [
        ("a year by day, all there is", DAYS, Interval::Day),
        ("a year by day but the first", DAYS - 1, Interval::Day),
        ("14 days by hour", 14, Interval::Hour),
        ("a day by minute", 1, Interval::Minute),
    ] {
        let query = StatsQuery {
            gonggu_id: sample::gonggu_id(0),
            from: end.plus_millis(-days * DAY),
            to: end,
            interval,
            tz: "Asia/Seoul".parse().unwrap(),
        };
        let ask = || runtime.block_on(gonggu_stats(&store, &query)).unwrap();
        let answer = ask();
        assert!(answer.totals.billable > 0, "the rows are found");
        let mut micros: Vec<_> = (0..CALLS)
            .map(|_| {
                let started = Instant::now();
                ask();
                started.elapsed().as_micros()
            })
            .collect();
        micros.sort_unstable();
        progress(&format!(
            "stats, {name}: p50 {} µs, p99 {} µs, most {} µs of {CALLS} calls ({} clicks in the answer)",
            micros[CALLS / 2],
            micros[CALLS * 99 / 100],
            micros[CALLS - 1],
            answer.totals.billable
        ));
        group.bench_function(name, |bencher| bencher.iter(ask));
    }
    group.finish();
}

/// One batch without clicks that leaves the rows of a year.
fn year() -> JudgedBatch {
    let end = START.plus_millis(DAYS * DAY);
    let mut rollups = Vec::new();
    let mut all = VisitorSketch::default();
    let mut add = |level, from: UnixMillis, step: i64| {
        let rows = end.millis_since(from) / step;
        let billable = CLICKS / (DAYS * DAY / step) as u64;
        for row in 0..rows {
            let mut visitors = VisitorSketch::default();
            for visitor in 0..VISITORS_PER_ROW.min(billable) {
                let number = row as u64 * VISITORS_PER_ROW / 2 + visitor;
                visitors.insert(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            }
            all.merge(&visitors);
            rollups.push(Rollup {
                key: RollupKey { gonggu_id: sample::gonggu_id(0), level, at: from.plus_millis(row * step) },
                counts: Counts { billable, ..Counts::default() },
                visitors,
                referrers: ["instagram.com", "m.blog.naver.com", "youtube.com", ""]
                    .map(|host| (host.into(), billable / 4))
                    .into(),
                devices: [billable, 0, 0, 0],
            });
        }
    };
    add(RollupLevel::Day, START.plus_millis(-9 * HOUR), DAY);
    add(RollupLevel::Hour, START, HOUR);
    add(RollupLevel::Minute, end.plus_millis(-MINUTE_DAYS * DAY), MINUTE);
    let last = end.plus_millis(-1);
    let head = GongguHead {
        gonggu_id: sample::gonggu_id(0),
        counts: Counts { billable: CLICKS, ..Counts::default() },
        visitors: all,
        last_judged_at: last,
        last_clicked_at: last,
        applied_through: Position(CLICKS),
    };
    let position = LogPosition { through: Position(CLICKS), run: RUN };
    JudgedBatch {
        partition: PartitionId(0),
        owner: OWNER,
        from: None,
        to: PartitionProgress { position, marks: vec![RunMark::new(RUN, end)] },
        clicks: Vec::new(),
        heads: vec![head],
        rollups,
        flags: Vec::new(),
        quarantined: Vec::new(),
    }
}

criterion_group!(benches, stats);
criterion_main!(benches);
