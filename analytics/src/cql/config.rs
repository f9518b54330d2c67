//! Settings of the CQL store, checked together before anything is connected to.

use super::CqlError;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// Names may be at most so long in Cassandra.
const KEYSPACE_MAX_CHARS: usize = 48;
/// Longer retention would meet the servers' limit on times to live (20 years) and, in Cassandra's compatible
/// storage format, the year 2038.
const CLICK_RETENTION_MONTHS_MAX: u32 = 120;

/// How to encrypt the way to the nodes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CqlTls {
    /// Certificates (PEM) that the nodes' own are signed by; `None`: those that the machine trusts.
    pub ca_file: Option<PathBuf>,
}

/// See the fields. [`CqlConfig::new`] sets all but nodes and keyspace to their defaults.
#[derive(Clone, PartialEq, Eq)]
pub struct CqlConfig {
    /// `host:port` of some nodes; the others are found through them.
    pub nodes: Vec<String>,
    /// The keyspace; letters, digits and underscores.
    pub keyspace: String,
    /// User and password, if the cluster asks for them.
    pub credentials: Option<(String, String)>,
    /// The datacenter to ask and to wait for. Named: quorums and serial operations are of this datacenter, so that
    /// all judges MUST name the same one. `None`: quorums are of the whole cluster.
    pub local_datacenter: Option<String>,
    /// Copies of each row, for a keyspace made here. 3 is the least at which a node may fail and quorums go on.
    pub replication_factor: u16,
    /// One request. Longer than the servers' own 5 s for a slow read would only hide a dead node.
    pub request_timeout: Duration,
    /// After so long without an answer another replica is asked too: a node that just died costs this and not the
    /// request's timeout. `None`: never. Compare-and-sets are never sent twice so.
    pub speculative_after: Option<Duration>,
    /// Requests of one call under way at once. A node works on 128 at a time by default.
    pub concurrency: NonZeroUsize,
    /// Encryption; `None`: none.
    pub tls: Option<CqlTls>,
    /// Raw addresses, in days.
    pub ip_retention_days: u32,
    /// Clicks, in months besides the running one.
    pub click_retention_months: u32,
}

impl CqlConfig {
    /// The defaults with these nodes and keyspace.
    pub fn new(nodes: Vec<String>, keyspace: impl Into<String>) -> Self {
        Self {
            nodes,
            keyspace: keyspace.into(),
            credentials: None,
            local_datacenter: None,
            replication_factor: 3,
            request_timeout: Duration::from_secs(6),
            speculative_after: Some(Duration::from_millis(300)),
            concurrency: NonZeroUsize::new(128).unwrap_or(NonZeroUsize::MIN),
            tls: None,
            ip_retention_days: 90,
            click_retention_months: 13,
        }
    }

    /// What cannot be right whatever the cluster is.
    pub(crate) fn check(&self) -> Result<(), CqlError> {
        let wrong = |setting, value: String, problem: &str| {
            Err(CqlError::Setting { setting, value, problem: problem.to_owned(), passing: false })
        };
        if self.nodes.is_empty() || self.nodes.iter().any(|node| node.trim().is_empty()) {
            return wrong("SCYLLA_NODES", self.nodes.join(","), "names no node, or an empty one");
        }
        let plain = |character: char| character.is_ascii_alphanumeric() || character == '_';
        let starts = self.keyspace.chars().next().is_some_and(|first| first.is_ascii_alphabetic());
        if !starts || !self.keyspace.chars().all(plain) || self.keyspace.len() > KEYSPACE_MAX_CHARS {
            let problem = "is not a letter followed by at most 47 letters, digits and underscores";
            return wrong("SCYLLA_KEYSPACE", self.keyspace.clone(), problem);
        }
        if self.replication_factor == 0 {
            return wrong("SCYLLA_REPLICATION_FACTOR", "0".into(), "keeps nothing");
        }
        if let Some(name) = &self.local_datacenter
            && (name.is_empty() || name.contains('\''))
        {
            return wrong("SCYLLA_DATACENTER", name.clone(), "is not the name of a datacenter");
        }
        if self.click_retention_months > CLICK_RETENTION_MONTHS_MAX {
            let value = self.click_retention_months.to_string();
            return wrong(
                "CLICK_RETENTION_MONTHS",
                value,
                "is more than 120, which a time to live cannot hold",
            );
        }
        if self.request_timeout.is_zero() {
            return wrong("SCYLLA_REQUEST_TIMEOUT_MILLIS", "0".into(), "leaves no time for an answer");
        }
        Ok(())
    }

    /// `CREATE KEYSPACE`'s replication.
    pub(crate) fn replication(&self) -> String {
        let factor = self.replication_factor;
        match &self.local_datacenter {
            Some(name) => format!("{{'class': 'NetworkTopologyStrategy', '{name}': {factor}}}"),
            None => format!("{{'class': 'SimpleStrategy', 'replication_factor': {factor}}}"),
        }
    }
}

impl fmt::Debug for CqlConfig {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CqlConfig")
            .field("nodes", &self.nodes)
            .field("keyspace", &self.keyspace)
            .field("user", &self.credentials.as_ref().map(|(user, _)| user))
            .field("local_datacenter", &self.local_datacenter)
            .field("replication_factor", &self.replication_factor)
            .field("request_timeout", &self.request_timeout)
            .field("speculative_after", &self.speculative_after)
            .field("concurrency", &self.concurrency)
            .field("tls", &self.tls)
            .field("ip_retention_days", &self.ip_retention_days)
            .field("click_retention_months", &self.click_retention_months)
            .finish()
    }
}
