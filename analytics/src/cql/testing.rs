#![allow(clippy::unwrap_used, clippy::expect_used)]
//! A fresh keyspace for each test, on the nodes that `TEST_CQL_NODES` names, with a fresh PostgreSQL beside it.

use super::write::{Through, attempt};
use super::{CqlClickStore, CqlConfig, migrate};
use crate::postgres::testing::TestStore as TestDatabase;
use async_trait::async_trait;
use gonggumoa_core::store::conformance::{LastWrite, StoreUnderTest};
use gonggumoa_core::store::{ClickQueries, ClickStore, JudgedBatch};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// A keyspace of one test with its store. [`Self::close`] drops it.
pub(crate) struct TestStore {
    pub(crate) store: Arc<CqlClickStore>,
    pub(crate) config: CqlConfig,
    pub(crate) database: TestDatabase,
}

/// The nodes for tests; `None` when none are given, which only a developer's own machine may do.
fn nodes() -> Option<Vec<String>> {
    if let Ok(nodes) = std::env::var("TEST_CQL_NODES") {
        return Some(nodes.split(',').map(str::to_owned).collect());
    }
    assert!(std::env::var("CI").is_err(), "TEST_CQL_NODES must be set in CI");
    #[expect(clippy::print_stderr, reason = "the only place where a skipped test can say so")]
    {
        eprintln!("skipped: TEST_CQL_NODES is not set");
    }
    None
}

/// Settings of a keyspace that nobody has made yet.
pub(crate) fn config() -> Option<CqlConfig> {
    let keyspace = format!("store_test_{}", Uuid::new_v4().simple());
    let mut config = CqlConfig::new(nodes()?, keyspace);
    config.replication_factor = 1;
    // One small node makes many tables for many tests at once.
    config.request_timeout = Duration::from_secs(30);
    config.speculative_after = None;
    Some(config)
}

/// Drops a keyspace.
pub(crate) async fn drop_keyspace(config: &CqlConfig) {
    let session = super::connect::session(config).await.unwrap();
    let drop = format!("DROP KEYSPACE IF EXISTS {}", config.keyspace);
    let mut statement = scylla::statement::Statement::new(drop);
    statement.set_request_timeout(Some(Duration::from_secs(60)));
    session.query_unpaged(statement, ()).await.unwrap();
}

impl TestStore {
    /// `None` when no server is given.
    pub(crate) async fn open() -> Option<Self> {
        let config = config()?;
        let database = TestDatabase::open().await?;
        migrate(&config).await.unwrap();
        let store = CqlClickStore::connect(config.clone(), database.store.pool().clone()).await.unwrap();
        Some(Self { store: Arc::new(store), config, database })
    }

    /// Another store on the same keyspace, as another process has.
    pub(crate) async fn another(&self) -> CqlClickStore {
        CqlClickStore::connect(self.config.clone(), self.database.store.pool().clone()).await.unwrap()
    }

    pub(crate) async fn close(self) {
        drop_keyspace(&self.config).await;
        self.database.close().await;
    }
}

#[async_trait]
impl StoreUnderTest for TestStore {
    fn store(&self) -> Arc<dyn ClickStore> {
        self.store.clone()
    }

    fn queries(&self) -> Arc<dyn ClickQueries> {
        self.store.clone()
    }

    /// Does the first writes and no more.
    async fn crash_after(&self, batch: &JudgedBatch, last: LastWrite) {
        let through = match last {
            LastWrite::Clicks => Through::Clicks,
            LastWrite::Figures => Through::Figures,
        };
        attempt(&self.store, batch, through).await.unwrap();
    }
}
