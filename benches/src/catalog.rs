//! The program on a catalog as large as a busy one, and the bare server beside it on the same database.

use crate::options::Options;
use crate::process::Server;
use crate::product::{free_address, locate_database, program_command, serve, wait_until};
use anyhow::{Context, ensure};
use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection as _};
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use uuid::Uuid;

/// As many as the program has for its catalog.
pub const POOL_CONNECTIONS: usize = 16;
/// Some of all gonggus: more would not be more different.
const GONGGUS_ASKED_MAX: i64 = 20_000;

/// The program, serving a catalog of scale.
#[derive(Debug)]
pub struct Catalog {
    /// The process.
    pub server: Server,
    /// Where it listens.
    pub address: SocketAddr,
    /// Gonggus that anybody may see, in no order.
    pub gonggu_ids: Vec<Uuid>,
    /// E-mails and passwords of the demo buyers; the first has a thousand subscriptions.
    pub buyers: Vec<(String, String)>,
    database: PgConnectOptions,
    _folder: Option<TempDir>,
}

impl Catalog {
    /// Sows what is missing, and starts.
    pub async fn start(options: &Options) -> anyhow::Result<Self> {
        let (folder, path) = folder(options)?;
        let address = free_address()?;
        let mut seed = program_command(options, &path, address)?;
        seed.args(["seed", "--scale"]).args(options.scale.iter().flat_map(|text| text.split_whitespace()));
        seed.stdout(std::io::stderr());
        let status = seed.status().context("starting the program to sow")?;
        ensure!(status.success(), "sowing failed: {status}");
        let mut command = program_command(options, &path, address)?;
        let (server, _) = serve(command.arg("serve"), address)?;
        let database = locate_database(options, &path)?;
        let mut connection = PgConnection::connect_with(&database).await?;
        let gonggu_ids = sqlx::query_scalar(
            "SELECT g.id FROM gonggus g JOIN users u ON u.id = g.influencer_id
             WHERE g.deleted_at IS NULL AND u.status = 'active' ORDER BY hashtext(g.id::text) LIMIT $1",
        )
        .bind(GONGGUS_ASKED_MAX)
        .fetch_all(&mut connection)
        .await?;
        let buyers = buyers(&path)?;
        Ok(Self { server, address, gonggu_ids, buyers, database, _folder: folder })
    }

    /// The access token of a buyer.
    pub fn sign_in(&self, number: usize) -> anyhow::Result<String> {
        let (status, body) = exchange(self.address, &login_request(&self.buyers[number], 0))?;
        ensure!(status == 200, "signing in was answered with {status}: {body}");
        let body: serde_json::Value = serde_json::from_str(&body)?;
        Ok(body["access_token"].as_str().context("no token in the answer")?.to_owned())
    }

    /// Some categories that gonggus are in.
    pub async fn category_ids(&self) -> anyhow::Result<Vec<Uuid>> {
        let mut connection = PgConnection::connect_with(&self.database).await?;
        let question = "SELECT id FROM categories ORDER BY parent_id NULLS FIRST, name LIMIT 8";
        Ok(sqlx::query_scalar(AssertSqlSafe(question)).fetch_all(&mut connection).await?)
    }

    /// The bare server on the same database.
    pub fn start_bare(&self, options: &Options) -> anyhow::Result<(Server, SocketAddr)> {
        let address = free_address()?;
        let program = Options::program(options.bare_select.as_ref(), "bare_select")?;
        let mut command = Command::new(program);
        command.arg(address.to_string());
        command.arg(self.database.to_url_lossy().as_str()).arg(POOL_CONNECTIONS.to_string());
        let mut server = Server::start(&mut command, Duration::from_secs(5))?;
        wait_until(Duration::from_secs(20), "the bare server to answer", || {
            server.check()?;
            Ok(exchange(address, &get_request("/", None)).is_ok_and(|(status, _)| status == 200))
        })?;
        Ok((server, address))
    }
}

/// A folder of the run's own, or the one that is kept.
fn folder(options: &Options) -> anyhow::Result<(Option<TempDir>, PathBuf)> {
    if let Some(kept) = &options.keep {
        std::fs::create_dir_all(kept).with_context(|| format!("making {}", kept.display()))?;
        return Ok((None, kept.canonicalize()?));
    }
    let parent = options.folder.clone().unwrap_or_else(std::env::temp_dir);
    let folder = TempDir::with_prefix_in("gonggumoa-catalog-", &parent)?;
    let path = folder.path().to_owned();
    Ok((Some(folder), path))
}

/// The demo buyers with the passwords that sowing has kept.
fn buyers(folder: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let text =
        std::fs::read_to_string(folder.join("secrets/demo.json")).context("reading the demo passwords")?;
    let passwords: BTreeMap<String, String> = serde_json::from_str(&text)?;
    let buyers: Vec<_> = passwords.into_iter().filter(|(email, _)| email.contains("buyer")).collect();
    ensure!(!buyers.is_empty(), "there are no demo buyers");
    Ok(buyers)
}

/// A GET, signed in or not.
pub fn get_request(path: &str, token: Option<&str>) -> Vec<u8> {
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n{authorization}\r\n")
        .into_bytes()
}

/// A login from an address of its own: the limits are not what is measured.
pub fn login_request((email, password): &(String, String), number: u32) -> Vec<u8> {
    let body = serde_json::json!({ "email": email, "password": password }).to_string();
    let address = std::net::Ipv4Addr::from_bits(0x1000_0000 + number % 0x0100_0000);
    format!(
        "POST /api/v1/auth/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
         X-Forwarded-For: {address}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// One request on a connection of its own: status and body.
pub(crate) fn exchange(address: SocketAddr, request: &[u8]) -> anyhow::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let request = String::from_utf8_lossy(request).replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1);
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("half an answer")?;
    let status = head.get(9..12).and_then(|digits| digits.parse().ok()).context("no status")?;
    Ok((status, body.to_owned()))
}
