//! A single machine with history becomes an edge of a cluster: its clicks go on where they stood.

use super::{Loads, some_gonggus};
use crate::harness::books::clicks_in_kafka;
use crate::harness::ledger::{StoredClick, all_stored, count, stored_clicks};
use crate::harness::{Api, Cluster, LONG, Load, LoadPlan, Servers, eventually};
use gonggumoa_core::ids::Position;
use sqlx::{Connection, PgConnection};
use std::collections::HashSet;
use std::sync::atomic::Ordering;
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_with_history_becomes_an_edge_and_no_click_is_lost_or_counted_twice() {
    let Some(servers) = Servers::shared() else { return };
    let mut cluster = Cluster::new(servers).await;
    // the clicks stay in the database that they were in
    cluster.unset("SCYLLA_NODES");
    let mut machine = cluster.deployment("all");
    machine.unset("KAFKA_BROKERS").unset("REDIS_URL").start().await;
    let admin = Api::new(&machine).admin().await;
    let gonggus = some_gonggus(&admin).await;
    let plan = LoadPlan { connections: 4, visitors: 200, ..LoadPlan::new(machine.address(), &gonggus) };
    let load = Load::start(&plan);
    load.more_given(300).await;
    eventually("the machine has judged some by itself", LONG, async || {
        match admin.stats(gonggus[0]).await.totals.gross {
            0 => Err("none".to_owned()),
            _ => Ok(()),
        }
    })
    .await;
    load.more_given(300).await;
    machine.kill();
    let before = load.stop().await;

    let redis_url = cluster.servers.redis_url.clone();
    let brokers = cluster.servers.brokers.clone();
    machine.set("KAFKA_BROKERS", &brokers).set("REDIS_URL", &redis_url).set("ROLES", "edge");
    cluster.take_in("edge-1", machine);
    cluster.restart("edge-1");
    cluster.start(&["edge-2", "judge-1", "api-1"]).await;
    cluster.get_mut("edge-1").ready().await;
    let load = Loads::start(&cluster, &["edge-1", "edge-2"], &gonggus);
    load.more_given(200).await;
    let (mut given, mut sent) = load.stop().await;
    given.extend(before.given());
    sent += before.sent.load(Ordering::Relaxed);

    let in_journals = cluster.stop_edges().await;
    let mut database = PgConnection::connect(&cluster.database_url).await.unwrap();
    all_stored(&mut database, &given).await;
    let rows = eventually("all that the journals hold is stored", LONG, async || {
        let rows = stored_clicks(&mut database, &gonggus).await;
        let found = rows.len() as u64;
        assert!(found <= in_journals, "{found} stored of {in_journals}");
        if found == in_journals { Ok(rows) } else { Err(format!("{found} of {in_journals}")) }
    })
    .await;
    assert!(in_journals <= sent);
    each_is_judged_in_one_log(&cluster, &rows).await;
    let admin = cluster.admin_at("api-1").await;
    for gonggu in &gonggus {
        let own = rows.iter().filter(|row| row.gonggu == *gonggu).count();
        let totals = admin.settled(*gonggu, own as u64).await.totals;
        assert_eq!(count(&admin.evidence(*gonggu).await).verdicts(), totals.verdicts(), "{gonggu}");
    }
}

/// Rows of the journal's epoch were judged by the machine alone; the rest stands in Kafka, at its row's place.
async fn each_is_judged_in_one_log(cluster: &Cluster, rows: &[StoredClick]) {
    let ids: HashSet<Uuid> = rows.iter().map(|row| row.id).collect();
    assert_eq!(ids.len(), rows.len(), "a click is stored twice");
    let place = |row: &StoredClick| Position(u64::try_from(row.position).unwrap());
    let (alone, shared): (Vec<&StoredClick>, Vec<_>) = rows.iter().partition(|row| place(row).epoch() == 0);
    assert!(!alone.is_empty() && !shared.is_empty(), "{} alone, {} shared", alone.len(), shared.len());
    let in_kafka: HashSet<(Uuid, Position)> =
        clicks_in_kafka(cluster).await.into_iter().map(|(position, click)| (click.id.0, position)).collect();
    let expected: HashSet<(Uuid, Position)> = shared.into_iter().map(|row| (row.id, place(row))).collect();
    assert_eq!(in_kafka, expected, "what Kafka holds is what was judged from it");
}
