//! Which addresses a gonggu may lead to.
//!
//! Judged as written, without asking DNS: http or https, no credentials, and a host that is public by
//! its own text. A name that today resolves to a public address may resolve to another tomorrow, but
//! it is the buyer's browser that follows it, never this server.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use url::{Host, Url};

/// The column's width.
pub(crate) const LENGTH_MAX_CHARS: usize = 1_000;
/// Names that never leave the machine or the house.
const PRIVATE_SUFFIXES: [&str; 9] =
    ["localhost", "localdomain", "local", "internal", "lan", "home", "intranet", "home.arpa", "onion"];

/// What is wrong with an address, in Korean; `None` if nothing.
pub fn refusal(text: &str) -> Option<&'static str> {
    if text.chars().count() > LENGTH_MAX_CHARS {
        return Some("1000자 이하여야 합니다");
    }
    let lower = text.to_ascii_lowercase();
    if !(lower.starts_with("http://") || lower.starts_with("https://")) {
        return Some("http:// 또는 https:// 주소여야 합니다");
    }
    // what parsers read differently is refused before any of them reads it
    if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
        return Some("주소에 공백이나 사용할 수 없는 문자가 있습니다");
    }
    let Ok(url) = Url::parse(text) else { return Some("올바른 주소가 아닙니다") };
    let authority = text.split("//").nth(1).unwrap_or_default();
    let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') || !url.username().is_empty() || url.password().is_some() {
        return Some("주소에 계정 정보를 넣을 수 없습니다");
    }
    let public = match url.host() {
        None => false,
        Some(Host::Domain(name)) => is_public_name(name),
        // decimal, hex and octal spellings arrive here as what they mean
        Some(Host::Ipv4(address)) => is_public_v4(address),
        Some(Host::Ipv6(address)) => is_public_v6(address),
    };
    (!public).then_some("외부에서 접속할 수 있는 주소여야 합니다")
}

fn is_public_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let is_name = name.len() <= 253 && name.split('.').all(|label| (1..=63).contains(&label.len()));
    let private = PRIVATE_SUFFIXES
        .iter()
        .any(|suffix| name == *suffix || name.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.')));
    is_name && name.contains('.') && !private && name.parse::<IpAddr>().is_err()
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (18..20).contains(&b)))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    // mapped, compatible, NAT64 and 6to4 addresses are the IPv4 address within
    let within = match segments {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some((high, low)),
        [0x2002, high, low, ..] => Some((high, low)),
        _ => None,
    };
    if let Some((high, low)) = within {
        return is_public_v4(Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low)));
    }
    // only 2000::/3 is given out at all; of it, documentation and Teredo are not public hosts
    segments[0] & 0xe000 == 0x2000 && !(segments[0] == 0x2001 && (segments[1] == 0x0db8 || segments[1] == 0))
}

#[cfg(test)]
mod tests;
