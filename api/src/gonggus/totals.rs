//! How many gonggus a list has, counted at most once a second for all who ask.
//!
//! Problem: a page is read from an index in a millisecond, but its total is counted over the whole catalog: at
//! 100,000 gonggus that is thirty times the page. The total is the same for everybody.
//!
//! Invariants: a total is at most `AGE_MAX` old, the age that an anonymous answer may have anyway; a change that
//! this process makes or hears of is in the next total, since the catalog's version is part of the key; who asks
//! while somebody counts waits for that count. Items are never remembered: they are exact.

use moka::sync::Cache;
use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;
use uuid::Uuid;

const AGE_MAX: Duration = Duration::from_secs(1);
/// Different questions remembered; texts are bounded, so this is bounded memory.
const ENTRIES_MAX: u64 = 1_000;
/// So many different totals are counted at a time: counts must not take all connections.
const TURNS: usize = 4;

/// What is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TotalKey {
    /// Version of the links: the catalog's changes of all processes.
    pub links_version: u64,
    /// By status now.
    pub status: Option<&'static str>,
    /// By category.
    pub category: Option<Uuid>,
    /// Part of the title.
    pub q: Option<String>,
    /// Closes within so many milliseconds.
    pub closes_within_millis: Option<i64>,
}

/// Recent totals.
#[derive(Debug)]
pub struct Totals {
    recent: Cache<(u64, TotalKey), i64>,
    /// Raised by a change of this process that no link shows (a title, a category).
    changes: AtomicU64,
    hasher: RandomState,
    turns: [Mutex<()>; TURNS],
}

impl Totals {
    /// None counted yet.
    pub fn new() -> Self {
        Self {
            recent: Cache::builder().max_capacity(ENTRIES_MAX).time_to_live(AGE_MAX).build(),
            changes: AtomicU64::new(0),
            hasher: RandomState::new(),
            turns: std::array::from_fn(|_| Mutex::new(())),
        }
    }

    /// A gonggu was changed here: what was counted before is not told any more.
    pub fn changed(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// The total, counted by `count` unless it was a moment ago.
    pub async fn get<E>(&self, key: TotalKey, count: impl Future<Output = Result<i64, E>>) -> Result<i64, E> {
        // read before the count: a change during it makes another key
        let key = (self.changes.load(Ordering::Acquire), key);
        if let Some(total) = self.recent.get(&key) {
            return Ok(total);
        }
        let turn = self.hasher.hash_one(&key) as usize % TURNS;
        let _turn = self.turns[turn].lock().await;
        if let Some(total) = self.recent.get(&key) {
            return Ok(total);
        }
        let total = count.await?;
        self.recent.insert(key, total);
        Ok(total)
    }
}

impl Default for Totals {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use std::convert::Infallible;
    use std::sync::atomic::AtomicI64;

    fn key(links_version: u64) -> TotalKey {
        TotalKey { links_version, status: None, category: None, q: None, closes_within_millis: None }
    }

    #[tokio::test]
    async fn a_crowd_counts_once_and_a_change_counts_again() {
        let (totals, counts) = (Totals::new(), AtomicI64::new(0));
        let count = |links_version| {
            totals.get(key(links_version), async {
                tokio::task::yield_now().await;
                Ok::<_, Infallible>(counts.fetch_add(1, Ordering::SeqCst) + 1)
            })
        };
        let crowd = futures::future::join_all((0..50).map(|_| count(1))).await;
        assert!(crowd.into_iter().all(|total| total == Ok(1)));
        assert_eq!(count(2).await, Ok(2), "another process changed something");
        totals.changed();
        assert_eq!(count(2).await, Ok(3), "this one did");
    }
}
