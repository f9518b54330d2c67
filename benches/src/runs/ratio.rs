//! Throughput against the bare server, in alternating rounds.
//!
//! The bare server's round comes while the program idles, and the program's while the bare server
//! idles, so both have the whole machine beside the generator. CPU time of the program is counted until
//! everything is stored, that of PostgreSQL apart.

use crate::closed_loop::{self, Drive, Outcome, Tally};
use crate::options::Options;
use crate::process;
use crate::product::{Bare, Product};
use crate::report::{Table, grouped, median, micros_each, progress};
use crate::requests::{Requests, Visitors};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// One round of the program.
struct Round {
    per_second: f64,
    cpu_micros: f64,
    postgres_micros: f64,
    level_seconds: f64,
    unrecorded: u64,
}

pub(super) async fn run(options: &Options) -> anyhow::Result<()> {
    let mut table = Table::new(
        format!(
            "Throughput: {} connections, medians of {} rounds of {} s each, in turn",
            options.connections, options.rounds, options.seconds
        ),
        &[
            "gonggus",
            "visitors",
            "bare axum /s",
            "gonggumoa /s",
            "ratio",
            "CPU µs/request bare",
            "CPU µs/click gonggumoa",
            "CPU µs/click PostgreSQL",
            "last click stored after",
            "not recorded",
        ],
    );
    for &size in &options.sizes {
        for &visitors in &options.visitors {
            progress(&format!("ratio: {size} gonggus, visitors {}", visitors.as_str()));
            table.push(one_case(options, size, visitors).await?);
        }
    }
    Ok(table.print()?)
}

async fn one_case(options: &Options, size: usize, visitors: Visitors) -> anyhow::Result<Vec<String>> {
    let bare = Bare::start(options)?;
    let product = Product::start(options, size).await?;
    let requests = Arc::new(Requests::new(&product.gonggu_ids, visitors));
    // Caches, allocator pools and the first partitions of tables come into being unmeasured.
    let warm_up = Duration::from_secs(1);
    drive(options, bare.address, &requests, warm_up)?;
    product_round(options, &product, &requests, warm_up).await?;

    let (mut bare_per_second, mut bare_cpu, mut rounds) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        let cpu_before = process::cpu_time(bare.server.id());
        let outcome = drive(options, bare.address, &requests, options.round())?;
        bare_per_second.push(outcome.per_second());
        bare_cpu.push(micros_each(process::cpu_time(bare.server.id()) - cpu_before, outcome.redirected));
        rounds.push(product_round(options, &product, &requests, options.round()).await?);
    }
    let of = |take: fn(&Round) -> f64| median(&rounds.iter().map(take).collect::<Vec<_>>());
    let per_second = of(|round| round.per_second);
    let bare_median = median(&bare_per_second);
    Ok(vec![
        grouped(size as f64),
        visitors.as_str().to_owned(),
        grouped(bare_median),
        grouped(per_second),
        format!("{:.3}", per_second / bare_median),
        format!("{:.1}", median(&bare_cpu)),
        format!("{:.1}", of(|round| round.cpu_micros)),
        format!("{:.1}", of(|round| round.postgres_micros)),
        format!("{:.2} s", of(|round| round.level_seconds)),
        rounds.iter().map(|round| round.unrecorded).sum::<u64>().to_string(),
    ])
}

async fn product_round(
    options: &Options,
    product: &Product,
    requests: &Arc<Requests>,
    length: Duration,
) -> anyhow::Result<Round> {
    let stored_before = product.gross().await?;
    let cpu_before = process::own_cpu_time(product.server.id());
    let postgres_before = process::family_cpu_time(product.postmaster_id);
    let outcome = drive(options, product.address, requests, length)?;
    let level = product.wait_level(Some((&outcome, stored_before))).await?;
    let cpu = process::own_cpu_time(product.server.id()).saturating_sub(cpu_before);
    let postgres = process::family_cpu_time(product.postmaster_id).saturating_sub(postgres_before);
    progress(&format!(
        "{} /s, {} recorded, level after {:.2} s",
        grouped(outcome.per_second()),
        grouped(outcome.recorded as f64),
        level.as_secs_f64()
    ));
    Ok(Round {
        per_second: outcome.per_second(),
        cpu_micros: micros_each(cpu, outcome.recorded),
        postgres_micros: micros_each(postgres, outcome.recorded),
        level_seconds: level.as_secs_f64(),
        unrecorded: outcome.redirected - outcome.recorded + outcome.failed,
    })
}

fn drive(
    options: &Options,
    address: SocketAddr,
    requests: &Arc<Requests>,
    duration: Duration,
) -> anyhow::Result<Outcome> {
    let drive = Drive { connections: options.connections, duration, rate_per_second: None };
    closed_loop::run(address, requests, drive, &Arc::new(Tally::default()))
}
