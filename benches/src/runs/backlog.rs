//! How far the store is behind the edge: at given rates, and up to which rate it keeps up.
//!
//! The lag at a moment is the time since as many clicks had been answered as are stored now. Both
//! counts are sampled together; the stored one is the partition's position, which time marks advance by
//! one a second beside the clicks, an error of a millisecond at these rates.

use crate::closed_loop::{self, Drive, Tally};
use crate::options::{Measurement, Options};
use crate::product::{Product, stored_position};
use crate::report::{Table, grouped, progress};
use crate::requests::{Requests, Visitors};
use sqlx::postgres::PgConnection;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Long enough that a backlog that grows by one part in a hundred is seen.
const STEP: Duration = Duration::from_secs(12);
/// A backlog above this at the end of a step counts as growing.
const LEVEL_LAG: Duration = Duration::from_secs(1);
/// A rate that the program did not answer by this share was not held.
const HELD_SHARE: f64 = 0.98;
const SAMPLE_EVERY: Duration = Duration::from_millis(50);

/// What one rate led to.
struct Step {
    achieved_per_second: f64,
    lag_largest: Duration,
    lag_at_end: Duration,
    level_after: Duration,
    failed: u64,
}

pub(super) async fn run(options: &Options) -> anyhow::Result<()> {
    let mut table = Table::new(
        format!("The store behind the edge, {} s at each rate, visitors all different", STEP.as_secs()),
        &["gonggus", "rate /s", "held /s", "largest lag", "lag at the end", "level after", "not recorded"],
    );
    let mut highest =
        Table::new("The highest of these rates at which the backlog does not grow", &["gonggus", "rate /s"]);
    for &size in &options.sizes {
        progress(&format!("backlog: {size} gonggus"));
        let product = Product::start(options, size).await?;
        let requests = Arc::new(Requests::new(&product.gonggu_ids, Visitors::Different));
        let mut best = 0;
        for &rate in &options.rates {
            let step = one_rate(options, &product, &requests, rate).await?;
            table.push(vec![
                grouped(size as f64),
                grouped(rate as f64),
                grouped(step.achieved_per_second),
                format!("{:.2} s", step.lag_largest.as_secs_f64()),
                format!("{:.2} s", step.lag_at_end.as_secs_f64()),
                format!("{:.2} s", step.level_after.as_secs_f64()),
                step.failed.to_string(),
            ]);
            let held = step.achieved_per_second >= rate as f64 * HELD_SHARE;
            if !held || step.lag_at_end > LEVEL_LAG {
                break;
            }
            best = rate;
        }
        highest.push(vec![grouped(size as f64), grouped(best as f64)]);
    }
    table.print()?;
    if options.wants(Measurement::HighestRate) {
        highest.print()?;
    }
    Ok(())
}

async fn one_rate(
    options: &Options,
    product: &Product,
    requests: &Arc<Requests>,
    rate: u64,
) -> anyhow::Result<Step> {
    let tally = Arc::new(Tally::default());
    let stored_before = product.gross().await?;
    let mut connection = product.connect().await?;
    let base = stored_position(&mut connection).await?;
    let address = product.address;
    let drive =
        Drive { connections: options.connections, duration: STEP, rate_per_second: Some(rate as f64) };
    let generator = {
        let (requests, tally) = (requests.clone(), tally.clone());
        tokio::task::spawn_blocking(move || closed_loop::run(address, &requests, drive, &tally))
    };
    let (lag_largest, lag_at_end) =
        watch_lag(&mut connection, base, &tally, || generator.is_finished()).await?;
    let outcome = generator.await??;
    let level_after = product.wait_level(Some((&outcome, stored_before))).await?;
    Ok(Step {
        achieved_per_second: outcome.per_second(),
        lag_largest,
        lag_at_end,
        level_after,
        failed: outcome.redirected - outcome.recorded + outcome.failed,
    })
}

/// Samples until `finished`; the largest lag and the last one.
async fn watch_lag(
    connection: &mut PgConnection,
    base: u64,
    tally: &Tally,
    finished: impl Fn() -> bool,
) -> anyhow::Result<(Duration, Duration)> {
    // (when, answered by then), ascending; those that are stored are dropped from the front
    let mut answered = std::collections::VecDeque::from([(Instant::now(), 0u64)]);
    let (mut largest, mut last) = (Duration::ZERO, Duration::ZERO);
    while !finished() {
        tokio::time::sleep(SAMPLE_EVERY).await;
        answered.push_back((Instant::now(), tally.recorded()));
        let stored = stored_position(connection).await?.saturating_sub(base);
        let now = Instant::now();
        while answered.len() > 1 && answered[1].1 <= stored {
            answered.pop_front();
        }
        // The front is the newest moment whose clicks are all stored.
        last = match answered.back() {
            Some((_, newest)) if *newest <= stored => Duration::ZERO,
            _ => now - answered[0].0,
        };
        largest = largest.max(last);
    }
    Ok((largest, last))
}
