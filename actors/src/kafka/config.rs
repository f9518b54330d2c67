//! Where Kafka is and what its topics are like.

use super::error::KafkaError;
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

/// Client settings that are ours: correctness hangs on them, so they cannot be given. `auto.offset.reset`, say,
/// would pass over deleted clicks without a word.
const OURS: [&str; 21] = [
    "acks",
    "auto.offset.reset",
    "bootstrap.servers",
    "check.crcs",
    "delivery.timeout.ms",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "isolation.level",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "message.send.max.retries",
    "message.timeout.ms",
    "metadata.broker.list",
    "partition.assignment.strategy",
    "partitioner",
    "request.required.acks",
    "retries",
    "transactional.id",
];
/// Of the settings that are given, those that only a member of a group understands.
pub(super) const OF_MEMBERS: [&str; 6] = [
    "group.instance.id",
    "group.protocol",
    "group.remote.assignor",
    "heartbeat.interval.ms",
    "max.poll.interval.ms",
    "session.timeout.ms",
];
/// Kafka allows no other characters in a topic's name.
fn topic_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-')
}
/// Kafka's limit on a topic's name is 249; the longest of ours has 19.
const PREFIX_MAX_CHARS: usize = 200;

/// How this process uses Kafka.
#[derive(Clone)]
pub struct KafkaConfig {
    /// `KAFKA_BROKERS`: some of the brokers, `host:port`, separated by commas.
    pub brokers: String,
    /// `KAFKA_CLIENT`: further settings of the client library, by their own names, for every connection:
    /// `security.protocol`, `sasl.*`, `ssl.*`. Those of a group's member (`group.protocol`, `session.timeout.ms`)
    /// reach the [membership](super::membership) only.
    pub client: BTreeMap<String, String>,
    /// `KAFKA_TOPIC_PREFIX`: put before the names of all topics, so that two installations can share a cluster.
    pub topic_prefix: String,
    /// `KAFKA_PARTITIONS` of `clicks.raw`. Fixed for a topic's life. One partition is judged by one node at
    /// a time, so there can be as many judges; 24 divides evenly by most numbers of them.
    pub partitions: NonZeroU32,
    /// `KAFKA_REPLICATION_FACTOR`; none: 3, or as many as there are brokers if there are fewer.
    pub replication_factor: Option<i32>,
    /// `KAFKA_MIN_RETENTION_DAYS`: the start refuses a topic that forgets sooner. 14 days leave time to notice a judge
    /// that stands still: the alarm comes at half of the retention.
    pub min_retention: Duration,
    /// `KAFKA_RETENTION_DAYS` of topics that are created. Longer than the least that is accepted.
    pub retention: Duration,
    /// `KAFKA_GROUP_ID`: the judges that share the partitions out among themselves.
    pub group_id: String,
}

impl KafkaConfig {
    /// The standard settings, at these brokers.
    pub fn new(brokers: impl Into<String>) -> Self {
        const DAY: Duration = Duration::from_secs(86_400);
        Self {
            brokers: brokers.into(),
            client: BTreeMap::new(),
            topic_prefix: String::new(),
            // The compiler has seen that it is not 0.
            partitions: const { NonZeroU32::new(24).unwrap() },
            replication_factor: None,
            min_retention: DAY * 14,
            retention: DAY * 30,
            group_id: "gonggumoa-judges".to_owned(),
        }
    }

    /// Where edges send clicks.
    pub fn raw_topic(&self) -> String {
        format!("{}clicks.raw", self.topic_prefix)
    }

    /// Where other teams read what was judged.
    pub fn judged_topic(&self) -> String {
        format!("{}clicks.judged", self.topic_prefix)
    }

    /// Where records go that are not ours.
    pub fn dead_letter_topic(&self) -> String {
        format!("{}clicks.dead-letters", self.topic_prefix)
    }

    /// What can be known to be wrong without asking a broker.
    pub fn check(&self) -> Result<(), KafkaError> {
        let wrong = |setting: &str, value: &str, problem: &str| {
            let (setting, value, problem) = (setting.to_owned(), value.to_owned(), problem.to_owned());
            Err(KafkaError::Setting { setting, value, problem })
        };
        if self.brokers.trim().is_empty() {
            return wrong("KAFKA_BROKERS", &self.brokers, "names no broker");
        }
        if self.group_id.trim().is_empty() {
            return wrong("KAFKA_GROUP_ID", &self.group_id, "is empty");
        }
        if !self.topic_prefix.chars().all(topic_character) || self.topic_prefix.len() > PREFIX_MAX_CHARS {
            let problem = "may hold at most 200 letters, digits, dots, underscores and hyphens";
            return wrong("KAFKA_TOPIC_PREFIX", &self.topic_prefix, problem);
        }
        if self.partitions.get() > 10_000 {
            let problem = "is more than 10,000, which no cluster of a reasonable size carries";
            return wrong("KAFKA_PARTITIONS", &self.partitions.to_string(), problem);
        }
        if let Some(factor) = self.replication_factor.filter(|factor| !(1..=100).contains(factor)) {
            return wrong("KAFKA_REPLICATION_FACTOR", &factor.to_string(), "is not between 1 and 100");
        }
        if self.retention < self.min_retention {
            let value = (self.retention.as_secs() / 86_400).to_string();
            return wrong("KAFKA_RETENTION_DAYS", &value, "is shorter than KAFKA_MIN_RETENTION_DAYS");
        }
        if let Some(name) = OURS.iter().find(|name| self.client.contains_key(**name)) {
            let problem = format!("may not be given: {name} is decided by the program");
            return wrong("KAFKA_CLIENT", name, &problem);
        }
        Ok(())
    }

    /// What every client of ours has in common; `role` tells them apart in the brokers' logs.
    pub fn client_config(&self, role: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", format!("gonggumoa-{role}"))
            // A broker that comes back is found within two seconds, not ten.
            .set("reconnect.backoff.max.ms", "2000")
            // Found again if an idle connection was dropped on the way without a word.
            .set("socket.keepalive.enable", "true")
            // What a program's start or a consumer's question must never do.
            .set("allow.auto.create.topics", "false")
            // Filtered by our own log's level.
            .set_log_level(RDKafkaLogLevel::Info);
        for (name, value) in &self.client {
            if !OF_MEMBERS.contains(&name.as_str()) {
                config.set(name, value);
            }
        }
        config
    }
}

/// Without the values of the client's settings: a password is among them.
impl fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaConfig")
            .field("brokers", &self.brokers)
            .field("client", &self.client.keys())
            .field("topic_prefix", &self.topic_prefix)
            .field("partitions", &self.partitions)
            .field("replication_factor", &self.replication_factor)
            .field("min_retention", &self.min_retention)
            .field("retention", &self.retention)
            .field("group_id", &self.group_id)
            .finish()
    }
}

#[cfg(test)]
mod tests;
