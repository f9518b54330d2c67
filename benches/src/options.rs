//! What a load run can be told.

use crate::requests::Visitors;
use std::path::PathBuf;
use std::time::Duration;

/// One kind of measurement.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Measurement {
    /// Redirects a second against the bare server, CPU time per click, how long until all is stored.
    Ratio,
    /// Latency at a fixed rate against the bare server.
    Latency,
    /// How far the store is behind at fixed rates.
    Lag,
    /// The highest rate at which the backlog does not grow.
    HighestRate,
    /// Memory of a gonggu's actor, at the largest size.
    Actors,
    /// Memory over a long run in which PostgreSQL stands still for a minute.
    Memory,
    /// How long a start takes with the largest number of gonggus.
    Start,
    /// Lists, details, feed and login of `seed --scale` against a bare handler that asks for `SELECT 1`.
    Catalog,
    /// A cluster on Kafka, Cassandra and Redis: catching up, lag, failover. Only when it is asked for, by
    /// `make load-cluster`: it needs those servers.
    Cluster,
}

/// Starts the release binary beside a bare axum server and compares them.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "load")]
pub struct Options {
    /// Only these measurements; all but the cluster's without it.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub only: Vec<Measurement>,
    /// Numbers of gonggus that are clicked, each on a server that has just so many.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 256, 100_000])]
    pub sizes: Vec<usize>,
    /// Kinds of visitors.
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["different", "same"])]
    pub visitors: Vec<Visitors>,
    /// Rounds of each server; the table shows medians.
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
    /// Length of one round.
    #[arg(long, default_value_t = 6)]
    pub seconds: u64,
    /// Connections kept open.
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
    /// Rate of the latency and memory runs, a second.
    #[arg(long, default_value_t = 5_000)]
    pub rate: u64,
    /// Rates of the lag run, and steps of the highest-rate search, a second.
    #[arg(long, value_delimiter = ',', default_values_t = [5_000, 10_000, 20_000, 30_000, 40_000, 50_000, 60_000])]
    pub rates: Vec<u64>,
    /// Clicks that the cluster's judge catches up with.
    #[arg(long, default_value_t = 300_000)]
    pub clicks: u64,
    /// How long PostgreSQL stands still in the memory run.
    #[arg(long, default_value_t = 60)]
    pub pause_seconds: u64,
    /// The program; without it, `gonggumoa` beside this one.
    #[arg(long)]
    pub product: Option<PathBuf>,
    /// The bare server; without it, `bare_axum` beside this one.
    #[arg(long)]
    pub bare: Option<PathBuf>,
    /// The bare server of the catalog run; without it, `bare_select` beside this one.
    #[arg(long)]
    pub bare_select: Option<PathBuf>,
    /// Keep the catalog run's data folder here, and use again what is there.
    #[arg(long)]
    pub keep: Option<PathBuf>,
    /// Further arguments of `seed --scale`, such as "--gonggus 1000".
    #[arg(long, allow_hyphen_values = true)]
    pub scale: Option<String>,
    /// Where data folders are made: a real disk, or the figures are of memory.
    #[arg(long)]
    pub folder: Option<PathBuf>,
    /// A PostgreSQL that the program is to use instead of its own.
    #[arg(long)]
    pub database_url: Option<String>,
    /// Further settings of the program, NAME=VALUE.
    #[arg(long = "env")]
    pub environment: Vec<String>,
}

impl Options {
    /// Whether this measurement was asked for.
    pub fn wants(&self, measurement: Measurement) -> bool {
        let is_standard = measurement != Measurement::Cluster;
        (self.only.is_empty() && is_standard) || self.only.contains(&measurement)
    }

    /// Length of one round.
    pub fn round(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// A program's path: as given, or beside the running one.
    pub fn program(given: Option<&PathBuf>, name: &str) -> anyhow::Result<PathBuf> {
        let path = match given {
            Some(path) => path.clone(),
            None => std::env::current_exe()?.with_file_name(name),
        };
        anyhow::ensure!(path.exists(), "{} is not there: build it with --release first", path.display());
        Ok(path)
    }
}
