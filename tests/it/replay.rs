//! Promise 3: folding the journal again gives the same rows, figures and flags, byte for byte, across a
//! kill -9 and a change of rules.

use crate::harness::database::number;
use crate::harness::ledger::{all_stored, balance};
use crate::harness::{
    Api, Deployment, Gonggu, GongguSpec, LONG, Load, LoadPlan, Visitor, browser, eventually,
};
use rustix::process::Signal;
use sqlx::postgres::PgConnection;
use std::sync::atomic::Ordering;
use uuid::Uuid;

/// Everything that the judge says, in an order of its own.
const SAID: [&str; 4] = [
    "SELECT to_jsonb(row)::text FROM click_trackings AS row ORDER BY position",
    "SELECT to_jsonb(row)::text FROM click_heads AS row ORDER BY gonggu_id",
    "SELECT to_jsonb(row)::text FROM click_rollups AS row ORDER BY gonggu_id, level, at",
    "SELECT to_jsonb(row)::text FROM click_flags AS row ORDER BY id",
];
/// All of it forgotten; the rules in force and where they came into force are facts of the log.
const FORGET: &str = "TRUNCATE click_trackings, click_heads, click_rollups, click_flags, click_partitions";

async fn said(database: &mut PgConnection) -> Vec<Vec<String>> {
    let mut tables = Vec::new();
    for query in SAID {
        tables.push(sqlx::query_scalar(query).fetch_all(&mut *database).await.unwrap());
    }
    tables
}

/// A load with duplicates, held clicks and invalid ones; its ids.
async fn clicked(deployment: &Deployment, gonggus: &[Gonggu], count: usize) -> (Vec<(Uuid, Gonggu)>, u64) {
    let plan = LoadPlan { visitors: 11, connections: 6, ..LoadPlan::new(deployment.address(), gonggus) };
    let load = Load::start(&plan);
    load.more_given(count).await;
    let tally = load.stop().await;
    let mut given = tally.given();
    let (api, address) = (Api::new(deployment), Visitor::new().address().to_owned());
    for number in 0..15 {
        let visitor = Visitor::at(&address).agent(&browser(number));
        given.push((visitor.go(&api, gonggus[0]).await.redirected(), gonggus[0]));
    }
    (given, tally.sent.load(Ordering::Relaxed) + 15)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folding_the_journal_again_says_the_same() {
    let mut deployment = Deployment::new();
    deployment
        .set("DEDUP_WINDOW_SECONDS", "2")
        .set("FRAUD_IP_LIMIT", "9")
        .set("FRAUD_IP_WINDOW_SECONDS", "5");
    deployment.start().await;
    let admin = Api::new(&deployment).admin().await;
    let mut gonggus = admin.open_gonggus(2).await;
    gonggus.push(admin.gonggu(&GongguSpec::not_open()).await);
    let (mut given, mut sent) = clicked(&deployment, &gonggus, 900).await;
    deployment.kill();
    deployment.set("DEDUP_WINDOW_SECONDS", "1").set("FRAUD_IP_LIMIT", "5").start().await;
    let (more, more_sent) = clicked(&deployment, &gonggus, 900).await;
    given.extend(more);
    sent += more_sent;
    balance(&deployment, &admin, &gonggus, &given, sent).await;

    let mut database = deployment.database().await;
    let first = said(&mut database).await;
    let evidence = admin.evidence(gonggus[0]).await;
    assert!(!first[3].is_empty(), "the load was to open flags");
    // Nothing may be written between forgetting and the end of the process. A process that is stopped in the
    // middle of a transaction never ends it: then it goes on, and is stopped at another moment.
    eventually("the server is stopped between two transactions", LONG, async || {
        deployment.signal(Signal::STOP);
        let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                    AND pid <> pg_backend_pid() AND state <> 'idle'";
        let open = number(&mut database, open).await;
        if open == 0 {
            return Ok(());
        }
        deployment.signal(Signal::CONT);
        Err(format!("{open} are open"))
    })
    .await;
    sqlx::query(FORGET).execute(&mut database).await.unwrap();
    deployment.kill();
    deployment.start().await;

    let mut database = deployment.database().await;
    all_stored(&mut database, &given).await;
    let admin = Api::new(&deployment).admin().await;
    balance(&deployment, &admin, &gonggus, &given, sent).await;
    let second = said(&mut database).await;
    for (query, (first, second)) in SAID.iter().zip(first.iter().zip(&second)) {
        assert_eq!(first.len(), second.len(), "{query}");
        let different = first.iter().zip(second).find(|(first, second)| first != second);
        assert!(different.is_none(), "{query}: {different:?}");
    }
    assert_eq!(evidence, admin.evidence(gonggus[0]).await);
    deployment.stop().await;
}
