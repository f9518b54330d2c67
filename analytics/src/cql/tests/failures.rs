#![allow(clippy::unwrap_used, clippy::expect_used)]
//! Nodes that are not there, settings that do not fit, answers that do not come.

use super::super::testing::{TestStore, config};
use super::super::{CqlClickStore, CqlConfig, CqlError, CqlTls, migrate};
use gonggumoa_core::store::conformance::fixture::{self, Writer};
use gonggumoa_core::store::{ClickStore, StoreError};
use sqlx::postgres::PgPoolOptions;
use std::time::Duration;

async fn refusal(config: CqlConfig) -> CqlError {
    let catalog = PgPoolOptions::new().connect_lazy("postgres://nobody@127.0.0.1:1/none").unwrap();
    CqlClickStore::connect(config, catalog).await.unwrap_err()
}

fn setting(error: &CqlError) -> (&'static str, &str, bool) {
    match error {
        CqlError::Setting { setting, value, passing, .. } => (setting, value, *passing),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_node_that_is_not_there_is_named_and_may_come() {
    let error = refusal(CqlConfig::new(vec!["127.0.0.1:1".into()], "clicks")).await;
    assert_eq!(setting(&error), ("SCYLLA_NODES", "127.0.0.1:1", true));
    assert!(error.retryable());
    let error = refusal(CqlConfig::new(vec!["nowhere.invalid:9042".into()], "clicks")).await;
    assert_eq!(setting(&error).0, "SCYLLA_NODES");
}

#[tokio::test]
async fn settings_that_cannot_be_right_are_refused_before_connecting() {
    let good = CqlConfig::new(vec!["127.0.0.1:1".into()], "clicks");
    let refused = async |change: fn(&mut CqlConfig)| {
        let mut config = good.clone();
        change(&mut config);
        let error = refusal(config).await;
        assert!(!error.retryable(), "{error}");
        setting(&error).0
    };
    assert_eq!(refused(|config| config.nodes.clear()).await, "SCYLLA_NODES");
    assert_eq!(refused(|config| config.keyspace = "a;b".into()).await, "SCYLLA_KEYSPACE");
    assert_eq!(refused(|config| config.keyspace = "1a".into()).await, "SCYLLA_KEYSPACE");
    assert_eq!(refused(|config| config.replication_factor = 0).await, "SCYLLA_REPLICATION_FACTOR");
    assert_eq!(refused(|config| config.click_retention_months = 121).await, "CLICK_RETENTION_MONTHS");
    assert_eq!(refused(|config| config.local_datacenter = Some("'".into())).await, "SCYLLA_DATACENTER");
    let missing = |config: &mut CqlConfig| config.tls = Some(CqlTls { ca_file: Some("/nowhere.pem".into()) });
    assert_eq!(refused(missing).await, "SCYLLA_TLS");
    let mut secret = good;
    secret.credentials = Some(("clicks".into(), "hunter2".into()));
    assert!(!format!("{secret:?}").contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_do_not_fit_the_cluster_are_named() {
    let Some(config) = config() else { return };
    let mut elsewhere = config.clone();
    elsewhere.local_datacenter = Some("atlantis".into());
    let error = refusal(elsewhere).await;
    assert_eq!(setting(&error), ("SCYLLA_DATACENTER", "atlantis", false));
    let mut wide = config;
    wide.replication_factor = 60;
    let error = migrate(&wide).await.unwrap_err();
    assert_eq!(setting(&error), ("SCYLLA_REPLICATION_FACTOR", "60", true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_datacenter_named_is_where_quorums_are() {
    let Some(mut config) = config() else { return };
    let session = super::super::connect::session(&config).await.unwrap();
    let state = session.get_cluster_state();
    config.local_datacenter = state.get_nodes_info()[0].datacenter.clone();
    migrate(&config).await.unwrap();
    let catalog = PgPoolOptions::new().connect_lazy("postgres://nobody@127.0.0.1:1/none").unwrap();
    let store = CqlClickStore::connect(config.clone(), catalog).await.unwrap();
    let mut writer = Writer::claim(&store, 0).await;
    let clicks = writer.clicks(&[fixture::gonggu()], 20);
    let batch = writer.batch(clicks);
    store.store(&batch).await.unwrap();
    assert_eq!(store.progress(batch.partition).await.unwrap(), Some(batch.to));
    super::super::testing::drop_keyspace(&config).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_does_not_come_is_worth_another_try() {
    let Some(subject) = TestStore::open().await else { return };
    let mut hasty = subject.config.clone();
    hasty.request_timeout = Duration::from_nanos(1);
    // The session itself is made without this timeout; statements are prepared with it or not at all.
    let catalog = subject.database.store.pool().clone();
    let error = match CqlClickStore::connect(hasty, catalog).await {
        Ok(store) => {
            let error = store.progress(gonggumoa_core::ids::PartitionId(0)).await.unwrap_err();
            assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
            error.retryable()
        }
        Err(error) => error.retryable(),
    };
    assert!(error);
    subject.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keyspace_dropped_below_the_store_is_no_passing_failure() {
    let Some(subject) = TestStore::open().await else { return };
    super::super::testing::drop_keyspace(&subject.config).await;
    let error = subject.store.progress(gonggumoa_core::ids::PartitionId(0)).await.unwrap_err();
    assert!(matches!(error, StoreError::Refused(_)), "{error:?}");
    subject.database.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compare_and_set_without_an_answer_is_told_by_reading() {
    let Some(subject) = TestStore::open().await else { return };
    let mut writer = Writer::claim(&*subject.store, 0).await;
    let clicks = writer.clicks(&[fixture::gonggu()], 3);
    let batch = writer.batch(clicks);
    // It was done, but nobody heard: the same again finds its own end.
    subject.store.store(&batch).await.unwrap();
    super::super::progress::advance(&subject.store, &batch).await.unwrap();
    subject.close().await;
}
