//! Writing the archive: one task a partition.

use super::file::{FileWriter, rules_name};
use super::read::{files, open};
use super::{ArchiveConfig, ArchiveError};
use gonggumoa_core::ids::{PartitionId, Position};
use gonggumoa_core::judge::rules::RulesActivation;
use gonggumoa_core::log::{ClickLog, LogBatch, LogError, LogPosition, LogReader};
use gonggumoa_core::store::ClickStore;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// The name under which the archive releases the log.
const READER: &str = "archive";
/// Pause before another try after a failure: the log waits, nothing is lost.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// What the tasks tell the handle.
#[derive(Debug, Default)]
struct Shared {
    through: Mutex<BTreeMap<PartitionId, Position>>,
    failure: Mutex<Option<String>>,
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
        self.shared.failure.lock().clone()
    }

    /// Stops after the file being put, if any. What was gathered is read again at the next start.
    pub async fn stop(mut self) {
        let _ = self.stop.send(true);
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Starts the archive of all partitions of `log`.
#[expect(clippy::needless_pass_by_value, reason = "the tasks share what the caller hands over")]
pub fn spawn(
    config: ArchiveConfig,
    log: Arc<dyn ClickLog>,
    store: Arc<dyn ClickStore>,
    objects: Arc<dyn ObjectStore>,
) -> ArchiveHandle {
    let (stop, stopped) = watch::channel(false);
    let shared = Arc::new(Shared::default());
    let mut tasks = JoinSet::new();
    for partition in log.partitions() {
        let archiver = Archiver {
            config: config.clone(),
            partition,
            log: log.clone(),
            store: store.clone(),
            objects: objects.clone(),
            shared: shared.clone(),
            stopped: stopped.clone(),
        };
        tasks.spawn(archiver.run());
    }
    ArchiveHandle { stop, tasks, shared }
}

struct Archiver {
    config: ArchiveConfig,
    partition: PartitionId,
    log: Arc<dyn ClickLog>,
    store: Arc<dyn ClickStore>,
    objects: Arc<dyn ObjectStore>,
    shared: Arc<Shared>,
    stopped: watch::Receiver<bool>,
}

/// Where the next file begins.
struct Chain {
    end: Option<LogPosition>,
    sha256: Option<String>,
}

impl Archiver {
    async fn run(self) {
        let mut stopped = self.stopped.clone();
        loop {
            let error = tokio::select! {
                result = self.archive() => match result {
                    Ok(()) | Err(ArchiveError::Log(LogError::Closed)) => return,
                    Err(error) => error,
                },
                () = stop_signal(&mut stopped) => return,
            };
            metrics::counter!("archive_failures_total").increment(1);
            tracing::error!(
                archive.partition = self.partition.0,
                error = &error as &dyn std::error::Error,
                "the archive failed; the log is kept until it works again"
            );
            *self.shared.failure.lock() = Some(error.to_string());
            tokio::select! {
                () = tokio::time::sleep(RETRY_PAUSE) => {}
                () = stop_signal(&mut stopped) => return,
            }
        }
    }

    /// Archives until the log is closed. An error leaves nothing half done: it is run again from the
    /// last file.
    async fn archive(&self) -> Result<(), ArchiveError> {
        let mut chain = self.last_file().await?;
        let mut reader = self.log.reader(self.partition, chain.end).await?;
        *self.shared.failure.lock() = None;
        loop {
            let file = self.fill(&mut *reader, chain.end).await?;
            chain = self.put(file, chain).await?;
        }
    }

    /// Finds the last file and releases what it covers once more, in case a crash came in between.
    async fn last_file(&self) -> Result<Chain, ArchiveError> {
        let Some(name) = files(&*self.objects, self.partition).await?.pop() else {
            return Ok(Chain { end: None, sha256: None });
        };
        let file = open(&*self.objects, &name).await?;
        let end = LogPosition::from(file.header.end);
        self.released(end).await;
        Ok(Chain { end: Some(end), sha256: Some(file.sha256) })
    }

    /// Gathers entries until the file is large or old enough.
    async fn fill(
        &self,
        reader: &mut dyn LogReader,
        after: Option<LogPosition>,
    ) -> Result<FileWriter, ArchiveError> {
        let mut file = FileWriter::new(after)?;
        let mut cut_at: Option<Instant> = None;
        while file.raw_bytes < self.config.file_bytes_max {
            let batch = match cut_at {
                None => reader.next(self.config.entries_max).await?,
                Some(at) => match tokio::time::timeout_at(at, reader.next(self.config.entries_max)).await {
                    Ok(batch) => batch?,
                    Err(_) => break,
                },
            };
            cut_at.get_or_insert_with(|| Instant::now() + self.config.file_age_max);
            self.stored(&batch).await?;
            for (position, entry) in &batch.entries {
                file.push(*position, entry)?;
            }
            file.end = Some(batch.end);
            if cut_at.is_some_and(|at| at <= Instant::now()) {
                break;
            }
        }
        Ok(file)
    }

    /// Waits until the store has this batch.
    async fn stored(&self, batch: &LogBatch) -> Result<(), ArchiveError> {
        loop {
            let progress = self.store.progress(self.partition).await?;
            if progress.is_some_and(|progress| progress.position.through >= batch.end.through) {
                return Ok(());
            }
            tokio::time::sleep(self.config.poll_interval).await;
        }
    }

    async fn put(&self, file: FileWriter, chain: Chain) -> Result<Chain, ArchiveError> {
        let (Some(first), Some(end)) = (file.first, file.end) else { return Ok(chain) };
        let raw_bytes = file.raw_bytes;
        let activations = self.activations(first, end.through).await?;
        let before = Position(first.0.saturating_sub(1));
        let mut quarantined = self.store.quarantined(self.partition, before).await?;
        quarantined.retain(|position| *position <= end.through);
        let Some((name, bytes, sha256)) =
            file.finish(self.partition, activations, quarantined, chain.sha256.clone())?
        else {
            return Ok(chain);
        };
        let file_bytes = bytes.len() as u64;
        self.put_object(&name, bytes).await?;
        metrics::counter!("archive_files_total").increment(1);
        metrics::counter!("archive_raw_bytes_total").increment(raw_bytes);
        metrics::counter!("archive_file_bytes_total").increment(file_bytes);
        tracing::info!(archive.file = %name, archive.bytes = file_bytes, "an archive file was written");
        self.released(end).await;
        Ok(Chain { end: Some(end), sha256: Some(sha256) })
    }

    /// The activation in force at `first` and those after it, and the versions they name as objects of
    /// their own, so that the archive can be folded without the database.
    async fn activations(
        &self,
        first: Position,
        last: Position,
    ) -> Result<Vec<RulesActivation>, ArchiveError> {
        let mut activations = self.store.activations(self.partition).await?;
        activations.retain(|activation| activation.from <= last);
        let in_force = activations.partition_point(|activation| activation.from <= first);
        activations.drain(..in_force.saturating_sub(1));
        for rules in self.store.rules().await? {
            let name = rules_name(rules.version);
            let named = activations.iter().any(|activation| activation.version == rules.version);
            if named && self.objects.head(&name).await.is_err() {
                let json = serde_json::to_vec(&rules).map_err(std::io::Error::from)?;
                self.put_object(&name, json).await?;
            }
        }
        Ok(activations)
    }

    async fn put_object(&self, name: &Path, bytes: Vec<u8>) -> Result<(), ArchiveError> {
        let failed = |source| ArchiveError::Objects { file: name.to_string(), source };
        self.objects.put(name, bytes.into()).await.map(|_| ()).map_err(failed)
    }

    async fn released(&self, end: LogPosition) {
        self.log.release(self.partition, READER, end).await;
        self.shared.through.lock().insert(self.partition, end.through);
        metrics::gauge!("archive_position", "partition" => self.partition.to_string())
            .set(end.through.0 as f64);
    }
}

/// Resolves when the handle says stop, or is gone.
async fn stop_signal(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}
