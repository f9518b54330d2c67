//! Apache Cassandra nodes, the CQL servers of the tests.

use super::{Engine, Site, fill, java};
use crate::harness::process::free_port;
use crate::harness::wait::{LONG, eventually};
use std::fs;
use std::path::Path;
use tokio::net::TcpStream;

const OPTIONS: &str = include_str!("../../../engines/cassandra.java");
const CONFIGURATION: &str = include_str!("../../../engines/cassandra.yaml");
const LOGGING: &str = include_str!("../../../engines/logback.xml");

/// A ring of up to three nodes on 127.0.0.1, .2 and .3, all at the same port.
pub(crate) struct CassandraNodes {
    nodes: Vec<Engine>,
    port: u16,
    storage_port: u16,
    site: Site,
}

impl CassandraNodes {
    /// A new ring that takes CQL from anybody; none without Cassandra's programs.
    pub(crate) async fn start(count: usize) -> Option<Self> {
        Self::start_with(count, "AllowAllAuthenticator").await
    }

    /// The same for those who know the password. The one role is `cassandra`, and so is its password.
    pub(crate) async fn start_with_passwords(count: usize) -> Option<Self> {
        Self::start_with(count, "PasswordAuthenticator").await
    }

    async fn start_with(count: usize, authenticator: &str) -> Option<Self> {
        let jars = java::jars("CASSANDRA_JARS", "cassandra")?;
        let site = Site::new("cassandra");
        let (port, storage_port) = (free_port(), free_port());
        let nodes = Vec::new();
        let mut ring = Self { nodes, port, storage_port, site };
        // one after another: two at once would choose their parts of the ring without each other
        for index in 0..count {
            let node = ring.prepare(index, authenticator, &jars, if count == 1 { "512m" } else { "400m" });
            ring.nodes.push(node);
            ring.restart(index).await;
        }
        Some(ring)
    }

    fn prepare(&self, index: usize, authenticator: &str, jars: &Path, heap: &str) -> Engine {
        let name = format!("cassandra-{}", index + 1);
        let folder = self.site.folder(&name);
        let options = fill(&folder, "cassandra.java", OPTIONS, &[("HEAP", heap)]);
        let values = [
            ("ADDRESS", address(index)),
            ("STORAGE_PORT", self.storage_port.to_string()),
            ("PORT", self.port.to_string()),
            ("AUTHENTICATOR", authenticator.to_owned()),
        ];
        let values: Vec<(&str, &str)> = values.iter().map(|(key, value)| (*key, value.as_str())).collect();
        fill(&folder, "cassandra.yaml", CONFIGURATION, &values);
        fs::write(folder.join("logback.xml"), LOGGING).unwrap();
        let main = "org.apache.cassandra.service.CassandraDaemon";
        Engine::new(&name, &folder, java::command(&options, &[&folder, jars], main, &[]))
    }

    /// Addresses of all, whether they are running or not.
    pub(crate) fn nodes(&self) -> Vec<String> {
        (0..self.nodes.len()).map(|index| format!("{}:{}", address(index), self.port)).collect()
    }

    /// kill -9.
    pub(crate) fn kill(&mut self, index: usize) {
        self.nodes[index].kill();
    }

    /// Starts a killed one on its data, and waits until it takes CQL and all that run know of each other.
    pub(crate) async fn restart(&mut self, index: usize) {
        let port = self.port;
        self.nodes[index].spawn();
        let takes_cql = async |log: &str| {
            if !log.contains("Startup complete") {
                return Err("starting".to_owned());
            }
            let connected = TcpStream::connect((address(index), port)).await;
            connected.map(drop).map_err(|error| error.to_string())
        };
        self.nodes[index].ready(takes_cql).await;
        self.settled().await;
    }

    /// Freezes one: it keeps its connections and answers nothing.
    pub(crate) fn pause(&self, index: usize) {
        self.nodes[index].pause();
    }

    pub(crate) fn resume(&self, index: usize) {
        self.nodes[index].resume();
    }

    /// Waits until each running node takes each other one for alive: a quorum of them answers then.
    async fn settled(&self) {
        eventually("the nodes know of each other", LONG, async || {
            for (index, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.is_running()) {
                let log = node.log_text();
                for (other, _) in self.nodes.iter().enumerate().filter(|(_, node)| node.is_running()) {
                    if other != index && !self.is_up(&log, other) {
                        return Err(format!("{} does not see {}", address(index), address(other)));
                    }
                }
            }
            Ok(())
        })
        .await;
    }

    /// Whether the last that a node said of another is that it is up.
    fn is_up(&self, log: &str, other: usize) -> bool {
        let name = format!("/{}:{}", address(other), self.storage_port);
        let up = log.rfind(&format!("{name} is now UP"));
        up.is_some() && up > log.rfind(&format!("{name} is now DOWN"))
    }
}

fn address(index: usize) -> String {
    format!("127.0.0.{}", index + 1)
}
