//! Live figures: absolute totals per gonggu, told to whoever watches them.
//!
//! They are a convenience, never the truth: lost or late ones make a screen older, no figure wrong.

use crate::clock::UnixMillis;
use crate::ids::{GongguId, Position};
use crate::judge::totals::Counts;
use async_trait::async_trait;
use parking_lot::Mutex;
use std::collections::HashMap;
use tokio::sync::watch;

/// A gonggu's totals as of the last stored batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LiveTotals {
    /// All its clicks.
    pub counts: Counts,
    /// Estimate of its distinct visitors.
    pub unique_visitors: u64,
    /// The last click in them: what says a smaller one is older.
    pub applied_through: Position,
    /// Up to when every click is in them.
    pub complete_through: UnixMillis,
}

/// Takes `value` if it is newer than what is held.
pub fn take_newer(held: &mut Option<LiveTotals>, value: &LiveTotals) -> bool {
    let newer = held.is_none_or(|held| value.applied_through > held.applied_through);
    if newer {
        *held = Some(*value);
    }
    newer
}

/// Shared live totals. Publishing MUST NOT block on a watcher or fail the batch; watchers MAY miss
/// values in between but MUST see the newest, and MUST NOT see an older one after it.
#[async_trait]
pub trait Counters: Send + Sync + 'static {
    /// Publishes absolute totals, after they are stored.
    async fn publish(&self, totals: &[(GongguId, LiveTotals)]);
    /// Watches one gonggu; `None` until the first publication.
    async fn watch(&self, gonggu_id: GongguId) -> watch::Receiver<Option<LiveTotals>>;
}

/// What every provider must do, as functions that any provider's tests call.
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;

/// Counters within one process. Holds only gonggus that somebody watches.
#[derive(Debug, Default)]
pub struct MemoryCounters {
    watched: Mutex<HashMap<GongguId, watch::Sender<Option<LiveTotals>>>>,
}

#[async_trait]
impl Counters for MemoryCounters {
    async fn publish(&self, totals: &[(GongguId, LiveTotals)]) {
        let mut watched = self.watched.lock();
        if watched.is_empty() {
            return;
        }
        for (gonggu_id, value) in totals {
            if let Some(sender) = watched.get(gonggu_id) {
                sender.send_if_modified(|held| take_newer(held, value));
            }
        }
        watched.retain(|_, sender| sender.receiver_count() > 0);
    }

    async fn watch(&self, gonggu_id: GongguId) -> watch::Receiver<Option<LiveTotals>> {
        let mut watched = self.watched.lock();
        watched.entry(gonggu_id).or_insert_with(|| watch::channel(None).0).subscribe()
    }
}
