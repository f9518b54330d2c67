//! Both generators against a server that knows how often it was asked.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::open_loop;
use crate::requests::Visitors;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use uuid::Uuid;

/// Answers with a click id each other time, and counts.
fn server() -> (SocketAddr, Arc<AtomicU64>) {
    let asked = Arc::new(AtomicU64::new(0));
    let counter = asked.clone();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async move {
            let handler = get(move || async move {
                let number = counter.fetch_add(1, Ordering::SeqCst);
                let name = if number.is_multiple_of(2) { "x-click-id" } else { "x-other" };
                (StatusCode::FOUND, [(name, "1")], "body")
            });
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send(listener.local_addr().unwrap()).unwrap();
            axum::serve(listener, Router::new().route("/go/{id}", handler)).await.unwrap();
        });
    });
    (receiver.recv().unwrap(), asked)
}

#[test]
fn every_answer_is_counted_once() {
    let (address, asked) = server();
    let requests = Arc::new(Requests::new(&[Uuid::nil()], Visitors::Different));
    let drive =
        Drive { connections: 4, duration: Duration::from_millis(200), rate_per_second: Some(1_000.0) };
    let outcome = run(address, &requests, drive, &Arc::new(Tally::default())).unwrap();
    let count = asked.load(Ordering::SeqCst);
    assert_eq!((outcome.redirected, outcome.failed), (count, 0));
    assert_eq!(outcome.recorded, count.div_ceil(2));
    // The rate is held but for the requests that were under way at the end.
    assert!((1..=210).contains(&count), "{count}");

    let latencies = open_loop::run(address, &requests, 500.0, 3, Duration::from_millis(200)).unwrap();
    assert_eq!(asked.load(Ordering::SeqCst) - count, 100, "exactly those that were due");
    assert_eq!(latencies.failed, 0);
    assert!(latencies.percentile_micros(100.0) > 0.0);
}
