//! Clients that go away in the middle: their requests end with them and leave nothing behind, above all
//! no connection with somebody's transaction still open in it.

use crate::harness::database::number;
use crate::harness::wire::Connection;
use crate::harness::{Api, Deployment, LONG, Visitor, eventually};
use std::net::SocketAddr;
use std::time::Duration;

/// A transaction that its request no longer waits for.
const LEFT_OPEN: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
    AND state LIKE 'idle in transaction%' AND state_change < now() - interval '1 second'";

/// Sends a request and goes away after a few microseconds up to some milliseconds: before, while and
/// after it is being answered.
async fn abandon(address: SocketAddr, request: String) {
    let mut connection = Connection::open(address).await.unwrap();
    connection.send(request.as_bytes()).await.unwrap();
    let patience = Duration::from_micros(rand::random_range(0..8_000));
    tokio::time::timeout(patience, connection.receive(false)).await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abandoned_requests_leave_no_transaction_open() {
    let mut deployment = Deployment::new();
    deployment.start().await;
    let admin = Api::new(&deployment).admin().await;
    let gonggu = admin.open_gonggu().await;
    Visitor::new().go(&admin, gonggu).await.redirected();
    admin.settled(gonggu, 1).await;
    let head = format!("Host: a\r\nAuthorization: Bearer {}\r\n", admin.token());
    let body = crate::harness::GongguSpec::default().body().to_string();
    let with_body =
        format!("{head}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let requests = [
        format!("GET /api/v1/tracking/stats/{gonggu} HTTP/1.1\r\n{head}\r\n"),
        format!("GET /api/v1/tracking/stats/{gonggu}/live HTTP/1.1\r\n{head}\r\n"),
        format!("GET /api/v1/tracking/stats/{gonggu}/clicks.csv HTTP/1.1\r\n{head}\r\n"),
        format!("PUT /api/v1/gonggus/{gonggu} HTTP/1.1\r\n{with_body}"),
        format!("POST /api/v1/gonggus HTTP/1.1\r\n{with_body}"),
    ];
    for _ in 0..60 {
        let mut leaving = tokio::task::JoinSet::new();
        for request in &requests {
            leaving.spawn(abandon(deployment.address(), request.clone()));
        }
        leaving.join_all().await;
    }
    // what follows is served by the same connections to the database
    for _ in 0..20 {
        let made = admin.open_gonggu().await;
        assert_eq!(admin.get(&format!("/api/v1/gonggus/{made}")).await.0, 200);
        Visitor::new().go(&admin, made).await.redirected();
    }
    let mut database = deployment.database().await;
    eventually("no transaction is left open", LONG, async || {
        let open = number(&mut database, LEFT_OPEN).await;
        if open == 0 { Ok(()) } else { Err(format!("{open} transactions are left open")) }
    })
    .await;
    let log = deployment.log_text();
    assert!(!log.contains("already a transaction in progress"), "a transaction was begun inside another's");
    deployment.stop().await;
}
