#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;

fn limits(by_address: u32, by_both: u32, by_account: u32) -> (AccountLimits, AddressKey) {
    let settings = LimitSettings {
        logins_per_address_per_minute: by_address,
        logins_per_account_per_minute: by_both,
        logins_per_account_per_hour: by_account,
        signups_per_address_per_hour: 2,
        mails_per_address_per_hour: 2,
        codes_per_address_per_minute: 2,
    };
    (AccountLimits::new(&settings), AddressKey::new([1; 32]))
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_stranger_cannot_lock_an_account() {
    let (limits, key) = limits(100, 3, 100);
    let (stranger, owner) = (address("198.51.100.1"), address("203.0.113.1"));
    for _ in 0..3 {
        limits.login(&key, stranger, "a@example.com").unwrap();
    }
    let refused = limits.login(&key, stranger, "a@example.com").unwrap_err();
    assert!(matches!(refused, ApiError::RateLimited { retry_after_seconds: 1..=21 }), "{refused}");
    // not even one from the next address of the same network
    assert_eq!(limits.login(&key, address("198.51.100.2"), "a@example.com").unwrap(), Attempt::Anybody);
    assert_eq!(limits.login(&key, owner, "a@example.com").unwrap(), Attempt::Anybody);
    assert_eq!(limits.login(&key, stranger, "b@example.com").unwrap(), Attempt::Anybody);
}

#[test]
fn many_strangers_leave_the_account_to_known_networks() {
    let (limits, key) = limits(100, 100, 50);
    for number in 0..50 {
        let stranger = address(&format!("198.51.{number}.1"));
        assert_eq!(limits.login(&key, stranger, "a@example.com").unwrap(), Attempt::Anybody);
    }
    let next = limits.login(&key, address("203.0.113.1"), "a@example.com").unwrap();
    assert!(matches!(next, Attempt::KnownNetworkOnly { retry_after_seconds: 1..=73 }), "{next:?}");
    assert_eq!(limits.login(&key, address("203.0.113.1"), "b@example.com").unwrap(), Attempt::Anybody);
}

#[test]
fn one_address_is_limited_over_all_accounts() {
    let (limits, key) = limits(5, 100, 100);
    for number in 0..5 {
        let address = address(&format!("2001:db8::{number:x}"));
        limits.login(&key, address, &format!("{number}@example.com")).unwrap();
    }
    assert!(limits.login(&key, address("2001:db8::ffff"), "z@example.com").is_err());
}

#[test]
fn what_costs_a_mail_or_an_account_is_limited_by_address() {
    let (limits, key) = limits(5, 5, 5);
    let (here, there) = (address("198.51.100.1"), address("198.51.100.2"));
    type Limit = fn(&AccountLimits, &AddressKey, IpAddr) -> Result<(), ApiError>;
    for limit in [AccountLimits::signup as Limit, AccountLimits::mail, AccountLimits::code] {
        limit(&limits, &key, here).unwrap();
        limit(&limits, &key, here).unwrap();
        assert!(limit(&limits, &key, here).is_err());
        limit(&limits, &key, there).unwrap();
    }
}
