//! Promise 6: PostgreSQL down, stopped or gone: redirects go on, nothing acknowledged is lost, and all
//! catches up by itself, in bounded memory.

use crate::harness::ledger::balance;
use crate::harness::process::{children, resident_bytes, signal};
use crate::harness::{Api, Deployment, LONG, Load, LoadPlan, Visitor};
use reqwest::StatusCode;
use rustix::process::Signal;
use std::sync::atomic::Ordering;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_database_comes_back_and_nothing_is_missing() {
    let mut deployment = Deployment::new();
    deployment.start().await;
    let admin = Api::new(&deployment).admin().await;
    let gonggus = admin.open_gonggus(5).await;
    let load = Load::start(&LoadPlan::new(deployment.address(), &gonggus));
    load.more_given(300).await;
    let postmaster = deployment.postmaster().unwrap();
    // one session first: the cluster resets itself; then the cluster as a whole
    signal(*children(postmaster).last().unwrap(), Signal::KILL);
    load.more_given(500).await;
    for process in children(postmaster).into_iter().chain([postmaster]) {
        signal(process, Signal::KILL);
    }
    load.more_given(1_000).await;
    crate::harness::eventually("another cluster process runs", LONG, async || {
        match deployment.postmaster() {
            Some(pid) if pid != postmaster && crate::harness::process::is_alive(pid) => Ok(()),
            pid => Err(format!("{pid:?}")),
        }
    })
    .await;
    deployment.ready().await;
    let tally = load.stop().await;
    assert!(tally.strange().is_empty(), "{:?}", tally.strange());
    assert_eq!(tally.unrecorded.load(Ordering::Relaxed), 0);
    balance(&deployment, &admin, &gonggus, &tally.given(), tally.sent.load(Ordering::Relaxed)).await;
    deployment.stop().await;
}

/// A database that takes connections and never answers: the worst kind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stays_bounded_while_the_database_hangs() {
    let mut deployment = Deployment::new();
    deployment.start().await;
    let admin = Api::new(&deployment).admin().await;
    let gonggus = admin.open_gonggus(5).await;
    let load = Load::start(&LoadPlan::new(deployment.address(), &gonggus));
    load.more_given(2_000).await;
    let postmaster = deployment.postmaster().unwrap();
    let stopped: Vec<u32> = children(postmaster).into_iter().chain([postmaster]).collect();
    for process in &stopped {
        signal(*process, Signal::STOP);
    }
    // what may be in flight fills up first; after that a click costs disk, not memory
    load.more_given(4_000).await;
    let before = resident_bytes(deployment.pid());
    load.more_given(20_000).await;
    let growth = resident_bytes(deployment.pid()).saturating_sub(before);
    let visitor = Visitor::new();
    assert_eq!(visitor.go(&admin, gonggus[0]).await.status, StatusCode::FOUND);
    for process in &stopped {
        signal(*process, Signal::CONT);
    }
    assert!(growth < 32 << 20, "memory grew by {growth} bytes over 20,000 clicks that could not be stored");
    let tally = load.stop().await;
    assert!(tally.strange().is_empty(), "{:?}", tally.strange());
    let sent = tally.sent.load(Ordering::Relaxed) + 1;
    balance(&deployment, &admin, &gonggus, &tally.given(), sent).await;
    deployment.stop().await;
}

/// A start without its database: known links are redirected from what was kept on disk.
#[tokio::test]
async fn an_unreachable_database_does_not_stop_redirects_of_known_links() {
    let mut deployment = Deployment::new();
    deployment.start().await;
    let admin = Api::new(&deployment).admin().await;
    let gonggu = admin.open_gonggu().await;
    let postmaster = deployment.postmaster().unwrap();
    let stopped: Vec<u32> = children(postmaster).into_iter().chain([postmaster]).collect();
    for process in &stopped {
        signal(*process, Signal::STOP);
    }
    let visitor = Visitor::new();
    let mut given = Vec::new();
    for _ in 0..20 {
        given.push((visitor.go(&admin, gonggu).await.redirected(), gonggu));
    }
    for process in &stopped {
        signal(*process, Signal::CONT);
    }
    balance(&deployment, &admin, &[gonggu], &given, 20).await;
    assert_eq!(admin.stats(gonggu).await.totals.verdicts(), (1, 19, 0, 0));
    deployment.stop().await;
}
