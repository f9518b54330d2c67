//! The long cluster tests, on three brokers and three CQL nodes: `make chaos`. Without `CHAOS` they are
//! skipped, since they take minutes and most of a small machine. `CHAOS_SECONDS` (300) is how long what runs is
//! killed at random, and `CHAOS_SEED`, which each run prints, makes the order the same again.

use crate::cluster::{Loads, some_gonggus};
use crate::engines::{consume, insert, make_topic, numbers_table, produce, producer, select};
use crate::harness::books::{Proof, balance};
use crate::harness::engines::{CassandraNodes, KafkaBrokers, RedisServer};
use crate::harness::{Cluster, Servers};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::time::{Duration, Instant};

/// Whether they are wanted; says so when not.
fn wanted() -> bool {
    let wanted = std::env::var_os("CHAOS").is_some();
    if !wanted {
        eprintln!("skipped: CHAOS is not set (make chaos sets it)");
    }
    wanted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_brokers_keep_what_they_acknowledged_while_each_is_killed() {
    if !wanted() {
        return;
    }
    let Some(mut kafka) = KafkaBrokers::start(3).await else { return };
    make_topic(&kafka.brokers(), "numbers", 3).await;
    let producer = producer(&kafka.brokers());
    let mut next = 0;
    for victim in 0..3 {
        for killed in [false, true] {
            if killed {
                kafka.kill(victim);
            }
            for _ in 0..100 {
                produce(&producer, "numbers", next).await;
                next += 1;
            }
        }
        kafka.restart(victim).await;
    }
    assert_eq!(consume(&kafka.brokers(), "numbers", next).await, Vec::from_iter(0..next));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_cql_nodes_keep_what_they_acknowledged_while_each_is_killed() {
    if !wanted() {
        return;
    }
    let Some(mut nodes) = CassandraNodes::start(3).await else { return };
    let session = numbers_table(&nodes, 3).await;
    let mut next = 0;
    for victim in 0..3 {
        for killed in [false, true] {
            if killed {
                nodes.kill(victim);
            }
            for _ in 0..100 {
                insert(&session, next).await;
                next += 1;
            }
        }
        nodes.restart(victim).await;
    }
    assert_eq!(select(&session).await, Vec::from_iter(0..next));
}

/// A number from the surroundings.
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Promises 1, 3, 4 and 7 on three brokers and three CQL nodes, with three copies of everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_killed_nothing_is_lost_and_nothing_is_counted_twice() {
    if !wanted() {
        return;
    }
    let Some(shared) = Servers::shared() else { return };
    let seed = number("CHAOS_SEED").unwrap_or_else(rand::random);
    eprintln!("CHAOS_SEED={seed}");
    let (Some(kafka), Some(nodes), Some(redis)) =
        (KafkaBrokers::start(3).await, CassandraNodes::start(3).await, RedisServer::start().await)
    else {
        return;
    };
    let servers = Servers {
        brokers: kafka.brokers(),
        cql_nodes: nodes.nodes(),
        redis_url: redis.url().to_owned(),
        copies: 3,
        ..shared
    };
    let mut cluster = Cluster::new(servers).await;
    cluster.start(&["edge-1", "edge-2", "judge-1", "judge-2", "api-1"]).await;
    let admin = cluster.admin_at("api-1").await;
    let gonggus = some_gonggus(&admin).await;
    let load = Loads::start(&cluster, &["edge-1", "edge-2"], &gonggus);
    load.more_given(200).await;
    let mut chaos =
        Chaos { cluster, kafka, nodes, redis, load, random: StdRng::seed_from_u64(seed), judges: 2 };
    let time = Duration::from_secs(number("CHAOS_SECONDS").unwrap_or(300));
    let started = Instant::now();
    for kind in 0..KINDS {
        chaos.strike(kind).await;
    }
    while started.elapsed() < time {
        let kind = chaos.random.random_range(0..KINDS);
        chaos.strike(kind).await;
    }
    let Chaos { mut cluster, load, judges, .. } = chaos;
    let (given, sent) = load.stop().await;
    eprintln!("{} clicks; {judges} judges were started", given.len());
    cluster.all_ready().await;
    let stored = balance(&mut cluster, "api-1", &gonggus, &given, sent).await;
    cluster.stop_all("judge").await;
    let proof = Proof::of(&cluster).await;
    proof.holds(stored.len()).await;
    proof.finds_one_too_many(&cluster, gonggus[0]).await;
}

/// Kinds of strike: first each in turn, then at random.
const KINDS: u32 = 8;

/// What there is to kill.
struct Chaos {
    cluster: Cluster,
    kafka: KafkaBrokers,
    nodes: CassandraNodes,
    redis: RedisServer,
    load: Loads,
    random: StdRng,
    /// Started so far.
    judges: usize,
}

impl Chaos {
    /// Kills one thing, or lets a judge join or leave, and waits for clicks while it is away and after.
    async fn strike(&mut self, kind: u32) {
        let (index, clicks) = (self.random.random_range(0..3), self.random.random_range(1..300));
        match kind {
            0 => self.restart("edge", clicks).await,
            1 => self.restart("judge", clicks).await,
            2 => self.restart("api", clicks).await,
            3 => {
                eprintln!("kill broker {index}");
                self.kafka.kill(index);
                self.load.more_given(clicks).await;
                self.kafka.restart(index).await;
            }
            4 => {
                eprintln!("kill CQL node {index}");
                self.nodes.kill(index);
                self.load.more_given(clicks).await;
                self.nodes.restart(index).await;
            }
            5 => {
                eprintln!("kill Redis");
                self.redis.kill();
                self.load.more_given(clicks).await;
                self.redis.restart().await;
            }
            6 => {
                self.judges += 1;
                let name = format!("judge-{}", self.judges);
                eprintln!("{name} joins");
                self.cluster.add(&name);
            }
            _ => {
                let names = self.cluster.names("judge");
                if names.len() > 1 {
                    let name = &names[self.random.random_range(0..names.len())];
                    eprintln!("{name} leaves");
                    let mut leaving = self.cluster.remove(name);
                    leaving.ready().await;
                    leaving.stop().await;
                }
            }
        }
        self.load.more_given(clicks).await;
    }

    async fn restart(&mut self, role: &str, clicks: usize) {
        let names = self.cluster.names(role);
        let name = &names[self.random.random_range(0..names.len())];
        eprintln!("kill {name}");
        self.cluster.kill_and_restart(name);
        self.load.more_given(clicks).await;
    }
}
