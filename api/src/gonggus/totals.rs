//! How many gonggus a list has, counted once for all who ask until that can have changed.
//!
//! Problem: a page is read from an index in a millisecond, but its total is counted over the whole catalog: at
//! 100,000 gonggus that is a hundred times the page. The total is the same for everybody, and it changes at known
//! moments only: when somebody changes the catalog, and, where it is of one status, when the next gonggu opens
//! or closes.
//!
//! Invariants: a total is told until the first of these: a change that this process makes or hears of (the
//! catalog's changes are part of the key), the next opening or closing that may concern it, `AGE_MAX`. What no
//! process is told of is another's change of a title or of categories; for that alone there is an age. While this process
//! does not hear the others, and where openings follow each other quickly, a total is at most `AGE_LEAST` old, as any
//! anonymous answer. Who asks while somebody counts waits for that count. Items are not remembered here.

use chrono::{DateTime, TimeDelta, Utc};
use moka::sync::Cache;
use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::BuildHasher;
use std::time::Duration;
use tokio::sync::Mutex;
use uuid::Uuid;

/// A category moved on another machine is in the totals after so long at the latest.
const AGE_MAX: Duration = Duration::from_secs(30);
const AGE_LEAST: TimeDelta = TimeDelta::seconds(1);
/// Different questions remembered; texts are bounded, so this is bounded memory.
const ENTRIES_MAX: u64 = 1_000;
/// So many different totals are counted at a time: counts must not take all connections.
const TURNS: usize = 4;

/// What is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TotalKey {
    /// The catalog's changes, of all processes.
    pub changes: u64,
    /// By status now.
    pub status: Option<&'static str>,
    /// By category.
    pub category: Option<Uuid>,
    /// Part of the title.
    pub q: Option<String>,
    /// Closes within so many milliseconds.
    pub closes_within_millis: Option<i64>,
}

/// What came of counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Counted {
    /// So many.
    pub total: i64,
    /// From then on it may be another; `None`: time alone does not change it.
    pub until: Option<DateTime<Utc>>,
}

/// When a question is asked, and what is known then.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// The moment that status is asked for.
    pub now: DateTime<Utc>,
    /// Whether this process hears of the others' changes.
    pub hears_all: bool,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    counted: Counted,
    at: DateTime<Utc>,
}

impl Kept {
    fn holds(&self, asked: Asked) -> bool {
        let is_settled = asked.hears_all && self.counted.until.is_none_or(|until| asked.now < until);
        is_settled || (asked.now - self.at).abs() < AGE_LEAST
    }
}

/// Recent totals.
#[derive(Debug)]
pub struct Totals {
    recent: Cache<TotalKey, Kept>,
    hasher: RandomState,
    turns: [Mutex<()>; TURNS],
}

impl Totals {
    /// None counted yet.
    pub fn new() -> Self {
        Self {
            recent: Cache::builder().max_capacity(ENTRIES_MAX).time_to_live(AGE_MAX).build(),
            hasher: RandomState::new(),
            turns: std::array::from_fn(|_| Mutex::new(())),
        }
    }

    /// The total, counted by `count` unless the one before still holds. The key is made before the count: a change
    /// during it makes another key.
    pub async fn get<E>(
        &self,
        key: TotalKey,
        asked: Asked,
        count: impl Future<Output = Result<Counted, E>>,
    ) -> Result<i64, E> {
        if let Some(total) = self.held(&key, asked) {
            return Ok(total);
        }
        let turn = self.hasher.hash_one(&key) as usize % TURNS;
        let _turn = self.turns[turn].lock().await;
        if let Some(total) = self.held(&key, asked) {
            return Ok(total);
        }
        let counted = count.await?;
        self.recent.insert(key, Kept { counted, at: asked.now });
        Ok(counted.total)
    }

    fn held(&self, key: &TotalKey, asked: Asked) -> Option<i64> {
        self.recent.get(key).filter(|kept| kept.holds(asked)).map(|kept| kept.counted.total)
    }
}

impl Default for Totals {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
