//! Memory over a long run in which the store stands still for a while and comes back.
//!
//! PostgreSQL's processes are stopped (SIGSTOP), not ended: its sockets stay open and nothing answers,
//! the worst a database can do to its clients.

use crate::closed_loop::{self, Drive, Tally};
use crate::options::Options;
use crate::process;
use crate::product::Product;
use crate::report::{Table, grouped, mebibytes, progress};
use crate::requests::{Requests, Visitors};
use rustix::process::Signal;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Before the stop, and again after everything is level.
const STEADY: Duration = Duration::from_secs(30);
const SAMPLE_EVERY: Duration = Duration::from_millis(200);

pub(super) async fn run(options: &Options) -> anyhow::Result<()> {
    let mut table = Table::new(
        format!(
            "Resident memory at {}/s, PostgreSQL stopped for {} s in the middle (SIGSTOP, SIGCONT)",
            grouped(options.rate as f64),
            options.pause_seconds
        ),
        &[
            "gonggus",
            "at start",
            "most before",
            "most while stopped",
            "most after",
            "at the end",
            "level after",
            "not recorded",
        ],
    );
    for &size in &options.sizes {
        progress(&format!("memory: {size} gonggus"));
        table.push(one_case(options, size).await?);
    }
    Ok(table.print()?)
}

async fn one_case(options: &Options, size: usize) -> anyhow::Result<Vec<String>> {
    let product = Product::start(options, size).await?;
    let id = product.server.id();
    let requests = Arc::new(Requests::new(&product.gonggu_ids, Visitors::Different));
    let stored_before = product.gross().await?;
    let pause = Duration::from_secs(options.pause_seconds);
    let at_start = process::resident_bytes(id);
    let drive = Drive {
        connections: options.connections,
        duration: STEADY + pause + STEADY,
        rate_per_second: Some(options.rate as f64),
    };
    let tally = Arc::new(Tally::default());
    let generator = {
        let (address, requests, tally) = (product.address, requests.clone(), tally.clone());
        tokio::task::spawn_blocking(move || closed_loop::run(address, &requests, drive, &tally))
    };
    let before = most_resident(id, STEADY).await;
    let stopped = StoppedProcesses::stop(product.postgres_ids());
    let while_stopped = most_resident(id, pause).await;
    drop(stopped);
    let mut after = 0;
    while !generator.is_finished() {
        after = after.max(most_resident(id, SAMPLE_EVERY).await);
    }
    let outcome = generator.await??;
    let level = product.wait_level(Some((&outcome, stored_before))).await?;
    Ok(vec![
        grouped(size as f64),
        mebibytes(at_start),
        mebibytes(before),
        mebibytes(while_stopped),
        mebibytes(after),
        mebibytes(process::resident_bytes(id)),
        format!("{:.2} s", level.as_secs_f64()),
        (outcome.redirected - outcome.recorded + outcome.failed).to_string(),
    ])
}

async fn most_resident(process_id: u32, length: Duration) -> u64 {
    let started = Instant::now();
    let mut most = process::resident_bytes(process_id);
    while started.elapsed() < length {
        tokio::time::sleep(SAMPLE_EVERY).await;
        most = most.max(process::resident_bytes(process_id));
    }
    most
}

/// Processes that go on when this is dropped, also when the run fails.
struct StoppedProcesses(Vec<u32>);

impl StoppedProcesses {
    fn stop(ids: Vec<u32>) -> Self {
        for id in &ids {
            process::signal(*id, Signal::STOP);
        }
        Self(ids)
    }
}

impl Drop for StoppedProcesses {
    fn drop(&mut self) {
        for id in &self.0 {
            process::signal(*id, Signal::CONT);
        }
    }
}
