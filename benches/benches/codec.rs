//! The record format: a click into the journal's and the archive's bytes, and back.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot go on has nothing to say")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gonggumoa_benches::requests::Visitors;
use gonggumoa_benches::sample::{self, RUN};
use gonggumoa_core::log::codec;
use std::hint::black_box;

fn record(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec");
    group.throughput(Throughput::Elements(1));
    let click = sample::raw_click(7, 0, Visitors::Different, 1_000);
    let facts = sample::facts(7, 0);
    let mut buffer = Vec::with_capacity(4096);

    group.bench_function("journal record, encode", |bencher| {
        bencher.iter(|| {
            buffer.clear();
            codec::encode_facts(black_box(&facts), click.id, click.clicked_at, &mut buffer);
            black_box(buffer.len())
        });
    });
    let mut record = Vec::new();
    codec::encode_facts(&facts, click.id, click.clicked_at, &mut record);
    group.bench_function(format!("journal record, decode ({} B)", record.len()), |bencher| {
        bencher.iter(|| codec::decode_facts(black_box(&record), RUN, 1).unwrap());
    });

    group.bench_function("archive record, encode", |bencher| {
        bencher.iter(|| {
            buffer.clear();
            codec::encode_click(black_box(&click), true, &mut buffer);
            black_box(buffer.len())
        });
    });
    let mut record = Vec::new();
    codec::encode_click(&click, true, &mut record);
    group.bench_function(format!("archive record, decode ({} B)", record.len()), |bencher| {
        bencher.iter(|| codec::decode_click(black_box(&record)).unwrap());
    });
    group.finish();
}

criterion_group!(benches, record);
criterion_main!(benches);
