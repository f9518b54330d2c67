//! A log of prepared clicks, a store that forgets, and the real actors between them.

use async_trait::async_trait;
use gonggumoa_actors::{Assignments, TrackingConfig, TrackingDeps, TrackingHandle};
use gonggumoa_benches::requests::Visitors;
use gonggumoa_benches::sample::{self, RUN};
use gonggumoa_core::ids::{PartitionId, Position};
use gonggumoa_core::judge::rules::{RulesActivation, RulesSettings, StoredRules};
use gonggumoa_core::live::MemoryCounters;
use gonggumoa_core::log::{ClickLog, LogBatch, LogEntry, LogError, LogPosition, LogReader};
use gonggumoa_core::store::{
    ClickStore, GongguSnapshot, JudgedBatch, LoadRequest, PartitionProgress, StoreError,
};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use uuid::Uuid;

const PARTITION: PartitionId = PartitionId(0);
const DEADLINE: Duration = Duration::from_secs(120);
/// Neighbouring clicks are of different gonggus, as they are in a log; the prime scatters them.
const STRIDE: u64 = 7_919;
const CLICKS_PER_SECOND: u64 = 20_000;

/// Clicks made ahead, handed out when the gate opens.
#[derive(Clone, Default)]
pub(crate) struct Log {
    ready: Arc<Mutex<VecDeque<LogBatch>>>,
    opened: Arc<Notify>,
}

struct Reader(Log);

#[async_trait]
impl LogReader for Reader {
    async fn next(&mut self, _entries_max: usize) -> Result<LogBatch, LogError> {
        loop {
            let opened = self.0.opened.notified();
            if let Some(batch) = self.0.ready.lock().pop_front() {
                return Ok(batch);
            }
            opened.await;
        }
    }
}

#[async_trait]
impl ClickLog for Log {
    fn partitions(&self) -> Vec<PartitionId> {
        vec![PARTITION]
    }

    async fn durable_end(&self, _partition: PartitionId) -> Result<Position, LogError> {
        Ok(Position(0))
    }

    async fn reader(
        &self,
        _partition: PartitionId,
        _after: Option<LogPosition>,
    ) -> Result<Box<dyn LogReader>, LogError> {
        Ok(Box::new(Reader(self.clone())))
    }

    async fn release(&self, _partition: PartitionId, _reader: &'static str, _through: LogPosition) {}
}

/// Takes everything, keeps the rules only.
#[derive(Default)]
pub(crate) struct Store {
    rules: Mutex<Vec<StoredRules>>,
    activations: Mutex<Vec<RulesActivation>>,
    /// Questions for gonggus, and the gonggus asked for.
    pub(crate) loads: AtomicU64,
    pub(crate) loaded: AtomicU64,
}

#[async_trait]
impl ClickStore for Store {
    async fn claim(
        &self,
        _partition: PartitionId,
        _owner: Uuid,
    ) -> Result<Option<PartitionProgress>, StoreError> {
        Ok(None)
    }

    async fn progress(&self, _partition: PartitionId) -> Result<Option<PartitionProgress>, StoreError> {
        Ok(None)
    }

    async fn rules(&self) -> Result<Vec<StoredRules>, StoreError> {
        Ok(self.rules.lock().clone())
    }

    async fn put_rules(&self, settings: &RulesSettings) -> Result<StoredRules, StoreError> {
        let stored = StoredRules { version: 1, settings: settings.clone() };
        *self.rules.lock() = vec![stored.clone()];
        Ok(stored)
    }

    async fn activations(&self, _partition: PartitionId) -> Result<Vec<RulesActivation>, StoreError> {
        Ok(self.activations.lock().clone())
    }

    async fn activate(
        &self,
        _owner: Uuid,
        activation: RulesActivation,
    ) -> Result<RulesActivation, StoreError> {
        *self.activations.lock() = vec![activation];
        Ok(activation)
    }

    async fn quarantined(
        &self,
        _partition: PartitionId,
        _after: Position,
    ) -> Result<Vec<Position>, StoreError> {
        Ok(Vec::new())
    }

    async fn load(&self, requests: &[LoadRequest]) -> Result<Vec<GongguSnapshot>, StoreError> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        self.loaded.fetch_add(requests.len() as u64, Ordering::Relaxed);
        Ok(vec![GongguSnapshot::default(); requests.len()])
    }

    async fn store(&self, _batch: &JudgedBatch) -> Result<(), StoreError> {
        Ok(())
    }
}

/// The actors at work.
pub(crate) struct World {
    log: Log,
    pub(crate) store: Arc<Store>,
    handle: TrackingHandle,
    /// The last click made.
    made: u64,
    batch_clicks: u64,
}

impl World {
    pub(crate) async fn start(config: TrackingConfig) -> anyhow::Result<Self> {
        let (log, store) = (Log::default(), Arc::<Store>::default());
        let deps = TrackingDeps {
            log: Arc::new(log.clone()),
            store: Arc::<Store>::clone(&store),
            counters: Arc::<MemoryCounters>::default(),
            rules: RulesSettings::standard("bench".to_owned()),
            publisher: None,
            retired: tokio::sync::watch::channel(Arc::default()).1,
        };
        let batch_clicks = config.batch_entries_max as u64;
        let handle = gonggumoa_actors::spawn(config, deps, Assignments::All).await?;
        Ok(Self { log, store, handle, made: 0, batch_clicks })
    }

    /// So many clicks of different visitors, spread evenly over the gonggus from `first` on.
    pub(crate) fn prepare(&mut self, clicks: u64, first: u64, gonggus: u64) -> VecDeque<LogBatch> {
        let mut batches = VecDeque::new();
        let end = self.made + clicks;
        while self.made < end {
            let size = self.batch_clicks.min(end - self.made);
            let entries = (self.made..self.made + size).map(|number| {
                let gonggu = first + number * STRIDE % gonggus;
                let click = sample::raw_click(number, gonggu, Visitors::Different, CLICKS_PER_SECOND);
                (Position(number + 1), LogEntry::Click(click))
            });
            let entries = entries.collect();
            self.made += size;
            let end = LogPosition { through: Position(self.made), run: RUN };
            // Neither waits for more: what is measured is work, not rhythm.
            batches.push_back(LogBatch { entries, arrivals: None, history: None, end, more: true });
        }
        batches
    }

    /// Has them judged and stored.
    pub(crate) async fn judge(&self, batches: VecDeque<LogBatch>) -> anyhow::Result<()> {
        self.log.ready.lock().extend(batches);
        self.log.opened.notify_one();
        let stored = self.handle.stored_through(PARTITION, Position(self.made), DEADLINE).await;
        anyhow::ensure!(stored, "not stored in time: {:?}", self.handle.status());
        Ok(())
    }

    /// Waits until so many gonggus are in memory, and so many of them have an actor.
    pub(crate) async fn reach(&self, is_there: impl Fn(usize, usize) -> bool) -> anyhow::Result<()> {
        let mut watch = self.handle.watch();
        let reached = watch.wait_for(|statuses| {
            statuses.values().all(|status| is_there(status.live_gonggus, status.awake_gonggus))
        });
        tokio::time::timeout(DEADLINE, reached).await??;
        Ok(())
    }

    pub(crate) async fn stop(self) {
        // It never drains, since the log has no end: the deadline is what stops the actors.
        self.handle.drain(Duration::ZERO).await;
    }
}
