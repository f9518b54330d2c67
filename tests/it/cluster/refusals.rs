//! Starts that must fail, or wait, and say which setting is wrong.

use crate::harness::deployment::said;
use crate::harness::engines::CassandraNodes;
use crate::harness::process::free_port;
use crate::harness::{Cluster, Deployment, LONG, Servers, eventually};
use scylla::client::session_builder::SessionBuilder;

/// Settings or servers that a start cannot do with: its exit code, and what must be said.
async fn refused(deployment: &Deployment, code: i32, words: &[&str]) {
    let output = deployment.run(&[]).await;
    let text = said(&output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in:\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_setting_is_named_before_anything_is_opened() {
    let Some(servers) = Servers::shared() else { return };
    let cluster = Cluster::new(servers).await;
    for (roles, setting, value) in [
        ("edge", "KAFKA_BROKERS", "nowhere"),
        ("judge", "KAFKA_PARTITIONS", "0"),
        ("api", "REDIS_URL", "http://127.0.0.1"),
        ("edge", "ROLES", "edge,cook"),
        ("judge", "KAFKA_CLIENT", "no-equals-sign"),
    ] {
        let mut process = cluster.deployment(roles);
        process.set(setting, value);
        refused(&process, 2, &[setting]).await;
    }
    for missing in ["DATABASE_URL", "ADDRESS_HASH_KEY", "JWT_SECRET_KEY"] {
        let mut process = cluster.deployment("edge");
        process.unset(missing);
        refused(&process, 2, &[missing]).await;
    }
    let mut alone = cluster.deployment("edge");
    alone.unset("KAFKA_BROKERS");
    refused(&alone, 2, &["ROLES"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_are_not_what_the_settings_say_are_named() {
    let Some(servers) = Servers::shared() else { return };
    let mut cluster = Cluster::new(servers.clone()).await;
    cluster.start(&["all-1"]).await;
    cluster.get_mut("all-1").stop().await;

    let mut process = cluster.deployment("judge");
    process.set("SCYLLA_KEYSPACE", "not-a-name");
    refused(&process, 1, &["SCYLLA_KEYSPACE", "not-a-name"]).await;
    let mut process = cluster.deployment("judge");
    process.set("KAFKA_PARTITIONS", "12");
    refused(&process, 1, &["clicks.raw", "6", "12"]).await;
    let mut process = cluster.deployment("edge");
    process.set("ADDRESS_HASH_KEY", &"0".repeat(64));
    refused(&process, 1, &["ADDRESS_HASH_KEY"]).await;
    let mut process = cluster.deployment("edge");
    process.set("KAFKA_CLIENT", "acks=0");
    refused(&process, 1, &["KAFKA_CLIENT", "acks"]).await;

    let session = SessionBuilder::new().known_nodes(&servers.cql_nodes).build().await.unwrap();
    let newer = format!(
        "INSERT INTO {}.schema_migrations (chapter, number, name, checksum) VALUES (0, 999, 'later', 'x')",
        cluster.name
    );
    session.query_unpaged(newer, ()).await.unwrap();
    refused(&cluster.deployment("judge"), 1, &[&cluster.name, "migration 999", "use a newer one"]).await;

    // what may only be down is waited for
    let mut process = cluster.deployment("judge");
    let nowhere = format!("127.0.0.1:{}", free_port());
    process.set("KAFKA_BROKERS", &nowhere).set("SCYLLA_KEYSPACE", &format!("{}_b", cluster.name));
    process.spawn(None);
    eventually("it says which setting leads nowhere", LONG, async || {
        let text = process.log_text();
        if text.contains("KAFKA_BROKERS") && text.contains(&nowhere) { Ok(()) } else { Err(text) }
    })
    .await;
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_named_and_not_shown() {
    let Some(mut servers) = Servers::shared() else { return };
    let Some(nodes) = CassandraNodes::start_with_passwords(1).await else { return };
    servers.cql_nodes = nodes.nodes();
    let cluster = Cluster::new(servers).await;
    // the role is made soon after the node is up
    eventually("the role is there", LONG, async || {
        let builder = SessionBuilder::new().known_nodes(nodes.nodes()).user("cassandra", "cassandra");
        builder.build().await.map(drop).map_err(|error| error.to_string())
    })
    .await;
    refused(&cluster.deployment("judge"), 1, &["SCYLLA_USER, SCYLLA_PASSWORD"]).await;
    let mut process = cluster.deployment("judge");
    process.set("SCYLLA_USER", "cassandra").set("SCYLLA_PASSWORD", "sesame-1");
    let output = process.run(&[]).await;
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("SCYLLA_USER, SCYLLA_PASSWORD") && !text.contains("sesame-1"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_database_is_named() {
    let Some(servers) = Servers::shared() else { return };
    let cluster = Cluster::new(servers).await;
    let mut process = cluster.deployment("edge");
    process.set("DATABASE_URL", &format!("{}_b", cluster.database_url));
    refused(&process, 1, &["DATABASE_URL", &format!("{}_b", cluster.name)]).await;
}
