//! Latency at a steady rate, beside the bare server's under the same.

use crate::open_loop::{self, Latencies};
use crate::options::Options;
use crate::product::{Bare, Product};
use crate::report::{Table, grouped, progress};
use crate::requests::{Requests, Visitors};

/// What the table shows.
const PERCENTS: [f64; 5] = [50.0, 90.0, 99.0, 99.9, 100.0];

pub(super) async fn run(options: &Options) -> anyhow::Result<()> {
    let mut table = Table::new(
        format!(
            "Latency in ms at {}/s, from the moment each request was due ({} connections, {} rounds of {} s)",
            grouped(options.rate as f64),
            options.connections,
            options.rounds,
            options.seconds
        ),
        &["gonggus", "visitors", "server", "p50", "p90", "p99", "p99.9", "max", "failed"],
    );
    for &size in &options.sizes {
        for &visitors in &options.visitors {
            one_case(options, size, visitors, &mut table).await?;
        }
    }
    Ok(table.print()?)
}

async fn one_case(
    options: &Options,
    size: usize,
    visitors: Visitors,
    table: &mut Table,
) -> anyhow::Result<()> {
    progress(&format!("latency: {size} gonggus, visitors {}", visitors.as_str()));
    let bare = Bare::start(options)?;
    let product = Product::start(options, size).await?;
    let requests = Requests::new(&product.gonggu_ids, visitors);
    let at_rate = |address, length| {
        open_loop::run(address, &requests, options.rate as f64, options.connections, length)
    };
    let warm_up = std::time::Duration::from_secs(1);
    at_rate(bare.address, warm_up)?;
    at_rate(product.address, warm_up)?;
    let (mut bare_latencies, mut latencies) = (Latencies::default(), Latencies::default());
    for _ in 0..options.rounds {
        bare_latencies.merge(&at_rate(bare.address, options.round())?);
        latencies.merge(&at_rate(product.address, options.round())?);
        product.wait_level(None).await?;
    }
    let mut row = |server: &str, figures: &dyn Fn(f64) -> f64, failed: u64| {
        let mut cells = vec![grouped(size as f64), visitors.as_str().to_owned(), server.to_owned()];
        cells.extend(PERCENTS.map(|percent| format!("{:.2}", figures(percent) / 1e3)));
        cells.push(failed.to_string());
        table.push(cells);
    };
    row("bare axum", &|percent| bare_latencies.percentile_micros(percent), bare_latencies.failed);
    row("gonggumoa", &|percent| latencies.percentile_micros(percent), latencies.failed);
    row(
        "added",
        &|percent| latencies.percentile_micros(percent) - bare_latencies.percentile_micros(percent),
        latencies.failed.saturating_sub(bare_latencies.failed),
    );
    Ok(())
}
