#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use http::HeaderValue;

fn proxies() -> TrustedProxies {
    TrustedProxies::new(&["10.0.0.0/8".parse().unwrap(), "2001:db8:ffff::/48".parse().unwrap()])
}

fn client(peer: &str, lines: &[&str]) -> String {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(FORWARDED_FOR, HeaderValue::from_bytes(line.as_bytes()).unwrap());
    }
    proxies().client_by(peer.parse().unwrap(), &headers).to_string()
}

#[test]
fn an_untrusted_peer_is_the_client_whatever_it_claims() {
    assert_eq!(client("203.0.113.9", &["1.2.3.4", "10.0.0.1"]), "203.0.113.9");
    let none = TrustedProxies::default();
    let mut headers = HeaderMap::new();
    headers.insert(FORWARDED_FOR, HeaderValue::from_static("1.2.3.4"));
    assert_eq!(none.client_by("127.0.0.1".parse().unwrap(), &headers).to_string(), "127.0.0.1");
}

#[test]
fn hops_are_counted_from_the_right() {
    assert_eq!(client("10.0.0.1", &["6.6.6.6, 198.51.100.7"]), "198.51.100.7");
    assert_eq!(client("10.0.0.1", &["6.6.6.6, 198.51.100.7, 10.9.9.9"]), "198.51.100.7");
    assert_eq!(client("10.0.0.1", &["6.6.6.6", "198.51.100.7", "10.9.9.9,10.9.9.8"]), "198.51.100.7");
    assert_eq!(client("10.0.0.1", &["10.1.1.1"]), "10.1.1.1", "all trusted: the leftmost");
    assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
}

#[test]
fn what_is_no_address_ends_the_walk() {
    assert_eq!(client("10.0.0.1", &["1.2.3.4, unknown"]), "10.0.0.1");
    assert_eq!(client("10.0.0.1", &["1.2.3.4, , 10.2.2.2"]), "10.2.2.2");
    assert_eq!(client("10.0.0.1", &["1.2.3.4, \u{fffd}"]), "10.0.0.1");
}

#[test]
fn ports_brackets_and_mapped_addresses() {
    assert_eq!(client("::ffff:10.0.0.1", &["198.51.100.7:5123"]), "198.51.100.7");
    assert_eq!(client("2001:db8:ffff::1", &["[2001:db8::7]:443"]), "2001:db8::7");
    assert_eq!(client("10.0.0.1", &["[2001:db8::7]"]), "2001:db8::7");
    assert_eq!(client("10.0.0.1", &["::ffff:198.51.100.7"]), "198.51.100.7");
}
