//! Brings the database's schema to this binary's version.
//!
//! Invariants: one process at a time (an advisory lock of the session, named by the database, which a killed
//! process leaves with its session); each migration in its own transaction; a database that a newer binary
//! has migrated is refused, because this one would write rows that the newer one no longer understands.

use sqlx::ConnectOptions;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations/postgres");

/// Why the schema is not this binary's.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// A newer binary was here.
    #[error(
        "the database was migrated by a newer version (migration {found}; this binary knows up to {newest}): \
         start that version, or restore the backup from before it"
    )]
    Newer {
        /// The unknown migration.
        found: i64,
        /// Our last.
        newest: i64,
    },
    /// A migration of ours is not what was applied.
    #[error("migration {0} was applied in another form than this binary holds")]
    Changed(i64),
    /// The database could not be reached.
    #[error("cannot reach the database to migrate it")]
    Unreachable(#[source] sqlx::Error),
    /// A migration failed; nothing of it stays.
    #[error("cannot migrate the database")]
    Failed(#[source] MigrateError),
}

impl SchemaError {
    /// Would the same call, made later, possibly succeed?
    pub fn retryable(&self) -> bool {
        match self {
            Self::Unreachable(source) => may_pass(source),
            Self::Newer { .. } | Self::Changed(_) | Self::Failed(_) => false,
        }
    }
}

/// Would the database possibly answer later? A wrong password, a missing database or a missing right is
/// not mended by waiting; a server that starts, stops, or is out of connections is.
pub fn may_pass(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => true,
        sqlx::Error::Database(refusal) => refusal
            .code()
            .is_some_and(|code| code.starts_with("57P") || code.starts_with("53") || code.starts_with("08")),
        // A connection that was closed before the server's first byte, as by a proxy whose server is away; the
        // library takes the end of the stream for an answer.
        sqlx::Error::Protocol(problem) => problem.contains("SSLRequest: 0x00"),
        _ => false,
    }
}

/// Applies what is missing. Waits for another process that is at it.
pub async fn run(options: &PgConnectOptions) -> Result<(), SchemaError> {
    // A connection of its own: after a failure the lock goes with it.
    let mut connection = options.connect().await.map_err(SchemaError::Unreachable)?;
    let result = run_on(&MIGRATIONS, &mut connection).await;
    // The lock is the server's to release when the session ends, in order or not.
    let _ = connection.close().await;
    result
}

async fn run_on(migrations: &Migrator, connection: &mut PgConnection) -> Result<(), SchemaError> {
    let newest = migrations.iter().map(|migration| migration.version).max().unwrap_or(0);
    migrations.run(connection).await.map_err(|error| match error {
        MigrateError::VersionMissing(found) if found > newest => SchemaError::Newer { found, newest },
        MigrateError::VersionMismatch(version) | MigrateError::VersionMissing(version) => {
            SchemaError::Changed(version)
        }
        MigrateError::Execute(source) => SchemaError::Unreachable(source),
        other => SchemaError::Failed(other),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use sqlx::postgres::PgPoolOptions;

    async fn own_options(pool: PgPoolOptions, options: PgConnectOptions) -> PgConnectOptions {
        drop(pool);
        options
    }

    #[sqlx::test(migrations = false)]
    async fn two_starts_at_once_migrate_once(pool: PgPoolOptions, options: PgConnectOptions) {
        let options = own_options(pool, options).await;
        let (first, second) = tokio::join!(run(&options), run(&options));
        first.unwrap();
        second.unwrap();
        run(&options).await.unwrap();
    }

    #[sqlx::test(migrations = false)]
    async fn a_newer_database_is_refused(pool: PgPoolOptions, options: PgConnectOptions) {
        let options = own_options(pool, options).await;
        run(&options).await.unwrap();
        let mut connection = options.connect().await.unwrap();
        sqlx::query(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (29991231000000, 'later', true, '', 0)",
        )
        .execute(&mut connection)
        .await
        .unwrap();
        let error = run(&options).await.unwrap_err();
        assert!(matches!(error, SchemaError::Newer { found: 29_991_231_000_000, .. }), "{error}");
        assert!(error.to_string().contains("newer version") && !error.retryable());
    }

    #[tokio::test]
    async fn a_server_that_hangs_up_may_be_back_later() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let hangs_up = tokio::spawn(async move {
            use tokio::io::AsyncReadExt;
            let (mut client, _) = listener.accept().await.unwrap();
            client.read_exact(&mut [0; 8]).await.unwrap();
        });
        let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(port);
        let error = run(&options).await.unwrap_err();
        assert!(error.retryable(), "{error:?}");
        hangs_up.await.unwrap();
    }
}
