//! Writing the archive of one partition.
//!
//! Problem: a process that lost a partition of a shared log without knowing it goes on archiving it beside the
//! next one. A file's name is the position of its first entry, which follows from the file before and the log
//! alone; so of all that would continue a file there is one name, and whoever creates it first wins. The other
//! reads it and goes on after it: the chain of hashes never forks, and no file is ever overwritten.

use super::file::{FileWriter, rules_name};
use super::handle::{Shared, stop_signal};
use super::read::{files, open};
use super::{ArchiveConfig, ArchiveError};
use gonggumoa_core::ids::{PartitionId, Position};
use gonggumoa_core::judge::rules::RulesActivation;
use gonggumoa_core::log::{ClickLog, LogBatch, LogError, LogPosition, LogReader, arrivals};
use gonggumoa_core::store::{ClickStore, RunMark};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// The name under which the archive releases the log.
const READER: &str = "archive";
/// Pause before another try after a failure: the log waits, nothing is lost.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Pause after a failure that does not end by itself: how often the alarm is repeated.
const LASTING_PAUSE: Duration = Duration::from_secs(30);

pub(super) struct Archiver {
    pub(super) config: ArchiveConfig,
    pub(super) partition: PartitionId,
    pub(super) log: Arc<dyn ClickLog>,
    pub(super) store: Arc<dyn ClickStore>,
    pub(super) objects: Arc<dyn ObjectStore>,
    pub(super) shared: Arc<Shared>,
    pub(super) stopped: watch::Receiver<bool>,
}

/// Where the next file begins.
struct Chain {
    end: Option<LogPosition>,
    sha256: Option<String>,
    /// What was taken of each run of a shared log.
    marks: Vec<RunMark>,
}

/// Entries for a file, and why the log gives no more after them.
struct Filled {
    file: FileWriter,
    obstacle: Option<ArchiveError>,
}

impl Archiver {
    pub(super) async fn run(self) {
        let mut stopped = self.stopped.clone();
        loop {
            let error = tokio::select! {
                result = self.archive() => match result {
                    Ok(()) | Err(ArchiveError::Log(LogError::Closed)) => return,
                    Err(error) => error,
                },
                () = stop_signal(&mut stopped) => return,
            };
            if let ArchiveError::Overtaken { file } = &error {
                metrics::counter!("archive_overtaken_total").increment(1);
                tracing::warn!(archive.file = file, "another process archives this partition too");
            } else {
                metrics::counter!("archive_failures_total").increment(1);
                tracing::error!(
                    archive.partition = self.partition.0,
                    error = &error as &dyn std::error::Error,
                    "the archive failed; the log is kept until it works again"
                );
                self.shared.failures.lock().insert(self.partition, error.to_string());
            }
            let pause = if error.retryable() { RETRY_PAUSE } else { LASTING_PAUSE };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop_signal(&mut stopped) => return,
            }
        }
    }

    /// Archives until the log is closed. An error leaves nothing half done: it is run again from the
    /// last file.
    async fn archive(&self) -> Result<(), ArchiveError> {
        let mut chain = self.last_file().await?;
        let mut reader = self.log.reader(self.partition, chain.end).await?;
        self.shared.failures.lock().remove(&self.partition);
        loop {
            let Filled { file, obstacle } = self.fill(&mut *reader, &chain).await?;
            chain = self.put(file, chain).await?;
            if let Some(obstacle) = obstacle {
                return Err(obstacle);
            }
        }
    }

    /// Finds the last file and releases what it covers once more, in case a crash came in between.
    async fn last_file(&self) -> Result<Chain, ArchiveError> {
        let Some(name) = files(&*self.objects, self.partition).await?.pop() else {
            return Ok(Chain { end: None, sha256: None, marks: Vec::new() });
        };
        let file = open(&*self.objects, &name).await?;
        let end = LogPosition::from(file.header.end);
        self.released(end).await;
        Ok(Chain { end: Some(end), sha256: Some(file.sha256), marks: file.header.marks })
    }

    /// Gathers entries until the file is large or old enough, or the log gives no more.
    async fn fill(&self, reader: &mut dyn LogReader, chain: &Chain) -> Result<Filled, ArchiveError> {
        let mut file = FileWriter::new(chain.end)?;
        let (mut marks, mut read) = (chain.marks.clone(), chain.end);
        let mut cut_at: Option<Instant> = None;
        let mut obstacle = None;
        while file.raw_bytes < self.config.file_bytes_max && obstacle.is_none() {
            let next = reader.next(self.config.entries_max);
            let next = match cut_at {
                None => next.await,
                Some(at) => match tokio::time::timeout_at(at, next).await {
                    Ok(next) => next,
                    Err(_) => break,
                },
            };
            let mut batch = match next {
                Ok(batch) => batch,
                Err(error @ LogError::Newer { .. }) => {
                    obstacle = Some(error.into());
                    break;
                }
                Err(error) => return Err(error.into()),
            };
            obstacle = arrivals::admit(&mut batch, read, &mut marks).err().map(ArchiveError::from);
            read = Some(batch.end);
            self.gather(&batch, &marks, &mut file).await?;
            if file.first.is_some() {
                cut_at.get_or_insert_with(|| Instant::now() + self.config.file_age_max);
            }
            if cut_at.is_some_and(|at| at <= Instant::now()) {
                break;
            }
        }
        Ok(Filled { file, obstacle })
    }

    /// Adds what a batch has that is new, as soon as it is judged.
    async fn gather(
        &self,
        batch: &LogBatch,
        marks: &[RunMark],
        file: &mut FileWriter,
    ) -> Result<(), ArchiveError> {
        let Some((last, _)) = batch.entries.last() else { return Ok(()) };
        self.stored(*last).await?;
        for (position, entry) in &batch.entries {
            file.push(*position, entry)?;
        }
        file.end = Some(batch.end);
        file.history = batch.history;
        file.marks = marks.to_vec();
        Ok(())
    }

    /// Waits until the store has the entry at `last`.
    async fn stored(&self, last: Position) -> Result<(), ArchiveError> {
        loop {
            let progress = self.store.progress(self.partition).await?;
            if progress.is_some_and(|progress| progress.position.through >= last) {
                return Ok(());
            }
            tokio::time::sleep(self.config.poll_interval).await;
        }
    }

    async fn put(&self, file: FileWriter, chain: Chain) -> Result<Chain, ArchiveError> {
        let (Some(first), Some(end)) = (file.first, file.end) else { return Ok(chain) };
        let (raw_bytes, marks) = (file.raw_bytes, file.marks.clone());
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
        self.put_object(&name, bytes, PutMode::Create).await?;
        metrics::counter!("archive_files_total").increment(1);
        metrics::counter!("archive_raw_bytes_total").increment(raw_bytes);
        metrics::counter!("archive_file_bytes_total").increment(file_bytes);
        tracing::info!(archive.file = %name, archive.bytes = file_bytes, "an archive file was written");
        self.released(end).await;
        Ok(Chain { end: Some(end), sha256: Some(sha256), marks })
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
                self.put_object(&name, json, PutMode::Overwrite).await?;
            }
        }
        Ok(activations)
    }

    async fn put_object(&self, name: &Path, bytes: Vec<u8>, mode: PutMode) -> Result<(), ArchiveError> {
        let file = name.to_string();
        match self.objects.put_opts(name, bytes.into(), mode.into()).await {
            Ok(_) => Ok(()),
            Err(object_store::Error::AlreadyExists { .. }) => Err(ArchiveError::Overtaken { file }),
            Err(source) => Err(ArchiveError::Objects { file, source }),
        }
    }

    async fn released(&self, end: LogPosition) {
        self.log.release(self.partition, READER, end).await;
        self.shared.through.lock().insert(self.partition, end.through);
        metrics::gauge!("archive_position", "partition" => self.partition.to_string())
            .set(end.through.0 as f64);
    }
}
