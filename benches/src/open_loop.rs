//! Requests at fixed moments, whatever the server does: finds latencies as visitors would see them.
//!
//! Each request has a moment at which it is due, and its latency runs from that moment, not from when
//! it could be sent. A stall of the server thus counts for every request that was due in it
//! ("coordinated omission" is corrected by construction).

use crate::client::BlockingConnection;
use crate::requests::Requests;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Latencies of one run.
#[derive(Clone, Debug, Default)]
pub struct Latencies {
    sorted_micros: Vec<u32>,
    /// Answers with a click id.
    pub recorded: u64,
    /// Answers that were no redirect.
    pub failed: u64,
}

impl Latencies {
    /// Of these, in any order.
    pub fn of(mut micros: Vec<u32>, failed: u64) -> Self {
        micros.sort_unstable();
        Self { sorted_micros: micros, recorded: 0, failed }
    }

    /// How many requests.
    pub fn count(&self) -> usize {
        self.sorted_micros.len()
    }

    /// The latency that this share of the requests stayed within, in microseconds.
    pub fn percentile_micros(&self, percent: f64) -> f64 {
        if self.sorted_micros.is_empty() {
            return 0.0;
        }
        // A little less before rounding up: 99.9 % of 1,000 is not 999.0000000000001.
        let rank = (percent * self.sorted_micros.len() as f64 / 100.0 - 1e-6).ceil() as usize;
        f64::from(self.sorted_micros[rank.clamp(1, self.sorted_micros.len()) - 1])
    }

    /// Takes in another run.
    pub fn merge(&mut self, other: &Self) {
        self.sorted_micros.extend_from_slice(&other.sorted_micros);
        self.sorted_micros.sort_unstable();
        self.recorded += other.recorded;
        self.failed += other.failed;
    }
}

/// Sends `rate_per_second` over `connections` threads for `duration`.
pub fn run(
    address: SocketAddr,
    requests: &Requests,
    rate_per_second: f64,
    connections: usize,
    duration: Duration,
) -> anyhow::Result<Latencies> {
    let mut open = Vec::with_capacity(connections);
    for _ in 0..connections {
        open.push(BlockingConnection::connect(address)?);
    }
    // all threads are up before the first request is due
    let started = Instant::now() + Duration::from_millis(50);
    let mut total = Latencies::default();
    std::thread::scope(|scope| -> anyhow::Result<()> {
        let threads: Vec<_> = open
            .into_iter()
            .enumerate()
            .map(|(index, connection)| {
                scope.spawn(move || {
                    let dues = (index as u64..)
                        .step_by(connections)
                        .map(|nth| Duration::from_secs_f64(nth as f64 / rate_per_second))
                        .take_while(|due| *due < duration)
                        .map(|due| started + due);
                    lane(connection, requests, dues)
                })
            })
            .collect();
        for thread in threads {
            let part = thread.join().map_err(|_| anyhow::anyhow!("a load thread panicked"))??;
            total.merge(&part);
        }
        Ok(())
    })?;
    Ok(total)
}

fn lane(
    mut connection: BlockingConnection,
    requests: &Requests,
    dues: impl Iterator<Item = Instant>,
) -> anyhow::Result<Latencies> {
    let mut latencies = Latencies::default();
    let mut request = Vec::with_capacity(1024);
    for due in dues {
        requests.write_next(&mut request);
        let wait = due.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            std::thread::sleep(wait);
        }
        let answer = connection.exchange(&request)?;
        let micros = due.elapsed().as_micros();
        latencies.sorted_micros.push(u32::try_from(micros).unwrap_or(u32::MAX));
        latencies.failed += u64::from(answer.status != 302);
        latencies.recorded += u64::from(answer.has_click_id);
    }
    latencies.sorted_micros.sort_unstable();
    Ok(latencies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_by_rank() {
        let latencies = Latencies { sorted_micros: (1..=1_000).collect(), recorded: 0, failed: 0 };
        assert_eq!(latencies.percentile_micros(50.0), 500.0);
        assert_eq!(latencies.percentile_micros(99.9), 999.0);
        assert_eq!(latencies.percentile_micros(100.0), 1_000.0);
        assert_eq!(Latencies::default().percentile_micros(99.0), 0.0);
    }
}
