//! The programs measured: the release binary with a data folder of its own, and the bare server.
//!
//! Invariant: a [`Product`] is handed out *level*, that is with nothing in its journal that is not
//! stored, and every measurement leaves it so before the next begins.

use crate::closed_loop::Outcome;
use crate::options::Options;
use crate::process::{self, Server};
use anyhow::{Context, ensure};
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use uuid::Uuid;

/// A start takes the time of making a database cluster at worst.
const START_WITHIN: Duration = Duration::from_secs(60);
/// The program's own deadline is 20 s; it gets a little more.
const STOP_WITHIN: Duration = Duration::from_secs(25);
/// After this the store has failed, whatever it says.
const LEVEL_WITHIN: Duration = Duration::from_secs(180);

/// The bare server.
#[derive(Debug)]
pub struct Bare {
    /// The process.
    pub server: Server,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Bare {
    /// Starts it.
    pub fn start(options: &Options) -> anyhow::Result<Self> {
        let address = free_address()?;
        let program = Options::program(options.bare.as_ref(), "bare_axum")?;
        let mut server =
            Server::start(Command::new(program).arg(address.to_string()), Duration::from_secs(5))?;
        wait_until(START_WITHIN, "the bare server to answer", || {
            server.check()?;
            Ok(get_status(address, "/go/x").is_some_and(|status| status == 302))
        })?;
        Ok(Self { server, address })
    }
}

/// The program, serving.
#[derive(Debug)]
pub struct Product {
    /// The process.
    pub server: Server,
    /// Where it listens.
    pub address: SocketAddr,
    /// The gonggus made for the run.
    pub gonggu_ids: Vec<Uuid>,
    /// PostgreSQL's first process.
    pub postmaster_id: u32,
    /// From the start of the process to readiness, with all gonggus there and the data folder in use.
    pub started_within: Duration,
    database: PgConnectOptions,
    _folder: TempDir,
}

impl Product {
    /// Starts it with so many open gonggus and nothing else.
    pub async fn start(options: &Options, gonggu_count: usize) -> anyhow::Result<Self> {
        let parent = options.folder.clone().unwrap_or_else(std::env::temp_dir);
        let folder = TempDir::with_prefix_in("gonggumoa-load-", &parent)?;
        let address = free_address()?;
        let mut command = program_command(options, folder.path(), address)?;
        command.arg("serve");
        let (mut server, _) = serve(&mut command, address)?;
        let database = locate_database(options, folder.path())?;
        let gonggu_ids = insert_gonggus(&database, gonggu_count).await?;
        // The rows went in behind the program's back; a second start reads them like any other.
        server.stop();
        let (server, started_within) = serve(&mut command, address)?;
        let database = locate_database(options, folder.path())?;
        let postmaster_id = postmaster_id(&database).await?;
        wait_until(START_WITHIN, "the links to be loaded", || {
            let path = format!("/go/{}", gonggu_ids[gonggu_ids.len() - 1]);
            Ok(head_status(address, &path) == Some(302))
        })?;
        let product =
            Self { server, address, gonggu_ids, postmaster_id, started_within, database, _folder: folder };
        product.wait_level(None).await?;
        Ok(product)
    }

    /// A connection to its database.
    pub async fn connect(&self) -> anyhow::Result<PgConnection> {
        Ok(PgConnection::connect_with(&self.database).await?)
    }

    /// Waits until everything that `after` recorded is stored, and returns the time from its last answer.
    /// `stored_before` is the gross count before it.
    pub async fn wait_level(&self, after: Option<(&Outcome, u64)>) -> anyhow::Result<Duration> {
        let mut connection = self.connect().await?;
        let started = Instant::now();
        let mut last = (0, Instant::now());
        while started.elapsed() < LEVEL_WITHIN {
            let gross = gross_clicks(&mut connection).await?;
            match after {
                Some((outcome, before)) if gross >= before + outcome.recorded => {
                    return Ok(outcome.ended_at.elapsed());
                }
                Some(_) => {}
                // Nothing to count against: level is when nothing moves any more.
                None if gross != last.0 => last = (gross, Instant::now()),
                None if last.1.elapsed() > Duration::from_millis(500) => return Ok(started.elapsed()),
                None => {}
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        anyhow::bail!("the store is not level after {LEVEL_WITHIN:?}")
    }

    /// All clicks stored so far.
    pub async fn gross(&self) -> anyhow::Result<u64> {
        gross_clicks(&mut self.connect().await?).await
    }

    /// Every process of PostgreSQL.
    pub fn postgres_ids(&self) -> Vec<u32> {
        let mut ids = vec![self.postmaster_id];
        ids.extend(process::children(self.postmaster_id));
        ids
    }
}

/// All clicks in the heads: the sum that the store keeps together with its position.
pub async fn gross_clicks(connection: &mut PgConnection) -> anyhow::Result<u64> {
    let sum: i64 =
        sqlx::query_scalar("SELECT COALESCE(sum(c), 0)::bigint FROM click_heads, unnest(counts) AS c")
            .fetch_one(connection)
            .await?;
    Ok(u64::try_from(sum)?)
}

/// The stored position: cheap to ask often. Time marks advance it too, one a second.
pub async fn stored_position(connection: &mut PgConnection) -> anyhow::Result<u64> {
    let position: i64 = sqlx::query_scalar("SELECT COALESCE(sum(position), 0)::bigint FROM click_partitions")
        .fetch_one(connection)
        .await?;
    Ok(u64::try_from(position)?)
}

/// The program on this data folder and address, without its arguments.
pub(crate) fn program_command(
    options: &Options,
    folder: &Path,
    address: SocketAddr,
) -> anyhow::Result<Command> {
    let program = Options::program(options.product.as_ref(), "gonggumoa")?;
    let mut command = Command::new(program);
    command
        .env("DATA_DIR", folder)
        .env("API_HOST", address.ip().to_string())
        .env("API_PORT", address.port().to_string())
        .env("METRICS_ADDR", free_address()?.to_string())
        .env("TRUSTED_PROXIES", "127.0.0.1/32")
        .env("RUST_LOG", "warn")
        .env_remove("DATABASE_URL")
        .current_dir(folder);
    if let Some(url) = &options.database_url {
        command.env("DATABASE_URL", url);
    }
    for setting in &options.environment {
        let (name, value) = setting.split_once('=').context("--env takes NAME=VALUE")?;
        command.env(name, value);
    }
    Ok(command)
}

/// Starts it and waits until it is ready; how long that took.
pub(crate) fn serve(command: &mut Command, address: SocketAddr) -> anyhow::Result<(Server, Duration)> {
    let started = Instant::now();
    let mut server = Server::start(command, STOP_WITHIN)?;
    wait_until(START_WITHIN, "the program to be ready", || {
        server.check()?;
        Ok(get_status(address, "/health/ready") == Some(200))
    })?;
    Ok((server, started.elapsed()))
}

/// The given database, or the embedded one by the socket in its folder.
pub(crate) fn locate_database(options: &Options, folder: &Path) -> anyhow::Result<PgConnectOptions> {
    if let Some(url) = &options.database_url {
        return Ok(url.parse()?);
    }
    let socket = process::find_file(folder, |name| name.starts_with(".s.PGSQL.") && !name.ends_with(".lock"))
        .context("no embedded PostgreSQL is running")?;
    let name = socket.to_string_lossy();
    let (socket_folder, port) = name.rsplit_once("/.s.PGSQL.").context("an odd socket name")?;
    Ok(PgConnectOptions::new_without_pgpass()
        .socket(socket_folder)
        .port(port.parse()?)
        .username("gonggumoa")
        .database("gonggumoa"))
}

/// The parent of the process that serves our connection; the server must be on this machine.
pub(crate) async fn postmaster_id(database: &PgConnectOptions) -> anyhow::Result<u32> {
    let mut connection = PgConnection::connect_with(database).await?;
    let backend: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut connection).await?;
    process::parent(u32::try_from(backend)?).context("PostgreSQL is not on this machine")
}

/// Open gonggus of one owner. The triggers that tell every edge of each row are off meanwhile: a
/// hundred thousand notifications are not what is measured here.
pub(crate) async fn insert_gonggus(database: &PgConnectOptions, count: usize) -> anyhow::Result<Vec<Uuid>> {
    let mut connection = PgConnection::connect_with(database).await?;
    let mut transaction = connection.begin().await?;
    let owner = Uuid::now_v7();
    sqlx::query("INSERT INTO users (id, email, nickname, role) VALUES ($1, $2, 'load', 'influencer')")
        .bind(owner)
        .bind(format!("{owner}@load.invalid"))
        .execute(&mut *transaction)
        .await?;
    sqlx::query("ALTER TABLE gonggus DISABLE TRIGGER USER").execute(&mut *transaction).await?;
    let gonggu_ids: Vec<Uuid> = sqlx::query_scalar(
        "INSERT INTO gonggus (id, influencer_id, title, original_price, gonggu_price, open_at, close_at, external_url)
         SELECT gen_random_uuid(), $1, 'load ' || n, 20000, 15000, now() - interval '1 day', now() + interval '30 days',
                'https://shop.example.com/items/' || n || '?option=1'
         FROM generate_series(1, $2::bigint) AS n RETURNING id",
    )
    .bind(owner)
    .bind(i64::try_from(count)?)
    .fetch_all(&mut *transaction)
    .await?;
    sqlx::query("ALTER TABLE gonggus ENABLE TRIGGER USER").execute(&mut *transaction).await?;
    transaction.commit().await?;
    ensure!(gonggu_ids.len() == count && count > 0, "{count} gonggus were asked for");
    Ok(gonggu_ids)
}

pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

pub(crate) fn wait_until(
    deadline: Duration,
    what: &str,
    mut ready: impl FnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let started = Instant::now();
    while !ready()? {
        ensure!(started.elapsed() < deadline, "waited {deadline:?} for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

fn get_status(address: SocketAddr, path: &str) -> Option<u16> {
    status(address, "GET", path)
}

/// HEAD is recorded as invalid at most, and marks no visitor.
fn head_status(address: SocketAddr, path: &str) -> Option<u16> {
    status(address, "HEAD", path)
}

fn status(address: SocketAddr, method: &str, path: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").ok()?;
    let mut head = [0u8; 12];
    stream.read_exact(&mut head).ok()?;
    std::str::from_utf8(&head[9..]).ok()?.parse().ok()
}
