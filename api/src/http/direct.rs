//! Redirects without the HTTP library.
//!
//! Problem: a redirect's own work is less than what a general server does for each request: a map of headers,
//! shared buffers, a state machine for bodies of every kind. Nearly all requests of the edge look alike, so the
//! first bytes of a connection are looked at here. A plain `GET` or `HEAD` of `/go/{id}` is read, answered and
//! written here; the first request that is anything else goes to the library with all its bytes, and so does
//! everything after it on that connection.
//!
//! Invariants:
//! - The parser is the library's own. What it refuses, or what asks for more than an answer (a body, a query,
//!   an upgrade, an expectation, another version, a head that did not come in one piece or is long), is not
//!   judged here: the library answers it in its own words.
//! - One request at a time; what was sent behind it waits. Nothing is held beyond one buffer of fixed size.
//! - A connection told to finish closes between two requests, and says so in the last answer.

use super::connection::{Connection, Told};
use super::request_id::REQUEST_ID;
use crate::app::App;
use crate::tracking::edge;
use crate::tracking::facts::HeaderFacts;
use axum::response::Response;
use chrono::{DateTime, Utc};
use gonggumoa_core::click::ClickMethod;
use http::header;
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use std::io;
use std::io::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Handle;

/// Heads of browsers are half as long; a longer one costs the library no more than its length.
const HEAD_MAX_BYTES: usize = 4 * 1024;
/// Browsers send about twenty.
const HEADERS_MAX: usize = 48;
/// The beginnings of all that is answered here.
const BEGINNINGS: [&[u8]; 4] = [b"GET /go/", b"HEAD /go/", b"GET /api/v1/go/", b"HEAD /api/v1/go/"];

/// What the requests of one connection share.
pub(super) struct Direct<'a> {
    pub(super) app: &'a App,
    pub(super) aside: &'a Handle,
    pub(super) peer: IpAddr,
    pub(super) connection: &'a Arc<Connection>,
}

/// How it ended.
pub(super) enum Ended {
    /// For good.
    Closed,
    /// With a request that is the library's, from its first byte on.
    Other(Vec<u8>),
}

/// A request that is answered here.
struct Go<'a> {
    method: ClickMethod,
    id: &'a str,
    facts: HeaderFacts<'a>,
    address: IpAddr,
    /// Bytes of its head.
    length: usize,
}

impl Direct<'_> {
    /// Serves until the connection ends or brings something else.
    pub(super) async fn serve(&self, stream: &mut TcpStream) -> io::Result<Ended> {
        let mut unread = vec![0; HEAD_MAX_BYTES];
        let (mut from, mut to) = (0, 0);
        let mut answer = Vec::with_capacity(1_024);
        let mut date = DateText::default();
        loop {
            if from == to {
                (from, to) = (0, self.read(stream, &mut unread).await?);
                if to == 0 {
                    return Ok(Ended::Closed);
                }
            }
            let Some(go) = self.parse(&unread[from..to]) else {
                unread.truncate(to);
                unread.drain(..from);
                return Ok(Ended::Other(unread));
            };
            let length = go.length;
            let head_only = go.method == ClickMethod::Head;
            let guard = self.connection.request();
            let mut response = edge::go(self.app, self.aside, go.id, go.method, &go.facts, go.address).await;
            response.headers_mut().insert(REQUEST_ID, self.app.request_ids.next());
            drop(guard);
            let closes = self.connection.word() != Told::Nothing;
            answer.clear();
            write_answer(&mut answer, response, head_only, date.now(), closes).await?;
            stream.write_all(&answer).await?;
            if closes {
                stream.shutdown().await?;
                return Ok(Ended::Closed);
            }
            from += length;
        }
    }

    /// Bytes read; none at the end of the connection, or when it is told to finish.
    async fn read(&self, stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        let mut reading = std::pin::pin!(stream.read(buffer));
        std::future::poll_fn(|task| match self.connection.word() {
            Told::Nothing => reading.as_mut().poll(task),
            Told::Finish | Told::Drop => std::task::Poll::Ready(Ok(0)),
        })
        .await
    }

    /// The request at the front, if it is one of ours and whole.
    fn parse<'b>(&self, bytes: &'b [u8]) -> Option<Go<'b>> {
        if !self.app.settings.served.clicks
            || !BEGINNINGS.iter().any(|beginning| bytes.starts_with(beginning))
        {
            return None;
        }
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        let Ok(httparse::Status::Complete(length)) = request.parse(bytes) else { return None };
        let method = match request.method? {
            "GET" => ClickMethod::Get,
            "HEAD" => ClickMethod::Head,
            _ => return None,
        };
        let id = edge::go_path(request.path?)?;
        // Anything but the hyphenated form (a query, an escape) is the library's to take apart.
        if request.version? != 1 || !id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') {
            return None;
        }
        if !request.headers.iter().all(asks_for_an_answer_only) {
            return None;
        }
        let forwarded = |header: &&httparse::Header<'b>| header.name.eq_ignore_ascii_case("x-forwarded-for");
        let lines = request.headers.iter().rev().filter(forwarded).map(|header| header.value);
        let address = self.app.proxies.client(self.peer, lines);
        let mut facts = HeaderFacts::default();
        for header in &*request.headers {
            facts.take_any_case(header.name, header.value);
        }
        Some(Go { method, id, facts, address, length })
    }
}

fn asks_for_an_answer_only(header: &httparse::Header<'_>) -> bool {
    const OTHERS: [&str; 6] =
        ["content-length", "transfer-encoding", "upgrade", "expect", "http2-settings", "te"];
    if header.name.eq_ignore_ascii_case("connection") {
        return header.value.eq_ignore_ascii_case(b"keep-alive");
    }
    !OTHERS.iter().any(|name| header.name.eq_ignore_ascii_case(name))
}

/// An answer as it goes over the wire. Of our own answers every body is short and in memory.
async fn write_answer(
    bytes: &mut Vec<u8>,
    response: Response,
    head_only: bool,
    date: &str,
    closes: bool,
) -> io::Result<()> {
    let (parts, body) = response.into_parts();
    let body = match body.is_end_stream() {
        true => bytes::Bytes::new(),
        false => body.collect().await.map_err(io::Error::other)?.to_bytes(),
    };
    let reason = parts.status.canonical_reason().unwrap_or_default();
    write!(bytes, "HTTP/1.1 {} {reason}\r\n", parts.status.as_str())?;
    for (name, value) in parts.headers.iter().filter(|(name, _)| **name != header::CONTENT_LENGTH) {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    let connection = if closes { "connection: close\r\n" } else { "" };
    write!(bytes, "content-length: {}\r\n{connection}date: {date}\r\n\r\n", body.len())?;
    if !head_only {
        bytes.extend_from_slice(&body);
    }
    Ok(())
}

/// The text of a `Date` header, made once a second.
#[derive(Default)]
struct DateText {
    second: i64,
    text: String,
}

impl DateText {
    fn now(&mut self) -> &str {
        let now: DateTime<Utc> = Utc::now();
        if self.second != now.timestamp() {
            self.second = now.timestamp();
            self.text = now.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        }
        &self.text
    }
}
