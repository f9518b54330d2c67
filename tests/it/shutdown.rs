//! SIGTERM under keep-alive load: clients are told to close, what was answered is kept, and the process
//! ends within its deadline.

use crate::harness::ledger::{balance, journal_holds, journal_verifies};
use crate::harness::{Api, Deployment, Load, LoadPlan};
use rustix::process::Signal;
use std::sync::atomic::Ordering;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_under_load_closes_in_order() {
    let mut deployment = Deployment::new();
    deployment.start().await;
    let postmaster = deployment.postmaster().expect("PostgreSQL runs");
    let admin = Api::new(&deployment).admin().await;
    let gonggus = admin.open_gonggus(5).await;
    let connections = 24;
    let plan = LoadPlan { connections, returns: false, ..LoadPlan::new(deployment.address(), &gonggus) };
    let load = Load::start(&plan);
    load.more_given(1_000).await;
    deployment.signal(Signal::TERM);
    // the default deadline is 20 s
    let status = deployment.exited(Duration::from_secs(22)).await;
    assert!(status.success(), "{status}\n{}", deployment.log_text());
    let tally = load.ended().await;
    // a connection that is idle at that moment is closed; one with a request under way is told so
    assert!(tally.told_to_close.load(Ordering::Relaxed) > 0, "no connection was told to close");
    assert!(tally.strange().is_empty(), "{:?}", tally.strange());
    assert_eq!(tally.unrecorded.load(Ordering::Relaxed), 0);
    deployment.postgres_gone(postmaster).await;
    let recorded = journal_verifies(&deployment).await;
    journal_holds(&deployment, &tally.given());

    deployment.start().await;
    let admin = Api::new(&deployment).admin().await;
    let rows =
        balance(&deployment, &admin, &gonggus, &tally.given(), tally.sent.load(Ordering::Relaxed)).await;
    assert_eq!(rows.len() as u64, recorded, "clicks in the journal and rows");
    deployment.stop().await;
}

/// A client that never finishes its request must not hold the process beyond its deadline.
#[tokio::test]
async fn a_client_that_hangs_does_not_hold_the_stop() {
    use crate::harness::wire::Connection;
    let mut deployment = Deployment::new();
    deployment.set("SHUTDOWN_TIMEOUT_SECONDS", "4").start().await;
    let mut idle = Vec::new();
    for bytes in [
        &b""[..],
        b"GET /go/",
        b"POST /api/v1/tracking/click HTTP/1.1\r\nHost: a\r\nContent-Length: 90\r\n\r\n{",
    ] {
        let mut connection = Connection::open(deployment.address()).await.unwrap();
        connection.send(bytes).await.unwrap();
        idle.push(connection);
    }
    deployment.signal(Signal::TERM);
    let status = deployment.exited(Duration::from_secs(9)).await;
    assert!(status.success(), "{status}");
    drop(idle);
}
