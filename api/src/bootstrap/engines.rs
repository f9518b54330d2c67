//! The engines that processes share, as this process's settings name them: the log, the click store, the
//! live counters.
//!
//! What does not answer is waited for, with a word in the log; what answers that it will never do ends the
//! process, with the setting's name.

use super::Stop;
use crate::config::{ClusterConfig, Config, KafkaSettings};
use crate::http::shared_cache::redis::RedisCache;
use crate::http::shared_cache::{MemoryCache, SharedCache};
use crate::shared_log::{self, EpochError, LogPlace};
use gonggumoa_actors::kafka::{KafkaError, KafkaLog, LogEpoch, topics};
use gonggumoa_actors::redis::{RedisCounters, RedisCountersConfig};
use gonggumoa_analytics::cql::{self, CqlClickStore, CqlError};
use gonggumoa_analytics::postgres::PostgresClickStore;
use gonggumoa_analytics::recorded::RecordedClicks;
use gonggumoa_core::live::{Counters, MemoryCounters};
use gonggumoa_core::store::ClickStore;
use secrecy::ExposeSecret;
use sqlx::PgPool;
use std::sync::Arc;
use std::time::Duration;

/// Some ten thousand pages and details of the catalog: more than are asked for within their second.
const SHARED_CACHE_BYTES: u64 = 64 << 20;
/// Pause between two tries to reach an engine.
const RETRY_PAUSE: Duration = Duration::from_secs(2);

/// The click store, by both its sides.
#[derive(Clone)]
pub(super) struct Stores {
    /// Loading and writing.
    pub(super) clicks: Arc<dyn ClickStore>,
    /// Asking.
    pub(super) recorded: Arc<dyn RecordedClicks>,
}

/// A store in the catalog's own PostgreSQL.
pub(super) fn postgres_stores(pool: &PgPool) -> Stores {
    let store = Arc::new(PostgresClickStore::new(pool.clone()));
    Stores { clicks: Arc::<PostgresClickStore>::clone(&store), recorded: store }
}

/// The store that the settings name, its schema at this version. `None`: the process stops first.
pub(super) async fn stores(config: &Config, pool: &PgPool, stop: &Stop) -> anyhow::Result<Option<Stores>> {
    let Some(scylla) = &config.cluster.scylla else { return Ok(Some(postgres_stores(pool))) };
    let open = || async move {
        cql::migrate(scylla).await?;
        let store = Arc::new(CqlClickStore::connect(scylla.clone(), pool.clone()).await?);
        Ok(Stores { clicks: Arc::<CqlClickStore>::clone(&store), recorded: store })
    };
    when_reachable("the click store", stop, open, CqlError::retryable).await
}

/// Live counters: shared, or this process's own.
pub(super) fn counters(config: &ClusterConfig) -> anyhow::Result<Arc<dyn Counters>> {
    Ok(match &config.redis {
        Some(redis) => {
            let settings =
                RedisCountersConfig { prefix: redis.prefix.clone(), ..RedisCountersConfig::default() };
            Arc::new(RedisCounters::new(redis.url.expose_secret(), settings)?)
        }
        None => Arc::new(MemoryCounters::default()),
    })
}

/// Prepared answers: shared, or this process's own.
pub(super) fn shared_cache(config: &ClusterConfig) -> anyhow::Result<Arc<dyn SharedCache>> {
    Ok(match &config.redis {
        Some(redis) => Arc::new(RedisCache::new(redis.url.expose_secret(), redis.prefix.clone())?),
        None => Arc::new(MemoryCache::new(SHARED_CACHE_BYTES)),
    })
}

#[derive(Debug, thiserror::Error)]
enum SharedLogError {
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    #[error(transparent)]
    Epoch(#[from] EpochError),
}

impl SharedLogError {
    fn retryable(&self) -> bool {
        match self {
            Self::Kafka(error) => error.retryable(),
            Self::Epoch(error) => error.retryable(),
        }
    }
}

/// Makes and checks the topics, and says which life of the log they are. `None`: the process stops first.
pub(super) async fn shared_log(
    settings: &KafkaSettings,
    pool: &PgPool,
    stop: &Stop,
) -> anyhow::Result<Option<LogEpoch>> {
    let enter = || async move {
        let cluster = topics::prepare(&settings.config).await?;
        let found = LogPlace {
            cluster_id: cluster.cluster_id,
            topic: settings.config.raw_topic(),
            partitions: settings.config.partitions.get(),
        };
        let history = shared_log::enter_epoch(pool, settings.epoch, &found).await?;
        Ok(LogEpoch { number: settings.epoch, history })
    };
    when_reachable("the shared log", stop, enter, SharedLogError::retryable).await
}

/// Kafka as the log that is judged. `None`: the process stops first.
pub(super) async fn kafka_log(
    settings: &KafkaSettings,
    epoch: LogEpoch,
    stop: &Stop,
) -> anyhow::Result<Option<KafkaLog>> {
    let open = || KafkaLog::open(&settings.config, epoch);
    when_reachable("the shared log", stop, open, KafkaError::retryable).await
}

/// Tries until it works, or never can, or the process stops.
pub(super) async fn when_reachable<T, E, Opening>(
    what: &'static str,
    stop: &Stop,
    open: impl Fn() -> Opening,
    retryable: fn(&E) -> bool,
) -> anyhow::Result<Option<T>>
where
    E: std::error::Error + Send + Sync + 'static,
    Opening: Future<Output = Result<T, E>>,
{
    loop {
        let Some(opened) = stop.token.run_until_cancelled(open()).await else { return Ok(None) };
        match opened {
            Ok(opened) => return Ok(Some(opened)),
            Err(error) if retryable(&error) => {
                tracing::warn!(
                    engine = what,
                    engine.problem = &error as &dyn std::error::Error,
                    "does not answer; tried again"
                );
            }
            Err(error) => return Err(error.into()),
        }
        if stop.token.run_until_cancelled(tokio::time::sleep(RETRY_PAUSE)).await.is_none() {
            return Ok(None);
        }
    }
}
