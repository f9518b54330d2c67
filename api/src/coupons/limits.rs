//! How often somebody may try a coupon's code.
//!
//! Two limits: by account, against guessing; and by address (an IPv6 /64 is one), against guessing with
//! many accounts from one place. Good tries count too: nobody has so many coupons. Addresses are held as keyed
//! hashes, and old keys are evicted.

use crate::http::error::ApiError;
use gonggumoa_core::visitor::AddressKey;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use uuid::Uuid;

type Key = [u8; 16];

/// All codes of four letters and digits take an account two months at this rate.
const PER_ACCOUNT_PER_MINUTE: u32 = 20;
/// An office, or a carrier's address, whose people redeem the same morning's coupon.
const PER_ADDRESS_PER_MINUTE: u32 = 200;
/// Old keys are looked for after this many tries.
const EVICT_EVERY: u64 = 1_024;

/// The limits with their memory.
#[derive(Debug)]
pub struct CouponLimits {
    by_account: DefaultKeyedRateLimiter<Key>,
    by_address: DefaultKeyedRateLimiter<Key>,
    clock: DefaultClock,
    tries: AtomicU64,
}

impl CouponLimits {
    /// Nobody has tried yet.
    pub fn new() -> Self {
        let quota = |count: u32| Quota::per_minute(NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN));
        Self {
            by_account: RateLimiter::keyed(quota(PER_ACCOUNT_PER_MINUTE)),
            by_address: RateLimiter::keyed(quota(PER_ADDRESS_PER_MINUTE)),
            clock: DefaultClock::default(),
            tries: AtomicU64::new(0),
        }
    }

    /// Takes one try, or says when to come back.
    pub fn check(&self, user_id: Uuid, key: &AddressKey, address: IpAddr) -> Result<(), ApiError> {
        if self.tries.fetch_add(1, Ordering::Relaxed) % EVICT_EVERY == EVICT_EVERY - 1 {
            self.by_account.retain_recent();
            self.by_address.retain_recent();
        }
        self.take(&self.by_account, user_id.as_bytes())?;
        self.take(&self.by_address, &key.address_hash(address).0)
    }

    fn take(&self, limiter: &DefaultKeyedRateLimiter<Key>, key: &Key) -> Result<(), ApiError> {
        limiter.check_key(key).map_err(|until| {
            let wait = until.wait_time_from(self.clock.now());
            ApiError::RateLimited { retry_after_seconds: wait.as_secs() + 1 }
        })
    }
}

impl Default for CouponLimits {
    fn default() -> Self {
        Self::new()
    }
}
