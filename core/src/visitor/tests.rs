use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn one_household_is_one_address() {
    let key = AddressKey::new([7; 32]);
    assert_eq!(key.address_hash(ip("::ffff:203.0.113.9")), key.address_hash(ip("203.0.113.9")));
    assert_eq!(key.address_hash(ip("2001:db8:1:2::1")), key.address_hash(ip("2001:db8:1:2:ffff::9")));
    assert_ne!(key.address_hash(ip("2001:db8:1:2::1")), key.address_hash(ip("2001:db8:1:3::1")));
    assert_ne!(key.address_hash(ip("203.0.113.9")), key.address_hash(ip("203.0.113.10")));
}

#[test]
fn networks_are_wider_and_never_equal_an_address() {
    let key = AddressKey::new([7; 32]);
    assert_eq!(key.network_hash(ip("203.0.113.9")), key.network_hash(ip("203.0.113.200")));
    assert_eq!(key.network_hash(ip("2001:db8:1:2::1")), key.network_hash(ip("2001:db8:1:99::1")));
    assert_ne!(key.network_hash(ip("203.0.113.0")), key.address_hash(ip("203.0.113.0")));
}

#[test]
fn another_key_gives_other_hashes_and_another_fingerprint() {
    let (one, two) = (AddressKey::new([1; 32]), AddressKey::new([2; 32]));
    assert_ne!(one.address_hash(ip("203.0.113.9")), two.address_hash(ip("203.0.113.9")));
    assert_ne!(one.fingerprint(), two.fingerprint());
    assert_eq!(one.fingerprint().len(), 16);
}

#[test]
fn the_masked_form_hides_the_last_part() {
    assert_eq!(masked(ip("203.0.113.9")), "203.0.113.*");
    assert_eq!(masked(ip("::ffff:203.0.113.9")), "203.0.113.*");
    assert_eq!(masked(ip("0.9.10.9")), "0.9.10.*");
    assert_eq!(masked(ip("99.100.255.9")), "99.100.255.*");
    assert_eq!(masked(ip("2001:db8:1:2:3::9")), "2001:db8:1::*");
}
