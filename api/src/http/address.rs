//! Whose address a request comes from.
//!
//! `X-Forwarded-For` is written by anybody, so it is believed only as far as trusted hands wrote it:
//! starting at the connection's peer, hops are taken from the right while the hop that reported them is
//! in `TRUSTED_PROXIES`. The first address that is not is the client. A forged left part changes
//! nothing, and an entry that is no address ends the walk at the last trusted hop.

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies that are believed.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Box<[IpNet]>);

/// The peer of the connection, put into each request's extensions by the server.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

impl TrustedProxies {
    /// From configured networks.
    pub fn new(networks: &[IpNet]) -> Self {
        Self(networks.into())
    }

    /// Whether this is one of them.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// [`client`](Self::client) by the headers of a request.
    pub fn client_by(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        self.client(peer, headers.get_all(FORWARDED_FOR).iter().rev().map(HeaderValue::as_bytes))
    }

    /// The client's address, canonical (an IPv4-mapped one is IPv4), by the lines of `X-Forwarded-For`, the
    /// last first.
    pub fn client<'a>(&self, peer: IpAddr, lines: impl Iterator<Item = &'a [u8]>) -> IpAddr {
        let mut client = peer.to_canonical();
        if self.0.is_empty() || !self.trusts(client) {
            return client;
        }
        for line in lines {
            for entry in line.rsplit(|byte| *byte == b',') {
                let Some(hop) = parse_hop(entry) else { return client };
                client = hop;
                if !self.trusts(client) {
                    return client;
                }
            }
        }
        client
    }
}

/// An address, with or without a port, with or without brackets.
fn parse_hop(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address =
        bare.parse::<IpAddr>().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests;
