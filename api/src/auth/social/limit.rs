//! How often one address may start or end a social sign-in: each costs rows here and calls elsewhere.

use crate::http::error::ApiError;
use gonggumoa_core::visitor::AddressKey;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

/// Old keys are looked for after this many attempts.
const EVICT_EVERY: u64 = 1_024;

/// The limit with its memory: keyed hashes only.
#[derive(Debug)]
pub(super) struct AddressLimit {
    limiter: DefaultKeyedRateLimiter<[u8; 16]>,
    clock: DefaultClock,
    attempts: AtomicU64,
}

impl AddressLimit {
    pub(super) fn new(per_minute: u32) -> Self {
        let quota = Quota::per_minute(NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN));
        Self {
            limiter: RateLimiter::keyed(quota),
            clock: DefaultClock::default(),
            attempts: AtomicU64::new(0),
        }
    }

    /// Takes one attempt, or says when to come back.
    pub(super) fn check(&self, key: &AddressKey, address: IpAddr) -> Result<(), ApiError> {
        if self.attempts.fetch_add(1, Ordering::Relaxed) % EVICT_EVERY == EVICT_EVERY - 1 {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(&key.address_hash(address).0).map_err(|until| {
            let wait = until.wait_time_from(self.clock.now());
            ApiError::RateLimited { retry_after_seconds: wait.as_secs() + 1 }
        })
    }
}
