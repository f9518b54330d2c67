//! What an operator sees: log lines on standard error, and metrics on an address of their own.
//!
//! Metrics have their own listener so that they never stand beside what buyers reach, and are served by
//! whatever runtime starts it: put it on the one that steps back for the edge.

use crate::config::{LogConfig, LogFormat};
use axum::Router;
use axum::http::header;
use axum::routing::get;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tracing_subscriber::EnvFilter;

/// From 50 µs to 10 s: a redirect takes the first, a statement of a year the last.
const SECONDS_BUCKETS: [f64; 17] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
    2.5, 10.0,
];
/// Powers of four, for batch sizes.
const SIZE_BUCKETS: [f64; 9] = [1.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 4_096.0, 16_384.0, 65_536.0];
/// Histograms keep raw samples until they are folded in; unasked-for ones must not pile up.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Why there are no metrics.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The recorder could not be set up.
    #[error("cannot record metrics")]
    Recorder(#[from] BuildError),
    /// Their address is not to be had.
    #[error("cannot listen on METRICS_ADDR {address} (METRICS_ADDR=off turns metrics off)")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
}

impl TelemetryError {
    /// Would the same call, made later, possibly succeed?
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Listen { .. })
    }
}

/// Serves `/metrics` until it is dropped.
#[derive(Debug)]
pub struct MetricsServer {
    address: SocketAddr,
    tasks: [JoinHandle<()>; 2],
}

/// Log lines from now on. A second call in one process changes nothing.
pub fn start_logging(config: &LogConfig) {
    let filter = EnvFilter::new(&config.filter);
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        // It would say so with `eprintln!`, which panics where nobody reads standard error any more: whoever
        // logs would end there, and a stop would never be told.
        .log_internal_errors(false);
    let result = match config.format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text => builder.with_ansi(io::stderr().is_terminal()).try_init(),
    };
    // Already set, by a test's harness say: its lines go where that one wants them.
    drop(result);
}

/// Records metrics from now on, for the whole process; call it once, before anything counts.
pub fn record_metrics() -> Result<PrometheusHandle, TelemetryError> {
    Ok(builder()?.install_recorder()?)
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS_BUCKETS)?
        .set_buckets_for_metric(Matcher::Suffix("_size".into()), &SIZE_BUCKETS)
}

/// Serves what was recorded, on the runtime that calls.
pub async fn serve_metrics(
    address: SocketAddr,
    recorded: PrometheusHandle,
) -> Result<MetricsServer, TelemetryError> {
    let listen = |source| TelemetryError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let upkeep = recorded.clone();
    let router = Router::new().route(
        "/metrics",
        get(async move || {
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], recorded.render())
        }),
    );
    let serving = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "metrics are no longer served");
        }
    });
    let upkeep = tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP_INTERVAL).await;
            upkeep.run_upkeep();
        }
    });
    Ok(MetricsServer { address, tasks: [serving, upkeep] })
}

impl MetricsServer {
    /// Where it listens, also when the system chose the port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn metrics_are_served_on_their_own_address() {
        let recorder = builder().unwrap().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            metrics::counter!("clicks_unrecorded_total").increment(3);
            metrics::histogram!("journal_commit_seconds").record(0.0015);
        });
        let server = serve_metrics("127.0.0.1:0".parse().unwrap(), recorder.handle()).await.unwrap();
        let mut stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("clicks_unrecorded_total 3"), "{answer}");
        assert!(answer.contains("journal_commit_seconds_bucket{le=\"0.002\"} 1"), "{answer}");

        let error = serve_metrics(server.address(), recorder.handle()).await.unwrap_err();
        assert!(error.to_string().contains("METRICS_ADDR") && error.retryable(), "{error}");
    }
}
