//! The measurements, one file each. Each starts what it needs and prints its own table.

mod actors;
mod backlog;
mod catalog;
mod cluster;
mod latency;
mod memory;
mod ratio;
mod start;

use crate::options::{Measurement, Options};

/// Runs all that was asked for, in an order in which a short one comes first.
pub async fn run(options: &Options) -> anyhow::Result<()> {
    if options.wants(Measurement::Start) {
        start::run(options).await?;
    }
    if options.wants(Measurement::Catalog) {
        catalog::run(options).await?;
    }
    if options.wants(Measurement::Ratio) {
        ratio::run(options).await?;
    }
    if options.wants(Measurement::Latency) {
        latency::run(options).await?;
    }
    if options.wants(Measurement::Lag) || options.wants(Measurement::HighestRate) {
        backlog::run(options).await?;
    }
    if options.wants(Measurement::Actors) {
        actors::run(options).await?;
    }
    if options.wants(Measurement::Memory) {
        memory::run(options).await?;
    }
    if options.wants(Measurement::Cluster) {
        cluster::run(options).await?;
    }
    Ok(())
}
