#![allow(clippy::unwrap_used, clippy::expect_used)]
//! Migrations are applied once, and a schema that does not fit is named.

use super::super::migrate::{MIGRATIONS, checksum};
use super::super::statements::named_fully;
use super::super::testing::{config, drop_keyspace};
use super::super::{CqlClickStore, CqlConfig, CqlError, connect, migrate};
use gonggumoa_core::ids::PartitionId;
use gonggumoa_core::store::ClickStore;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

fn no_catalog() -> PgPool {
    PgPoolOptions::new().connect_lazy("postgres://nobody@127.0.0.1:1/none").unwrap()
}

async fn refusal(config: &CqlConfig) -> CqlError {
    CqlClickStore::connect(config.clone(), no_catalog()).await.unwrap_err()
}

async fn run(config: &CqlConfig, statement: &str) {
    let session = connect::session(config).await.unwrap();
    session.query_unpaged(named_fully(config, statement), ()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_processes_migrate_once_and_other_schemas_are_named() {
    let Some(config) = config() else { return };
    let error = refusal(&config).await;
    let text = error.to_string();
    assert!(
        text.contains("SCYLLA_KEYSPACE") && text.contains(&config.keyspace) && !error.retryable(),
        "{text}"
    );

    migrate(&config).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let config = config.clone();
        tasks.spawn(async move { migrate(&config).await });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap().unwrap();
    }
    CqlClickStore::connect(config.clone(), no_catalog()).await.unwrap();

    run(&config, "INSERT INTO schema_migrations (chapter, number, name, checksum) VALUES (0, 9, 'x', 'x')")
        .await;
    let newer = refusal(&config).await;
    assert!(matches!(newer, CqlError::SchemaNewer { found: 9, known: 2, .. }), "{newer}");
    run(&config, "DELETE FROM schema_migrations WHERE chapter = 0 AND number = 9").await;
    run(&config, "UPDATE schema_migrations SET checksum = 'x' WHERE chapter = 0 AND number = 1").await;
    let changed = refusal(&config).await;
    assert!(matches!(changed, CqlError::SchemaChanged { number: 1, .. }), "{changed}");
    assert!(migrate(&config).await.is_err(), "nor is it migrated");
    run(&config, "DELETE FROM schema_migrations WHERE chapter = 0 AND number = 2").await;
    run(&config, "DELETE FROM schema_migrations WHERE chapter = 0 AND number = 1").await;
    let older = refusal(&config).await;
    assert!(
        matches!(older, CqlError::SchemaOlder { found: 0, needed: 2, .. }) && !older.retryable(),
        "{older}"
    );
    // As after a crash before the last step: statements can run again.
    migrate(&config).await.unwrap();
    CqlClickStore::connect(config.clone(), no_catalog()).await.unwrap();
    drop_keyspace(&config).await;
}

/// As several machines do that start together on a new cluster.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_start_together_make_one_keyspace() {
    for _ in 0..4 {
        let Some(config) = config() else { return };
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let config = config.clone();
            tasks.spawn(async move {
                migrate(&config).await?;
                CqlClickStore::connect(config, no_catalog()).await
            });
        }
        while let Some(done) = tasks.join_next().await {
            let store = done.unwrap().unwrap_or_else(|error| panic!("{error}: {error:?}"));
            assert_eq!(store.progress(PartitionId(0)).await.unwrap(), None);
        }
        drop_keyspace(&config).await;
    }
}

#[test]
fn a_table_is_named_with_its_keyspace() {
    let config = CqlConfig::new(vec!["127.0.0.1:1".into()], "k");
    for (text, named) in [
        ("SELECT a FROM t WHERE a = ?", "SELECT a FROM k.t WHERE a = ?"),
        ("INSERT INTO t (a) VALUES (?) IF NOT EXISTS", "INSERT INTO k.t (a) VALUES (?) IF NOT EXISTS"),
        ("UPDATE t SET updated_at = ?", "UPDATE k.t SET updated_at = ?"),
        ("DELETE FROM t WHERE a = 0", "DELETE FROM k.t WHERE a = 0"),
        ("CREATE TABLE IF NOT EXISTS t (a int)", "CREATE TABLE IF NOT EXISTS k.t (a int)"),
        ("ALTER TABLE t ADD a int", "ALTER TABLE k.t ADD a int"),
    ] {
        assert_eq!(named_fully(&config, text), named);
    }
}

#[test]
fn every_file_is_compiled_in_and_numbered() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations/scylla");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort_unstable();
    let known: Vec<String> =
        MIGRATIONS.iter().map(|(number, name, _)| format!("{number:03}_{name}.cql")).collect();
    assert_eq!(files, known);
    for (index, (number, ..)) in (1..).zip(MIGRATIONS) {
        assert_eq!(index, *number);
    }
    assert_eq!(checksum("-- a\nCREATE  TABLE a;\n"), checksum("CREATE TABLE\n  a;\n-- b\n"));
    assert_ne!(checksum("CREATE TABLE a;\n"), checksum("CREATE TABLE b;\n"));
}
