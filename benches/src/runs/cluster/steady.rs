//! From a click to the figures, at a steady rate.
//!
//! The lag at a moment is the time since as many clicks had been answered as the api tells now.

use crate::closed_loop::{self, Drive, Tally};
use crate::cluster::Cluster;
use crate::options::Options;
use crate::report::{Table, grouped, progress};
use crate::requests::{Requests, Visitors};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

const LENGTH: Duration = Duration::from_secs(30);
/// The first seconds wake the gonggu up and let the judges share out what there is.
const WARM_UP: Duration = Duration::from_secs(5);
const ASK_EVERY: Duration = Duration::from_millis(50);
const NOTE_EVERY: Duration = Duration::from_millis(5);

pub(super) async fn run(options: &Options, cluster: &Cluster, gonggu_id: Uuid) -> anyhow::Result<()> {
    progress(&format!("cluster: lag at {}/s", grouped(options.rate as f64)));
    let requests = Arc::new(Requests::new(&[gonggu_id], Visitors::Different));
    let tally = Arc::new(Tally::default());
    let drive = Drive {
        connections: options.connections,
        duration: LENGTH + WARM_UP,
        rate_per_second: Some(options.rate as f64),
    };
    let address = cluster.edge.address;
    let generator = {
        let tally = tally.clone();
        tokio::task::spawn_blocking(move || closed_loop::run(address, &requests, drive, &tally))
    };
    let started = Instant::now();
    let mut asked = started;
    // (when, answered by then), ascending; those that are counted are dropped from the front
    let mut answered = VecDeque::from([(started, 0u64)]);
    let mut lags = Vec::new();
    while !generator.is_finished() {
        tokio::time::sleep(NOTE_EVERY).await;
        answered.push_back((Instant::now(), tally.recorded()));
        if asked.elapsed() < ASK_EVERY {
            continue;
        }
        asked = Instant::now();
        let gross = cluster.gross(gonggu_id)?;
        while answered.len() > 1 && answered[1].1 <= gross {
            answered.pop_front();
        }
        if started.elapsed() > WARM_UP {
            lags.push(answered[0].0.elapsed());
        }
    }
    let outcome = generator.await??;
    lags.sort_unstable();
    let percentile = |share: f64| {
        let index = ((lags.len() as f64 * share) as usize).min(lags.len().saturating_sub(1));
        format!("{:.2} s", lags.get(index).copied().unwrap_or_default().as_secs_f64())
    };
    let mut table = Table::new(
        format!("From a click to the api's stats, one gonggu, {} s", LENGTH.as_secs()),
        &["rate /s", "held /s", "p50", "p99", "largest", "samples", "not recorded"],
    );
    table.push(vec![
        grouped(options.rate as f64),
        grouped(outcome.per_second()),
        percentile(0.5),
        percentile(0.99),
        percentile(1.0),
        lags.len().to_string(),
        (outcome.redirected - outcome.recorded + outcome.failed).to_string(),
    ]);
    Ok(table.print()?)
}
