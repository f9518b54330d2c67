//! A cluster: named processes of ours, each with roles, a folder and ports of its own, on engines that they
//! share.
//!
//! Invariants: topics, keyspace, Redis keys, group of judges and database are the cluster's own, so that clusters
//! of several tests run beside each other on one set of servers; what is wrong with a process is a
//! [`Deployment`]'s business.

use super::api::Api;
use super::deployment::Deployment;
use super::engines::unavailable;
use super::ledger::kept_journal_verifies;
use gonggumoa_actors::kafka::KafkaConfig;
use gonggumoa_analytics::cql::{CqlClickStore, CqlConfig};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Connection, PgConnection};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::str::FromStr;
use tempfile::TempDir;
use url::Url;
use uuid::Uuid;

/// Few, so that a judge that dies has something that others take over, and little is made for a test.
pub(crate) const PARTITIONS: u32 = 6;
/// Another one than any deployment would make for itself.
const SECRET: &str = "7d0b0ec4c1a94f0c8f3a5e6ba10c93e6f2f7f2a2d1a95d2c8a6f0f3a4be1c55d";

/// Where the servers are.
#[derive(Clone)]
pub(crate) struct Servers {
    pub(crate) brokers: String,
    pub(crate) cql_nodes: Vec<String>,
    pub(crate) redis_url: String,
    /// A database of a server on which further ones may be made.
    pub(crate) postgres_url: String,
    /// Of topics and rows.
    pub(crate) copies: u16,
}

impl Servers {
    /// Those that all tests share; none on a laptop without them.
    pub(crate) fn shared() -> Option<Self> {
        let variable = |name: &str| match std::env::var(name) {
            Ok(value) => Some(value),
            Err(_) => unavailable(&format!("{name} is not set (make test sets it)")),
        };
        Some(Self {
            brokers: variable("TEST_KAFKA_BROKERS")?,
            cql_nodes: variable("TEST_CQL_NODES")?.split(',').map(str::to_owned).collect(),
            redis_url: variable("TEST_REDIS_URL")?,
            postgres_url: variable("TEST_DATABASE_URL")?,
            copies: 1,
        })
    }
}

/// See the module's head.
pub(crate) struct Cluster {
    pub(crate) servers: Servers,
    /// Ends with the cluster's number.
    pub(crate) name: String,
    pub(crate) database_url: String,
    settings: BTreeMap<String, String>,
    processes: BTreeMap<String, Deployment>,
    pool: PgPool,
    /// The archive that all judges share.
    archive: TempDir,
}

impl Cluster {
    /// A new one without processes, on a database of its own.
    pub(crate) async fn new(servers: Servers) -> Self {
        let name = format!("it_{}", &Uuid::new_v4().simple().to_string()[..12]);
        let database_url = make_database(&servers.postgres_url, &name).await;
        let options = PgConnectOptions::from_str(&database_url).unwrap();
        let pool = PgPoolOptions::new().max_connections(4).connect_lazy_with(options);
        let mut cluster = Self {
            name: name.clone(),
            settings: BTreeMap::new(),
            processes: BTreeMap::new(),
            database_url: database_url.clone(),
            servers: servers.clone(),
            pool,
            archive: TempDir::new().unwrap(),
        };
        let archive_dir = cluster.archive.path().to_str().unwrap().to_owned();
        let copies = servers.copies.to_string();
        for (setting, value) in [
            ("DATABASE_URL", database_url),
            ("KAFKA_BROKERS", servers.brokers),
            ("KAFKA_TOPIC_PREFIX", format!("{name}.")),
            ("KAFKA_GROUP_ID", format!("{name}-judges")),
            ("KAFKA_PARTITIONS", PARTITIONS.to_string()),
            ("KAFKA_REPLICATION_FACTOR", copies.clone()),
            ("SCYLLA_NODES", servers.cql_nodes.join(",")),
            ("SCYLLA_KEYSPACE", name.clone()),
            ("SCYLLA_REPLICATION_FACTOR", copies),
            ("ARCHIVE_DIR", archive_dir),
            ("REDIS_URL", servers.redis_url),
            ("REDIS_PREFIX", format!("{name}:")),
            ("ADDRESS_HASH_KEY", SECRET.to_owned()),
            ("JWT_SECRET_KEY", SECRET.chars().rev().collect()),
        ] {
            cluster.set(setting, &value);
        }
        cluster
    }

    /// Of all processes that are added from now on.
    pub(crate) fn set(&mut self, setting: &str, value: &str) {
        self.settings.insert(setting.to_owned(), value.to_owned());
    }

    /// Of all processes that are made from now on.
    pub(crate) fn unset(&mut self, setting: &str) {
        self.settings.remove(setting);
    }

    /// What a process of these roles would be started with.
    pub(crate) fn deployment(&self, roles: &str) -> Deployment {
        let mut deployment = Deployment::new();
        deployment.set("ROLES", roles);
        for (setting, value) in &self.settings {
            deployment.set(setting, value);
        }
        deployment
    }

    /// Starts a new process whose role is its name's first part (`edge-1`), and does not wait for it.
    pub(crate) fn add(&mut self, name: &str) {
        let (role, _) = name.split_once('-').expect("role-number");
        let mut process = self.deployment(role);
        process.spawn(None);
        assert!(self.processes.insert(name.to_owned(), process).is_none(), "{name} is there already");
    }

    /// Starts these together and waits until all serve.
    pub(crate) async fn start(&mut self, names: &[&str]) {
        for name in names {
            self.add(name);
        }
        for name in names {
            self.get_mut(name).ready().await;
        }
    }

    /// Takes one in that was made outside.
    pub(crate) fn take_in(&mut self, name: &str, process: Deployment) {
        self.processes.insert(name.to_owned(), process);
    }

    pub(crate) fn get(&self, name: &str) -> &Deployment {
        &self.processes[name]
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> &mut Deployment {
        self.processes.get_mut(name).expect("a process of this name")
    }

    /// Of a role, in their names' order.
    pub(crate) fn of_role(&self, role: &str) -> Vec<&Deployment> {
        let own = self.processes.iter().filter(|(name, _)| name.starts_with(role));
        own.map(|(_, process)| process).collect()
    }

    /// Of a role, in order.
    pub(crate) fn names(&self, role: &str) -> Vec<String> {
        self.processes.keys().filter(|name| name.starts_with(role)).cloned().collect()
    }

    /// Takes one out, as it is.
    pub(crate) fn remove(&mut self, name: &str) -> Deployment {
        self.processes.remove(name).expect("a process of this name")
    }

    /// Waits until every process serves.
    pub(crate) async fn all_ready(&mut self) {
        for process in self.processes.values_mut() {
            process.ready().await;
        }
    }

    /// kill -9, and a start on the same folder, not waited for.
    pub(crate) fn kill_and_restart(&mut self, name: &str) {
        self.get_mut(name).kill();
        self.restart(name);
    }

    /// A start on the folder of one that ended, not waited for. An edge's journal lets go what is in Kafka; for the
    /// books its segments are kept.
    pub(crate) fn restart(&mut self, name: &str) {
        let process = self.get_mut(name);
        if process.data_dir().join("journal").exists() {
            process.keep_segments();
        }
        process.spawn(None);
    }

    /// A clean stop of all of a role.
    pub(crate) async fn stop_all(&mut self, role: &str) {
        for (_, process) in self.processes.iter_mut().filter(|(name, _)| name.starts_with(role)) {
            process.stop().await;
        }
    }

    /// The same of the edges, whose forwarders send what is left; how many clicks their journals ever held.
    pub(crate) async fn stop_edges(&mut self) -> u64 {
        self.stop_all("edge").await;
        let mut clicks = 0;
        for edge in self.of_role("edge") {
            edge.keep_segments();
            clicks += kept_journal_verifies(edge).await;
        }
        clicks
    }

    /// An admin at this process.
    pub(crate) async fn admin_at(&self, name: &str) -> Api {
        Api::new(self.get(name)).admin().await
    }

    /// Its PostgreSQL.
    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Its Kafka, as a process knows it.
    pub(crate) fn kafka(&self) -> KafkaConfig {
        KafkaConfig {
            topic_prefix: format!("{}.", self.name),
            partitions: NonZeroU32::new(PARTITIONS).unwrap(),
            replication_factor: Some(i32::from(self.servers.copies)),
            ..KafkaConfig::new(&self.servers.brokers)
        }
    }

    /// Its click store.
    pub(crate) async fn store(&self) -> CqlClickStore {
        let config = CqlConfig::new(self.servers.cql_nodes.clone(), &self.name);
        CqlClickStore::connect(config, self.pool.clone()).await.unwrap()
    }
}

/// A database of this name on that server; where it is.
pub(crate) async fn make_database(server_url: &str, name: &str) -> String {
    let mut connection = PgConnection::connect(server_url).await.unwrap();
    // a name that this file has made
    let statement = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::query(statement).execute(&mut connection).await.unwrap();
    let mut url = Url::parse(server_url).unwrap();
    url.set_path(&format!("/{name}"));
    url.to_string()
}
