//! How often somebody may try to log in.
//!
//! Two limits: by address (an IPv6 /64 is one), against guessing many accounts from one place; and by
//! account *together with* the network the attempt comes from, against guessing one account. The
//! account alone is never limited, since then anybody could lock anybody out by failing in his name.
//! Keys are keyed hashes, so no address or e-mail is held in memory, and old ones are evicted.

use crate::http::error::ApiError;
use gonggumoa_core::visitor::AddressKey;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

type Key = [u8; 16];

/// Old keys are looked for after this many attempts.
const EVICT_EVERY: u64 = 1_024;

/// The limits with their memory.
#[derive(Debug)]
pub struct LoginLimits {
    by_address: DefaultKeyedRateLimiter<Key>,
    by_account: DefaultKeyedRateLimiter<Key>,
    clock: DefaultClock,
    attempts: AtomicU64,
}

impl LoginLimits {
    /// That many a minute, as a burst or spread.
    pub fn new(per_address_per_minute: u32, per_account_per_minute: u32) -> Self {
        let quota = |count: u32| Quota::per_minute(NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN));
        Self {
            by_address: RateLimiter::keyed(quota(per_address_per_minute)),
            by_account: RateLimiter::keyed(quota(per_account_per_minute)),
            clock: DefaultClock::default(),
            attempts: AtomicU64::new(0),
        }
    }

    /// Takes one attempt, or says when to come back.
    pub fn check(&self, key: &AddressKey, address: IpAddr, account: &str) -> Result<(), ApiError> {
        if self.attempts.fetch_add(1, Ordering::Relaxed) % EVICT_EVERY == EVICT_EVERY - 1 {
            self.by_address.retain_recent();
            self.by_account.retain_recent();
        }
        self.take(&self.by_address, &key.address_hash(address).0)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&key.network_hash(address).0).update(account.as_bytes());
        let mut both = Key::default();
        both.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        self.take(&self.by_account, &both)
    }

    fn take(&self, limiter: &DefaultKeyedRateLimiter<Key>, key: &Key) -> Result<(), ApiError> {
        limiter.check_key(key).map_err(|until| {
            let wait = until.wait_time_from(self.clock.now());
            ApiError::RateLimited { retry_after_seconds: wait.as_secs() + 1 }
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_stranger_cannot_lock_an_account() {
        let limits = LoginLimits::new(100, 3);
        let key = AddressKey::new([1; 32]);
        let stranger: IpAddr = "198.51.100.1".parse().unwrap();
        let owner: IpAddr = "203.0.113.1".parse().unwrap();
        for _ in 0..3 {
            limits.check(&key, stranger, "a@example.com").unwrap();
        }
        let refused = limits.check(&key, stranger, "a@example.com").unwrap_err();
        assert!(matches!(refused, ApiError::RateLimited { retry_after_seconds: 1..=21 }), "{refused}");
        limits.check(&key, owner, "a@example.com").unwrap();
        limits.check(&key, stranger, "b@example.com").unwrap();
    }

    #[test]
    fn one_address_is_limited_over_all_accounts() {
        let limits = LoginLimits::new(5, 100);
        let key = AddressKey::new([1; 32]);
        for number in 0..5 {
            let address = format!("2001:db8::{number:x}").parse().unwrap();
            limits.check(&key, address, &format!("{number}@example.com")).unwrap();
        }
        assert!(limits.check(&key, "2001:db8::ffff".parse().unwrap(), "z@example.com").is_err());
    }
}
