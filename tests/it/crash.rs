//! Promise 1: kill -9 at any instant; every click that a client has an id of is in the journal once,
//! judged once, stored once.
//!
//! A round lets a load run until a random number of clicks more were answered, kills, and starts again
//! on the same folder while the clients keep knocking. The moment is thus random within a group commit,
//! a batch, a transaction. Every few rounds PostgreSQL is killed too.

use crate::harness::ledger::{balance, journal_holds, journal_verifies};
use crate::harness::process::{children, is_alive, signal};
use crate::harness::{Api, Deployment, GongguSpec, LONG, Load, LoadPlan, eventually};
use rustix::process::Signal;
use std::sync::atomic::Ordering;

fn rounds() -> usize {
    std::env::var("KILL_ROUNDS").ok().map_or(10, |text| text.parse().expect("KILL_ROUNDS is a number"))
}

/// kill -9 of the whole cluster, as a machine's memory running out would do it.
async fn kill_postgres(deployment: &Deployment) {
    let Some(postmaster) = deployment.postmaster() else { return };
    let backends = children(postmaster);
    signal(postmaster, Signal::KILL);
    for backend in &backends {
        signal(*backend, Signal::KILL);
    }
    eventually("PostgreSQL is gone", LONG, async || {
        let left = backends.iter().chain([&postmaster]).filter(|pid| is_alive(**pid)).count();
        if left == 0 { Ok(()) } else { Err(format!("{left} processes left")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_at_random_moments_under_load_loses_nothing_and_counts_nothing_twice() {
    let mut deployment = Deployment::new();
    deployment.start().await;
    let admin = Api::new(&deployment).admin().await;
    let mut gonggus = admin.open_gonggus(7).await;
    gonggus.push(admin.gonggu(&GongguSpec::not_open()).await);

    let load = Load::start(&LoadPlan::new(deployment.address(), &gonggus));
    for round in 0..rounds() {
        load.more_given(rand::random_range(1..1_500)).await;
        deployment.kill();
        if round % 4 == 3 {
            kill_postgres(&deployment).await;
        }
        deployment.start().await;
    }
    load.more_given(200).await;
    let tally = load.stop().await;

    let given = tally.given();
    let strange = tally.strange();
    assert!(strange.is_empty(), "answers that no click should get: {strange:?}");
    assert_eq!(tally.unrecorded.load(Ordering::Relaxed), 0, "redirected without an id");
    let rows = balance(&deployment, &admin, &gonggus, &given, tally.sent.load(Ordering::Relaxed)).await;
    let runs: std::collections::HashSet<_> = rows.iter().map(|row| row.run).collect();
    assert!(runs.len() > rounds() / 2, "each start opens a run of its own: {} runs", runs.len());
    deployment.stop().await;
    assert_eq!(journal_verifies(&deployment).await, rows.len() as u64, "clicks in the journal and rows");
    journal_holds(&deployment, &given);

    // and the same once more after a clean start: nothing is folded twice
    deployment.start().await;
    let admin = Api::new(&deployment).admin().await;
    let again = balance(&deployment, &admin, &gonggus, &given, tally.sent.load(Ordering::Relaxed)).await;
    assert_eq!(again.len(), rows.len());
    deployment.stop().await;
}

/// The marks that a click left are found again by whoever starts next.
#[tokio::test]
async fn a_visitor_is_still_known_after_a_crash() {
    let mut deployment = Deployment::new();
    deployment.start().await;
    let admin = Api::new(&deployment).admin().await;
    let gonggu = admin.open_gonggu().await;
    let visitor = crate::harness::Visitor::new();
    for killed in 0..4 {
        visitor.go(&admin, gonggu).await.redirected();
        // once before, once after the click is stored
        if killed % 2 == 1 {
            admin.settled(gonggu, killed + 1).await;
        }
        deployment.kill();
        deployment.start().await;
    }
    visitor.go(&admin, gonggu).await.redirected();
    let stats = admin.settled(gonggu, 5).await;
    assert_eq!(stats.totals.verdicts(), (1, 4, 0, 0), "promise 4, across restarts");
    assert_eq!(stats.totals.unique_visitors, 1);
    deployment.stop().await;
}
