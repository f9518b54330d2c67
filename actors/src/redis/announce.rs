//! From the judge to Redis: the newest totals of each gonggu, in pieces, again until they are there.

use super::{RETRY_PAUSES, RedisCountersConfig, longer, value};
use gonggumoa_core::ids::GongguId;
use gonggumoa_core::live::LiveTotals;
use parking_lot::Mutex;
use redis::aio::ConnectionManager;
use redis::{Pipeline, Script};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use tokio::sync::Notify;

/// Values in one round trip: some hundred kilobytes.
const PIECE_VALUES: usize = 1_000;

/// Keeps a value only if it is newer than the one there, and tells the listeners.
/// KEYS: the gonggu's key, which is its channel too. ARGV: value, position (20 digits), seconds kept.
const KEEP_NEWER: &str = r"
local held = redis.call('GET', KEYS[1])
if held and string.sub(held, 1, 2) == '1|' and string.sub(held, 3, 22) >= ARGV[2] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[3])
redis.call('PUBLISH', KEYS[1], ARGV[1])
return 1
";

/// What waits to be announced: one value a gonggu, the newest.
#[derive(Debug)]
pub(super) struct Outbox {
    waiting: Mutex<HashMap<GongguId, LiveTotals>>,
    waiting_max: usize,
    news: Notify,
}

impl Outbox {
    pub(super) fn new(waiting_max: usize) -> Self {
        Self { waiting: Mutex::default(), waiting_max, news: Notify::new() }
    }

    pub(super) fn put(&self, totals: &[(GongguId, LiveTotals)]) {
        if totals.is_empty() {
            return;
        }
        let mut waiting = self.waiting.lock();
        for (gonggu_id, value) in totals {
            let has_room = waiting.len() < self.waiting_max;
            match waiting.entry(*gonggu_id) {
                Entry::Occupied(mut held) if value.applied_through > held.get().applied_through => {
                    held.insert(*value);
                }
                Entry::Vacant(vacant) if has_room => {
                    vacant.insert(*value);
                }
                Entry::Occupied(_) | Entry::Vacant(_) => {}
            }
        }
        drop(waiting);
        self.news.notify_one();
    }

    fn take(&self) -> Vec<(GongguId, LiveTotals)> {
        let mut waiting = self.waiting.lock();
        let ids: Vec<GongguId> = waiting.keys().take(PIECE_VALUES).copied().collect();
        ids.into_iter().filter_map(|id| waiting.remove_entry(&id)).collect()
    }
}

pub(super) fn key(config: &RedisCountersConfig, gonggu_id: GongguId) -> String {
    format!("{}live:{}", config.prefix, gonggu_id.0.simple())
}

pub(super) async fn run(
    outbox: Arc<Outbox>,
    mut connection: ConnectionManager,
    config: Arc<RedisCountersConfig>,
) {
    let script = Script::new(KEEP_NEWER);
    let mut pause = RETRY_PAUSES.0;
    loop {
        let piece = outbox.take();
        if piece.is_empty() {
            outbox.news.notified().await;
            continue;
        }
        match send(&mut connection, &script, &piece, &config).await {
            Ok(()) => pause = RETRY_PAUSES.0,
            Err(error) => {
                metrics::counter!("live_counters_failures_total").increment(1);
                tracing::warn!(redis.problem = %error, retry.millis = pause.as_millis() as u64,
                    "live totals could not be announced; the newest are kept");
                outbox.put(&piece);
                tokio::time::sleep(pause).await;
                pause = longer(pause);
            }
        }
    }
}

async fn send(
    connection: &mut ConnectionManager,
    script: &Script,
    piece: &[(GongguId, LiveTotals)],
    config: &RedisCountersConfig,
) -> redis::RedisResult<()> {
    let kept_seconds = config.kept.as_secs().max(1);
    let mut pipeline = Pipeline::with_capacity(piece.len() + 1);
    // Once a piece: a server that was restarted knows no scripts.
    pipeline.load_script(script).ignore();
    for (gonggu_id, totals) in piece {
        let mut invocation = script.key(key(config, *gonggu_id));
        invocation.arg(value::encode(totals)).arg(value::position(totals)).arg(kept_seconds);
        pipeline.invoke_script(&invocation).ignore();
    }
    pipeline.query_async(connection).await
}
