//! All clicks first, then all judging: from the first stored click to the last.
//!
//! What came before the first stored one (the start, the sharing out of partitions) is left out of time, clicks
//! and CPU time alike.

use crate::closed_loop::{self, Drive, Tally};
use crate::cluster::{Cluster, Engines, Node};
use crate::options::Options;
use crate::process;
use crate::product::{Bare, gross_clicks, insert_gonggus, wait_until};
use crate::report::{Table, grouped, micros_each, progress};
use crate::requests::{Requests, Visitors};
use anyhow::ensure;
use sqlx::{Connection as _, PgConnection};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

const ROUND: Duration = Duration::from_secs(1);
const BARE_ROUND: Duration = Duration::from_secs(4);
const WITHIN: Duration = Duration::from_secs(150);
const POLL: Duration = Duration::from_millis(20);

/// Processes whose CPU time is read together.
struct Meters(Vec<(&'static str, u32)>);

impl Meters {
    fn read(&self) -> Vec<Duration> {
        self.0.iter().map(|(_, id)| process::family_cpu_time(*id)).collect()
    }

    /// Microseconds of each since `before`, for each of so many clicks.
    fn micros_since(&self, before: &[Duration], clicks: u64) -> String {
        let spent = self.read();
        let each = self.0.iter().zip(spent.iter().zip(before)).map(|((name, _), (now, then))| {
            format!("{name} {:.1}", micros_each(now.saturating_sub(*then), clicks))
        });
        each.collect::<Vec<_>>().join(", ")
    }
}

pub(super) async fn run(
    options: &Options,
    engines: &Engines,
    cluster: &mut Cluster,
    spread: &[Uuid],
    one: &[Uuid],
) -> anyhow::Result<()> {
    let mut taking = Table::new(
        format!("Redirects with the forwarder on, {} connections, visitors different", options.connections),
        &[
            "gonggus",
            "bare axum /s",
            "edge /s",
            "ratio",
            "all in Kafka after",
            "not recorded",
            "CPU µs/click",
        ],
    );
    let mut judging = Table::new(
        "Catching up, from the first stored click to the last",
        &["what", "clicks", "clicks/s", "clicks per core-second", "CPU µs/click", "first stored after"],
    );
    let bare = bare_per_second(options, spread)?;
    for (ids, wanted) in [(spread, options.clicks), (one, options.clicks / 2)] {
        progress(&format!("cluster: {} gonggus, {} clicks", ids.len(), grouped(wanted as f64)));
        let clicks = take(options, engines, cluster, ids, wanted, bare, &mut taking).await?;
        let mut meters = engines.processes().await?;
        let judge = &mut cluster.judges[0];
        judge.spawn()?;
        meters.insert(0, ("judge", judge.id()?));
        let what = format!("one judge, Kafka to the CQL store, {} gonggus", ids.len());
        judging.push(catch_up(what, judge, clicks, &Meters(meters))?);
        judge.stop();
        let gross = cluster.gross_of(ids)?;
        ensure!(gross == clicks, "{clicks} were answered, {gross} are counted");
    }
    judging.push(one_machine(options, engines, spread.len()).await?);
    taking.print()?;
    Ok(judging.print()?)
}

fn bare_per_second(options: &Options, ids: &[Uuid]) -> anyhow::Result<f64> {
    let bare = Bare::start(options)?;
    let requests = Arc::new(Requests::new(ids, Visitors::Different));
    let (redirected, _, _, elapsed) = drive(options, bare.address, &requests, BARE_ROUND)?;
    Ok(redirected as f64 / elapsed.as_secs_f64())
}

/// Redirected, recorded, failed, and how long it took.
fn drive(
    options: &Options,
    address: SocketAddr,
    requests: &Arc<Requests>,
    duration: Duration,
) -> anyhow::Result<(u64, u64, u64, Duration)> {
    let drive = Drive { connections: options.connections, duration, rate_per_second: None };
    let outcome = closed_loop::run(address, requests, drive, &Arc::new(Tally::default()))?;
    Ok((outcome.redirected, outcome.recorded, outcome.failed, outcome.elapsed))
}

/// Rounds until so many clicks are answered; the same sums.
fn drive_clicks(
    options: &Options,
    address: SocketAddr,
    ids: &[Uuid],
    wanted: u64,
) -> anyhow::Result<(u64, u64, u64, Duration)> {
    let requests = Arc::new(Requests::new(ids, Visitors::Different));
    let mut sum = (0, 0, 0, Duration::ZERO);
    while sum.1 < wanted {
        let round = drive(options, address, &requests, ROUND)?;
        sum = (sum.0 + round.0, sum.1 + round.1, sum.2 + round.2, sum.3 + round.3);
        ensure!(round.1 > 0, "the edge records no click");
    }
    Ok(sum)
}

/// The edge takes clicks and sends them on; how many.
async fn take(
    options: &Options,
    engines: &Engines,
    cluster: &Cluster,
    ids: &[Uuid],
    wanted: u64,
    bare: f64,
    table: &mut Table,
) -> anyhow::Result<u64> {
    let mut meters = vec![("edge", cluster.edge.id()?)];
    meters.extend(engines.processes().await?);
    let meters = Meters(meters);
    let before = meters.read();
    let forwarded = "forwarder_forwarded_records_total";
    let forwarded_before = cluster.edge.metric(forwarded).unwrap_or(0.0);
    let (redirected, recorded, failed, elapsed) = drive_clicks(options, cluster.edge.address, ids, wanted)?;
    let answered = Instant::now();
    wait_until(WITHIN, "the edge to send all clicks on", || {
        let sent = cluster.edge.metric(forwarded).unwrap_or(0.0) - forwarded_before;
        Ok(sent >= recorded as f64 && cluster.edge.metric("forwarder_lag_records") == Some(0.0))
    })?;
    let after = answered.elapsed();
    let per_second = redirected as f64 / elapsed.as_secs_f64();
    table.push(vec![
        ids.len().to_string(),
        grouped(bare),
        grouped(per_second),
        format!("{:.2}", per_second / bare),
        format!("{:.2} s", after.as_secs_f64()),
        (redirected - recorded + failed).to_string(),
        meters.micros_since(&before, recorded),
    ]);
    Ok(recorded)
}

/// Watches a process that has just been started until it has stored so many.
fn catch_up(what: String, node: &mut Node, wanted: u64, meters: &Meters) -> anyhow::Result<Vec<String>> {
    let started = Instant::now();
    let mut first = None;
    loop {
        let stored = node.stored();
        let (begun, stored_before, before) = match &first {
            None if stored > 0 => first.insert((Instant::now(), stored, meters.read())),
            None => {
                ensure!(started.elapsed() < WITHIN, "nothing is stored after {WITHIN:?}");
                node.check()?;
                std::thread::sleep(POLL);
                continue;
            }
            Some(first) => first,
        };
        if stored >= wanted {
            let (elapsed, clicks) = (begun.elapsed(), stored - *stored_before);
            let own = process::family_cpu_time(node.id()?);
            let spent = own.saturating_sub(before[0]).as_secs_f64();
            return Ok(vec![
                what,
                grouped(clicks as f64),
                grouped(clicks as f64 / elapsed.as_secs_f64()),
                grouped(clicks as f64 / spent.max(0.01)),
                meters.micros_since(before, clicks),
                format!("{:.2} s", (*begun - started).as_secs_f64()),
            ]);
        }
        ensure!(begun.elapsed() < WITHIN, "{stored} of {wanted} are stored after {WITHIN:?}");
        node.check()?;
        std::thread::sleep(POLL);
    }
}

/// The same clicks through one process: killed when the last is answered, it judges what its journal holds.
async fn one_machine(options: &Options, engines: &Engines, size: usize) -> anyhow::Result<Vec<String>> {
    progress("cluster: one machine beside it");
    let database_url = engines.make_database("alone").await?;
    let mut node = Node::new(options, &[("DATABASE_URL", database_url.clone())])?;
    node.start()?;
    let ids = insert_gonggus(&database_url.parse()?, size).await?;
    // the rows went in behind its back
    node.stop();
    node.start()?;
    let (_, recorded, _, _) = drive_clicks(options, node.address, &ids, options.clicks)?;
    node.kill()?;
    let stored = gross_clicks(&mut PgConnection::connect(&database_url).await?).await?;
    progress(&format!("{stored} of {recorded} were stored before the end"));
    let mut meters = engines.processes().await?;
    meters.retain(|(name, _)| *name == "PostgreSQL");
    node.spawn()?;
    meters.insert(0, ("all in one", node.id()?));
    let what = format!("one machine, journal to PostgreSQL, {size} gonggus");
    catch_up(what, &mut node, recorded.saturating_sub(stored), &Meters(meters))
}
