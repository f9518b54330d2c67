//! From Redis to this node's watchers: one connection that listens for the gonggus that are watched.
//!
//! After every start of the connection all of them are read too, so that what was announced meanwhile is not
//! missed. Values may come twice and out of order; only newer ones pass.

use super::{ANSWER_TIME, RETRY_PAUSES, RedisCountersConfig, Watched, longer, value};
use crate::redis::announce::key;
use futures::StreamExt;
use gonggumoa_core::ids::GongguId;
use gonggumoa_core::live::take_newer;
use redis::AsyncTypedCommands;
use redis::aio::{ConnectionManager, PubSubSink};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How often gonggus that nobody watches any more are let go, and a silent connection is tried.
const TIDY_INTERVAL: Duration = Duration::from_secs(15);
/// Keys read, or channels subscribed to, at once.
const PIECE_KEYS: usize = 500;

struct Listener {
    sink: PubSubSink,
    connection: ConnectionManager,
    watched: Watched,
    config: Arc<RedisCountersConfig>,
    /// The gonggu of each channel listened to.
    channels: HashMap<String, GongguId>,
}

pub(super) async fn run(
    client: redis::Client,
    connection: ConnectionManager,
    watched: Watched,
    mut wanted: mpsc::UnboundedReceiver<GongguId>,
    config: Arc<RedisCountersConfig>,
) {
    // No connection before somebody watches: most judges serve no streams.
    if wanted.recv().await.is_none() {
        return;
    }
    let mut pause = RETRY_PAUSES.0;
    loop {
        match listen(&client, &connection, &watched, &mut wanted, &config).await {
            Ok(()) => return,
            Err((error, worked)) => {
                if worked {
                    pause = RETRY_PAUSES.0;
                }
                metrics::counter!("live_counters_failures_total").increment(1);
                tracing::warn!(redis.problem = %error, retry.millis = pause.as_millis() as u64,
                    "live totals are not heard; figures are asked for at intervals meanwhile");
            }
        }
        tokio::time::sleep(pause).await;
        pause = longer(pause);
    }
}

/// Listens until the connection fails, or nobody can ask any more. The error says whether it worked before.
async fn listen(
    client: &redis::Client,
    connection: &ConnectionManager,
    watched: &Watched,
    wanted: &mut mpsc::UnboundedReceiver<GongguId>,
    config: &Arc<RedisCountersConfig>,
) -> Result<(), (redis::RedisError, bool)> {
    let early = |error| (error, false);
    let pubsub = answered(client.get_async_pubsub()).await.map_err(early)?;
    let (sink, mut messages) = pubsub.split();
    let mut listener = Listener {
        sink,
        connection: connection.clone(),
        watched: Arc::clone(watched),
        config: Arc::clone(config),
        channels: HashMap::new(),
    };
    let all = watched.lock().keys().copied().collect();
    listener.add(all).await.map_err(early)?;
    let late = |error| (error, true);
    let mut ticks = tokio::time::interval(TIDY_INTERVAL);
    ticks.reset();
    loop {
        tokio::select! {
            message = messages.next() => match message {
                Some(message) => {
                    let text: String = message.get_payload().map_err(late)?;
                    listener.take(message.get_channel_name(), &text);
                }
                None => {
                    let gone = redis::RedisError::from((redis::ErrorKind::Io, "the connection ended"));
                    return Err(late(gone));
                }
            },
            asked = wanted.recv() => {
                let Some(asked) = asked else { return Ok(()) };
                let mut all = vec![asked];
                while let Ok(more) = wanted.try_recv() {
                    all.push(more);
                }
                listener.add(all).await.map_err(late)?;
            }
            _ = ticks.tick() => listener.tidy().await.map_err(late)?,
        }
    }
}

impl Listener {
    /// Listens for these too, then reads what they are now.
    async fn add(&mut self, mut gonggu_ids: Vec<GongguId>) -> redis::RedisResult<()> {
        gonggu_ids.sort_unstable();
        gonggu_ids.dedup();
        for piece in gonggu_ids.chunks(PIECE_KEYS) {
            let keys: Vec<String> = piece.iter().map(|id| key(&self.config, *id)).collect();
            answered(self.sink.subscribe(&keys)).await?;
            self.channels.extend(keys.iter().cloned().zip(piece.iter().copied()));
            let values = self.connection.mget(&keys).await?;
            for (key, value) in keys.iter().zip(values) {
                if let Some(text) = value {
                    self.take(key, &text);
                }
            }
        }
        Ok(())
    }

    fn take(&self, channel: &str, text: &str) {
        let Some(gonggu_id) = self.channels.get(channel) else { return };
        let Some(totals) = value::decode(text) else {
            tracing::debug!(redis.channel = channel, "totals in another form were left alone");
            return;
        };
        let watched = self.watched.lock();
        let Some(sender) = watched.get(gonggu_id) else { return };
        sender.send_if_modified(|held| take_newer(held, &totals));
    }

    /// Lets go of what nobody watches, and sees whether the connection still lives.
    async fn tidy(&mut self) -> redis::RedisResult<()> {
        let mut gone = Vec::new();
        self.watched.lock().retain(|gonggu_id, sender| {
            let kept = sender.receiver_count() > 0;
            if !kept {
                gone.push(key(&self.config, *gonggu_id));
            }
            kept
        });
        for piece in gone.chunks(PIECE_KEYS) {
            answered(self.sink.unsubscribe(piece)).await?;
        }
        self.channels.retain(|channel, _| !gone.contains(channel));
        answered(self.sink.ping::<()>()).await
    }
}

/// A call that a dead connection would never answer.
async fn answered<T>(call: impl Future<Output = redis::RedisResult<T>>) -> redis::RedisResult<T> {
    timeout(ANSWER_TIME, call)
        .await
        .unwrap_or_else(|_| Err(redis::RedisError::from((redis::ErrorKind::Io, "no answer in time"))))
}
