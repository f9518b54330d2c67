//! From this edge's journal to the shared log.
//!
//! It begins when the database is there, which knows the log's life; until then the journal keeps the clicks,
//! and buyers notice nothing.

use super::preparing::Prepared;
use super::{Opened, Stop, engines};
use crate::config::KafkaSettings;
use gonggumoa_actors::forwarder::{self, ForwarderConfig, ForwarderError, ForwarderHandle, ForwarderStatus};
use gonggumoa_actors::kafka::LogEpoch;
use gonggumoa_analytics::postgres::PostgresClickStore;
use gonggumoa_core::clock::SystemClock;
use gonggumoa_core::log::LogPosition;
use gonggumoa_core::log::journal::{Journal, PARTITION};
use gonggumoa_core::log::partitioning::Partitioning;
use gonggumoa_core::store::{ClickStore, StoreError};
use parking_lot::Mutex;
use sqlx::PgPool;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

type Slot<T> = Arc<Mutex<Option<T>>>;

/// The forwarding side while it runs.
pub(super) struct Forwarding {
    forwarder: Slot<ForwarderHandle>,
    status: watch::Receiver<Option<ForwarderStatus>>,
    failure: Slot<anyhow::Error>,
    _starting: AbortOnDropHandle<()>,
}

impl Forwarding {
    /// Starts it as soon as the database is prepared.
    pub(super) fn start(
        opened: &Opened,
        journal: &Journal,
        settings: &KafkaSettings,
        pool: &PgPool,
        prepared: Prepared,
        stop: &Stop,
    ) -> Self {
        let starting = Starting {
            journal: journal.clone(),
            settings: settings.clone(),
            pool: pool.clone(),
            folder: opened.data_dir.clone(),
            stop: stop.clone(),
        };
        let (forwarder, failure) = (Slot::default(), Slot::default());
        let (sender, status) = watch::channel(None);
        let (forwarder_slot, failure_slot, stop) =
            (Arc::clone(&forwarder), Arc::clone(&failure), stop.clone());
        let task = tokio::spawn(async move {
            if !prepared.wait(&stop).await {
                return;
            }
            let handle = match starting.run().await {
                Ok(Some(handle)) => handle,
                Ok(None) => return,
                Err(error) => {
                    *failure_slot.lock() = Some(error);
                    return stop.now();
                }
            };
            let mut inner = handle.status();
            *forwarder_slot.lock() = Some(handle);
            loop {
                sender.send_replace(Some(inner.borrow_and_update().clone()));
                if inner.changed().await.is_err() {
                    return;
                }
            }
        });
        Self { forwarder, status, failure, _starting: AbortOnDropHandle::new(task) }
    }

    /// How it goes; `None` before it began.
    pub(super) fn status(&self) -> watch::Receiver<Option<ForwarderStatus>> {
        self.status.clone()
    }

    /// After the journal was closed: sends what is left, as far as `time` allows.
    pub(super) async fn stop(self, time: Duration) -> anyhow::Result<()> {
        let forwarder = self.forwarder.lock().take();
        if let Some(forwarder) = forwarder
            && let Err(error) = forwarder.drain(time).await
        {
            tracing::warn!(forwarder.problem = %error, "the rest stays in the journal for the next start");
        }
        match self.failure.lock().take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

struct Starting {
    journal: Journal,
    settings: KafkaSettings,
    pool: PgPool,
    folder: PathBuf,
    stop: Stop,
}

impl Starting {
    async fn run(self) -> anyhow::Result<Option<ForwarderHandle>> {
        let Some(epoch) = engines::shared_log(&self.settings, &self.pool, &self.stop).await? else {
            return Ok(None);
        };
        let begin = || self.begin(epoch);
        engines::when_reachable("the forwarder", &self.stop, begin, BeginError::retryable).await
    }

    async fn begin(&self, epoch: LogEpoch) -> Result<ForwarderHandle, BeginError> {
        let kafka = self.settings.config.clone();
        let config = ForwarderConfig {
            begin_after: judged_here(&self.journal, &self.pool).await?,
            alarm_after: self.settings.forward_alarm_after,
            ..ForwarderConfig::new(self.folder.clone(), epoch, Partitioning::new(kafka.partitions))
        };
        let journal = Arc::new(self.journal.clone());
        Ok(forwarder::spawn(config, kafka, journal, Arc::new(SystemClock)).await?)
    }
}

/// Why it cannot begin.
#[derive(Debug, thiserror::Error)]
enum BeginError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Forwarder(#[from] ForwarderError),
}

impl BeginError {
    /// Whether it may later.
    fn retryable(&self) -> bool {
        match self {
            Self::Store(error) => error.retryable(),
            Self::Forwarder(error) => error.retryable(),
        }
    }
}

/// How far this machine itself judged its journal, before there was a shared log.
async fn judged_here(journal: &Journal, pool: &PgPool) -> Result<Option<LogPosition>, StoreError> {
    let stored = PostgresClickStore::new(pool.clone()).progress(PARTITION).await?;
    let place = stored.map(|progress| progress.position);
    // A place of another machine's journal, or of the shared log, is none of this one.
    Ok(place.filter(|place| place.through.epoch() == 0 && journal.has_run(place.run)))
}
