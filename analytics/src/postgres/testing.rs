#![allow(clippy::unwrap_used, clippy::expect_used)]
//! A fresh database for each test, on the server that `TEST_DATABASE_URL` names.

use super::PostgresClickStore;
use super::write::{Through, Way, attempt};
use async_trait::async_trait;
use gonggumoa_core::store::conformance::{LastWrite, StoreUnderTest};
use gonggumoa_core::store::{ClickQueries, ClickStore, JudgedBatch};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::str::FromStr;
use std::sync::Arc;
use uuid::Uuid;

/// A database of one test with its store. [`Self::close`] drops it.
pub(crate) struct TestStore {
    pub(crate) store: Arc<PostgresClickStore>,
    admin: PgConnectOptions,
    name: String,
}

impl TestStore {
    /// `None` when no server is given, which only a developer's own machine may do.
    pub(crate) async fn open() -> Option<Self> {
        let Ok(url) = std::env::var("TEST_DATABASE_URL") else {
            assert!(std::env::var("CI").is_err(), "TEST_DATABASE_URL must be set in CI");
            tracing::warn!("skipped: TEST_DATABASE_URL is not set");
            #[expect(clippy::print_stderr, reason = "the only place where a skipped test can say so")]
            {
                eprintln!("skipped: TEST_DATABASE_URL is not set");
            }
            return None;
        };
        let admin = PgConnectOptions::from_str(&url).unwrap();
        let name = format!("store_test_{}", Uuid::new_v4().simple());
        let mut connection = PgConnection::connect_with(&admin).await.unwrap();
        sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        let pool = PgPoolOptions::new()
            .max_connections(8)
            .connect_with(admin.clone().database(&name))
            .await
            .unwrap();
        sqlx::migrate!("../migrations/postgres").run(&pool).await.unwrap();
        Some(Self { store: Arc::new(PostgresClickStore::new(pool)), admin, name })
    }

    /// How to reach its database.
    pub(crate) fn options(&self) -> PgConnectOptions {
        self.admin.clone().database(&self.name)
    }

    pub(crate) async fn close(self) {
        self.store.pool().close().await;
        let mut connection = PgConnection::connect_with(&self.admin).await.unwrap();
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        sqlx::query(AssertSqlSafe(drop)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
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

    /// Commits the first writes alone, as a store without transactions would have.
    async fn crash_after(&self, batch: &JudgedBatch, last: LastWrite) {
        let times = batch.clicks.iter().map(|judged| judged.click.clicked_at);
        self.store.months.ensure(&self.store.pool, times).await.unwrap();
        let through = match last {
            LastWrite::Clicks => Through::Clicks,
            LastWrite::Figures => Through::Figures,
        };
        attempt(&self.store, batch, Way::Copy, through).await.unwrap();
    }
}
