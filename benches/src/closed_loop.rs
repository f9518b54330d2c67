//! Many connections, each sending its next request when the last was answered: finds the highest
//! throughput, or holds a given rate for runs in which the latency does not matter.

use crate::client::Connection;
use crate::requests::Requests;
use anyhow::Context;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How a run is driven.
#[derive(Clone, Copy, Debug)]
pub struct Drive {
    /// Connections kept open.
    pub connections: usize,
    /// How long requests are sent.
    pub duration: Duration,
    /// Requests a second over all connections; `None`: as many as are answered.
    pub rate_per_second: Option<f64>,
}

/// Counters of a run, readable while it goes on.
#[derive(Debug, Default)]
pub struct Tally {
    /// Answers of the expected kind (302).
    pub redirected: AtomicU64,
    /// Of these, how many carried a click id.
    pub recorded: AtomicU64,
    /// Other answers, and connections that broke.
    pub failed: AtomicU64,
}

impl Tally {
    /// The count of clicks that the server says are on disk.
    pub fn recorded(&self) -> u64 {
        self.recorded.load(Ordering::Relaxed)
    }
}

/// What a run ended with.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Redirects.
    pub redirected: u64,
    /// Redirects with a click id.
    pub recorded: u64,
    /// Everything else.
    pub failed: u64,
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// When the last answer came.
    pub ended_at: Instant,
}

impl Outcome {
    /// Redirects a second.
    pub fn per_second(&self) -> f64 {
        self.redirected as f64 / self.elapsed.as_secs_f64()
    }
}

/// Runs to the end on a thread of its own with a runtime of its own, so that nothing of the caller
/// competes with the connections. `tally` counts along.
pub fn run(
    address: SocketAddr,
    requests: &Arc<Requests>,
    drive: Drive,
    tally: &Arc<Tally>,
) -> anyhow::Result<Outcome> {
    let (requests, tally) = (requests.clone(), tally.clone());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(drive_all(address, requests, drive, tally))
    })
    .join()
    .map_err(|_| anyhow::anyhow!("the load generator panicked"))?
}

async fn drive_all(
    address: SocketAddr,
    requests: Arc<Requests>,
    drive: Drive,
    tally: Arc<Tally>,
) -> anyhow::Result<Outcome> {
    let mut connections = Vec::with_capacity(drive.connections);
    for _ in 0..drive.connections {
        connections.push(Connection::connect(address).await?);
    }
    let started = Instant::now();
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = Vec::with_capacity(drive.connections);
    for (index, connection) in connections.into_iter().enumerate() {
        let lane = Lane { index, address, started, drive, requests: requests.clone(), tally: tally.clone() };
        tasks.push(tokio::spawn(lane.run(connection, stop.clone())));
    }
    tokio::time::sleep(drive.duration).await;
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.context("a connection's task ended early")??;
    }
    let ended_at = Instant::now();
    Ok(Outcome {
        redirected: tally.redirected.load(Ordering::Relaxed),
        recorded: tally.recorded.load(Ordering::Relaxed),
        failed: tally.failed.load(Ordering::Relaxed),
        elapsed: ended_at - started,
        ended_at,
    })
}

/// One connection's share of the load.
struct Lane {
    index: usize,
    address: SocketAddr,
    started: Instant,
    drive: Drive,
    requests: Arc<Requests>,
    tally: Arc<Tally>,
}

impl Lane {
    async fn run(self, mut connection: Connection, stop: Arc<AtomicBool>) -> anyhow::Result<()> {
        let mut request = Vec::with_capacity(1024);
        let mut sent = 0u64;
        while !stop.load(Ordering::Relaxed) {
            if let Some(rate) = self.drive.rate_per_second {
                // Absolute times: a late request is followed by the next without a pause, so that the
                // rate is held over the run.
                let nth = self.index as f64 + sent as f64 * self.drive.connections as f64;
                let due = self.started + Duration::from_secs_f64(nth / rate);
                if due > Instant::now() {
                    tokio::time::sleep_until(due.into()).await;
                }
                sent += 1;
            }
            self.requests.write_next(&mut request);
            match connection.exchange(&request).await {
                Ok(answer) => {
                    if answer.status == 302 {
                        self.tally.redirected.fetch_add(1, Ordering::Relaxed);
                    } else {
                        self.tally.failed.fetch_add(1, Ordering::Relaxed);
                    }
                    if answer.has_click_id {
                        self.tally.recorded.fetch_add(1, Ordering::Relaxed);
                    }
                    if answer.closes {
                        connection = Connection::connect(self.address).await?;
                    }
                }
                Err(_) => {
                    self.tally.failed.fetch_add(1, Ordering::Relaxed);
                    connection = Connection::connect(self.address).await?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
