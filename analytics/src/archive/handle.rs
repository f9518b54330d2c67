//! The running archive: one task for each partition that is judged here.
//!
//! Problem: partitions of a shared log come and go with the judging. For a while two processes may believe that one
//! is theirs; both may then archive it, and the files say who was first (`write`).
//!
//! Invariants: what is shown is of partitions that are archived here; one that comes back goes on after its
//! last file, whoever wrote that.

use super::ArchiveConfig;
use super::write::Archiver;
use gonggumoa_core::ids::{PartitionId, Position};
use gonggumoa_core::log::ClickLog;
use gonggumoa_core::store::ClickStore;
use object_store::ObjectStore;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What the tasks tell the handle.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) through: Mutex<BTreeMap<PartitionId, Position>>,
    pub(super) failures: Mutex<BTreeMap<PartitionId, String>>,
}

/// The running archive.
#[derive(Debug)]
pub struct ArchiveHandle {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    shared: Arc<Shared>,
}

impl ArchiveHandle {
    /// Up to where each partition is durably archived; those without a file are left out.
    pub fn through(&self) -> Vec<(PartitionId, Position)> {
        self.shared.through.lock().iter().map(|(partition, position)| (*partition, *position)).collect()
    }

    /// The last failure, while it lasts: for readiness and alarms.
    pub fn failure(&self) -> Option<String> {
        self.shared.failures.lock().values().next().cloned()
    }

    /// Stops after the file being put, if any. What was gathered is read again at the next start.
    pub async fn stop(mut self) {
        let _ = self.stop.send(true);
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Starts the archive of all partitions of `log`.
pub fn spawn(
    config: ArchiveConfig,
    log: Arc<dyn ClickLog>,
    store: Arc<dyn ClickStore>,
    objects: Arc<dyn ObjectStore>,
) -> ArchiveHandle {
    let all = log.partitions().into_iter().collect();
    spawn_assigned(config, log, store, objects, watch::channel(all).1)
}

/// Starts the archive of the partitions that `assigned` names, as they come and go: those judged here.
pub fn spawn_assigned(
    config: ArchiveConfig,
    log: Arc<dyn ClickLog>,
    store: Arc<dyn ClickStore>,
    objects: Arc<dyn ObjectStore>,
    assigned: watch::Receiver<BTreeSet<PartitionId>>,
) -> ArchiveHandle {
    let (stop, stopped) = watch::channel(false);
    let shared = Arc::new(Shared::default());
    let parts = Parts { config, log, store, objects, shared: Arc::clone(&shared) };
    let mut tasks = JoinSet::new();
    tasks.spawn(follow(parts, assigned, stopped));
    ArchiveHandle { stop, tasks, shared }
}

/// What every partition's task works with.
struct Parts {
    config: ArchiveConfig,
    log: Arc<dyn ClickLog>,
    store: Arc<dyn ClickStore>,
    objects: Arc<dyn ObjectStore>,
    shared: Arc<Shared>,
}

impl Parts {
    fn start(&self, partition: PartitionId) -> Running {
        let (stop, stopped) = watch::channel(false);
        let archiver = Archiver {
            config: self.config.clone(),
            partition,
            log: Arc::clone(&self.log),
            store: Arc::clone(&self.store),
            objects: Arc::clone(&self.objects),
            shared: Arc::clone(&self.shared),
            stopped,
        };
        let mut task = JoinSet::new();
        task.spawn(archiver.run());
        Running { stop, task }
    }
}

/// A partition's task; aborted when dropped.
struct Running {
    stop: watch::Sender<bool>,
    task: JoinSet<()>,
}

impl Running {
    async fn end(mut self) {
        let _ = self.stop.send(true);
        while self.task.join_next().await.is_some() {}
    }
}

async fn follow(
    parts: Parts,
    mut assigned: watch::Receiver<BTreeSet<PartitionId>>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut running: BTreeMap<PartitionId, Running> = BTreeMap::new();
    loop {
        let wanted = assigned.borrow_and_update().clone();
        let leaving: Vec<_> = running.keys().filter(|id| !wanted.contains(id)).copied().collect();
        for partition in leaving {
            if let Some(task) = running.remove(&partition) {
                task.end().await;
            }
            parts.shared.through.lock().remove(&partition);
            parts.shared.failures.lock().remove(&partition);
        }
        for partition in wanted {
            running.entry(partition).or_insert_with(|| parts.start(partition));
        }
        tokio::select! {
            changed = assigned.changed() => match changed {
                Ok(()) => {}
                // Nobody changes it any more.
                Err(_) => break,
            },
            () = stop_signal(&mut stopped) => break,
        }
    }
    stop_signal(&mut stopped).await;
    for task in running.into_values() {
        task.end().await;
    }
}

/// Resolves when the handle says stop, or is gone.
pub(super) async fn stop_signal(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}
