//! Partitions that cannot go on: all before the obstacle is stored, nothing behind it, and the others go on.

use super::shared::{Cluster, PARTITIONS, all, edge};
use super::*;
use async_trait::async_trait;
use gonggumoa_core::ids::ClickId;
use gonggumoa_core::judged::{JudgedPublisher, PublishError};
use gonggumoa_core::log::{Arrival, LogPosition};
use gonggumoa_core::store::{ClickStore, JudgedBatch, PartitionProgress};
use parking_lot::Mutex;

fn problem(status: &crate::PartitionStatus) -> Option<&str> {
    match &status.step {
        PartitionStep::Stopped { problem } => Some(problem),
        _ => None,
    }
}

fn others() -> Vec<PartitionId> {
    (1..PARTITIONS).map(PartitionId).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_behind_a_missing_record_is_judged() {
    let mut cluster = Cluster::new();
    cluster.edges.send(100, None);
    cluster.edges.mark();
    let log = cluster.edges.log.clone();
    let last = log.entries_of(P).last().unwrap().0;
    // Sequences of the edge that never came in between.
    let (appended_at, run) = (TEST_EPOCH.plus_millis(11_000), edge(0));
    let torn = Arrival { run, sequence: 9_000, previous: 8_999, predecessor: None, appended_at };
    let behind = log.push_arrival(P, LogEntry::TimeMark { run, at: appended_at }, torn);
    cluster.edges.send(60, None);
    cluster.edges.mark();
    let judge = cluster.judge().await;
    judge.assign(&all()).await;
    judge.until("it stops", |statuses| statuses.get(&P).is_some_and(|s| problem(s).is_some())).await;
    let status = judge.handle.status().remove(&P).unwrap();
    let why = problem(&status).unwrap();
    assert!(why.contains("gap") && why.contains(&behind.to_string()) && why.contains("9000"), "{why}");
    assert_eq!(cluster.store.rows().progress[&P].position.through, last, "all before it is stored");
    judge.level(&log, &others()).await;
    let beyond = |click: &&gonggumoa_core::click::JudgedClick| click.position > last;
    let of_stopped = cluster.store.rows();
    let of_stopped =
        of_stopped.clicks.values().filter(beyond).filter(|c| partition_of(c.click.gonggu_id) == P);
    assert_eq!(of_stopped.count(), 0);
    // Another judge gets no further, and a partition that is stopped can be let go.
    judge.revoke(&all()).await;
    let next = cluster.judge().await;
    next.assign(&all()).await;
    next.until("it stops again", |statuses| statuses.get(&P).is_some_and(|s| problem(s).is_some())).await;
    assert_eq!(cluster.store.rows().progress[&P].position.through, last);
    log.close();
    assert!(!next.handle.drain(DEADLINE).await, "not everything is stored");
}

fn partition_of(gonggu_id: GongguId) -> PartitionId {
    gonggumoa_core::log::partitioning::Partitioning::new(PARTITIONS.try_into().unwrap()).of(gonggu_id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_of_a_newer_version_stops_its_partition() {
    let mut cluster = Cluster::new();
    cluster.edges.send(40, None);
    cluster.edges.mark();
    let log = cluster.edges.log.clone();
    let last = log.entries_of(P).last().unwrap().0;
    log.push_newer(P, 7);
    cluster.edges.mark();
    let judge = cluster.judge().await;
    judge.assign(&all()).await;
    judge.until("it stops", |statuses| statuses.get(&P).is_some_and(|s| problem(s).is_some())).await;
    let status = judge.handle.status().remove(&P).unwrap();
    assert!(problem(&status).unwrap().contains("version 7"), "{status:?}");
    assert_eq!((status.restarts, status.live_gonggus), (0, 0));
    assert_eq!(cluster.store.rows().progress[&P].position.through, last);
    judge.level(&log, &others()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_that_the_log_does_not_hold_stops_its_partition() {
    for (epoch, offset, history) in [(1, 5_000, 9), (1, 0, 8), (2, 0, 9)] {
        let mut cluster = Cluster::new();
        cluster.edges.send(30, None);
        cluster.edges.mark();
        let position =
            LogPosition { through: Position::in_epoch(epoch, offset), run: RunId(Uuid::from_u128(history)) };
        let owner = Uuid::new_v4();
        cluster.store.claim(P, owner).await.unwrap();
        let batch = JudgedBatch {
            partition: P,
            owner,
            from: None,
            to: PartitionProgress { position, marks: Vec::new() },
            clicks: Vec::new(),
            heads: Vec::new(),
            rollups: Vec::new(),
            flags: Vec::new(),
            quarantined: Vec::new(),
        };
        cluster.store.store(&batch).await.unwrap();
        let judge = cluster.judge().await;
        judge.assign(&all()).await;
        judge.until("it stops", |statuses| statuses.get(&P).is_some_and(|s| problem(s).is_some())).await;
        judge.level(&cluster.edges.log, &others()).await;
        assert_eq!(cluster.store.rows().progress[&P].position, position);
    }
}

/// Remembers what it was told, refuses as often as it is to, and looks into the store.
struct Told {
    store: MemoryStore,
    clicks: Mutex<Vec<ClickId>>,
    failures: AtomicU32,
    refuses: bool,
}

#[async_trait]
impl JudgedPublisher for Told {
    async fn publish(&self, batch: &JudgedBatch) -> Result<(), PublishError> {
        if self.refuses {
            return Err(PublishError::Refused("too large".into()));
        }
        let stored = self.store.rows().clicks;
        assert!(batch.clicks.iter().all(|click| !stored.contains_key(&click.click.id)), "told first");
        let left = self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_ok() {
            return Err(PublishError::Unavailable("not now".into()));
        }
        self.clicks.lock().extend(batch.clicks.iter().map(|click| click.click.id));
        Ok(())
    }
}

fn told(cluster: &Cluster, failures: u32, refuses: bool) -> Arc<Told> {
    let (store, failures) = (cluster.store.clone(), AtomicU32::new(failures));
    Arc::new(Told { store, clicks: Mutex::default(), failures, refuses })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_verdict_is_told_before_it_is_stored() {
    let mut cluster = Cluster::new();
    cluster.edges.send(100, None);
    cluster.edges.mark();
    let publisher = told(&cluster, 5, false);
    cluster.publisher = Some(Arc::<Told>::clone(&publisher));
    let judge = cluster.judge().await;
    judge.assign(&all()).await;
    judge.level(&cluster.edges.log, &all()).await;
    let told = publisher.clicks.lock().clone();
    assert_eq!(told.len(), 100, "once each, as nothing crashed");
    assert_eq!(told.into_iter().collect::<std::collections::BTreeSet<_>>(), cluster.edges.recorded());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_never_be_told_is_not_stored() {
    let mut cluster = Cluster::new();
    cluster.edges.send(30, None);
    cluster.publisher = Some(told(&cluster, 0, true));
    let judge = cluster.judge().await;
    judge.assign(&[partition_of(gonggu(0))]).await;
    judge.until("it stops", |statuses| statuses.values().any(|s| problem(s).is_some())).await;
    assert!(cluster.store.rows().clicks.is_empty());
}
