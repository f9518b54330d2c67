//! The long cluster tests, on three brokers and three CQL nodes: `make chaos`. Without `CHAOS` they are
//! skipped, since they take minutes and most of a small machine.

use crate::engines::{consume, insert, make_topic, numbers_table, produce, producer, select};
use crate::harness::engines::{CassandraNodes, KafkaBrokers};

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
