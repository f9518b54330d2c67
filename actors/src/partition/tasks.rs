//! What a partition waits for, each in a task of its own that answers with a message: opening, reading,
//! loading, storing. They end with the partition (the shell aborts them when it stops).

use super::messages::{PartitionMessage, ReadBatch};
use super::rhythm::Rhythm;
use crate::handle::{TrackingConfig, TrackingDeps};
use crate::root::backoff;
use crate::rules::RulesLoadError;
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::{PartitionId, Position};
use gonggumoa_core::judge::rules::RulesHistory;
use gonggumoa_core::judge::state::GongguState;
use gonggumoa_core::judged::{JudgedPublisher, PublishError};
use gonggumoa_core::log::{ClickLog, LogError, LogPosition, LogReader};
use gonggumoa_core::store::{ClickStore, GongguSnapshot, JudgedBatch, LoadRequest, StoreError};
use ractor::ActorRef;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Semaphore;

/// Batches that may wait to be judged: one beside the one being delivered.
const QUEUED_BATCHES_MAX: usize = 2;
/// Gonggus loaded by one question to the store: some thousand rows at a time.
const LOAD_GONGGUS_MAX: usize = 4_096;

type Partition = ActorRef<PartitionMessage>;

/// Finds where to go on and which rules are in force.
pub(super) async fn open(partition: Partition, id: PartitionId, deps: TrackingDeps, config: TrackingConfig) {
    let opened = async {
        let failed = |error: &dyn std::error::Error| PartitionMessage::Failed(error_chain(error));
        let progress = deps.store.progress(id).await.map_err(|error| failed(&error))?;
        let after = progress.as_ref().map_or(Position(0), |progress| progress.position.through);
        let history = crate::rules::history(&deps, id, after).await.map_err(|error| match error {
            RulesLoadError::Rules(_) => PartitionMessage::Refused(error_chain(&error)),
            RulesLoadError::Store(_) | RulesLoadError::Log(_) => failed(&error),
        })?;
        let quarantined = deps.store.quarantined(id, after).await.map_err(|error| failed(&error))?;
        Ok::<_, PartitionMessage>(PartitionMessage::Opened {
            progress,
            history: Box::new(history),
            quarantined,
        })
    };
    let message = match tokio::time::timeout(config.store_timeout, opened).await {
        Ok(Ok(message) | Err(message)) => message,
        Err(_) => PartitionMessage::Failed("the click store did not answer in time".to_owned()),
    };
    let _ = partition.send_message(message);
}

/// Reads batch after batch, in the [`Rhythm`] that leaves the edge its room. `is_shared`: other partitions can
/// be judged whatever becomes of this one.
pub(super) async fn read(
    partition: Partition,
    id: PartitionId,
    deps: TrackingDeps,
    after: Option<LogPosition>,
    config: TrackingConfig,
    is_shared: bool,
) {
    let message = match deps.log.reader(id, after).await {
        Ok(reader) => {
            let _ = partition.send_message(PartitionMessage::ReaderOpened);
            let log = Entries { log: deps.log.as_ref(), id, reader, is_shared };
            read_to_end(&partition, log, after.map_or(Position(0), |place| place.through), &config).await
        }
        Err(error @ (LogError::ForeignPosition { .. } | LogError::Deleted { .. })) if !is_shared => {
            PartitionMessage::Refused(error_chain(&error))
        }
        Err(error) => unreadable(&error, is_shared),
    };
    let _ = partition.send_message(message);
}

/// What a log that cannot be read means for its partition.
fn unreadable(error: &LogError, is_shared: bool) -> PartitionMessage {
    let problem = error_chain(error);
    match error {
        LogError::Newer { .. } => PartitionMessage::NoMore(problem),
        LogError::ForeignPosition { .. } | LogError::Deleted { .. } if is_shared => {
            PartitionMessage::NoMore(problem)
        }
        LogError::Closed => PartitionMessage::EndOfLog,
        LogError::ForeignPosition { .. }
        | LogError::Deleted { .. }
        | LogError::Corrupt { .. }
        | LogError::Io(_) => PartitionMessage::Failed(problem),
    }
}

/// One partition of the log, and a place in it.
struct Entries<'a> {
    log: &'a dyn ClickLog,
    id: PartitionId,
    reader: Box<dyn LogReader>,
    is_shared: bool,
}

async fn read_to_end(
    partition: &Partition,
    mut entries: Entries<'_>,
    mut through: Position,
    config: &TrackingConfig,
) -> PartitionMessage {
    let door = Arc::new(Semaphore::new(QUEUED_BATCHES_MAX));
    let mut rhythm = Rhythm::new(config);
    loop {
        let Ok(permit) = Arc::clone(&door).acquire_owned().await else { return PartitionMessage::EndOfLog };
        rhythm.give_way(entries.log, entries.id, through).await;
        let started = tokio::time::Instant::now();
        let batch = match entries.reader.next(config.batch_entries_max).await {
            Ok(batch) => batch,
            Err(error) => return unreadable(&error, entries.is_shared),
        };
        let more = batch.more;
        through = batch.end.through;
        if !more {
            rhythm.level(through, tokio::time::Instant::now());
        }
        let read = PartitionMessage::Read(Box::new(ReadBatch { batch, permit }));
        if partition.send_message(read).is_err() {
            return PartitionMessage::EndOfLog;
        }
        if !more {
            tokio::time::sleep_until(started + config.batch_interval).await;
        }
    }
}

/// Loads and restores gonggus, in bounded questions.
pub(super) async fn load(
    partition: Partition,
    batch: u64,
    requests: Vec<LoadRequest>,
    history: RulesHistory,
    store: Arc<dyn ClickStore>,
    config: TrackingConfig,
) {
    for chunk in requests.chunks(LOAD_GONGGUS_MAX) {
        let started = Instant::now();
        let snapshots = match retrying(&config, "load", || store.load(chunk)).await {
            Ok(snapshots) => {
                metrics::histogram!("judge_load_seconds").record(started.elapsed().as_secs_f64());
                snapshots
            }
            Err(error) => {
                let _ = partition.send_message(PartitionMessage::Failed(error_chain(&error)));
                return;
            }
        };
        let message = match restore(chunk, &snapshots, &history) {
            Ok(states) => PartitionMessage::Loaded { batch, states },
            Err(problem) => PartitionMessage::Failed(problem),
        };
        if partition.send_message(message).is_err() {
            return;
        }
    }
}

fn restore(
    requests: &[LoadRequest],
    snapshots: &[GongguSnapshot],
    history: &RulesHistory,
) -> Result<Vec<(gonggumoa_core::ids::GongguId, Box<GongguState>)>, String> {
    requests
        .iter()
        .zip(snapshots)
        .map(|(request, snapshot)| {
            let mut state = GongguState::restore(request.gonggu_id, snapshot, history)
                .map_err(|error| error_chain(&error))?;
            // Rows that start later than any click so far are known to be new.
            let last_clicked_at = snapshot.head.as_ref().map_or(UnixMillis::MIN, |head| head.last_clicked_at);
            for key in request.rollups.iter().filter(|key| key.at <= last_clicked_at) {
                if !snapshot.rollups.iter().any(|rollup| rollup.key == *key) {
                    state.insert_rollup(*key, None);
                }
            }
            Ok((request.gonggu_id, Box::new(state)))
        })
        .collect()
}

/// Publishes and stores a batch, trying again for as long as both may come back.
pub(super) async fn store(
    partition: Partition,
    batch: Arc<JudgedBatch>,
    deps: TrackingDeps,
    config: TrackingConfig,
) {
    if let Some(publisher) = deps.publisher.as_deref()
        && !batch.clicks.is_empty()
        && let Err(error) = publish(publisher, &batch, &config).await
    {
        let _ = partition.send_message(PartitionMessage::Stopped(error_chain(&error)));
        return;
    }
    let started = Instant::now();
    let message = match retrying(&config, "store", || deps.store.store(&batch)).await {
        Ok(()) => {
            metrics::histogram!("judge_store_seconds").record(started.elapsed().as_secs_f64());
            metrics::counter!("judge_clicks_stored_total").increment(batch.clicks.len() as u64);
            PartitionMessage::Stored
        }
        Err(error) => {
            if matches!(error, StoreError::PositionMoved { .. }) {
                metrics::counter!("judge_fenced_total").increment(1);
            }
            PartitionMessage::Failed(error_chain(&error))
        }
    };
    let _ = partition.send_message(message);
}

/// Tells a batch until it is taken; an error is one that lasts.
async fn publish(
    publisher: &dyn JudgedPublisher,
    batch: &JudgedBatch,
    config: &TrackingConfig,
) -> Result<(), PublishError> {
    let started = Instant::now();
    let mut failures = 0;
    loop {
        let answer = tokio::time::timeout(config.store_timeout, publisher.publish(batch)).await;
        match answer.unwrap_or_else(|elapsed| Err(PublishError::Unavailable(elapsed.into()))) {
            Ok(()) => {
                metrics::histogram!("judge_publish_seconds").record(started.elapsed().as_secs_f64());
                return Ok(());
            }
            Err(error) if error.retryable() => {
                failures += 1;
                let wait = backoff(config, failures);
                tracing::warn!(
                    publish.problem = error_chain(&error),
                    retry.millis = wait.as_millis() as u64,
                    "judged clicks were not taken and will be told again"
                );
                metrics::counter!("judge_publish_retries_total").increment(1);
                tokio::time::sleep(wait).await;
            }
            Err(error) => return Err(error),
        }
    }
}

pub(crate) async fn retrying<T, F: Future<Output = Result<T, StoreError>>>(
    config: &TrackingConfig,
    what: &'static str,
    mut call: impl FnMut() -> F,
) -> Result<T, StoreError> {
    let mut failures = 0;
    loop {
        let answer = tokio::time::timeout(config.store_timeout, call()).await;
        match answer.unwrap_or_else(|elapsed| Err(StoreError::Unavailable(elapsed.into()))) {
            Err(error) if error.retryable() => {
                failures += 1;
                let wait = backoff(config, failures);
                tracing::warn!(
                    store.call = what,
                    store.problem = error_chain(&error),
                    retry.millis = wait.as_millis() as u64,
                    "the click store did not answer and will be asked again"
                );
                metrics::counter!("judge_store_retries_total").increment(1);
                tokio::time::sleep(wait).await;
            }
            result => return result,
        }
    }
}

/// An error with its causes, for a status and a log line.
pub(crate) fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
