//! HTTP/1.1 on a plain socket: fast enough for load, and free to send what no client library would.

use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

/// One keep-alive connection.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// More than any answer here needs.
const HEAD_MAX_BYTES: usize = 64 * 1024;

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(4 * 1024) })
    }

    /// Sends these bytes as they are and reads one answer.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> io::Result<Reply> {
        self.stream.write_all(request).await?;
        let without_body = request.starts_with(b"HEAD ");
        self.receive(without_body).await
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    pub(crate) async fn receive(&mut self, without_body: bool) -> io::Result<Reply> {
        let head_end = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end + 4;
            }
            if self.buffer.len() > HEAD_MAX_BYTES {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "endless head"));
            }
            self.fill().await?;
        };
        let head = String::from_utf8_lossy(&self.buffer[..head_end]).into_owned();
        self.buffer.drain(..head_end);
        let (status, headers) = parse_head(&head)?;
        let mut reply = Reply { status, headers, body: Vec::new() };
        let bodiless = without_body || status < 200 || status == 204 || status == 304;
        if !bodiless {
            reply.body = self.body(&reply).await?;
        }
        Ok(reply)
    }

    async fn body(&mut self, reply: &Reply) -> io::Result<Vec<u8>> {
        if reply.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            return self.chunks().await;
        }
        match reply.header("content-length").map(str::parse) {
            Some(Ok(length)) => self.take(length).await,
            Some(Err(_)) => Err(io::Error::new(io::ErrorKind::InvalidData, "bad content-length")),
            None => {
                while self.fill().await.is_ok() {}
                Ok(std::mem::take(&mut self.buffer))
            }
        }
    }

    async fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line_end = loop {
                match find(&self.buffer, b"\r\n") {
                    Some(end) => break end,
                    None => self.fill().await?,
                }
            };
            let line = self.take(line_end + 2).await?;
            let text = String::from_utf8_lossy(&line);
            let length = usize::from_str_radix(text.trim(), 16)
                .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "bad chunk"))?;
            let chunk = self.take(length + 2).await?;
            if length == 0 {
                return Ok(body);
            }
            body.extend_from_slice(&chunk[..length]);
        }
    }

    async fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            self.fill().await?;
        }
        Ok(self.buffer.drain(..length).collect())
    }

    async fn fill(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// The click id in the bytes of an answer that was cut off: a client that was killed for the
    /// rest has still seen it.
    pub(crate) fn click_id_of_torn_answer(&self) -> Option<Uuid> {
        let text = String::from_utf8_lossy(&self.buffer).to_ascii_lowercase();
        let rest = &text[text.find("x-click-id:")? + "x-click-id:".len()..];
        rest.split_once("\r\n")?.0.trim().parse().ok()
    }
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether the server closes the connection after this answer.
    pub(crate) fn closes(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {:?}", String::from_utf8_lossy(&self.body)))
    }

    /// The id given, in `X-Click-Id` or in a POST's body.
    pub(crate) fn click_id(&self) -> Option<Uuid> {
        if let Some(text) = self.header("x-click-id") {
            return Some(text.parse().unwrap());
        }
        if self.status == 201 {
            return Some(self.json()["click_id"].as_str().unwrap().parse().unwrap());
        }
        None
    }
}

fn parse_head(head: &str) -> io::Result<(u16, Vec<(String, String)>)> {
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1.1 "))
        .and_then(|rest| rest.get(..3))
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an HTTP/1.1 answer"))?;
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Ok((status, headers))
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
