//! Request ids: unique, cheap, and never the client's own (what a client sends is not trusted in logs).

use http::HeaderValue;
use std::sync::atomic::{AtomicU64, Ordering};

/// The header that carries it.
pub const REQUEST_ID: http::HeaderName = http::HeaderName::from_static("x-request-id");

/// Makes ids: a random prefix a process, then a counter. No clock, no random number per request.
#[derive(Debug)]
pub struct RequestIds {
    prefix: [u8; 16],
    next: AtomicU64,
}

impl RequestIds {
    /// With a fresh random prefix.
    pub fn new() -> Self {
        Self { prefix: hex(rand::random::<u64>()), next: AtomicU64::new(0) }
    }

    /// The next id.
    pub fn next(&self) -> HeaderValue {
        let mut text = [0u8; 32];
        text[..16].copy_from_slice(&self.prefix);
        text[16..].copy_from_slice(&hex(self.next.fetch_add(1, Ordering::Relaxed)));
        HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("0"))
    }
}

impl Default for RequestIds {
    fn default() -> Self {
        Self::new()
    }
}

fn hex(value: u64) -> [u8; 16] {
    let mut text = [0u8; 16];
    for (place, byte) in text.iter_mut().enumerate() {
        let nibble = (value >> (60 - 4 * place)) & 0xf;
        *byte = b"0123456789abcdef"[nibble as usize];
    }
    text
}
