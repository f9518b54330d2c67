//! A cache of prepared answers that several processes may share.
//!
//! Problem: what everybody asks for in the same second is made once. It is worth keeping for that second only, and
//! on several machines only if they keep it together.
//!
//! Contract of [`SharedCache`]: a value that is got is one that was put under the very same key, whole, and not longer
//! ago than its time to live. Everything else is allowed to be lost at any moment: a provider that cannot
//! be reached answers `None` and forgets what it is given. So nothing may depend on a value being there, and none of the
//! calls fails. A call MUST return soon whatever happens behind it: a request waits for it.

pub mod redis;

use async_trait::async_trait;
use bytes::Bytes;
use moka::Expiry;
use moka::sync::Cache;
use std::time::{Duration, Instant};

/// See the module's head.
#[async_trait]
pub trait SharedCache: Send + Sync + 'static {
    /// What was put under this key, if it is still there.
    async fn get(&self, key: &str) -> Option<Bytes>;

    /// Keeps a value for at most `ttl`, in place of the one before.
    async fn put(&self, key: &str, value: Bytes, ttl: Duration);

    /// Forgets a value now.
    async fn forget(&self, key: &str);
}

/// A cache within one process, bounded in bytes.
#[derive(Debug)]
pub struct MemoryCache {
    kept: Cache<String, Kept>,
}

/// A value and its life.
#[derive(Clone, Debug)]
struct Kept {
    value: Bytes,
    ttl: Duration,
}

/// Each value lives as long as it was given.
struct Lives;

impl Expiry<String, Kept> for Lives {
    fn expire_after_create(&self, _: &String, kept: &Kept, _: Instant) -> Option<Duration> {
        Some(kept.ttl)
    }

    fn expire_after_update(
        &self,
        _: &String,
        kept: &Kept,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(kept.ttl)
    }
}

impl MemoryCache {
    /// An empty one that holds at most so many bytes, keys included.
    pub fn new(bytes_max: u64) -> Self {
        let kept = Cache::builder()
            .max_capacity(bytes_max)
            .weigher(|key: &String, kept: &Kept| {
                u32::try_from(key.len() + kept.value.len()).unwrap_or(u32::MAX)
            })
            .expire_after(Lives)
            .build();
        Self { kept }
    }
}

#[async_trait]
impl SharedCache for MemoryCache {
    async fn get(&self, key: &str) -> Option<Bytes> {
        self.kept.get(key).map(|kept| kept.value)
    }

    async fn put(&self, key: &str, value: Bytes, ttl: Duration) {
        self.kept.insert(key.to_owned(), Kept { value, ttl });
    }

    async fn forget(&self, key: &str) {
        self.kept.invalidate(key);
    }
}

#[cfg(test)]
mod tests;
