#![allow(clippy::unwrap_used, clippy::expect_used)]
//! A compare-and-set whose request or answer is lost on its way.

use super::super::testing::TestStore;
use super::super::{CqlClickStore, CqlConfig};
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::GongguId;
use gonggumoa_core::judge::totals::RollupLevel;
use gonggumoa_core::store::conformance::fixture::{self, START, Writer};
use gonggumoa_core::store::{ClickQueries, ClickStore, JudgedBatch, StoreError};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What goes missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Loss {
    Request,
    Answer,
    /// The answer, and all that is asked after it.
    Everything,
}

/// A way to a node on which the next move of a position can be lost, and nothing else is.
struct Way {
    address: String,
    next: Arc<Mutex<Option<Loss>>>,
    cut: Arc<Mutex<bool>>,
}

/// Runs' marks are sent with a position and with nothing else.
const MARKS: &[u8] = b"superseded";

fn moves_a_position(frame: &[u8]) -> bool {
    frame.windows(MARKS.len()).any(|window| window == MARKS)
}

/// A frame of the protocol's version 4: nine bytes, the last four of which say how long the rest is.
async fn frame(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut frame = vec![0; 9];
    from.read_exact(&mut frame).await?;
    let length = u32::from_be_bytes([frame[5], frame[6], frame[7], frame[8]]) as usize;
    frame.resize(9 + length, 0);
    from.read_exact(&mut frame[9..]).await?;
    Ok(frame)
}

impl Way {
    async fn to(node: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let way = Self { address, next: Arc::default(), cut: Arc::default() };
        let (node, next, cut) = (node.to_owned(), way.next.clone(), way.cut.clone());
        tokio::spawn(async move {
            while let Ok((inbound, _)) = listener.accept().await {
                let outbound = TcpStream::connect(&node).await.unwrap();
                tokio::spawn(carry(inbound, outbound, next.clone(), cut.clone()));
            }
        });
        way
    }

    async fn store(&self, subject: &TestStore) -> CqlClickStore {
        let mut config: CqlConfig = subject.config.clone();
        config.nodes = vec![self.address.clone()];
        // Long enough for a busy node, since it is waited for in full.
        config.request_timeout = Duration::from_secs(5);
        CqlClickStore::connect(config, subject.database.store.pool().clone()).await.unwrap()
    }
}

async fn carry(
    inbound: TcpStream,
    outbound: TcpStream,
    next: Arc<Mutex<Option<Loss>>>,
    cut: Arc<Mutex<bool>>,
) {
    let (mut from_driver, mut to_driver) = inbound.into_split();
    let (mut from_node, mut to_node) = outbound.into_split();
    let unanswered: Mutex<HashSet<[u8; 2]>> = Mutex::default();
    let requests = async {
        while let Ok(request) = frame(&mut from_driver).await {
            if *cut.lock() {
                continue;
            }
            let loss = if moves_a_position(&request) { next.lock().take() } else { None };
            if loss == Some(Loss::Request) {
                continue;
            }
            if loss.is_some() {
                unanswered.lock().insert([request[2], request[3]]);
            }
            if loss == Some(Loss::Everything) {
                *cut.lock() = true;
            }
            if to_node.write_all(&request).await.is_err() {
                break;
            }
        }
    };
    let answers = async {
        while let Ok(answer) = frame(&mut from_node).await {
            let is_lost = unanswered.lock().remove(&[answer[2], answer[3]]);
            if !is_lost && to_driver.write_all(&answer).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = requests => {}
        () = answers => {}
    }
}

/// Clicks and billable clicks of the hour, as everybody else sees them.
async fn seen(store: &CqlClickStore, gonggu_id: GongguId) -> (usize, u64) {
    let clicks = store.clicks(gonggu_id, UnixMillis::MIN, UnixMillis::MAX, None, 1_000).await.unwrap();
    let to = START.plus_millis(3_600_000);
    let rows = store.rollups(gonggu_id, RollupLevel::Minute, START, to).await.unwrap();
    (clicks.len(), rows.iter().map(|row| row.counts.billable).sum())
}

async fn is_at_end(store: &CqlClickStore, batch: &JudgedBatch) -> bool {
    store.progress(batch.partition).await.unwrap().as_ref() == Some(&batch.to)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_told_by_reading_and_a_lost_request_by_trying_again() {
    let Some(subject) = TestStore::open().await else { return };
    let way = Way::to(&subject.config.nodes[0]).await;
    let store = way.store(&subject).await;
    let (mut writer, gonggu_id) = (Writer::claim(&*subject.store, 0).await, fixture::gonggu());
    let mut batches = Vec::new();
    // The first position is inserted, later ones are updates: both may be lost.
    for round in 0..2 {
        let clicks = writer.clicks(&[gonggu_id], 10);
        let batch = writer.batch(clicks);
        *way.next.lock() = Some(Loss::Answer);
        store.store(&batch).await.unwrap();
        assert_eq!(*way.next.lock(), None, "it was lost");
        assert!(is_at_end(&subject.store, &batch).await);
        assert_eq!(seen(&subject.store, gonggu_id).await, (20 * round + 10, 20 * round as u64 + 10));
        batches.push(batch);

        let clicks = writer.clicks(&[gonggu_id], 10);
        let batch = writer.batch(clicks);
        *way.next.lock() = Some(Loss::Request);
        let error = store.store(&batch).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)) && error.retryable(), "{error:?}");
        assert!(!is_at_end(&subject.store, &batch).await);
        store.store(&batch).await.unwrap();
        assert!(is_at_end(&subject.store, &batch).await);
        assert_eq!(seen(&subject.store, gonggu_id).await, (20 * round + 20, 20 * round as u64 + 20));
        batches.push(batch);
    }
    store.store(&batches[3]).await.unwrap();
    let error = store.store(&batches[1]).await.unwrap_err();
    assert!(matches!(error, StoreError::PositionMoved { .. }), "{error:?}");
    assert_eq!(seen(&subject.store, gonggu_id).await, (40, 40), "each click is one row");
    subject.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_fell_silent_after_the_last_step_has_stored_the_batch_once() {
    let Some(subject) = TestStore::open().await else { return };
    let way = Way::to(&subject.config.nodes[0]).await;
    let store = way.store(&subject).await;
    let (mut writer, gonggu_id) = (Writer::claim(&*subject.store, 0).await, fixture::gonggu());
    let clicks = writer.clicks(&[gonggu_id], 10);
    let batch = writer.batch(clicks);
    *way.next.lock() = Some(Loss::Everything);
    // Neither the compare-and-set nor the read after it has an answer.
    let error = store.store(&batch).await.unwrap_err();
    assert!(error.retryable(), "{error:?}");
    *way.cut.lock() = false;
    store.store(&batch).await.unwrap();
    assert!(is_at_end(&subject.store, &batch).await);
    assert_eq!(seen(&subject.store, gonggu_id).await, (10, 10));
    let clicks = writer.clicks(&[gonggu_id], 10);
    store.store(&writer.batch(clicks)).await.unwrap();
    assert_eq!(seen(&subject.store, gonggu_id).await, (20, 20));
    subject.close().await;
}
