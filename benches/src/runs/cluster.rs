//! A cluster beside one machine: what a click costs a judge and the engines, how far figures are behind, and how
//! long they stand still when a judge ends.
//!
//! One edge, two judges and one api, one broker and one CQL node, all on this machine: rates are those of a
//! machine shared by all of them, CPU times a click are each process's own.

mod catch_up;
mod failover;
mod steady;

use crate::cluster::{Cluster, Engines};
use crate::options::Options;

/// Gonggus that a measurement has for itself.
const SPREAD: usize = 256;
const FAILOVER: usize = 24;

pub(super) async fn run(options: &Options) -> anyhow::Result<()> {
    let engines = Engines::from_environment()?;
    let mut cluster = Cluster::start(options, &engines, SPREAD + 2 + FAILOVER).await?;
    let ids = cluster.gonggu_ids.clone();
    catch_up::run(options, &engines, &mut cluster, &ids[..SPREAD], &ids[SPREAD..=SPREAD]).await?;
    for judge in &mut cluster.judges {
        judge.start()?;
    }
    steady::run(options, &cluster, ids[SPREAD + 1]).await?;
    failover::run(options, &mut cluster, &ids[SPREAD + 2..]).await
}
