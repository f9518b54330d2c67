//! A journal's gonggus go on in the partitions of a shared log: all of it folds to the same.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::archive::{ArchiveConfig, replay, spawn};
use async_trait::async_trait;
use gonggumoa_core::click::testing::ClickBuilder;
use gonggumoa_core::click::{JudgedClick, Verdict};
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::{ClickId, Position, RunId};
use gonggumoa_core::judge::rules::{RulesActivation, RulesSettings, StoredRules};
use gonggumoa_core::judge::totals::{GongguHead, Rollup, RollupLevel};
use gonggumoa_core::judge::{GongguState, Rules};
use gonggumoa_core::log::memory::MemoryLog;
use gonggumoa_core::log::partitioning::Partitioning;
use gonggumoa_core::log::{Arrival, ClickLog, LogEntry, LogPosition};
use gonggumoa_core::store::memory::MemoryStore;
use gonggumoa_core::store::{
    GongguSnapshot, JudgedBatch, LoadRequest, PartitionProgress, StoreError as Error,
};
use object_store::memory::InMemory;
use std::num::NonZeroU32;
use std::time::Duration;
use uuid::Uuid;

/// A store in memory that can be asked, and may tell another verdict of one click.
#[derive(Clone, Default)]
struct Asked {
    inner: MemoryStore,
    changed: Option<ClickId>,
}

#[async_trait]
impl ClickStore for Asked {
    async fn claim(&self, partition: PartitionId, owner: Uuid) -> Result<Option<PartitionProgress>, Error> {
        self.inner.claim(partition, owner).await
    }
    async fn progress(&self, partition: PartitionId) -> Result<Option<PartitionProgress>, Error> {
        self.inner.progress(partition).await
    }
    async fn rules(&self) -> Result<Vec<StoredRules>, Error> {
        self.inner.rules().await
    }
    async fn put_rules(&self, settings: &RulesSettings) -> Result<StoredRules, Error> {
        self.inner.put_rules(settings).await
    }
    async fn activations(&self, partition: PartitionId) -> Result<Vec<RulesActivation>, Error> {
        self.inner.activations(partition).await
    }
    async fn activate(&self, owner: Uuid, activation: RulesActivation) -> Result<RulesActivation, Error> {
        self.inner.activate(owner, activation).await
    }
    async fn quarantined(&self, partition: PartitionId, after: Position) -> Result<Vec<Position>, Error> {
        self.inner.quarantined(partition, after).await
    }
    async fn load(&self, requests: &[LoadRequest]) -> Result<Vec<GongguSnapshot>, Error> {
        self.inner.load(requests).await
    }
    async fn store(&self, batch: &JudgedBatch) -> Result<(), Error> {
        self.inner.store(batch).await
    }
}

#[async_trait]
impl ClickQueries for Asked {
    async fn rollups(
        &self,
        gonggu_id: GongguId,
        level: RollupLevel,
        from: UnixMillis,
        to: UnixMillis,
    ) -> Result<Vec<Rollup>, Error> {
        let rows = self.inner.rows().rollups.into_values();
        let asked = |row: &Rollup| {
            row.key.gonggu_id == gonggu_id && row.key.level == level && from <= row.key.at && row.key.at < to
        };
        Ok(rows.filter(asked).collect())
    }
    async fn heads(&self, gonggu_ids: &[GongguId]) -> Result<Vec<GongguHead>, Error> {
        let heads = self.inner.rows().heads;
        Ok(gonggu_ids.iter().filter_map(|id| heads.get(id)).cloned().collect())
    }
    async fn complete_through(&self, _: &[PartitionId]) -> Result<UnixMillis, Error> {
        unreachable!("a replay asks for rows")
    }
    async fn clicks(
        &self,
        gonggu_id: GongguId,
        from: UnixMillis,
        to: UnixMillis,
        after: Option<(UnixMillis, Position)>,
        limit: usize,
    ) -> Result<Vec<JudgedClick>, Error> {
        let mut clicks: Vec<_> = self.inner.rows().clicks.into_values().collect();
        clicks.retain(|judged| {
            let (at, place) = (judged.click.clicked_at, Some((judged.click.clicked_at, judged.position)));
            judged.click.gonggu_id == gonggu_id && from <= at && at < to && place > after
        });
        clicks.sort_by_key(|judged| (judged.click.clicked_at, judged.position));
        clicks.truncate(limit);
        for judged in clicks.iter_mut().filter(|judged| Some(judged.click.id) == self.changed) {
            judged.judgement.verdict = Verdict::Duplicate;
        }
        Ok(clicks)
    }
}

fn gonggu(number: u64) -> GongguId {
    GongguId(Uuid::from_u128(500 + u128::from(number)))
}

struct World {
    store: Asked,
    objects: Arc<dyn ObjectStore>,
    states: HashMap<GongguId, GongguState>,
    rules: Rules,
    made: u64,
}

impl World {
    async fn new(partitions: u32) -> Self {
        let store = Asked::default();
        let stored = store.put_rules(&RulesSettings::standard("test".to_owned())).await.unwrap();
        for partition in (0..partitions).map(PartitionId) {
            let activation = RulesActivation { partition, from: Position(0), version: stored.version };
            let owner = Uuid::new_v4();
            store.claim(partition, owner).await.unwrap();
            store.activate(owner, activation).await.unwrap();
        }
        let rules = Rules::compile(&stored).unwrap();
        Self { store, objects: Arc::new(InMemory::new()), states: HashMap::new(), rules, made: 0 }
    }

    /// Logs, judges and stores so many clicks, and archives them.
    async fn go_on(&mut self, log: &MemoryLog, clicks: u64) {
        let count = NonZeroU32::new(log.partitions().len() as u32).unwrap();
        let (partitioning, history) = (Partitioning::new(count), RunId(Uuid::from_u128(clicks.into())));
        let mut batches: BTreeMap<PartitionId, Vec<JudgedClick>> = BTreeMap::new();
        let mut previous: HashMap<PartitionId, u64> = HashMap::new();
        for _ in 0..clicks {
            self.made += 1;
            let number = self.made;
            let click = ClickBuilder::new(number).gonggu(gonggu(number % 6)).at(number as i64 * 4_000);
            let click = click.from((number % 5) as u32).build();
            let id = partitioning.of(click.gonggu_id);
            let entry = LogEntry::Click(click.clone());
            let position = if partitioning == Partitioning::ONE {
                log.push(entry)
            } else {
                let previous = std::mem::replace(previous.entry(id).or_default(), number);
                let appended_at = click.clicked_at;
                let arrival =
                    Arrival { run: history, sequence: number, previous, predecessor: None, appended_at };
                log.push_arrival(id, entry, arrival)
            };
            let state =
                self.states.entry(click.gonggu_id).or_insert_with(|| GongguState::new(click.gonggu_id));
            let judgement = state.fold(position, &click, &self.rules);
            batches.entry(id).or_default().push(JudgedClick { position, click, judgement });
        }
        let mut ends = BTreeMap::new();
        for (partition, clicks) in batches {
            ends.insert(partition, clicks.last().unwrap().position);
            self.store_batch(log, partition, clicks).await;
        }
        self.archive(log, ends).await;
    }

    async fn store_batch(&mut self, log: &MemoryLog, partition: PartitionId, clicks: Vec<JudgedClick>) {
        let through = clicks.last().unwrap().position;
        let run = log.reader(partition, None).await.unwrap().next(1).await.unwrap().end.run;
        let touched: BTreeSet<_> = clicks.iter().map(|judged| judged.click.gonggu_id).collect();
        let owner = Uuid::new_v4();
        let from = self.store.claim(partition, owner).await.unwrap().map(|progress| progress.position);
        let mut batch = JudgedBatch {
            partition,
            owner,
            from,
            to: PartitionProgress { position: LogPosition { through, run }, marks: Vec::new() },
            clicks,
            heads: Vec::new(),
            rollups: Vec::new(),
            flags: Vec::new(),
            quarantined: Vec::new(),
        };
        for gonggu_id in touched {
            let changes = self.states.get_mut(&gonggu_id).unwrap().take_changes();
            batch.heads.push(changes.head);
            batch.rollups.extend(changes.rollups);
            batch.flags.extend(changes.flags);
        }
        self.store.store(&batch).await.unwrap();
    }

    async fn archive(&self, log: &MemoryLog, ends: BTreeMap<PartitionId, Position>) {
        let config = ArchiveConfig {
            file_bytes_max: 4_000,
            file_age_max: Duration::from_millis(5),
            poll_interval: Duration::from_millis(1),
            entries_max: 16,
        };
        let store = Arc::new(self.store.clone());
        let handle = spawn(config, Arc::new(log.clone()), store, Arc::clone(&self.objects));
        let archived = async {
            while !ends.iter().all(|(id, end)| handle.through().iter().any(|(of, at)| of == id && at >= end))
            {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), archived).await.expect("archived in time");
        handle.stop().await;
    }

    async fn replay(&self) -> ReplayReport {
        let all: Vec<_> = (0..3).map(PartitionId).collect();
        replay_all(Arc::clone(&self.objects), &self.store, &all).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gonggus_are_followed_through_epochs_and_partitions() {
    let mut world = World::new(3).await;
    let shared = |epoch, count| MemoryLog::shared(RunId(Uuid::from_u128(epoch)), epoch as u16, count);
    world.go_on(&MemoryLog::new(ClickBuilder::new(1).build().run), 120).await;
    world.go_on(&shared(1, 3), 150).await;
    world.go_on(&shared(2, 2), 90).await;
    let report = world.replay().await;
    assert!(report.is_identical(), "{:?}", report.named);
    assert_eq!((report.clicks, report.clicks_beyond, report.gonggus), (360, 0, 6));
    // One partition alone does not know where its gonggus come from.
    let alone = (0..3).map(PartitionId);
    let mut differing = 0;
    for partition in alone {
        let report = replay(Arc::clone(&world.objects), &world.store, partition).await.unwrap();
        differing += u64::from(!report.is_identical());
    }
    assert!(differing > 0);

    let billable = world
        .store
        .inner
        .rows()
        .clicks
        .into_values()
        .find(|judged| judged.judgement.verdict == Verdict::Billable && judged.position.epoch() == 1);
    let billable = billable.unwrap();
    world.store.changed = Some(billable.click.id);
    let report = world.replay().await;
    let named: Vec<_> = report.named.iter().map(|difference| difference.of).collect();
    let at = gonggumoa_core::kst::hour_start(billable.click.clicked_at);
    assert_eq!(named, [Compared::Hour { gonggu_id: billable.click.gonggu_id, at }]);
}
