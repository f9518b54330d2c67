//! The requests of a load run, each written once into a caller's buffer.
//!
//! Two kinds of visitors, since their clicks cost differently: all different (every click is billable:
//! a mark is made, the visitor is counted, a row of full width is stored) and all the same (every click
//! but the first of a gonggu is a duplicate). Different visitors differ by address, given in
//! `X-Forwarded-For`, so that no address comes near the mass-click limit.

use std::sync::atomic::{AtomicU64, Ordering};
use uuid::Uuid;

/// Who clicks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Visitors {
    /// A new one for every click.
    Different,
    /// One for all clicks.
    Same,
}

impl Visitors {
    /// The word that tables use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Different => "different",
            Self::Same => "same",
        }
    }
}

/// Real browsers differ in version and device; a few hundred agents keep a cache by agent honest
/// without making it useless.
const AGENT_COUNT: u64 = 240;

/// An endless supply of requests for `/go/{id}`.
#[derive(Debug)]
pub struct Requests {
    gonggu_ids: Vec<String>,
    agents: Vec<String>,
    visitors: Visitors,
    next: AtomicU64,
}

impl Requests {
    /// Requests for these gonggus, in a scattered order.
    pub fn new(gonggu_ids: &[Uuid], visitors: Visitors) -> Self {
        Self {
            gonggu_ids: gonggu_ids.iter().map(Uuid::to_string).collect(),
            agents: (0..AGENT_COUNT).map(agent).collect(),
            visitors,
            next: AtomicU64::new(0),
        }
    }

    /// Writes the next request into `buffer`, replacing what it held.
    pub fn write_next(&self, buffer: &mut Vec<u8>) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let scattered = scatter(number);
        // The high bits choose the gonggu: the low ones choose the agent.
        let gonggu_id = &self.gonggu_ids[((scattered >> 20) % self.gonggu_ids.len() as u64) as usize];
        let visitor = match self.visitors {
            Visitors::Different => number,
            Visitors::Same => 0,
        };
        buffer.clear();
        buffer.extend_from_slice(b"GET /go/");
        buffer.extend_from_slice(gonggu_id.as_bytes());
        buffer.extend_from_slice(b" HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: ");
        buffer.extend_from_slice(self.agents[(scatter(visitor) % AGENT_COUNT) as usize].as_bytes());
        buffer.extend_from_slice(
            b"\r\nAccept: text/html\r\nReferer: https://www.instagram.com/\r\nSec-Fetch-Site: cross-site\
              \r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nX-Forwarded-For: ",
        );
        write_address(buffer, visitor);
        buffer.extend_from_slice(b"\r\n\r\n");
    }
}

/// Fibonacci hashing with a final mix: neighbours land far apart, nothing repeats.
fn scatter(number: u64) -> u64 {
    let product = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    product ^ (product >> 32)
}

fn agent(number: u64) -> String {
    let version = 100 + number % 40;
    match number % 3 {
        0 => format!(
            "Mozilla/5.0 (Linux; Android 14; SM-S91{}N) AppleWebKit/537.36 (KHTML, like Gecko) \
             Chrome/{version}.0.0.0 Mobile Safari/537.36",
            number % 10
        ),
        1 => format!(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_{} like Mac OS X) AppleWebKit/605.1.15 \
             (KHTML, like Gecko) Mobile/15E148 Instagram {version}.0.0.20.89",
            number % 7
        ),
        _ => format!(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
             Chrome/{version}.0.{number}.0 Safari/537.36"
        ),
    }
}

/// Addresses from 16.0.0.0 upward: none is loopback or private, 1.8 billion before they leave 126/8.
fn write_address(buffer: &mut Vec<u8>, visitor: u64) {
    let bits = 0x1000_0000_u32.wrapping_add((visitor % 0x6e00_0000) as u32);
    let mut first = true;
    for octet in bits.to_be_bytes() {
        if !first {
            buffer.push(b'.');
        }
        first = false;
        if octet >= 100 {
            buffer.push(b'0' + octet / 100);
        }
        if octet >= 10 {
            buffer.push(b'0' + octet / 10 % 10);
        }
        buffer.push(b'0' + octet % 10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn different_visitors_have_different_addresses_and_the_same_has_one() {
        let addresses = |visitors| {
            let requests = Requests::new(&[Uuid::nil(), Uuid::max()], visitors);
            let mut buffer = Vec::new();
            (0..5_000)
                .map(|_| {
                    requests.write_next(&mut buffer);
                    let text = String::from_utf8(buffer.clone()).unwrap_or_default();
                    assert!(text.ends_with("\r\n\r\n") && text.starts_with("GET /go/"));
                    text.lines().find_map(|line| line.strip_prefix("X-Forwarded-For: ")).map(str::to_owned)
                })
                .collect::<HashSet<_>>()
        };
        let different = addresses(Visitors::Different);
        assert_eq!(different.len(), 5_000);
        assert!(different.iter().flatten().all(|text| text.parse::<std::net::Ipv4Addr>().is_ok()));
        assert_eq!(addresses(Visitors::Same).len(), 1);
    }
}
