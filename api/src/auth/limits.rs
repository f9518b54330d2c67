//! How often somebody may try, and why nobody can be kept out by it.
//!
//! A login meets three limits, in this order:
//! 1. by address (an IPv6 /64 is one), against guessing many accounts from one place;
//! 2. by account together with the address, against guessing one account from one place;
//! 3. by account alone, per hour, against guessing one account from very many places.
//!
//! Whoever fails in somebody's name spends the first two only for his own address. The third he can spend for
//! all, so when it is spent it does not refuse: it lets only those on who come from a network (IPv4 /24, IPv6
//! /48) from which the account has signed in before ([`Attempt::KnownNetworkOnly`]). Its owner at home, at work
//! or on the usual mobile network notices nothing. Its owner on a network never seen before waits while the
//! attack lasts, or proves himself by the mail of a password reset, which makes that network known.
//! What remains: somebody behind the very same address can make the owner wait there, up to a minute.
//!
//! Signing up, asking for mails and showing codes are limited by address. How many mails an account is sent is
//! counted in the database (`codes`), since that must hold over all processes together.
//!
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

/// How much is allowed, each as a burst or spread.
#[derive(Clone, Copy, Debug)]
pub struct LimitSettings {
    /// Logins from one address.
    pub logins_per_address_per_minute: u32,
    /// Logins on one account from one address.
    pub logins_per_account_per_minute: u32,
    /// Logins on one account from everywhere; more only from known networks.
    pub logins_per_account_per_hour: u32,
    /// Accounts made from one address.
    pub signups_per_address_per_hour: u32,
    /// Mails asked for from one address.
    pub mails_per_address_per_hour: u32,
    /// Codes shown from one address.
    pub codes_per_address_per_minute: u32,
}

/// Who may try a login now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// Whoever comes.
    Anybody,
    /// Only who comes from a network that the account has signed in from.
    KnownNetworkOnly {
        /// When others may come back.
        retry_after_seconds: u64,
    },
}

/// The limits with their memory.
#[derive(Debug)]
pub struct AccountLimits {
    logins_by_address: DefaultKeyedRateLimiter<Key>,
    logins_by_both: DefaultKeyedRateLimiter<Key>,
    logins_by_account: DefaultKeyedRateLimiter<Key>,
    signups: DefaultKeyedRateLimiter<Key>,
    mails: DefaultKeyedRateLimiter<Key>,
    codes: DefaultKeyedRateLimiter<Key>,
    clock: DefaultClock,
    attempts: AtomicU64,
}

fn some(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN)
}

fn keyed(parts: &[&[u8]]) -> Key {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    let mut key = Key::default();
    key.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    key
}

impl AccountLimits {
    /// Nothing tried yet.
    pub fn new(settings: &LimitSettings) -> Self {
        let per_minute = |count| RateLimiter::keyed(Quota::per_minute(some(count)));
        let per_hour = |count| RateLimiter::keyed(Quota::per_hour(some(count)));
        Self {
            logins_by_address: per_minute(settings.logins_per_address_per_minute),
            logins_by_both: per_minute(settings.logins_per_account_per_minute),
            logins_by_account: per_hour(settings.logins_per_account_per_hour),
            signups: per_hour(settings.signups_per_address_per_hour),
            mails: per_hour(settings.mails_per_address_per_hour),
            codes: per_minute(settings.codes_per_address_per_minute),
            clock: DefaultClock::default(),
            attempts: AtomicU64::new(0),
        }
    }

    /// Takes one login, or says when to come back. `account` is the folded e-mail, whether or not there is one.
    pub fn login(&self, key: &AddressKey, address: IpAddr, account: &str) -> Result<Attempt, ApiError> {
        self.evict();
        let address = key.address_hash(address).0;
        self.take(&self.logins_by_address, &address)?;
        self.take(&self.logins_by_both, &keyed(&[&address, account.as_bytes()]))?;
        match self.take(&self.logins_by_account, &keyed(&[account.as_bytes()])) {
            Ok(()) => Ok(Attempt::Anybody),
            Err(ApiError::RateLimited { retry_after_seconds }) => {
                Ok(Attempt::KnownNetworkOnly { retry_after_seconds })
            }
            Err(error) => Err(error),
        }
    }

    /// Takes one new account.
    pub fn signup(&self, key: &AddressKey, address: IpAddr) -> Result<(), ApiError> {
        self.evict();
        self.take(&self.signups, &key.address_hash(address).0)
    }

    /// Takes one mail that somebody asks for.
    pub fn mail(&self, key: &AddressKey, address: IpAddr) -> Result<(), ApiError> {
        self.evict();
        self.take(&self.mails, &key.address_hash(address).0)
    }

    /// Takes one code that somebody shows.
    pub fn code(&self, key: &AddressKey, address: IpAddr) -> Result<(), ApiError> {
        self.evict();
        self.take(&self.codes, &key.address_hash(address).0)
    }

    fn evict(&self) {
        if self.attempts.fetch_add(1, Ordering::Relaxed) % EVICT_EVERY == EVICT_EVERY - 1 {
            let all = [
                &self.logins_by_address,
                &self.logins_by_both,
                &self.logins_by_account,
                &self.signups,
                &self.mails,
                &self.codes,
            ];
            all.into_iter().for_each(DefaultKeyedRateLimiter::retain_recent);
        }
    }

    fn take(&self, limiter: &DefaultKeyedRateLimiter<Key>, key: &Key) -> Result<(), ApiError> {
        limiter.check_key(key).map_err(|until| {
            let wait = until.wait_time_from(self.clock.now());
            ApiError::RateLimited { retry_after_seconds: wait.as_secs() + 1 }
        })
    }
}

#[cfg(test)]
mod tests;
