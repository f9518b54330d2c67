//! A database of its own for a bench, in the PostgreSQL that `BENCH_DATABASE_URL` names.

use anyhow::Context;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};
use std::path::Path;

/// A fresh database with all migrations. Dropped with the throw-away cluster that `make bench` starts.
#[derive(Debug)]
pub struct BenchDatabase {
    /// Connections to it.
    pub pool: PgPool,
}

impl BenchDatabase {
    /// Makes one; `None` where no PostgreSQL was named.
    pub async fn create(name: &str) -> anyhow::Result<Option<Self>> {
        let Ok(url) = std::env::var("BENCH_DATABASE_URL") else {
            crate::report::progress("BENCH_DATABASE_URL is not set (`make bench` does it): skipped");
            return Ok(None);
        };
        let options: PgConnectOptions = url.parse()?;
        let name = format!("bench_{name}_{}", std::process::id());
        let mut connection = PgConnection::connect_with(&options).await?;
        sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await?;
        let pool = PgPoolOptions::new().max_connections(4).connect_with(options.database(&name)).await?;
        let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations/postgres");
        let migrator = Migrator::new(migrations).await.context("reading the migrations")?;
        migrator.run(&pool).await?;
        Ok(Some(Self { pool }))
    }
}
