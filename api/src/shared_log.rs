//! What PostgreSQL knows of the log that several machines share: its lives, and the runs that are over.
//!
//! Problem: offsets begin at 0 again when a topic is made anew or a cluster is replaced, and a stored place would
//! silently mean another click. So each life of the log has a number, given by the operator, and a random
//! history, given by the first process that uses it; both are part of every stored place.
//!
//! Invariants: a number belongs to one cluster, topic and division for ever; a smaller number than the newest is
//! refused, since positions must grow.

use gonggumoa_core::ids::RunId;
use sqlx::PgPool;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// How soon a retired run no longer holds figures back.
const RETIRED_INTERVAL: Duration = Duration::from_secs(5);

/// What a life of the log is tied to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogPlace {
    /// The cluster's own identifier.
    pub cluster_id: String,
    /// The topic.
    pub topic: String,
    /// How many partitions it has.
    pub partitions: u32,
}

impl std::fmt::Display for LogPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "topic {} with {} partitions on cluster {}", self.topic, self.partitions, self.cluster_id)
    }
}

/// Why a life of the log cannot be entered.
#[derive(Debug, thiserror::Error)]
pub enum EpochError {
    /// The number belongs to something else.
    #[error(
        "KAFKA_LOG_EPOCH={number} is {known}, but KAFKA_BROKERS leads to {found}: go back to the former, or give \
         the new log the next number, KAFKA_LOG_EPOCH={next}"
    )]
    Other {
        /// The number asked for.
        number: u16,
        /// What it belongs to.
        known: LogPlace,
        /// What is there.
        found: LogPlace,
        /// The next free number.
        next: i32,
    },
    /// A later life has begun.
    #[error("KAFKA_LOG_EPOCH={number} is over: clicks were stored from epoch {newest} on")]
    Over {
        /// The number asked for.
        number: u16,
        /// The newest.
        newest: i32,
    },
    /// The database does not answer.
    #[error("cannot ask which life of the log this is")]
    Database(#[from] sqlx::Error),
}

impl EpochError {
    /// Would the same call, made later, possibly succeed?
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Database(error) if crate::migrate::may_pass(error))
    }
}

/// The history of this life of the log; the first that asks begins it.
pub async fn enter_epoch(pool: &PgPool, number: u16, found: &LogPlace) -> Result<RunId, EpochError> {
    let newest = sqlx::query_scalar!("SELECT max(epoch) FROM log_epochs").fetch_one(pool).await?.unwrap_or(0);
    if i32::from(number) < newest {
        return Err(EpochError::Over { number, newest });
    }
    sqlx::query!(
        "INSERT INTO log_epochs (epoch, history, cluster_id, topic, partitions) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (epoch) DO NOTHING",
        i32::from(number),
        RunId::random().0,
        found.cluster_id,
        found.topic,
        found.partitions as i32
    )
    .execute(pool)
    .await?;
    let row = sqlx::query!(
        "SELECT history, cluster_id, topic, partitions FROM log_epochs WHERE epoch = $1",
        i32::from(number)
    )
    .fetch_one(pool)
    .await?;
    let known = LogPlace { cluster_id: row.cluster_id, topic: row.topic, partitions: row.partitions as u32 };
    if known != *found {
        let next = newest.max(i32::from(number)) + 1;
        return Err(EpochError::Other { number, known, found: found.clone(), next });
    }
    Ok(RunId(row.history))
}

/// Says that a run is over for good; `false`: it was said before.
pub async fn retire(pool: &PgPool, run: RunId) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!("INSERT INTO retired_runs (run) VALUES ($1) ON CONFLICT DO NOTHING", run.0)
        .execute(pool)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// The retired runs, asked for every few seconds for as long as the second part lives.
pub fn watch_retired(pool: PgPool) -> (watch::Receiver<Arc<BTreeSet<RunId>>>, AbortOnDropHandle<()>) {
    let (sender, receiver) = watch::channel(Arc::default());
    let task = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(RETIRED_INTERVAL);
        loop {
            ticks.tick().await;
            match sqlx::query_scalar!("SELECT run FROM retired_runs").fetch_all(&pool).await {
                Ok(runs) => {
                    let runs: BTreeSet<RunId> = runs.into_iter().map(RunId).collect();
                    sender.send_if_modified(|held| {
                        let changed = **held != runs;
                        if changed {
                            *held = Arc::new(runs);
                        }
                        changed
                    });
                }
                Err(error) => tracing::debug!(database.problem = %error, "retired runs were not read"),
            }
        }
    });
    (receiver, AbortOnDropHandle::new(task))
}

#[cfg(test)]
mod tests;
