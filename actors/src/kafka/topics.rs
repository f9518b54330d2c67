//! The topics: made when they are missing, refused when they are not as they must be.
//!
//! Problem: what Kafka was told to forget is gone however carefully it is read. So a start looks at the
//! promises that hang on a topic's settings, and names the first one that does not hold, with its value and the
//! one that it must have. Nothing of an existing topic is changed: it may be as it is for a reason.
//!
//! Invariants: after [`prepare`] `clicks.raw` has the configured number of partitions, deletes by time only and
//! not too soon, does not lose what it acknowledged when a broker dies, and stamps records with the time at
//! which it took them.

use super::config::KafkaConfig;
use super::error::{KafkaError, retryable};
use super::events::Events;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long a start asks for a broker's answer before it says that there is none.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);
/// One question; asked again until the deadline, so that a refusal is told as soon as it is known.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(3);
/// Copies of each record, where there are brokers enough: one may die while another is away for maintenance.
const REPLICAS_WANTED: i32 = 3;

/// What a start learns of the cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterFacts {
    /// Kafka's own identifier of it.
    pub cluster_id: String,
    /// Brokers that it has now.
    pub brokers: usize,
    /// How long `clicks.raw` keeps records; none: for ever.
    pub retention: Option<Duration>,
}

/// Makes the topics that are missing and checks the one that everything hangs on.
///
/// # Errors
/// The first thing that is wrong, with the setting's name: see [`KafkaError`].
pub async fn prepare(config: &KafkaConfig) -> Result<ClusterFacts, KafkaError> {
    config.check()?;
    let cluster = ask(config).await?;
    let admin = admin(config)?;
    create_missing(config, &admin, &cluster).await?;
    let deadline = Instant::now() + ANSWER_DEADLINE;
    let raw = config.raw_topic();
    let topic = loop {
        let cluster = ask(config).await?;
        match cluster.topics.get(&raw) {
            Some(topic) if topic.all_led => break topic.clone(),
            _ if Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(50)).await,
            _ => {
                return Err(KafkaError::NoLeader { topic: raw });
            }
        }
    };
    let settings = settings(&admin, &raw).await?;
    check(config, &topic, &settings)?;
    Ok(ClusterFacts { cluster_id: cluster.id, brokers: cluster.brokers, retention: retention(&settings) })
}

/// How long `clicks.raw` keeps records now; none: for ever.
pub(super) async fn raw_retention(config: &KafkaConfig) -> Result<Option<Duration>, KafkaError> {
    Ok(retention(&settings(&admin(config)?, &config.raw_topic()).await?))
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Cluster {
    id: String,
    brokers: usize,
    topics: BTreeMap<String, Topic>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Topic {
    partitions: usize,
    /// The least of any partition.
    replicas: usize,
    /// Whether every partition has a leader.
    all_led: bool,
}

impl From<&Metadata> for Cluster {
    fn from(metadata: &Metadata) -> Self {
        let topics = metadata.topics().iter().filter(|topic| topic.error().is_none()).map(|topic| {
            let partitions = topic.partitions();
            let replicas = partitions.iter().map(|partition| partition.replicas().len()).min().unwrap_or(0);
            let all_led = partitions.iter().all(|partition| partition.leader() >= 0);
            (topic.name().to_owned(), Topic { partitions: partitions.len(), replicas, all_led })
        });
        Self { id: String::new(), brokers: metadata.brokers().len(), topics: topics.collect() }
    }
}

/// Asks who is there. The client's own errors, which tell a wrong password from a wrong address, come
/// between the questions.
async fn ask(config: &KafkaConfig) -> Result<Cluster, KafkaError> {
    let brokers = config.brokers.clone();
    let client = config.client_config("start");
    let asked = tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer<Events> =
            BaseConsumer::from_config_and_context(&client, Events::new("start"))
                .map_err(|error| KafkaError::client("making a client", error))?;
        let deadline = Instant::now() + ANSWER_DEADLINE;
        let mut metadata = consumer.fetch_metadata(None, QUESTION_TIMEOUT);
        while let Err(error) = &metadata {
            // An error that the client has met becomes known by polling.
            while consumer.poll(Duration::from_millis(50)).is_some() {}
            let problem = consumer.client().context().unanswered(
                &brokers,
                "asking for the cluster's topics",
                error.clone(),
            );
            if !problem.retryable() || Instant::now() >= deadline {
                return Err(problem);
            }
            metadata = consumer.fetch_metadata(None, QUESTION_TIMEOUT);
        }
        let metadata =
            metadata.map_err(|error| KafkaError::client("asking for the cluster's topics", error))?;
        // The log's life is tied to it: an empty one would never be recognised.
        let Some(id) = consumer.client().fetch_cluster_id(QUESTION_TIMEOUT) else {
            return Err(KafkaError::client("asking for the cluster's id", ClientError::Canceled));
        };
        Ok(Cluster { id, ..Cluster::from(&metadata) })
    });
    match asked.await {
        Ok(answer) => answer,
        Err(error) => Err(KafkaError::Thread(std::io::Error::other(error))),
    }
}

fn admin(config: &KafkaConfig) -> Result<AdminClient<Events>, KafkaError> {
    AdminClient::from_config_and_context(&config.client_config("admin"), Events::new("admin"))
        .map_err(|error| KafkaError::client("making a client", error))
}

fn options() -> AdminOptions {
    // Answered when the brokers have done it, not when they have heard of it.
    AdminOptions::new().operation_timeout(Some(ANSWER_DEADLINE)).request_timeout(Some(ANSWER_DEADLINE))
}

async fn create_missing(
    config: &KafkaConfig,
    admin: &AdminClient<Events>,
    cluster: &Cluster,
) -> Result<(), KafkaError> {
    let factor = config.replication_factor.unwrap_or_else(|| {
        i32::try_from(cluster.brokers).unwrap_or(REPLICAS_WANTED).clamp(1, REPLICAS_WANTED)
    });
    let retention = config.retention.as_millis().to_string();
    let partitions = i32::try_from(config.partitions.get()).unwrap_or(i32::MAX);
    // With fewer copies than three, one that is away would stop the writing.
    let in_sync = if factor >= 3 { "2" } else { "1" };
    let raw = config.raw_topic();
    let judged = config.judged_topic();
    let dead = config.dead_letter_topic();
    // Dead letters are few: one partition keeps them in one order.
    let topics: Vec<_> = [(&raw, partitions), (&judged, partitions), (&dead, 1)]
        .into_iter()
        .filter(|(name, _)| !cluster.topics.contains_key(*name))
        .map(|(name, partitions)| {
            let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(factor))
                .set("cleanup.policy", "delete")
                .set("retention.ms", &retention)
                .set("retention.bytes", "-1")
                .set("min.insync.replicas", in_sync)
                .set("unclean.leader.election.enable", "false")
                // Stored as the producer compressed it.
                .set("compression.type", "producer");
            if *name == raw { topic.set("message.timestamp.type", "LogAppendTime") } else { topic }
        })
        .collect();
    if topics.is_empty() {
        return Ok(());
    }
    let results = admin
        .create_topics(&topics, &options())
        .await
        .map_err(|error| KafkaError::client("creating topics", error))?;
    for result in results {
        match result {
            Ok(name) => tracing::info!(topic.name = name, topic.replicas = factor, "a topic was created"),
            // Another node was faster.
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, RDKafkaErrorCode::InvalidReplicationFactor)) => {
                return Err(KafkaError::Setting {
                    setting: "KAFKA_REPLICATION_FACTOR".to_owned(),
                    value: factor.to_string(),
                    problem: format!("is more than the {} brokers that there are", cluster.brokers),
                });
            }
            Err((name, code)) => {
                return Err(KafkaError::client(format!("creating topic {name}"), ClientError::Global(code)));
            }
        }
    }
    Ok(())
}

async fn settings(admin: &AdminClient<Events>, topic: &str) -> Result<BTreeMap<String, String>, KafkaError> {
    let deadline = Instant::now() + ANSWER_DEADLINE;
    loop {
        let doing = format!("reading the settings of topic {topic}");
        let described = admin.describe_configs(&[ResourceSpecifier::Topic(topic)], &options()).await;
        let error = match described {
            Ok(resources) => match resources.into_iter().next() {
                Some(Ok(resource)) => {
                    let entries = resource.entries.into_iter();
                    return Ok(entries.filter_map(|entry| Some((entry.name, entry.value?))).collect());
                }
                Some(Err(code)) => ClientError::Global(code),
                None => ClientError::Canceled,
            },
            Err(error) => error,
        };
        // A topic that was just made is not known to every broker at once.
        let unknown = error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnknownTopicOrPartition);
        if Instant::now() >= deadline || !(unknown || retryable(&error)) {
            return Err(KafkaError::client(doing, error));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn retention(settings: &BTreeMap<String, String>) -> Option<Duration> {
    let millis: i64 = settings.get("retention.ms")?.parse().ok()?;
    u64::try_from(millis).ok().map(Duration::from_millis)
}

/// What must hold of `clicks.raw`.
fn check(config: &KafkaConfig, topic: &Topic, settings: &BTreeMap<String, String>) -> Result<(), KafkaError> {
    let found = |setting: &str| settings.get(setting).map_or("not told", String::as_str);
    let wrong = |setting: &'static str, found: &str, wanted: String| {
        let found = found.to_owned();
        Err(KafkaError::Topic { topic: config.raw_topic(), setting, found, wanted })
    };
    if topic.partitions != config.partitions.get() as usize {
        let wanted = format!(
            "{} (KAFKA_PARTITIONS): it is fixed for a topic's life, since each gonggu has its partition",
            config.partitions
        );
        return wrong("the number of partitions", &topic.partitions.to_string(), wanted);
    }
    let policy = found("cleanup.policy");
    if policy != "delete" {
        return wrong(
            "cleanup.policy",
            policy,
            "delete: compaction takes all clicks of a gonggu but one".into(),
        );
    }
    let retention = found("retention.ms");
    let least = config.min_retention.as_millis();
    let long_enough = retention
        .parse::<i64>()
        .is_ok_and(|millis| u128::try_from(millis).is_ok_and(|millis| millis >= least));
    if !long_enough && retention != "-1" {
        return wrong(
            "retention.ms",
            retention,
            format!("at least {least} (KAFKA_MIN_RETENTION_DAYS) or -1"),
        );
    }
    let bytes = found("retention.bytes");
    if bytes != "-1" {
        return wrong("retention.bytes", bytes, "-1: a rush must not delete what is not judged yet".into());
    }
    let in_sync = found("min.insync.replicas");
    if topic.replicas >= 3 && !in_sync.parse::<u32>().is_ok_and(|count| count >= 2) {
        let wanted =
            format!("at least 2 with {} replicas: one copy may be lost with its broker", topic.replicas);
        return wrong("min.insync.replicas", in_sync, wanted);
    }
    let unclean = found("unclean.leader.election.enable");
    if unclean != "false" {
        let wanted = "false: a copy that lags behind would become the truth".to_owned();
        return wrong("unclean.leader.election.enable", unclean, wanted);
    }
    let stamped = found("message.timestamp.type");
    if stamped != "LogAppendTime" {
        let wanted = "LogAppendTime: an edge's wrong clock is known by it".to_owned();
        return wrong("message.timestamp.type", stamped, wanted);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
