//! The cache on Redis, for several processes.
//!
//! A call that fails, or takes longer than a request may be kept waiting, makes this process do without the
//! cache for a while: longer than any value lives, so that a change whose announcement was lost is never
//! covered by an older value here. The others see it when the value's time is over, as without the announcement.

use super::SharedCache;
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Cmd, FromRedisValue, RedisResult};
use std::time::{Duration, Instant};

/// A request waits no longer for what may save it some milliseconds.
const ANSWER_TIME: Duration = Duration::from_millis(50);
/// How long it is done without after a failure: values live a second or two.
const AWAY_TIME: Duration = Duration::from_secs(15);
/// For connecting, which no request waits for.
const CONNECT_TIME: Duration = Duration::from_secs(1);
const RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(2);

/// A cache that all processes of one Redis share.
pub struct RedisCache {
    connection: ConnectionManager,
    prefix: String,
    away_until: Mutex<Option<Instant>>,
}

impl RedisCache {
    /// On the server at `url`, under keys that begin with `prefix`; it need not answer now.
    ///
    /// # Errors
    /// When `url` is not an address of Redis.
    pub fn new(url: &str, prefix: String) -> RedisResult<Self> {
        let settings = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT_TIME))
            .set_response_timeout(Some(CONNECT_TIME))
            .set_max_delay(RECONNECT_PAUSE_MAX);
        let connection = redis::Client::open(url)?.get_connection_manager_lazy(settings)?;
        Ok(Self { connection, prefix, away_until: Mutex::new(None) })
    }

    fn key(&self, key: &str) -> String {
        format!("{}cache:{key}", self.prefix)
    }

    async fn ask<T: FromRedisValue>(&self, command: Cmd) -> Option<T> {
        if self.away_until.lock().is_some_and(|until| Instant::now() < until) {
            return None;
        }
        let mut connection = self.connection.clone();
        let asked = tokio::time::timeout(ANSWER_TIME, command.query_async::<T>(&mut connection)).await;
        let problem = match asked {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) => error.category().to_owned(),
            Err(_) => "no answer in time".to_owned(),
        };
        metrics::counter!("shared_cache_failures_total").increment(1);
        tracing::warn!(redis.problem = problem, "the shared cache is done without for a while");
        *self.away_until.lock() = Some(Instant::now() + AWAY_TIME);
        None
    }
}

#[async_trait]
impl SharedCache for RedisCache {
    async fn get(&self, key: &str) -> Option<Bytes> {
        let mut command = redis::cmd("GET");
        command.arg(self.key(key));
        self.ask::<Option<Vec<u8>>>(command).await.flatten().map(Bytes::from)
    }

    async fn put(&self, key: &str, value: Bytes, ttl: Duration) {
        let Some(millis) = u64::try_from(ttl.as_millis()).ok().filter(|millis| *millis > 0) else { return };
        let mut command = redis::cmd("SET");
        command.arg(self.key(key)).arg(&*value).arg("PX").arg(millis);
        let _: Option<()> = self.ask(command).await;
    }

    async fn forget(&self, key: &str) {
        let mut command = redis::cmd("DEL");
        command.arg(self.key(key));
        let _: Option<i64> = self.ask(command).await;
    }
}
