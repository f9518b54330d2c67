//! Processes of the release binary that make up a cluster, on engines that the environment names.
//!
//! Invariants: topics, keyspace, Redis keys and database are the run's own; every process has a folder and ports of
//! its own and does not outlive the run.

use crate::catalog::{exchange, get_request, login_request};
use crate::options::Options;
use crate::process::{self, Server};
use crate::product::{free_address, insert_gonggus, postmaster_id, program_command, serve};
use anyhow::{Context, ensure};
use rustix::process::Signal;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use uuid::Uuid;

/// The program's own deadline is 20 s; it gets a little more.
const STOP_WITHIN: Duration = Duration::from_secs(25);
const ADMIN: (&str, &str) = ("admin@gonggumoa.example", "correct horse battery 1!");

/// The servers that a cluster shares, and what of them is this run's.
#[derive(Debug)]
pub struct Engines {
    name: String,
    brokers: String,
    cql_nodes: String,
    redis_url: String,
    postgres_url: String,
    /// Of all judges: a partition's archive goes on where the judge before left it.
    archive: TempDir,
}

impl Engines {
    /// Those that the environment names.
    pub fn from_environment() -> anyhow::Result<Self> {
        let variable = |name: &str| {
            std::env::var(name).with_context(|| format!("{name} is not set: `make load-cluster` sets it"))
        };
        Ok(Self {
            name: format!("load_{}", &Uuid::new_v4().simple().to_string()[..12]),
            brokers: variable("TEST_KAFKA_BROKERS")?,
            cql_nodes: variable("TEST_CQL_NODES")?,
            redis_url: variable("TEST_REDIS_URL")?,
            postgres_url: variable("LOAD_DATABASE_URL")?,
            archive: TempDir::with_prefix("gonggumoa-load-archive-")?,
        })
    }

    /// A database of the run's own; where it is.
    pub async fn make_database(&self, purpose: &str) -> anyhow::Result<String> {
        let name = format!("{}_{purpose}", self.name);
        let mut connection = PgConnection::connect(&self.postgres_url).await?;
        sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await?;
        let (server, _) = self.postgres_url.rsplit_once('/').context("an odd address of PostgreSQL")?;
        Ok(format!("{server}/{name}"))
    }

    /// What all processes of the cluster are told.
    fn settings(&self, database_url: &str) -> Vec<(&'static str, String)> {
        let secret = "7d0b0ec4c1a94f0c8f3a5e6ba10c93e6f2f7f2a2d1a95d2c8a6f0f3a4be1c55d";
        vec![
            ("DATABASE_URL", database_url.to_owned()),
            ("KAFKA_BROKERS", self.brokers.clone()),
            ("KAFKA_TOPIC_PREFIX", format!("{}.", self.name)),
            ("KAFKA_GROUP_ID", format!("{}-judges", self.name)),
            ("KAFKA_REPLICATION_FACTOR", "1".to_owned()),
            ("SCYLLA_NODES", self.cql_nodes.clone()),
            ("SCYLLA_KEYSPACE", self.name.clone()),
            ("SCYLLA_REPLICATION_FACTOR", "1".to_owned()),
            ("REDIS_URL", self.redis_url.clone()),
            ("REDIS_PREFIX", format!("{}:", self.name)),
            ("ADDRESS_HASH_KEY", secret.to_owned()),
            ("JWT_SECRET_KEY", secret.chars().rev().collect()),
            ("ARCHIVE_DIR", self.archive.path().to_string_lossy().into_owned()),
            ("ADMIN_EMAIL", ADMIN.0.to_owned()),
            ("ADMIN_PASSWORD", ADMIN.1.to_owned()),
        ]
    }

    /// The processes whose CPU time a click takes beside ours.
    pub async fn processes(&self) -> anyhow::Result<Vec<(&'static str, u32)>> {
        let postgres: PgConnectOptions = self.postgres_url.parse()?;
        let named = |name, words| -> anyhow::Result<_> {
            Ok((name, beside_us(words).with_context(|| format!("{name} was not started beside the run"))?))
        };
        Ok(vec![
            named("Kafka", "kafka.Kafka")?,
            named("Cassandra", "org.apache.cassandra.service.CassandraDaemon")?,
            named("Redis", "redis-server")?,
            ("PostgreSQL", postmaster_id(&postgres).await?),
        ])
    }
}

/// A process with these words in its command line that one of our ancestors started.
fn beside_us(words: &str) -> Option<u32> {
    let mut own = std::process::id();
    loop {
        own = process::parent(own).filter(|id| *id > 1)?;
        let found = process::children(own).into_iter().find(|id| {
            let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).replace('\0', " ").contains(words)
        });
        if found.is_some() {
            return found;
        }
    }
}

/// One process with its folder.
#[derive(Debug)]
pub struct Node {
    server: Option<Server>,
    /// Where it listens.
    pub address: SocketAddr,
    metrics_address: SocketAddr,
    command: Command,
    _folder: TempDir,
}

impl Node {
    /// Prepares one; nothing is started.
    pub fn new(options: &Options, settings: &[(&str, String)]) -> anyhow::Result<Self> {
        let parent = options.folder.clone().unwrap_or_else(std::env::temp_dir);
        let folder = TempDir::with_prefix_in("gonggumoa-load-", &parent)?;
        let (address, metrics_address) = (free_address()?, free_address()?);
        let mut command = program_command(options, folder.path(), address)?;
        command.env("METRICS_ADDR", metrics_address.to_string()).arg("serve");
        for (name, value) in settings {
            command.env(name, value);
        }
        Ok(Self { server: None, address, metrics_address, command, _folder: folder })
    }

    /// Starts it and waits until it serves.
    pub fn start(&mut self) -> anyhow::Result<()> {
        self.server = Some(serve(&mut self.command, self.address)?.0);
        Ok(())
    }

    /// Starts it and does not wait.
    pub fn spawn(&mut self) -> anyhow::Result<()> {
        self.server = Some(Server::start(&mut self.command, STOP_WITHIN)?);
        Ok(())
    }

    /// Its process id.
    pub fn id(&self) -> anyhow::Result<u32> {
        Ok(self.server.as_ref().context("it was not started")?.id())
    }

    /// Fails if it has ended.
    pub fn check(&mut self) -> anyhow::Result<()> {
        self.server.as_mut().context("it was not started")?.check()
    }

    /// kill -9, or another signal; not waited for.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        process::signal(self.id()?, signal);
        Ok(())
    }

    /// Asks it to end, and waits.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.stop();
        }
    }

    /// kill -9, and waits.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::KILL)?;
        self.stop();
        Ok(())
    }

    /// The sum over a metric's labels; `None` while it does not answer.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let (status, body) = exchange(self.metrics_address, &get_request("/metrics", None)).ok()?;
        (status == 200).then(|| {
            let lines = body.lines().filter_map(|line| line.strip_prefix(name));
            let own = lines.filter(|rest| rest.starts_with([' ', '{']));
            own.filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok()).sum()
        })
    }

    /// Clicks that it has judged and stored since its start.
    pub fn stored(&self) -> u64 {
        self.metric("judge_clicks_stored_total").unwrap_or(0.0) as u64
    }
}

/// An edge, an api and two judges; the judges are not started yet.
#[derive(Debug)]
pub struct Cluster {
    /// Takes the clicks.
    pub edge: Node,
    /// Answers what they came to.
    pub api: Node,
    /// Judge and store them.
    pub judges: [Node; 2],
    /// What is clicked.
    pub gonggu_ids: Vec<Uuid>,
    token: String,
}

impl Cluster {
    /// Starts edge and api with so many open gonggus.
    pub async fn start(options: &Options, engines: &Engines, gonggu_count: usize) -> anyhow::Result<Self> {
        let database_url = engines.make_database("cluster").await?;
        let node = |role: &str| {
            let mut settings = engines.settings(&database_url);
            settings.push(("ROLES", role.to_owned()));
            Node::new(options, &settings)
        };
        let (mut edge, mut api) = (node("edge")?, node("api")?);
        api.start()?;
        // before the edge starts: it reads them like any other
        let gonggu_ids = insert_gonggus(&database_url.parse()?, gonggu_count).await?;
        edge.start()?;
        let login = login_request(&(ADMIN.0.to_owned(), ADMIN.1.to_owned()), 0);
        let (status, body) = exchange(api.address, &login)?;
        ensure!(status == 200, "signing in was answered with {status}: {body}");
        let body: serde_json::Value = serde_json::from_str(&body)?;
        let token = body["access_token"].as_str().context("no token in the answer")?.to_owned();
        Ok(Self { edge, api, judges: [node("judge")?, node("judge")?], gonggu_ids, token })
    }

    /// A gonggu's clicks as the api tells them.
    pub fn gross(&self, gonggu_id: Uuid) -> anyhow::Result<u64> {
        let path = format!("/api/v1/tracking/stats/{gonggu_id}");
        let (status, body) = exchange(self.api.address, &get_request(&path, Some(&self.token)))?;
        ensure!(status == 200, "stats were answered with {status}: {body}");
        let body: serde_json::Value = serde_json::from_str(&body)?;
        body["totals"]["gross"].as_u64().context("no gross in the answer")
    }

    /// The same of several.
    pub fn gross_of(&self, gonggu_ids: &[Uuid]) -> anyhow::Result<u64> {
        gonggu_ids.iter().map(|id| self.gross(*id)).sum()
    }
}
