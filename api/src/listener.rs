//! The listening socket: handed over by the service manager, or our own.
//!
//! Problem: between the end of one process and the start of the next nobody would listen, and buyers would
//! be refused. A socket that the service manager holds (`LISTEN_FDS`, as systemd does) stays open all the
//! time; who comes meanwhile waits in its queue. Without it we bind our own, with `SO_REUSEADDR`, so that
//! connections of the last process that are still closing do not keep us out.
//!
//! Invariant: no child process inherits the socket. Take it over before any is started.

use listenfd::ListenFd;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use std::io;
use std::net::{SocketAddr, TcpListener};

/// How many connections may wait to be accepted. Linux caps it at `net.core.somaxconn` (4,096 by default);
/// the 128 of the standard library are gone in a few milliseconds of a rush.
const BACKLOG: i32 = 4_096;

/// Why nobody can reach us.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody else listens there.
    #[error(
        "{address} is taken by another process: stop it, or set API_HOST and API_PORT to another address"
    )]
    Taken {
        /// The address.
        address: SocketAddr,
    },
    /// Another reason.
    #[error("cannot listen on {address}")]
    Refused {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// The service manager handed over something else than one listening TCP socket.
    #[error("the service manager handed over {count} sockets; one listening TCP socket is expected")]
    Count {
        /// How many.
        count: usize,
    },
    /// What it handed over cannot be used.
    #[error("the socket of the service manager cannot be used")]
    HandedOver(#[source] io::Error),
}

impl ListenError {
    /// Would the same call, made later, possibly succeed?
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Taken { .. })
    }
}

/// The service manager's socket if there is one (`LISTEN_PID` is ours and `LISTEN_FDS` is 1), else a new one
/// at `address`. Non-blocking and listening. Call it once, at the start.
pub fn listen(address: SocketAddr) -> Result<TcpListener, ListenError> {
    let mut handed_over = ListenFd::from_env();
    let listener = match handed_over.len() {
        0 => bind(address)?,
        1 => {
            let listener = handed_over.take_tcp_listener(0).map_err(ListenError::HandedOver)?;
            tracing::info!("taking over the service manager's socket");
            listener.ok_or(ListenError::Count { count: 0 })?
        }
        count => return Err(ListenError::Count { count }),
    };
    listener.set_nonblocking(true).map_err(|source| ListenError::Refused { address, source })?;
    Ok(listener)
}

fn bind(address: SocketAddr) -> Result<TcpListener, ListenError> {
    let refused = |error: rustix::io::Errno| match error {
        rustix::io::Errno::ADDRINUSE => ListenError::Taken { address },
        other => ListenError::Refused { address, source: other.into() },
    };
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    #[cfg(target_os = "linux")]
    let socket =
        rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None).map_err(refused)?;
    #[cfg(not(target_os = "linux"))]
    let socket = rustix::net::socket(family, SocketType::STREAM, None).map_err(refused)?;
    sockopt::set_socket_reuseaddr(&socket, true).map_err(refused)?;
    rustix::net::bind(&socket, &address).map_err(refused)?;
    rustix::net::listen(&socket, BACKLOG).map_err(refused)?;
    Ok(TcpListener::from(socket))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use std::net::TcpStream;

    #[test]
    fn a_taken_port_is_a_clear_sentence_and_a_closed_one_is_free_at_once() {
        let first = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = first.local_addr().unwrap();
        let error = listen(address).unwrap_err();
        assert!(error.to_string().contains("API_PORT") && error.retryable(), "{error}");

        // The server's side closes first: its end of the connection lingers, the address must not.
        let client = TcpStream::connect(address).unwrap();
        first.set_nonblocking(false).unwrap();
        drop(first.accept().unwrap());
        drop(first);
        listen(address).unwrap();
        drop(client);
    }

    #[test]
    fn both_families() {
        assert!(listen("[::1]:0".parse().unwrap()).unwrap().local_addr().unwrap().is_ipv6());
    }
}
