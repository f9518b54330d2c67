//! A keep-alive HTTP/1.1 client that does as little as a client can: the generator shares the machine
//! with what it measures, so its own cost must be small and the same for both servers.

use anyhow::{Context, bail};
use std::io::{Read, Write};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Larger than any answer that a redirect or a short error takes; longer ones make it grow.
const ANSWER_BYTES: usize = 16 * 1024;

/// What a run needs to know of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Whether it carries a click id, which promises that the click is on disk.
    pub has_click_id: bool,
    /// Whether the server will close the connection.
    pub closes: bool,
    /// Bytes of head and body.
    length: usize,
}

/// Reads an answer's head. `None`: not all of it is here yet.
pub fn parse_answer(bytes: &[u8]) -> Option<Answer> {
    let head_length = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let mut lines = bytes[..head_length].split(|byte| *byte == b'\n');
    let status = lines.next().and_then(|line| line.get(9..12)).and_then(|digits| {
        digits.iter().try_fold(0u16, |value, digit| {
            digit.is_ascii_digit().then(|| value * 10 + u16::from(digit - b'0'))
        })
    })?;
    let mut answer = Answer { status, has_click_id: false, closes: false, length: head_length };
    for line in lines {
        if let Some(value) = header(line, b"content-length:") {
            answer.length += value
                .iter()
                .filter(|byte| byte.is_ascii_digit())
                .fold(0usize, |sum, digit| sum.saturating_mul(10).saturating_add(usize::from(digit - b'0')));
        } else if header(line, b"x-click-id:").is_some() {
            answer.has_click_id = true;
        } else if let Some(value) = header(line, b"connection:") {
            answer.closes = value.windows(5).any(|window| window.eq_ignore_ascii_case(b"close"));
        }
    }
    Some(answer)
}

fn header<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, value) = line.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then_some(value)
}

/// A connection for many requests of one task.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; ANSWER_BYTES] })
    }

    /// Sends one request and waits for its answer.
    pub async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Answer> {
        self.stream.write_all(request).await?;
        let mut filled = 0;
        loop {
            if filled == self.buffer.len() {
                self.buffer.resize(2 * filled, 0);
            }
            let count = self.stream.read(&mut self.buffer[filled..]).await?;
            if count == 0 {
                bail!("the server closed the connection without an answer");
            }
            filled += count;
            if let Some(answer) = parse_answer(&self.buffer[..filled])
                && answer.length <= filled
            {
                return Ok(answer);
            }
        }
    }
}

/// The same on a thread of its own: a sleeping thread wakes within some 50 µs, a timer of the async
/// runtime within 1 ms, which is too coarse to take latencies by.
#[derive(Debug)]
pub struct BlockingConnection {
    stream: std::net::TcpStream,
    buffer: Vec<u8>,
}

impl BlockingConnection {
    /// Connects.
    pub fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream =
            std::net::TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; ANSWER_BYTES] })
    }

    /// Sends one request and waits for its answer.
    pub fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Answer> {
        self.stream.write_all(request)?;
        let mut filled = 0;
        loop {
            let count = self.stream.read(&mut self.buffer[filled..])?;
            if count == 0 {
                bail!("the server closed the connection without an answer");
            }
            filled += count;
            if let Some(answer) = parse_answer(&self.buffer[..filled])
                && answer.length <= filled
            {
                return Ok(answer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_whole_or_not_at_all() {
        let text =
            b"HTTP/1.1 409 Conflict\r\nContent-Length: 5\r\nX-Click-Id: a\r\nConnection: close\r\n\r\nhello";
        for length in 0..text.len() - 5 {
            assert_eq!(parse_answer(&text[..length]), None, "{length}");
        }
        let expected = Answer { status: 409, has_click_id: true, closes: true, length: text.len() };
        assert_eq!(parse_answer(text), Some(expected));
    }

    #[test]
    fn headers_of_other_names_decide_nothing() {
        let answer = parse_answer(b"HTTP/1.1 302 Found\r\nlocation: /x-click-id:\r\n\r\n");
        assert_eq!(answer.map(|answer| (answer.status, answer.has_click_id)), Some((302, false)));
    }
}
