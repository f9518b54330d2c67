//! The fold on one core, and what it remembers for each visitor.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot go on has nothing to say")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gonggumoa_benches::report::progress;
use gonggumoa_benches::requests::Visitors;
use gonggumoa_benches::sample;
use gonggumoa_core::click::RawClick;
use gonggumoa_core::ids::Position;
use gonggumoa_core::judge::rules::{RulesSettings, StoredRules};
use gonggumoa_core::judge::{GongguState, Rules};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// The program's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// 40 s of log time at the rate below: longer than any cache, shorter than the duplicate window.
const CLICKS: u64 = 400_000;
const CLICKS_PER_SECOND: u64 = 10_000;
/// Neighbouring clicks are of different gonggus, as they are in a log; the prime scatters them.
const STRIDE: u64 = 7_919;
/// Between two moments at which an actor gives back memory.
const STORED_CLICKS: u64 = 20_000;

fn rules() -> Rules {
    let settings = RulesSettings::standard("bench".to_owned());
    Rules::compile(&StoredRules { version: 1, settings }).unwrap()
}

fn fold(criterion: &mut Criterion) {
    let rules = rules();
    let mut group = criterion.benchmark_group("judge");
    group.throughput(Throughput::Elements(CLICKS)).sample_size(10).measurement_time(Duration::from_secs(8));
    for gonggus in [1, 256, 100_000] {
        for visitors in [Visitors::Different, Visitors::Same] {
            let clicks: Vec<(usize, RawClick)> = (0..CLICKS)
                .map(|number| {
                    let gonggu = number * STRIDE % gonggus;
                    (gonggu as usize, sample::raw_click(number, gonggu, visitors, CLICKS_PER_SECOND))
                })
                .collect();
            let name = format!("{gonggus} gonggus, visitors {}", visitors.as_str());
            group.bench_function(name, |bencher| {
                bencher.iter_custom(|iterations| {
                    (0..iterations).map(|_| fold_all(&rules, gonggus, &clicks)).sum()
                });
            });
        }
    }
    group.finish();
}

/// Folds into fresh states. Making and dropping those is not measured.
fn fold_all(rules: &Rules, gonggus: u64, clicks: &[(usize, RawClick)]) -> Duration {
    let mut states: Vec<_> = (0..gonggus).map(|number| GongguState::new(sample::gonggu_id(number))).collect();
    let started = Instant::now();
    for (index, (gonggu, click)) in clicks.iter().enumerate() {
        let state = &mut states[*gonggu];
        for key in state.missing_rollups(click) {
            state.insert_rollup(key, None);
        }
        black_box(state.fold(Position(index as u64 + 1), click, rules));
    }
    started.elapsed()
}

/// Not timed: prints what one visitor more costs, with every visitor inside every window (the worst
/// there is), and with a stream whose older half has left the shorter windows.
fn memory(_: &mut Criterion) {
    let rules = rules();
    for (what, visitors, per_second) in [
        ("all inside every window", 1_000_000, 25_000),
        ("spread over 200 s", 1_000_000, 5_000),
        ("a small gonggu, all inside every window", 1_000, 100),
    ] {
        let mut state = GongguState::new(sample::gonggu_id(0));
        let mut at_first = 0;
        for number in 0..visitors {
            let click = sample::raw_click(number, 0, Visitors::Different, per_second);
            for key in state.missing_rollups(&click) {
                state.insert_rollup(key, None);
            }
            state.fold(Position(number + 1), &click, &rules);
            if number % STORED_CLICKS == 0 {
                // As an actor does when its share of a batch is stored.
                state.take_changes();
                state.forget_stored(Position(number + 1));
            }
            if number == 0 {
                at_first = state.memory_bytes();
            }
        }
        state.take_changes();
        state.forget_stored(Position(visitors));
        let bytes = state.memory_bytes() - at_first;
        progress(&format!(
            "judge memory: {:.1} B for each of {visitors} visitors, {what} ({at_first} B for the first)",
            bytes as f64 / visitors as f64,
        ));
    }
}

criterion_group!(benches, fold, memory);
criterion_main!(benches);
