//! The keyspace's schema: numbered CQL files, compiled in, each applied once.
//!
//! CQL has no transactions over schemas, so: one process at a time holds a lock row (a compare-and-set with a time
//! to live, so that one that died does not hold it for ever), every statement can run again, and a migration is
//! entered with its checksum only after the last of its statements. One that was cut off is run anew.

use super::config::CqlConfig;
use super::connect;
use super::error::{CqlError, DriverError, damaged};
use scylla::client::session::Session;
use scylla::errors::ExecutionError;
use scylla::statement::Statement;
use scylla::value::{CqlTimestamp, Row};
use sha2::{Digest, Sha256};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// All migrations, ascending: number, name, text.
pub(crate) const MIGRATIONS: &[(i32, &str, &str)] =
    &[(1, "click_store", include_str!("../../../migrations/scylla/001_click_store.cql"))];

/// Where applied migrations are entered, and the lock.
const BOOK: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS schema_migrations (
         chapter smallint, number int, name text, checksum text, applied_at timestamp,
         PRIMARY KEY (chapter, number))",
    "CREATE TABLE IF NOT EXISTS schema_lock (id smallint PRIMARY KEY, owner uuid)",
];
/// A statement may take seconds on a large cluster; a lock must outlive any of them.
const LOCK_SECONDS: i32 = 120;
/// Others wait for the lock a little longer than it can be held by a dead process.
const LOCK_WAIT: Duration = Duration::from_secs(150);
const LOCK_POLL: Duration = Duration::from_millis(200);
/// A change of the schema reaches all nodes before it returns; that takes longer than a row.
const SCHEMA_TIMEOUT: Duration = Duration::from_secs(60);

/// Makes the keyspace if there is none and brings its schema to this program's. Safe to call by many at once.
pub async fn migrate(config: &CqlConfig) -> Result<(), CqlError> {
    let session = connect::session(config).await?;
    make_keyspace(config, &session).await?;
    if connect::use_keyspace(config, &session).await.is_err() {
        // Another process may have made it a moment ago, and some nodes may not know of it yet.
        session.await_schema_agreement().await.map_err(|error| CqlError::Unavailable(Box::new(error)))?;
        connect::use_keyspace(config, &session).await?;
    }
    if !has_table(config, &session, "schema_lock").await? {
        for statement in BOOK {
            change(&session, statement).await?;
        }
    }
    let owner = Uuid::new_v4();
    lock(config, &session, owner).await?;
    let applied = apply(config, &session).await;
    let unlock = "DELETE FROM schema_lock WHERE id = 0 IF owner = ?";
    // Not unlocked, it ends by itself.
    let unlocked = session.query_unpaged(unlock, (owner,)).await;
    applied?;
    unlocked.map_err(driver)?;
    Ok(())
}

/// Refuses a schema that is not the one this program needs.
pub(crate) async fn check(config: &CqlConfig, session: &Session) -> Result<(), CqlError> {
    let keyspace = config.keyspace.clone();
    let needed = MIGRATIONS.last().map_or(0, |migration| migration.0);
    let applied = if has_table(config, session, "schema_migrations").await? {
        applied(session).await?
    } else {
        Vec::new()
    };
    for (number, found) in &applied {
        check_checksum(config, *number, found)?;
    }
    match applied.last().map_or(0, |(number, _)| *number) {
        found if found < needed => Err(CqlError::SchemaOlder { keyspace, found, needed }),
        found if found > needed => Err(CqlError::SchemaNewer { keyspace, found, known: needed }),
        _ => Ok(()),
    }
}

fn check_checksum(config: &CqlConfig, number: i32, found: &str) -> Result<(), CqlError> {
    match MIGRATIONS.iter().find(|migration| migration.0 == number) {
        Some((_, _, text)) if checksum(text) != found => {
            Err(CqlError::SchemaChanged { keyspace: config.keyspace.clone(), number, found: found.into() })
        }
        _ => Ok(()),
    }
}

/// Of the statements without comments and blanks: a corrected comment is no other schema.
pub(crate) fn checksum(text: &str) -> String {
    let mut hash = Sha256::new();
    for statement in statements(text) {
        hash.update(statement.split_whitespace().collect::<Vec<_>>().join(" "));
        hash.update(";");
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The statements of a file: they end with a semicolon at the end of a line; lines that begin with `--` are comments.
fn statements(text: &str) -> Vec<String> {
    let code: Vec<&str> =
        text.lines().map(str::trim_end).filter(|line| !line.trim_start().starts_with("--")).collect();
    let code = code.join("\n") + "\n";
    code.split(";\n").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

async fn apply(config: &CqlConfig, session: &Session) -> Result<(), CqlError> {
    let done = applied(session).await?;
    for (number, name, text) in MIGRATIONS {
        if let Some((_, found)) = done.iter().find(|(applied, _)| applied == number) {
            check_checksum(config, *number, found)?;
            continue;
        }
        for statement in statements(text) {
            change(session, &statement).await?;
        }
        session.await_schema_agreement().await.map_err(|error| CqlError::Unavailable(Box::new(error)))?;
        let enter = "INSERT INTO schema_migrations (chapter, number, name, checksum, applied_at)
                     VALUES (0, ?, ?, ?, ?) IF NOT EXISTS";
        let now = CqlTimestamp(chrono::Utc::now().timestamp_millis());
        session.query_unpaged(enter, (*number, *name, checksum(text), now)).await.map_err(driver)?;
        tracing::info!(cql.keyspace = config.keyspace, cql.migration = name, "a CQL migration was applied");
    }
    Ok(())
}

/// Numbers and checksums of what was applied, ascending.
async fn applied(session: &Session) -> Result<Vec<(i32, String)>, CqlError> {
    let rows = session
        .query_unpaged("SELECT number, checksum FROM schema_migrations WHERE chapter = 0", ())
        .await
        .map_err(driver)?
        .into_rows_result()
        .map_err(|error| damaged("migration", error))?;
    let rows = rows.rows::<(i32, String)>().map_err(|error| damaged("migration", error))?;
    Ok(rows.collect::<Result<_, _>>().map_err(|error| damaged("migration", error))?)
}

async fn has_table(config: &CqlConfig, session: &Session, table: &str) -> Result<bool, CqlError> {
    let query = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ? AND table_name = ?";
    let rows = session
        .query_unpaged(query, (config.keyspace.to_ascii_lowercase(), table))
        .await
        .map_err(driver)?
        .into_rows_result()
        .map_err(|error| damaged("table", error))?;
    Ok(rows.rows_num() > 0)
}

async fn make_keyspace(config: &CqlConfig, session: &Session) -> Result<(), CqlError> {
    let query = "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?";
    let found = session
        .query_unpaged(query, (config.keyspace.to_ascii_lowercase(),))
        .await
        .map_err(driver)?
        .into_rows_result()
        .map_err(|error| damaged("keyspace", error))?;
    if found.rows_num() > 0 {
        return Ok(());
    }
    let nodes = connect::nodes_count(config, session);
    if usize::from(config.replication_factor) > nodes {
        return Err(CqlError::Setting {
            setting: "SCYLLA_REPLICATION_FACTOR",
            value: config.replication_factor.to_string(),
            problem: format!("is more than the {nodes} nodes that there are"),
            passing: true,
        });
    }
    let statement = format!(
        "CREATE KEYSPACE IF NOT EXISTS {} WITH replication = {}",
        config.keyspace,
        config.replication()
    );
    change(session, &statement).await
}

/// A statement that changes the schema; returns when all nodes have it.
async fn change(session: &Session, text: &str) -> Result<(), CqlError> {
    let mut statement = Statement::new(text);
    statement.set_request_timeout(Some(SCHEMA_TIMEOUT));
    session.query_unpaged(statement, ()).await.map_err(driver)?;
    Ok(())
}

async fn lock(config: &CqlConfig, session: &Session, owner: Uuid) -> Result<(), CqlError> {
    let deadline = Instant::now() + LOCK_WAIT;
    let take =
        format!("INSERT INTO schema_lock (id, owner) VALUES (0, ?) IF NOT EXISTS USING TTL {LOCK_SECONDS}");
    loop {
        let taken = match session.query_unpaged(take.as_str(), (owner,)).await {
            Ok(answer) => applied_to(answer)?,
            Err(error) if error.is_lasting() => return Err(driver(error)),
            Err(_) => false,
        };
        // Not taken: held, maybe by us, where an earlier try was done without an answer.
        if taken || holder(config, session).await? == Some(owner) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(CqlError::Unavailable("another process holds the lock of the schema".into()));
        }
        tokio::time::sleep(LOCK_POLL).await;
    }
}

async fn holder(config: &CqlConfig, session: &Session) -> Result<Option<Uuid>, CqlError> {
    let mut statement = Statement::new("SELECT owner FROM schema_lock WHERE id = 0");
    statement.set_consistency(connect::serial_read(config));
    let answer = session.query_unpaged(statement, ()).await.map_err(driver)?;
    let rows = answer.into_rows_result().map_err(|error| damaged("lock", error))?;
    let row = rows.maybe_first_row::<(Option<Uuid>,)>().map_err(|error| damaged("lock", error))?;
    Ok(row.and_then(|(owner,)| owner))
}

/// Whether a compare-and-set was: the first column of its answer. Cassandra adds the row only where it was not,
/// ScyllaDB always.
pub(crate) fn applied_to(
    answer: scylla::response::query_result::QueryResult,
) -> Result<bool, gonggumoa_core::store::StoreError> {
    let rows = answer.into_rows_result().map_err(|error| damaged("answer", error))?;
    let row = rows.first_row::<Row>().map_err(|error| damaged("answer", error))?;
    let first = row.columns.first().and_then(Option::as_ref).and_then(|value| value.as_boolean());
    first.ok_or_else(|| damaged("answer", "it does not say whether it was applied"))
}

fn driver(error: ExecutionError) -> CqlError {
    error.store().into()
}
