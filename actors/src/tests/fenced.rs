//! Judges that lost a partition and have not noticed: whatever they hold, none of it is stored.

use super::moving::no_visitor_counts_twice;
use super::shared::{Cluster, PARTITIONS};
use super::*;
use async_trait::async_trait;
use gonggumoa_core::ids::ClickId;
use gonggumoa_core::judge::rules::{RulesActivation, StoredRules};
use gonggumoa_core::log::partitioning::Partitioning;
use gonggumoa_core::store::{
    ClickStore, GongguSnapshot, JudgedBatch, LoadRequest, PartitionProgress, StoreError,
};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

/// A store whose `store` waits for the test's word, and remembers what came of it.
struct Gated {
    inner: MemoryStore,
    gate: Semaphore,
    waiting: watch::Sender<usize>,
    fenced: Mutex<Vec<Vec<ClickId>>>,
}

#[async_trait]
impl ClickStore for Gated {
    async fn claim(
        &self,
        partition: PartitionId,
        owner: Uuid,
    ) -> Result<Option<PartitionProgress>, StoreError> {
        self.inner.claim(partition, owner).await
    }
    async fn progress(&self, partition: PartitionId) -> Result<Option<PartitionProgress>, StoreError> {
        self.inner.progress(partition).await
    }
    async fn rules(&self) -> Result<Vec<StoredRules>, StoreError> {
        self.inner.rules().await
    }
    async fn put_rules(&self, settings: &RulesSettings) -> Result<StoredRules, StoreError> {
        self.inner.put_rules(settings).await
    }
    async fn activations(&self, partition: PartitionId) -> Result<Vec<RulesActivation>, StoreError> {
        self.inner.activations(partition).await
    }
    async fn activate(
        &self,
        owner: Uuid,
        activation: RulesActivation,
    ) -> Result<RulesActivation, StoreError> {
        self.inner.activate(owner, activation).await
    }
    async fn quarantined(
        &self,
        partition: PartitionId,
        after: Position,
    ) -> Result<Vec<Position>, StoreError> {
        self.inner.quarantined(partition, after).await
    }
    async fn load(&self, requests: &[LoadRequest]) -> Result<Vec<GongguSnapshot>, StoreError> {
        self.inner.load(requests).await
    }
    async fn store(&self, batch: &JudgedBatch) -> Result<(), StoreError> {
        self.waiting.send_modify(|waiting| *waiting += 1);
        self.gate.acquire().await.unwrap().forget();
        let result = self.inner.store(batch).await;
        if matches!(result, Err(StoreError::Fenced { .. })) {
            self.fenced.lock().push(batch.clicks.iter().map(|click| click.click.id).collect());
        }
        result
    }
}

impl Gated {
    /// Lets so many batches through.
    fn new(cluster: &Cluster, batches: usize) -> Arc<Self> {
        Arc::new(Self {
            inner: cluster.store.clone(),
            gate: Semaphore::new(batches),
            waiting: watch::channel(0).0,
            fenced: Mutex::default(),
        })
    }

    /// Returns when this many batches came to be stored, those included that were.
    async fn until(&self, batches: usize) {
        let mut waiting = self.waiting.subscribe();
        let reached = waiting.wait_for(|waiting| *waiting >= batches);
        tokio::time::timeout(DEADLINE, reached).await.expect("a batch comes").unwrap();
    }
}

/// A partition that has clicks.
fn busy() -> PartitionId {
    Partitioning::new(PARTITIONS.try_into().unwrap()).of(gonggu(1))
}

fn clicks_of(rows: &MemoryRows, id: PartitionId) -> Vec<&gonggumoa_core::click::JudgedClick> {
    let partitioning = Partitioning::new(PARTITIONS.try_into().unwrap());
    rows.clicks.values().filter(|click| partitioning.of(click.click.gonggu_id) == id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_judge_that_lost_its_partition_unknowingly_cannot_store() {
    let mut cluster = Cluster::new();
    cluster.edges.send(60, None);
    cluster.edges.mark();
    let id = busy();
    let gated = Gated::new(&cluster, 1);
    let zombie = cluster.judge_on(Arc::<Gated>::clone(&gated)).await;
    zombie.assign(&[id]).await;
    // It has stored a batch and hangs with the next one judged.
    gated.until(2).await;
    let successor = cluster.judge().await;
    successor.assign(&[id]).await;
    successor.level(&cluster.edges.log, &[id]).await;
    let rows = cluster.store.rows();
    gated.gate.add_permits(1);
    zombie.until("it notices", |statuses| statuses[&id].restarts > 0).await;
    assert_eq!(gated.fenced.lock().len(), 1);
    assert!(!gated.fenced.lock()[0].is_empty());
    same(&rows, &cluster.store.rows());
    assert_eq!(rows.batches_stored, cluster.store.rows().batches_stored, "nothing of it was stored");
    // It is opened anew at the successor's place; told at last, it goes.
    gated.gate.add_permits(100);
    zombie.level(&cluster.edges.log, &[id]).await;
    zombie.lose(&[id]).await;
    zombie.until("gone", |statuses| statuses.is_empty()).await;
    cluster.edges.send(30, None);
    cluster.edges.mark();
    successor.level(&cluster.edges.log, &[id]).await;
    no_visitor_counts_twice(&cluster.store.rows());
    let expected = cluster.at_one_go(500).await;
    assert_eq!(cluster.store.rows().progress[&id], expected.progress[&id]);
    assert_eq!(clicks_of(&cluster.store.rows(), id), clicks_of(&expected, id));
}

/// The position alone would let it go on: its batch is the successor's own last one, and its next one begins there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_judge_whose_batch_ends_where_the_successor_stands_cannot_store() {
    let mut cluster = Cluster::new();
    cluster.edges.send(90, None);
    cluster.edges.mark();
    let id = busy();
    let (of_zombie, of_successor) = (Gated::new(&cluster, 1), Gated::new(&cluster, 1));
    let zombie = cluster.judge_on(Arc::<Gated>::clone(&of_zombie)).await;
    zombie.assign(&[id]).await;
    of_zombie.until(2).await;
    let successor = cluster.judge_on(Arc::<Gated>::clone(&of_successor)).await;
    successor.assign(&[id]).await;
    // Batches have the same borders: the successor has stored what the zombie has in its hands, and not more.
    of_successor.until(2).await;
    let rows = cluster.store.rows();
    assert_eq!(rows.batches_stored, 2);
    of_zombie.gate.add_permits(1);
    zombie.until("it notices", |statuses| statuses[&id].restarts > 0).await;
    assert_eq!(of_zombie.fenced.lock().len(), 1);
    assert_eq!(rows.batches_stored, cluster.store.rows().batches_stored);
    same(&rows, &cluster.store.rows());
    // Opened anew, it has taken the partition back; told at last, it goes, and the successor claims again.
    zombie.lose(&[id]).await;
    zombie.until("gone", |statuses| statuses.is_empty()).await;
    of_successor.gate.add_permits(1_000);
    successor.level(&cluster.edges.log, &[id]).await;
    let expected = cluster.at_one_go(500).await;
    assert_eq!(clicks_of(&cluster.store.rows(), id), clicks_of(&expected, id));
    assert_eq!(cluster.store.rows().progress[&id], expected.progress[&id]);
}

/// The successor's rules come into force at the log's end as it saw it; the zombie goes past that by the old ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_judge_with_old_rules_stores_nothing_past_the_new_ones_border() {
    let mut cluster = Cluster::new();
    cluster.edges.send(40, None);
    cluster.edges.mark();
    let id = busy();
    let (of_zombie, of_successor) = (Gated::new(&cluster, 1), Gated::new(&cluster, 0));
    let zombie = cluster.judge_on(Arc::<Gated>::clone(&of_zombie)).await;
    zombie.assign(&[id]).await;
    of_zombie.until(2).await;
    cluster.rules.dedup_window_millis = 1_000;
    let successor = cluster.judge_on(Arc::<Gated>::clone(&of_successor)).await;
    successor.assign(&[id]).await;
    // It has activated its rules, and has stored nothing yet.
    of_successor.until(1).await;
    let border = cluster.store.rows().activations.last().copied().unwrap();
    assert_eq!((border.partition, border.version), (id, 2));
    cluster.edges.send(60, None);
    cluster.edges.mark();
    let end = cluster.edges.log.entries_of(id).last().unwrap().0;
    assert!(border.from <= end);
    of_zombie.gate.add_permits(1_000);
    // By the position alone it would be the first to store, to the end of the log.
    assert!(zombie.handle.stored_through(id, end, DEADLINE).await, "{:?}", zombie.handle.status());
    zombie.lose(&[id]).await;
    of_successor.gate.add_permits(1_000);
    successor.level(&cluster.edges.log, &[id]).await;
    cluster.edges.send(30, None);
    cluster.edges.mark();
    successor.level(&cluster.edges.log, &[id]).await;

    let rows = cluster.store.rows();
    let in_force = |position: Position| {
        let before = rows.activations.iter().filter(|activation| activation.partition == id);
        before.filter(|activation| activation.from <= position).max_by_key(|activation| activation.from)
    };
    let clicks = clicks_of(&rows, id);
    for click in &clicks {
        let expected = in_force(click.position).map(|activation| activation.version);
        assert_eq!(Some(click.judgement.rules_version), expected, "at {}", click.position);
    }
    assert!(clicks.iter().any(|click| click.judgement.rules_version == 2));
    assert_eq!(of_zombie.fenced.lock().len(), 1);
}
