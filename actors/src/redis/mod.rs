//! Live counters shared through Redis.
//!
//! Problem: with several judges and several API nodes, a node that streams a gonggu's totals does not judge
//! it. So judges put absolute totals into Redis and announce them; every node listens for those it shows.
//!
//! ```text
//!   judge ── publish ──▶ newest per gonggu ──▶ script: SET if newer, PUBLISH ──▶ node ──▶ watchers
//! ```
//!
//! Invariants: nothing here is the truth, and nothing waits for it: publishing puts a value into memory and
//! returns, and when Redis is away the newest values are kept and go out when it is back. A value never
//! takes the place of a newer one, wherever it comes from: the last position applied says which is newer,
//! compared by a script in Redis and again here. A node that was cut off reads what it missed.

mod announce;
mod listen;
mod value;

#[cfg(test)]
mod tests;

use announce::Outbox;
use async_trait::async_trait;
use gonggumoa_core::ids::GongguId;
use gonggumoa_core::live::{Counters, LiveTotals};
use parking_lot::Mutex;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// An answer that takes longer is a failure: live figures that old are worth nothing.
const ANSWER_TIME: Duration = Duration::from_secs(1);
/// First and longest pause between two tries to reach Redis.
const RETRY_PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// How Redis is used.
#[derive(Clone, Debug)]
pub struct RedisCountersConfig {
    /// Before every key and channel, so that several deployments can share a server.
    pub prefix: String,
    /// A gonggu's totals stay so long after its last click. A day: whoever opens a quiet gonggu's page gets
    /// them from the store anyway.
    pub kept: Duration,
    /// Values that may wait while Redis is away; beyond it the gonggus that have none waiting yet are left out
    /// until there is room. 200,000 take some 30 MB.
    pub waiting_max: usize,
}

impl Default for RedisCountersConfig {
    fn default() -> Self {
        Self { prefix: "gonggumoa:".to_owned(), kept: Duration::from_secs(86_400), waiting_max: 200_000 }
    }
}

/// Why Redis cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    /// The address is not one of Redis, or its settings are wrong. The text names no password.
    #[error("not a Redis address: {0}")]
    Address(String),
}

impl RedisError {
    /// Whether the same call may work later.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Address(_) => false,
        }
    }
}

type Watched = Arc<Mutex<HashMap<GongguId, watch::Sender<Option<LiveTotals>>>>>;

/// Counters shared by all processes that use one Redis.
#[derive(Debug)]
pub struct RedisCounters {
    outbox: Arc<Outbox>,
    watched: Watched,
    /// Gonggus to listen for from now on.
    wanted: mpsc::UnboundedSender<GongguId>,
    tasks: [JoinHandle<()>; 2],
}

impl RedisCounters {
    /// Counters on the server at `url`; it need not answer now.
    ///
    /// # Errors
    /// When `url` is not an address.
    pub fn new(url: &str, config: RedisCountersConfig) -> Result<Self, RedisError> {
        let address = |error: redis::RedisError| RedisError::Address(error.category().to_owned());
        let client = redis::Client::open(url).map_err(address)?;
        let settings = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(ANSWER_TIME))
            .set_response_timeout(Some(ANSWER_TIME))
            .set_min_delay(RETRY_PAUSES.0)
            .set_max_delay(RETRY_PAUSES.1);
        let connection: ConnectionManager = client.get_connection_manager_lazy(settings).map_err(address)?;
        let config = Arc::new(config);
        let outbox = Arc::new(Outbox::new(config.waiting_max));
        let watched = Watched::default();
        // Bounded by the gonggus that are watched: each is sent once, when its first watcher comes.
        let (wanted, asked) = mpsc::unbounded_channel();
        let announcing = announce::run(Arc::clone(&outbox), connection.clone(), Arc::clone(&config));
        let listening = listen::run(client, connection, Arc::clone(&watched), asked, config);
        let tasks = [tokio::spawn(announcing), tokio::spawn(listening)];
        Ok(Self { outbox, watched, wanted, tasks })
    }
}

impl Drop for RedisCounters {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

#[async_trait]
impl Counters for RedisCounters {
    async fn publish(&self, totals: &[(GongguId, LiveTotals)]) {
        self.outbox.put(totals);
    }

    async fn watch(&self, gonggu_id: GongguId) -> watch::Receiver<Option<LiveTotals>> {
        let mut watched = self.watched.lock();
        let sender = watched.entry(gonggu_id).or_insert_with(|| {
            let _ = self.wanted.send(gonggu_id);
            watch::channel(None).0
        });
        sender.subscribe()
    }
}

/// Whether this is an address of Redis; nothing is connected to.
///
/// # Errors
/// When it is not; the text repeats nothing of it.
pub fn check(url: &str) -> Result<(), RedisError> {
    redis::Client::open(url).map(|_| ()).map_err(|error| RedisError::Address(error.category().to_owned()))
}

/// The next pause of those between tries.
fn longer(pause: Duration) -> Duration {
    pause.saturating_mul(2).min(RETRY_PAUSES.1)
}
