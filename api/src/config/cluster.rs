//! Settings of deployments on several machines: which part of the work this process does, and the engines it
//! shares with the others.
//!
//! With none of them set everything runs in one process. What processes must agree on has no default that
//! each would make for itself: with Kafka the database, the key of the address hashes and the key of the
//! tokens must be given.

use super::reader::{self, Reader};
use gonggumoa_actors::kafka::KafkaConfig;
use gonggumoa_analytics::cql::{CqlConfig, CqlTls};
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

const DAY_SECONDS: u64 = 86_400;

/// What this process does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Roles {
    /// Takes clicks: the journal and the redirects.
    pub edge: bool,
    /// Judges clicks and stores them.
    pub judge: bool,
    /// Everything else over HTTP.
    pub api: bool,
}

impl Roles {
    /// One process for all.
    pub const ALL: Self = Self { edge: true, judge: true, api: true };
}

/// Kafka as the log.
#[derive(Clone, Debug)]
pub struct KafkaSettings {
    /// Where it is and what its topics are like.
    pub config: KafkaConfig,
    /// Which life of the log this is, from 1: the next number goes with another cluster or topic.
    pub epoch: u16,
    /// Clicks that wait this long to be sent raise an alarm.
    pub forward_alarm_after: Duration,
}

/// Redis for what is shared and may be lost.
#[derive(Clone, Debug)]
pub struct RedisSettings {
    /// Where it is.
    pub url: SecretString,
    /// Before all keys and channels, so that two installations can share a server.
    pub prefix: String,
}

/// The shared engines.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// What this process does.
    pub roles: Roles,
    /// Carries clicks from edges to judges; `None`: the journal of this process is judged here.
    pub kafka: Option<KafkaSettings>,
    /// Keeps what was judged; `None`: the PostgreSQL of the catalog.
    pub scylla: Option<CqlConfig>,
    /// Shares live totals and prepared answers; `None`: this process's memory.
    pub redis: Option<RedisSettings>,
}

impl ClusterConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let config =
            Self { roles: roles(reader), kafka: kafka(reader), scylla: scylla(reader), redis: redis(reader) };
        config.check(reader);
        config
    }

    /// What only several settings together tell.
    fn check(&self, reader: &mut Reader) {
        let has_kafka = reader.text("KAFKA_BROKERS").is_some();
        if self.roles.edge != self.roles.judge && !has_kafka && !reader.is_bad("ROLES") {
            let text =
                "edge and judge go together without KAFKA_BROKERS: a journal is judged where it is written";
            reader.problem("ROLES", text, "all");
        }
        if !self.roles.edge && !has_kafka && !reader.is_bad("ROLES") && reader.text("DATABASE_URL").is_none()
        {
            let text = "is not set: a process without a journal of its own works on what others stored";
            reader.problem("DATABASE_URL", text, "postgres://user:password@127.0.0.1:5432/gonggumoa");
        }
        if !has_kafka {
            return;
        }
        let shared = [
            ("DATABASE_URL", "postgres://user:password@127.0.0.1:5432/gonggumoa"),
            ("ADDRESS_HASH_KEY", "the output of `openssl rand -hex 32`"),
            ("JWT_SECRET_KEY", "the output of `openssl rand -hex 32`"),
        ];
        for (name, example) in shared {
            if reader.text(name).is_none() && !reader.is_bad(name) {
                let text =
                    "is not set: with KAFKA_BROKERS several processes share it, so none can make its own";
                reader.problem(name, text, example);
            }
        }
        let has_archive = ["AWS_S3_BUCKET", "ARCHIVE_DIR"].iter().any(|name| reader.text(name).is_some());
        if self.roles.judge && !has_archive {
            let text = "is not set, nor ARCHIVE_DIR: partitions move from judge to judge, and their archive goes on \
                        where the one before left it, so all judges need one place";
            reader.problem("AWS_S3_BUCKET", text, "gonggumoa-archive");
        }
    }
}

fn roles(reader: &mut Reader) -> Roles {
    reader.value("ROLES", Roles::ALL, "all, or some of edge, judge and api: edge,judge", |text| {
        let mut roles = Roles { edge: false, judge: false, api: false };
        reader::list(text, |role| match role {
            "all" => Ok([true; 3]),
            "edge" => Ok([true, false, false]),
            "judge" => Ok([false, true, false]),
            "api" => Ok([false, false, true]),
            _ => Err("is not a role".to_owned()),
        })?
        .into_iter()
        .for_each(|[edge, judge, api]| {
            roles.edge |= edge;
            roles.judge |= judge;
            roles.api |= api;
        });
        if roles.edge || roles.judge || roles.api { Ok(roles) } else { Err("names no role".to_owned()) }
    })
}

fn kafka(reader: &mut Reader) -> Option<KafkaSettings> {
    let brokers = reader.optional("KAFKA_BROKERS", "127.0.0.1:9092,127.0.0.2:9092", brokers);
    let standard = KafkaConfig::new(brokers.clone().unwrap_or_default());
    let days = |time: Duration| time.as_secs() / DAY_SECONDS;
    let config = KafkaConfig {
        client: reader
            .secret("KAFKA_CLIENT", "security.protocol=sasl_ssl,sasl.mechanism=SCRAM-SHA-512", client)
            .unwrap_or_default(),
        topic_prefix: reader
            .value("KAFKA_TOPIC_PREFIX", String::new(), "gonggumoa.", |text| Ok(text.to_owned())),
        partitions: reader.value("KAFKA_PARTITIONS", standard.partitions, "24", |text| {
            let number = reader::whole(1..=10_000)(text)?;
            NonZeroU32::new(number).ok_or_else(|| "must not be 0".to_owned())
        }),
        replication_factor: reader.optional("KAFKA_REPLICATION_FACTOR", "3", reader::whole(1..=100)),
        min_retention: Duration::from_secs(
            DAY_SECONDS
                * reader.value(
                    "KAFKA_MIN_RETENTION_DAYS",
                    days(standard.min_retention),
                    "14",
                    reader::whole(1..=3_650),
                ),
        ),
        retention: Duration::from_secs(
            DAY_SECONDS
                * reader.value(
                    "KAFKA_RETENTION_DAYS",
                    days(standard.retention),
                    "30",
                    reader::whole(1..=3_650),
                ),
        ),
        group_id: reader.value("KAFKA_GROUP_ID", standard.group_id.clone(), "gonggumoa-judges", |text| {
            Ok(text.to_owned())
        }),
        ..standard
    };
    let epoch = reader.value("KAFKA_LOG_EPOCH", 1, "1", reader::whole(1..=32_767));
    let alarm_seconds = reader.value("FORWARD_ALARM_SECONDS", 60, "60", reader::whole(1..=86_400));
    brokers?;
    Some(KafkaSettings { config, epoch, forward_alarm_after: Duration::from_secs(alarm_seconds) })
}

fn scylla(reader: &mut Reader) -> Option<CqlConfig> {
    let nodes = reader.optional("SCYLLA_NODES", "127.0.0.1:9042", |text| {
        let nodes = reader::list(text, |node| Ok::<_, String>(node.to_owned()))?;
        if nodes.is_empty() { Err("names no node".to_owned()) } else { Ok(nodes) }
    });
    let standard = CqlConfig::new(nodes.clone().unwrap_or_default(), "gonggumoa");
    let text = |text: &str| Ok::<_, String>(text.to_owned());
    let user = reader.optional("SCYLLA_USER", "gonggumoa", text);
    let password = reader.secret("SCYLLA_PASSWORD", "the user's password", text);
    if user.is_some() != password.is_some() && !reader.is_bad("SCYLLA_USER") {
        reader.problem("SCYLLA_USER", "and SCYLLA_PASSWORD go together: one of them is not set", "");
    }
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let config = CqlConfig {
        keyspace: reader.value("SCYLLA_KEYSPACE", standard.keyspace.clone(), "gonggumoa", text),
        credentials: user.zip(password),
        local_datacenter: reader.optional("SCYLLA_DATACENTER", "dc1", text),
        replication_factor: reader.value(
            "SCYLLA_REPLICATION_FACTOR",
            standard.replication_factor,
            "3",
            reader::whole(1..=9),
        ),
        request_timeout: Duration::from_millis(reader.value(
            "SCYLLA_REQUEST_TIMEOUT_MILLIS",
            millis(standard.request_timeout),
            "6000",
            reader::whole(100..=120_000),
        )),
        concurrency: reader.value("SCYLLA_CONCURRENCY", standard.concurrency, "128", |text| {
            let number = reader::whole(1..=4_096)(text)?;
            NonZeroUsize::new(number).ok_or_else(|| "must not be 0".to_owned())
        }),
        tls: reader.value("SCYLLA_TLS", None, "on, off, or a file of trusted certificates", |text| {
            Ok(match text {
                "off" => None,
                "on" => Some(CqlTls::default()),
                file => Some(CqlTls { ca_file: Some(PathBuf::from(file)) }),
            })
        }),
        ..standard
    };
    nodes.map(|_| config)
}

/// `host:port` each; the client library would pass over what it cannot read.
fn brokers(text: &str) -> Result<String, String> {
    let brokers = reader::list(text, |broker| match broker.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0) => {
            Ok(broker.to_owned())
        }
        _ => Err("is not host:port".to_owned()),
    })?;
    if brokers.is_empty() { Err("names no broker".to_owned()) } else { Ok(brokers.join(",")) }
}

/// Settings of the client library: a JSON object of strings, or `name=value` separated by commas.
fn client(text: &str) -> Result<BTreeMap<String, String>, String> {
    if text.starts_with('{') {
        return serde_json::from_str(text).map_err(|_| "is not a JSON object of strings".to_owned());
    }
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts
        .map(|part| match part.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() => {
                Ok((name.trim().to_owned(), value.trim().to_owned()))
            }
            _ => Err("has a part that is not name=value".to_owned()),
        })
        .collect()
}

fn redis(reader: &mut Reader) -> Option<RedisSettings> {
    let url = reader.secret("REDIS_URL", "redis://127.0.0.1:6379", redis_url);
    let prefix =
        reader.value("REDIS_PREFIX", "gonggumoa:".to_owned(), "gonggumoa:", |text| Ok(text.to_owned()));
    Some(RedisSettings { url: url?, prefix })
}

fn redis_url(text: &str) -> Result<SecretString, String> {
    let secret = reader::wrapped(text);
    gonggumoa_actors::redis::check(secret.expose_secret()).map_err(|error| error.to_string())?;
    Ok(secret)
}
