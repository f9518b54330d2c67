//! How long a gonggu's figures stand still when one of two judges ends.
//!
//! A judge that dies without a word is noticed when its session with the group has passed
//! (`group.consumer.session.timeout.ms` of the brokers); one that is asked to end says so.

use crate::closed_loop::{self, Drive, Tally};
use crate::cluster::Cluster;
use crate::options::Options;
use crate::product::wait_until;
use crate::report::{Table, progress};
use crate::requests::{Requests, Visitors};
use anyhow::ensure;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

const RATE_PER_SECOND: f64 = 1_000.0;
/// For the group to share out partitions when a judge has come.
const SHARED_WITHIN: Duration = Duration::from_secs(20);
const SETTLE: Duration = Duration::from_secs(4);
const BEFORE: Duration = Duration::from_secs(2);
const WATCH: Duration = Duration::from_secs(16);
const QUIET: Duration = Duration::from_secs(8);
/// Settling twice, the quiet watch, two ends, and what starting a judge takes.
const LENGTH: Duration = Duration::from_secs(75);
const ASK_EVERY: Duration = Duration::from_millis(50);
const LEVEL_WITHIN: Duration = Duration::from_secs(60);

pub(super) async fn run(options: &Options, cluster: &mut Cluster, ids: &[Uuid]) -> anyhow::Result<()> {
    progress("cluster: failover");
    let requests = Arc::new(Requests::new(ids, Visitors::Different));
    let tally = Arc::new(Tally::default());
    let drive =
        Drive { connections: options.connections, duration: LENGTH, rate_per_second: Some(RATE_PER_SECOND) };
    let address = cluster.edge.address;
    let generator = {
        let tally = tally.clone();
        tokio::task::spawn_blocking(move || closed_loop::run(address, &requests, drive, &tally))
    };
    let mut table = Table::new(
        format!("Figures standing still, {RATE_PER_SECOND}/s over {} gonggus, two judges", ids.len()),
        &["one judge", "longest of any gonggu", "of the gonggu in the middle", "stats not answered"],
    );
    for (what, end, length) in [
        ("stays", None, QUIET),
        ("kill -9", Some(Signal::KILL), WATCH),
        ("SIGTERM", Some(Signal::TERM), WATCH),
    ] {
        let second = &mut cluster.judges[1];
        if second.check().is_err() {
            second.stop();
            second.start()?;
        }
        let base = second.stored();
        wait_until(SHARED_WITHIN, "the second judge to store clicks", || {
            cluster.judges[1].check()?;
            Ok(cluster.judges[1].stored() > base)
        })?;
        tokio::time::sleep(SETTLE).await;
        let row = watch(cluster, ids, length, end)?;
        ensure!(!generator.is_finished(), "the clicks ended before the {what} was watched");
        table.push([vec![what.to_owned()], row].concat());
    }
    let outcome = generator.await??;
    wait_until(LEVEL_WITHIN, "every answered click to be counted", || {
        Ok(cluster.gross_of(ids)? == outcome.recorded)
    })?;
    table.print()?;
    progress(&format!("{} clicks answered, {} not, all of them counted", outcome.recorded, outcome.failed));
    Ok(())
}

/// Ends the second judge after a while; how long figures stood still.
fn watch(
    cluster: &Cluster,
    ids: &[Uuid],
    length: Duration,
    mut end: Option<Signal>,
) -> anyhow::Result<Vec<String>> {
    let started = Instant::now();
    // gross, since when, the longest that it stayed
    let mut seen: BTreeMap<Uuid, (u64, Instant, Duration)> =
        ids.iter().map(|id| (*id, (0, started, Duration::ZERO))).collect();
    let mut unanswered = 0u64;
    while started.elapsed() < length {
        if started.elapsed() > BEFORE
            && let Some(signal) = end.take()
        {
            cluster.judges[1].signal(signal)?;
        }
        for (id, (gross, since, longest)) in &mut seen {
            let Ok(now) = cluster.gross(*id) else {
                unanswered += 1;
                continue;
            };
            *longest = (*longest).max(since.elapsed());
            if now != *gross {
                (*gross, *since) = (now, Instant::now());
            }
        }
        std::thread::sleep(ASK_EVERY);
    }
    let mut stalls: Vec<f64> = seen.values().map(|(_, _, longest)| longest.as_secs_f64()).collect();
    stalls.sort_by(f64::total_cmp);
    let (longest, middle) = (stalls[stalls.len() - 1], stalls[stalls.len() / 2]);
    Ok(vec![format!("{longest:.2} s"), format!("{middle:.2} s"), unanswered.to_string()])
}
