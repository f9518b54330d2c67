//! A shared log that edges fill, and judges that share it out, for the tests of partitions that move.

use super::*;
use crate::handle::AssignmentChange;
use gonggumoa_core::ids::ClickId;
use gonggumoa_core::judged::JudgedPublisher;
use gonggumoa_core::log::Arrival;
use gonggumoa_core::log::partitioning::Partitioning;
use gonggumoa_core::store::ClickStore;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroU32;
use tokio::sync::{mpsc, oneshot};

pub(super) const PARTITIONS: u32 = 3;
const EDGES: u64 = 2;

pub(super) fn edge(number: u64) -> RunId {
    RunId(Uuid::from_u128(100 + u128::from(number)))
}

/// Numbers as good as random, the same each time.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Edges that send clicks and time marks, and now and then send the last ones again.
pub(super) struct Edges {
    pub(super) log: MemoryLog,
    partitioning: Partitioning,
    sequences: HashMap<u64, u64>,
    sent: BTreeMap<(u64, PartitionId), Vec<(LogEntry, Arrival)>>,
    pub(super) clicks: u64,
    silent: Option<u64>,
}

impl Edges {
    pub(super) fn new() -> Self {
        Self {
            log: MemoryLog::shared(RunId(Uuid::from_u128(9)), 1, PARTITIONS),
            partitioning: Partitioning::new(NonZeroU32::new(PARTITIONS).unwrap()),
            sequences: HashMap::new(),
            sent: BTreeMap::new(),
            clicks: 0,
            silent: None,
        }
    }

    /// So many clicks of returning visitors on a few gonggus; without dice nothing is sent again.
    pub(super) fn send(&mut self, clicks: u64, mut dice: Option<&mut Dice>) {
        for _ in 0..clicks {
            let number = self.clicks;
            self.clicks += 1;
            let gonggu_id = gonggu(number % 7);
            let address = IpAddr::from([203, 0, 113, (number * 7 % 40) as u8]);
            let click = ClickBuilder::new(number + 1).gonggu(gonggu_id).at(number as i64 * 100);
            let click = click.address(address).build();
            let by = Some(number % EDGES).filter(|by| self.silent != Some(*by)).unwrap_or(0);
            self.record(by, self.partitioning.of(gonggu_id), LogEntry::Click(click));
            if number % 9 == 8 {
                self.mark();
            }
            if let Some(dice) = dice.as_deref_mut()
                && dice.roll(6) == 0
            {
                self.send_again(dice);
            }
        }
    }

    /// A time mark of each edge in each partition.
    pub(super) fn mark(&mut self) {
        let at = TEST_EPOCH.plus_millis(self.clicks as i64 * 100);
        for by in (0..EDGES).filter(|by| self.silent != Some(*by)).collect::<Vec<_>>() {
            for id in self.partitioning.all() {
                self.record(by, id, LogEntry::TimeMark { run: edge(by), at });
            }
        }
    }

    /// This edge sends nothing more; its clicks come by the first.
    pub(super) fn silence(&mut self, edge: u64) {
        self.silent = Some(edge);
    }

    fn record(&mut self, by: u64, id: PartitionId, mut entry: LogEntry) {
        let sequence = self.sequences.entry(by).or_default();
        *sequence += 1;
        let sequence = *sequence;
        if let LogEntry::Click(click) = &mut entry {
            click.run = edge(by);
            click.sequence = sequence;
        }
        let sent = self.sent.entry((by, id)).or_default();
        let previous = sent.last().map_or(0, |(_, arrival)| arrival.sequence);
        let appended_at = TEST_EPOCH.plus_millis(self.clicks as i64 * 100);
        let arrival = Arrival { run: edge(by), sequence, previous, predecessor: None, appended_at };
        sent.push((entry.clone(), arrival));
        self.log.push_arrival(id, entry, arrival);
    }

    fn send_again(&self, dice: &mut Dice) {
        let (by, id) = (dice.roll(EDGES), PartitionId(dice.roll(u64::from(PARTITIONS)) as u32));
        let Some(sent) = self.sent.get(&(by, id)) else { return };
        let back = (1 + dice.roll(12) as usize).min(sent.len());
        for (entry, arrival) in &sent[sent.len() - back..] {
            self.log.push_arrival(id, entry.clone(), *arrival);
        }
    }

    /// What the edges recorded, each once.
    pub(super) fn recorded(&self) -> BTreeSet<ClickId> {
        let all = self.sent.values().flatten();
        all.filter_map(|(entry, _)| match entry {
            LogEntry::Click(click) => Some(click.id),
            LogEntry::TimeMark { .. } | LogEntry::Closing { .. } => None,
        })
        .collect()
    }
}

/// What the judges of one test have in common.
pub(super) struct Cluster {
    pub(super) edges: Edges,
    pub(super) store: MemoryStore,
    pub(super) config: TrackingConfig,
    pub(super) rules: RulesSettings,
    pub(super) publisher: Option<Arc<dyn JudgedPublisher>>,
    pub(super) retired: watch::Sender<Arc<BTreeSet<RunId>>>,
}

impl Cluster {
    pub(super) fn new() -> Self {
        Self {
            edges: Edges::new(),
            store: MemoryStore::new(),
            config: World::new().config,
            rules: RulesSettings::standard("test".to_owned()),
            publisher: None,
            retired: watch::channel(Arc::default()).0,
        }
    }

    fn deps(&self, store: Arc<dyn ClickStore>) -> TrackingDeps {
        TrackingDeps {
            log: Arc::new(self.edges.log.clone()),
            store,
            counters: Arc::<MemoryCounters>::default(),
            rules: self.rules.clone(),
            publisher: self.publisher.clone(),
            retired: self.retired.subscribe(),
            hook: None,
        }
    }

    pub(super) async fn judge(&self) -> Judge {
        self.judge_on(Arc::new(self.store.clone())).await
    }

    pub(super) async fn judge_on(&self, store: Arc<dyn ClickStore>) -> Judge {
        let (changes, receiver) = mpsc::channel(8);
        let assignments = Assignments::Changing(receiver);
        let handle = spawn(self.config.clone(), self.deps(store), assignments).await.unwrap();
        Judge { handle, changes }
    }

    /// The log as it is now, judged at one go by one process, in batches of this size.
    pub(super) async fn at_one_go(&self, batch_entries_max: usize) -> MemoryRows {
        let store = MemoryStore::new();
        let config = TrackingConfig { batch_entries_max, ..self.config.clone() };
        self.edges.log.close();
        let deps = self.deps(Arc::new(store.clone()));
        let handle = spawn(config, deps, Assignments::All).await.unwrap();
        assert!(handle.drain(DEADLINE).await, "{:?}", handle.status());
        self.edges.log.reopen();
        store.rows()
    }
}

/// One judging process, with the engine that tells it what is its.
pub(super) struct Judge {
    pub(super) handle: TrackingHandle,
    changes: mpsc::Sender<AssignmentChange>,
}

impl Judge {
    pub(super) async fn assign(&self, partitions: &[PartitionId]) {
        self.changes.send(AssignmentChange::Assigned(partitions.to_vec())).await.unwrap();
    }

    /// Returns when they are let go.
    pub(super) async fn revoke(&self, partitions: &[PartitionId]) {
        let done = self.begin_to_revoke(partitions).await;
        tokio::time::timeout(DEADLINE, done).await.expect("let go in time").unwrap();
    }

    pub(super) async fn begin_to_revoke(&self, partitions: &[PartitionId]) -> oneshot::Receiver<()> {
        let (done, let_go) = oneshot::channel();
        let change = AssignmentChange::Revoked { partitions: partitions.to_vec(), done };
        self.changes.send(change).await.unwrap();
        let_go
    }

    pub(super) async fn lose(&self, partitions: &[PartitionId]) {
        self.changes.send(AssignmentChange::Lost(partitions.to_vec())).await.unwrap();
    }

    /// As if by kill -9.
    pub(super) fn crash(self) {
        self.handle.root.kill();
    }

    pub(super) async fn until(
        &self,
        what: &str,
        reached: impl FnMut(&BTreeMap<PartitionId, crate::PartitionStatus>) -> bool,
    ) {
        let mut watch = self.handle.watch();
        let waited = tokio::time::timeout(DEADLINE, watch.wait_for(reached)).await;
        assert!(matches!(waited, Ok(Ok(_))), "{what}: {:?}", self.handle.status());
    }

    /// Waits until these are stored to their ends.
    pub(super) async fn level(&self, log: &MemoryLog, partitions: &[PartitionId]) {
        for id in partitions {
            let end = log.entries_of(*id).last().unwrap().0;
            let stored = self.handle.stored_through(*id, end, DEADLINE).await;
            assert!(stored, "{id} through {end}: {:?}", self.handle.status());
        }
    }
}

pub(super) fn all() -> Vec<PartitionId> {
    (0..PARTITIONS).map(PartitionId).collect()
}
