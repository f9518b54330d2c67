//! A restart in the middle of a load run, with and without a socket that the service manager holds.

use crate::harness::ledger::balance;
use crate::harness::process::find_files;
use crate::harness::wait::poll_pause;
use crate::harness::{Api, Deployment, LONG, Load, LoadPlan};
use rustix::process::Signal;
use std::net::TcpListener;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_socket_handed_over_nobody_is_refused() {
    let mut deployment = Deployment::new();
    let listener = TcpListener::bind(deployment.address()).unwrap();
    deployment.spawn(Some(&listener));
    deployment.ready().await;
    let admin = Api::new(&deployment).admin().await;
    let gonggus = admin.open_gonggus(5).await;
    let plan = LoadPlan::new(deployment.address(), &gonggus);
    let load = Load::start(&plan);
    for _ in 0..2 {
        load.more_given(500).await;
        deployment.signal(Signal::TERM);
        let status = deployment.exited(Duration::from_secs(25)).await;
        assert!(status.success(), "{status}");
        deployment.spawn(Some(&listener));
        deployment.ready().await;
    }
    load.more_given(500).await;
    let tally = load.stop().await;
    assert_eq!(tally.refused.load(Ordering::Relaxed), 0, "connections were refused");
    assert_eq!(tally.unconnected.load(Ordering::Relaxed), 0, "connections failed");
    assert!(tally.strange().is_empty(), "{:?}", tally.strange());
    assert_eq!(tally.unrecorded.load(Ordering::Relaxed), 0);
    // a keep-alive connection may be closed while the next request is on its way, once a stop
    let unanswered = tally.unanswered.load(Ordering::Relaxed);
    assert!(unanswered as usize <= 2 * plan.connections, "{unanswered} requests were never answered");
    balance(&deployment, &admin, &gonggus, &tally.given(), tally.sent.load(Ordering::Relaxed)).await;
    deployment.stop().await;
}

/// The last line of postmaster.pid says how far the cluster is.
fn postgres_is_up(deployment: &Deployment) -> bool {
    find_files(&deployment.data_dir(), "postmaster.pid", 3)
        .pop()
        .and_then(|file| std::fs::read_to_string(file).ok())
        .is_some_and(|text| text.lines().nth(7).is_some_and(|line| line.trim() == "ready"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_it_the_port_is_closed_for_a_moment_and_nothing_is_lost() {
    let mut deployment = Deployment::new();
    deployment.start().await;
    let admin = Api::new(&deployment).admin().await;
    let gonggus = admin.open_gonggus(5).await;
    let load = Load::start(&LoadPlan::new(deployment.address(), &gonggus));
    load.more_given(500).await;
    deployment.signal(Signal::TERM);
    let status = deployment.exited(Duration::from_secs(25)).await;
    assert!(status.success(), "{status}");

    deployment.spawn(None);
    let started = Instant::now();
    let mut postgres_up_at = None;
    let closed_for = loop {
        if postgres_up_at.is_none() && postgres_is_up(&deployment) {
            postgres_up_at = Some(Instant::now());
        }
        if tokio::net::TcpStream::connect(deployment.address()).await.is_ok() {
            break postgres_up_at.map_or(Duration::ZERO, |up| up.elapsed());
        }
        assert!(started.elapsed() < LONG, "the port does not open");
        poll_pause().await;
    };
    assert!(closed_for < Duration::from_secs(2), "the port opened {closed_for:?} after PostgreSQL was up");

    deployment.ready().await;
    load.more_given(500).await;
    let tally = load.stop().await;
    assert!(tally.strange().is_empty(), "{:?}", tally.strange());
    assert_eq!(tally.unrecorded.load(Ordering::Relaxed), 0);
    balance(&deployment, &admin, &gonggus, &tally.given(), tally.sent.load(Ordering::Relaxed)).await;
    deployment.stop().await;
}
