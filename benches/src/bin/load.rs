//! The load runs; see `load --help` and `benches/README.md`.

use clap::Parser as _;
use gonggumoa_benches::{options::Options, runs};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    runs::run(&Options::parse()).await
}
