use super::*;

fn problem(change: impl FnOnce(&mut KafkaConfig)) -> String {
    let mut config = KafkaConfig::new("127.0.0.1:9092");
    change(&mut config);
    config.check().unwrap_err().to_string()
}

#[test]
fn each_wrong_setting_is_named() {
    assert!(KafkaConfig::new("127.0.0.1:9092").check().is_ok());
    assert!(problem(|config| config.brokers = " ".into()).starts_with("KAFKA_BROKERS"));
    assert!(problem(|config| config.group_id = String::new()).starts_with("KAFKA_GROUP_ID"));
    assert!(problem(|config| config.topic_prefix = "a/b".into()).starts_with("KAFKA_TOPIC_PREFIX=a/b"));
    assert!(problem(|config| config.replication_factor = Some(0)).starts_with("KAFKA_REPLICATION_FACTOR=0"));
    assert!(
        problem(|config| config.retention = Duration::from_secs(60)).starts_with("KAFKA_RETENTION_DAYS=0")
    );
    let ours = problem(|config| {
        config.client.insert("auto.offset.reset".into(), "latest".into());
    });
    assert!(ours.contains("KAFKA_CLIENT") && ours.contains("auto.offset.reset"), "{ours}");
}

#[test]
fn a_password_is_not_shown() {
    let mut config = KafkaConfig::new("127.0.0.1:9092");
    config.client.insert("sasl.password".into(), "hunter2".into());
    let shown = format!("{config:?}");
    assert!(shown.contains("sasl.password") && !shown.contains("hunter2"), "{shown}");
}
