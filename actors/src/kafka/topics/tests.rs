use super::*;
use crate::kafka::testing::{admin as test_admin, remove, test_config};
use std::num::NonZeroU32;

const DAY_MILLIS: u64 = 86_400_000;

fn good() -> (KafkaConfig, Topic, BTreeMap<String, String>) {
    let config = KafkaConfig::new("127.0.0.1:9092");
    let topic = Topic { partitions: 24, replicas: 3, all_led: true };
    let settings = [
        ("cleanup.policy", "delete".to_owned()),
        ("retention.ms", (30 * DAY_MILLIS).to_string()),
        ("retention.bytes", "-1".to_owned()),
        ("min.insync.replicas", "2".to_owned()),
        ("unclean.leader.election.enable", "false".to_owned()),
        ("message.timestamp.type", "LogAppendTime".to_owned()),
    ];
    (config, topic, settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

#[test]
fn a_topic_as_it_should_be_is_taken() {
    let (config, topic, mut settings) = good();
    check(&config, &topic, &settings).unwrap();
    settings.insert("retention.ms".into(), "-1".into());
    check(&config, &topic, &settings).unwrap();
    settings.insert("retention.ms".into(), (14 * DAY_MILLIS).to_string());
    check(&config, &topic, &settings).unwrap();
    // A single broker, as on a developer's machine.
    settings.insert("min.insync.replicas".into(), "1".into());
    check(&config, &Topic { replicas: 1, ..topic }, &settings).unwrap();
}

#[test]
fn each_wrong_setting_is_named_with_both_values() {
    let (config, topic, settings) = good();
    let short = (14 * DAY_MILLIS - 1).to_string();
    for (name, value, wanted) in [
        ("cleanup.policy", "compact", "delete"),
        ("cleanup.policy", "compact,delete", "delete"),
        ("retention.ms", short.as_str(), "at least 1209600000"),
        ("retention.bytes", "1073741824", "-1"),
        ("min.insync.replicas", "1", "at least 2"),
        ("unclean.leader.election.enable", "true", "false"),
        ("message.timestamp.type", "CreateTime", "LogAppendTime"),
    ] {
        let mut changed = settings.clone();
        changed.insert(name.to_owned(), value.to_owned());
        match check(&config, &topic, &changed) {
            Err(KafkaError::Topic { topic, setting, found, wanted: must }) => {
                assert_eq!((topic.as_str(), setting, found.as_str()), ("clicks.raw", name, value));
                assert!(must.starts_with(wanted), "{must}");
            }
            other => panic!("{name}={value}: {other:?}"),
        }
        changed.remove(name);
        assert!(check(&config, &topic, &changed).is_err(), "{name} is not told");
    }
    for partitions in [3, 48] {
        let text = check(&config, &Topic { partitions, ..topic.clone() }, &settings).unwrap_err().to_string();
        assert!(text.contains(&format!("the number of partitions is {partitions}")), "{text}");
        assert!(text.contains("24 (KAFKA_PARTITIONS)"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_made_as_they_must_be() {
    let Some(config) = test_config(3) else { return };
    let facts = prepare(&config).await.unwrap();
    assert!(!facts.cluster_id.is_empty() && facts.brokers > 0);
    assert_eq!(facts.retention, Some(config.retention));
    assert_eq!(prepare(&config).await.unwrap(), facts, "again, with all of them there");

    let cluster = ask(&config).await.unwrap();
    assert_eq!(cluster.topics[&config.raw_topic()].partitions, 3);
    assert_eq!(cluster.topics[&config.judged_topic()].partitions, 3);
    assert_eq!(cluster.topics[&config.dead_letter_topic()].partitions, 1);

    let more = KafkaConfig { partitions: NonZeroU32::new(4).unwrap(), ..config.clone() };
    let text = prepare(&more).await.unwrap_err().to_string();
    assert!(text.contains("the number of partitions is 3, but must be 4"), "{text}");
    let longer = KafkaConfig {
        min_retention: config.retention * 2,
        retention: config.retention * 2,
        ..config.clone()
    };
    let text = prepare(&longer).await.unwrap_err().to_string();
    assert!(
        text.contains("retention.ms is 2592000000") && text.contains("KAFKA_MIN_RETENTION_DAYS"),
        "{text}"
    );
    remove(&config).await;
}

/// Settings that somebody changed, or made by hand, are found on the broker.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_made_otherwise_is_refused() {
    for (name, value) in [
        ("cleanup.policy", "compact,delete"),
        ("retention.bytes", "100000000"),
        ("unclean.leader.election.enable", "true"),
        ("message.timestamp.type", "CreateTime"),
    ] {
        let Some(config) = test_config(1) else { return };
        let raw = config.raw_topic();
        let mut made = NewTopic::new(&raw, 1, TopicReplication::Fixed(1)).set(name, value);
        if name != "message.timestamp.type" {
            made = made.set("message.timestamp.type", "LogAppendTime");
        }
        let made = made.set("retention.ms", "-1");
        test_admin(&config).create_topics(&[made], &options()).await.unwrap()[0].as_ref().unwrap();
        match prepare(&config).await {
            Err(KafkaError::Topic { topic, setting, found, .. }) => {
                assert_eq!((topic, setting, found.as_str()), (raw, name, value));
            }
            other => panic!("{name}={value}: {other:?}"),
        }
        remove(&config).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_broker_password_or_factor_is_named() {
    let Some(config) = test_config(1) else { return };
    // A port that nobody listens on: it was given back a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = KafkaConfig { brokers: format!("127.0.0.1:{port}"), ..config.clone() };
    // The broker speaks plain text, and closes on whoever begins otherwise.
    let mut password = config.clone();
    for (name, value) in [
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "somebody"),
        ("sasl.password", "wrong"),
    ] {
        password.client.insert(name.into(), value.into());
    }
    let (nobody, password) = tokio::join!(prepare(&nobody), prepare(&password));
    let error = nobody.unwrap_err();
    assert!(error.retryable(), "{error}");
    assert!(error.to_string().starts_with(&format!("KAFKA_BROKERS=127.0.0.1:{port}")), "{error}");
    let error = password.unwrap_err();
    assert!(error.to_string().contains("sasl.password") && !error.retryable(), "{error}");
    assert!(!format!("{error:?}").contains("wrong"), "{error:?}");

    let mut unknown = config.clone();
    unknown.client.insert("no.such.setting".into(), "1".into());
    let error = prepare(&unknown).await.unwrap_err().to_string();
    assert!(error.contains("KAFKA_CLIENT no.such.setting"), "{error}");

    let many = KafkaConfig { replication_factor: Some(99), ..config };
    let error = prepare(&many).await.unwrap_err().to_string();
    assert!(error.starts_with("KAFKA_REPLICATION_FACTOR=99"), "{error}");
}
