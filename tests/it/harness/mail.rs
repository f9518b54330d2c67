//! Mail as it arrives: files of a deployment without a server, and a real server (aiosmtpd).

use super::deployment::Deployment;
use super::process::free_port;
use super::wait::{LONG, eventually};
use base64::Engine;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tokio::net::TcpStream;

/// A mail that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    headers: String,
    pub(crate) body: String,
}

impl Letter {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
        let (headers, body) = text.split_once("\n\n").unwrap_or((&text, ""));
        let headers = headers.replace("\n ", " ").replace("\n\t", " ");
        let mut letter = Self { headers, body: String::new() };
        letter.body = match letter.header("Content-Transfer-Encoding").unwrap_or("7bit") {
            "base64" => {
                let joined: String = body.split_whitespace().collect();
                let bytes = base64::engine::general_purpose::STANDARD.decode(joined).unwrap();
                String::from_utf8(bytes).unwrap()
            }
            "quoted-printable" => unquoted(body),
            _ => body.to_owned(),
        };
        letter
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.lines().find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The code in it: the only word of its length.
    pub(crate) fn code(&self) -> String {
        let is_code = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let mut words = self.body.split(|c| !is_code(c)).filter(|word| word.len() == 43);
        words.next().unwrap_or_else(|| panic!("no code in {:?}", self.body)).to_owned()
    }
}

fn unquoted(text: &str) -> String {
    let text = text.replace("=\n", "");
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        let hex = (*first == b'=').then(|| after.get(..2)).flatten();
        let byte = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        (bytes, rest) = match byte {
            Some(byte) => ([bytes, vec![byte]].concat(), &after[2..]),
            None => ([bytes, vec![*first]].concat(), after),
        };
    }
    String::from_utf8(bytes).unwrap()
}

/// All mails in a folder that went to this address, oldest first.
pub(crate) fn letters_in(folder: &Path, to: &str) -> Vec<Letter> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let letters = paths.iter().filter_map(|path| fs::read(path).ok()).map(|bytes| Letter::parse(&bytes));
    letters.filter(|letter| letter.header("To").is_some_and(|line| line.contains(to))).collect()
}

impl Deployment {
    /// Where mail goes while there is no server.
    pub(crate) fn mails(&self) -> PathBuf {
        self.data_dir().join("mails")
    }

    /// Waits for the `count`-th mail to this address.
    pub(crate) async fn letter(&self, to: &str, count: usize) -> Letter {
        let folder = self.mails();
        arrived(&folder, to, count).await
    }
}

/// Waits for the `count`-th mail to this address in a folder. A file that is still being written has no code
/// yet, so an end of line is waited for.
pub(crate) async fn arrived(folder: &Path, to: &str, count: usize) -> Letter {
    eventually("a mail arrives", LONG, async || {
        let letters = letters_in(folder, to);
        match letters.get(count - 1) {
            Some(letter) if letter.body.ends_with('\n') => Ok(letter.clone()),
            _ => Err(format!("{} of {count}", letters.len())),
        }
    })
    .await
}

/// A mail server that refuses whoever's address begins with `refused`, and files the rest.
pub(crate) struct SmtpServer {
    port: u16,
    folder: PathBuf,
    server: Option<Child>,
}

/// The distribution's own, whatever else comes first on the PATH: its packages are there.
const PYTHON: &str = "/usr/bin/python3";

const SCRIPT: &str = r#"
import asyncio, os, sys
from aiosmtpd.smtp import SMTP

folder, port = sys.argv[1], int(sys.argv[2])
count = 0

class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("refused"):
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        global count
        count += 1
        path = os.path.join(folder, f"{count:06}.eml")
        with open(path + ".part", "wb") as file:
            file.write(envelope.content)
        os.rename(path + ".part", path)
        return "250 OK"

async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Handler(), enable_SMTPUTF8=True), "127.0.0.1", port)
    await server.serve_forever()

asyncio.run(main())
"#;

impl SmtpServer {
    /// A port and a folder, and nobody listening yet. `None` where the package is missing, with the reason; in
    /// CI that is a failure, since it is installed there.
    pub(crate) fn prepared(folder: PathBuf) -> Option<Self> {
        let known = Command::new(PYTHON).args(["-c", "import aiosmtpd"]).stderr(Stdio::null()).status();
        if !known.is_ok_and(|status| status.success()) {
            assert!(std::env::var_os("CI").is_none(), "python3-aiosmtpd is not installed");
            eprintln!("skipped: python3-aiosmtpd is not installed");
            return None;
        }
        fs::create_dir_all(&folder).unwrap();
        Some(Self { port: free_port(), folder, server: None })
    }

    pub(crate) fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts it and waits until it answers.
    pub(crate) async fn start(&mut self) {
        let mut command = Command::new(PYTHON);
        command.args(["-c", SCRIPT]).arg(&self.folder).arg(self.port.to_string()).stdin(Stdio::null());
        self.server = Some(command.spawn().unwrap());
        eventually("the mail server listens", LONG, async || {
            TcpStream::connect(("127.0.0.1", self.port)).await.map(drop).map_err(|error| error.to_string())
        })
        .await;
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().ok();
            server.wait().ok();
        }
    }
}
