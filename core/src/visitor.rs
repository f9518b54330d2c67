//! Who clicked, without keeping who it was: normalised addresses, their masked form and keyed hashes.
//!
//! Only the edge sees a raw address. It writes two keyed hashes on the record (of the normalised
//! address and of its wider network) and everything after it works on those, so that judge, archive
//! and replay need no personal data. One key per deployment: with another key the same person would
//! be two visitors, hence the fingerprint that every process compares at start.

use crate::clock::UnixMillis;
use crate::ids::UserId;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A keyed hash of an address or network: 128 bits of keyed BLAKE3.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AddressHash(pub [u8; 16]);

impl fmt::Debug for AddressHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// A signed-in visitor, as the token told it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Member {
    /// The account.
    pub id: UserId,
    /// When the account was made; young accounts get no benefit of the doubt in mass clicks.
    pub created_at: UnixMillis,
}

/// IPv4-mapped IPv6 becomes IPv4; IPv6 is cut to its /64, which is what one household holds.
pub fn normalise(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(keep_bits_v6(v6, 64)),
    }
}

/// The wider network: IPv4 /24, IPv6 /48.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & 0xffff_ff00)),
        IpAddr::V6(v6) => IpAddr::V6(keep_bits_v6(v6, 48)),
    }
}

fn keep_bits_v6(address: Ipv6Addr, bits: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (128 - bits)))
}

/// The form that may be shown and kept: the last part hidden (`203.0.113.*`, `2001:db8:1::*`).
pub fn masked(address: IpAddr) -> String {
    match network(address) {
        IpAddr::V4(v4) => {
            // By hand, since it is done for every click that is read from the journal.
            let [a, b, c, _] = v4.octets();
            let digits = |octet: u8| 1 + usize::from(octet > 9) + usize::from(octet > 99);
            let mut text = String::with_capacity(digits(a) + digits(b) + digits(c) + "...*".len());
            for octet in [a, b, c] {
                for divisor in [100, 10].into_iter().filter(|divisor| octet >= *divisor) {
                    text.push(char::from(b'0' + octet / divisor % 10));
                }
                text.push(char::from(b'0' + octet % 10));
                text.push('.');
            }
            text.push('*');
            text
        }
        IpAddr::V6(v6) => format!("{v6}*"),
    }
}

/// The deployment's key for address hashes.
#[derive(Clone)]
pub struct AddressKey([u8; 32]);

impl AddressKey {
    /// A key from its 32 bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A public name of the key, safe to store and compare: it does not lead back to the key.
    pub fn fingerprint(&self) -> String {
        let hash = blake3::derive_key("gonggumoa 2026 address key fingerprint", &self.0);
        hash[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Hash of the normalised address.
    pub fn address_hash(&self, address: IpAddr) -> AddressHash {
        self.hash(0, normalise(address))
    }

    /// Hash of the wider network.
    pub fn network_hash(&self, address: IpAddr) -> AddressHash {
        self.hash(1, network(address))
    }

    /// The leading byte keeps an address apart from a network of the same bits.
    fn hash(&self, kind: u8, address: IpAddr) -> AddressHash {
        let mut input = [0u8; 18];
        input[0] = kind;
        match address {
            IpAddr::V4(v4) => {
                input[1] = 4;
                input[2..6].copy_from_slice(&v4.octets());
            }
            IpAddr::V6(v6) => {
                input[1] = 6;
                input[2..18].copy_from_slice(&v6.octets());
            }
        }
        let mut out = [0u8; 16];
        out.copy_from_slice(&blake3::keyed_hash(&self.0, &input).as_bytes()[..16]);
        AddressHash(out)
    }
}

impl fmt::Debug for AddressKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AddressKey({})", self.fingerprint())
    }
}

#[cfg(test)]
mod tests;
