//! What is on `clicks.raw` beside sound records of ours, and a run that will not come back.

use crate::harness::cluster::PARTITIONS;
use crate::harness::deployment::said;
use crate::harness::{Api, Cluster, Deployment, Gonggu, LONG, Servers, Visitor, eventually};
use gonggumoa_actors::kafka::record::{self, Outgoing};
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::{GongguId, PartitionId, RunId};
use gonggumoa_core::log::LogEntry;
use gonggumoa_core::log::partitioning::Partitioning;
use gonggumoa_core::store::ClickStore;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::util::Timeout;
use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// One process for everything, and an edge that will be lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_ours_is_put_aside_what_is_newer_stops_its_partition_and_a_dead_edge_is_retired() {
    let Some(servers) = Servers::shared() else { return };
    let mut cluster = Cluster::new(servers).await;
    cluster.start(&["all-1", "edge-1"]).await;
    let admin = cluster.admin_at("all-1").await;
    let [first, second] = in_different_partitions(&admin).await;
    Visitor::new().go(&Api::new(cluster.get("edge-1")), first).await.redirected();
    admin.settled(first, 1).await;
    a_dead_edge_holds_figures_back_until_it_is_retired(&mut cluster, &admin, first).await;

    let producer = producer(&cluster);
    for partition in 0..PARTITIONS {
        send(&producer, &cluster, partition, b"somebody else's").await;
        send(&producer, &cluster, partition, &changed_on_its_way()).await;
    }
    for gonggu in [first, second] {
        Visitor::new().go(&admin, gonggu).await.redirected();
    }
    admin.settled(first, 2).await;
    admin.settled(second, 1).await;
    let expected: BTreeSet<(String, String)> = (0..PARTITIONS)
        .flat_map(|partition| {
            ["not_ours", "checksum"].map(|problem| (partition.to_string(), problem.to_owned()))
        })
        .collect();
    assert_eq!(dead_letters(&cluster, expected.len()).await, expected);
    let log = cluster.get("all-1").log_text();
    assert!(log.contains("a record on the click log cannot be taken; it was put aside"), "no alarm");
    // judge and archive each read them, and each says so
    let counted = metric(cluster.get("all-1"), "click_log_dead_letters_total").await;
    assert!(counted >= 2.0 * f64::from(PARTITIONS), "{counted} counted");

    let mut newer = time_mark();
    newer[2] += 1;
    send(&producer, &cluster, partition_of(first).0, &newer).await;
    eventually("the partition stops with an alarm", LONG, async || {
        match metric(cluster.get("all-1"), "judge_partitions_stopped").await {
            1.0 => Ok(()),
            stopped => Err(format!("{stopped} stopped")),
        }
    })
    .await;
    assert!(cluster.get("all-1").log_text().contains("newer than this program knows"), "no alarm");
    // taken, and judged when a newer judge comes
    Visitor::new().go(&admin, first).await.redirected();
    Visitor::new().go(&admin, second).await.redirected();
    admin.settled(second, 2).await;
    assert_eq!(admin.stats(first).await.totals.gross, 2);
}

async fn a_dead_edge_holds_figures_back_until_it_is_retired(
    cluster: &mut Cluster,
    admin: &Api,
    gonggu: Gonggu,
) {
    cluster.get_mut("edge-1").kill();
    let dead = run_of(cluster.get("edge-1")).await;
    let store = cluster.store().await;
    let partition = partition_of(gonggu);
    let mark_of = async |run: RunId| {
        let progress = store.progress(partition).await.unwrap().unwrap();
        progress.marks.iter().find(|mark| mark.run == run).map(|mark| mark.at)
    };
    let held_at = eventually("the dead edge's last mark is stored", LONG, async || {
        mark_of(dead).await.ok_or_else(|| "none yet".to_owned())
    })
    .await;
    let later = held_at.plus_millis(4_000);
    eventually("the other edge's marks go on", LONG, async || {
        let progress = store.progress(partition).await.unwrap().unwrap();
        let newest = progress.marks.iter().map(|mark| mark.at).max().unwrap();
        if newest >= later { Ok(()) } else { Err(format!("{newest:?}")) }
    })
    .await;
    let complete_through =
        async || UnixMillis(admin.stats(gonggu).await.complete_through.unwrap().timestamp_millis());
    let last = mark_of(dead).await.unwrap();
    assert!(complete_through().await <= last, "a silent edge holds figures back");
    let output = cluster.get("all-1").run(&["journal", "retire", &dead.0.to_string()]).await;
    assert!(output.status.success(), "{}", said(&output));
    eventually("figures go on without it", LONG, async || {
        let through = complete_through().await;
        if through >= later { Ok(()) } else { Err(format!("{through:?}")) }
    })
    .await;
}

/// The last run in a stopped edge's journal.
async fn run_of(edge: &Deployment) -> RunId {
    let report = said(&edge.run(&["journal", "verify"]).await);
    let (_, rest) = report.rsplit_once("  run ").unwrap();
    RunId(rest.split_whitespace().next().unwrap().parse().unwrap())
}

fn partition_of(gonggu: Gonggu) -> PartitionId {
    Partitioning::new(NonZeroU32::new(PARTITIONS).unwrap()).of(GongguId(gonggu.0))
}

async fn in_different_partitions(admin: &Api) -> [Gonggu; 2] {
    let first = admin.open_gonggu().await;
    loop {
        let second = admin.open_gonggu().await;
        if partition_of(first) != partition_of(second) {
            return [first, second];
        }
    }
}

/// A sound record of a run that nobody else has.
fn time_mark() -> Vec<u8> {
    let run = RunId(Uuid::new_v4());
    let outgoing = Outgoing { run, sequence: 1, previous: 0, predecessor: None };
    let entry = LogEntry::TimeMark { run, at: UnixMillis(0) };
    let mut bytes = Vec::new();
    record::encode(&entry, &outgoing, &mut bytes);
    bytes
}

fn changed_on_its_way() -> Vec<u8> {
    let mut bytes = time_mark();
    *bytes.last_mut().unwrap() ^= 1;
    bytes
}

fn producer(cluster: &Cluster) -> FutureProducer {
    ClientConfig::new().set("bootstrap.servers", &cluster.servers.brokers).create().unwrap()
}

async fn send(producer: &FutureProducer, cluster: &Cluster, partition: u32, value: &[u8]) {
    let topic = cluster.kafka().raw_topic();
    let partition = i32::try_from(partition).unwrap();
    let record = FutureRecord::<(), [u8]>::to(&topic).partition(partition).payload(value);
    producer.send(record, Timeout::Never).await.unwrap();
}

/// Partition and problem of the dead letters, once there are as many; each has its place and its bytes.
async fn dead_letters(cluster: &Cluster, count: usize) -> BTreeSet<(String, String)> {
    let (brokers, topic) = (cluster.servers.brokers.clone(), cluster.kafka().dead_letter_topic());
    let read = move || {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &brokers)
            .set("group.id", "nobody")
            .set("enable.auto.commit", "false")
            .create()
            .unwrap();
        let metadata = consumer.fetch_metadata(Some(&topic), LONG).unwrap();
        let mut all = TopicPartitionList::new();
        for partition in metadata.topics()[0].partitions() {
            all.add_partition_offset(&topic, partition.id(), Offset::Beginning).unwrap();
        }
        consumer.assign(&all).unwrap();
        let (mut found, started) = (BTreeSet::new(), Instant::now());
        while found.len() < count && started.elapsed() < LONG {
            let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else { continue };
            let headers = message.headers().unwrap();
            let header = |name: &str| {
                let header = headers.iter().find(|header| header.key == name).unwrap();
                String::from_utf8(header.value.unwrap().to_vec()).unwrap()
            };
            assert!(header("offset").parse::<u64>().is_ok() && header("position").parse::<u64>().is_ok());
            assert!(!message.payload().unwrap().is_empty());
            found.insert((header("partition"), header("problem")));
        }
        found
    };
    tokio::task::spawn_blocking(read).await.unwrap()
}

/// The sum of a metric's values over its labels.
async fn metric(deployment: &Deployment, name: &str) -> f64 {
    let text = reqwest::get(deployment.metrics_url()).await.unwrap().text().await.unwrap();
    let own = text.lines().filter(|line| line.starts_with(name));
    own.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
}
