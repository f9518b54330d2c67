//! The database of this start: the operator's, or the private one in `DATA_DIR`.

use crate::config::Config;
use crate::embedded::{self, EmbeddedConfig, EmbeddedError, EmbeddedPostgres};
use secrecy::ExposeSecret;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgPool};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

/// A request that gets no connection in this time is better told so than kept.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection that rested longer is asked whether it still lives before it is used: that question costs as much as
/// a small statement, so one that was in use a moment ago is taken as it is.
const ASKED_AFTER: Duration = Duration::from_secs(1);

/// What this process is to the private cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ownership {
    /// The server: it must be the only one.
    Own,
    /// A command, possibly beside a running server.
    OwnOrJoin,
}

/// A reachable database.
#[derive(Debug)]
pub struct Database {
    options: PgConnectOptions,
    embedded: Option<EmbeddedPostgres>,
}

/// Why there is no database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The private one does not run.
    #[error("the private PostgreSQL does not run")]
    Embedded(#[from] EmbeddedError),
    /// The address is none. Its text is not repeated: it holds the password.
    #[error("DATABASE_URL is not a PostgreSQL address")]
    Url,
}

impl DatabaseError {
    /// Would the same call, made later, possibly succeed?
    pub fn retryable(&self) -> bool {
        match self {
            Self::Embedded(error) => error.retryable(),
            Self::Url => false,
        }
    }
}

impl Database {
    /// Starts the private cluster when no other database is given. An operator's database need not answer
    /// yet. `data_dir` is the absolute path from [`crate::secrets::prepare_data_dir`].
    pub async fn open(config: &Config, data_dir: &Path, ownership: Ownership) -> Result<Self, DatabaseError> {
        if let Some(url) = &config.database.url {
            let options = PgConnectOptions::from_str(url.expose_secret()).map_err(|_| DatabaseError::Url)?;
            return Ok(Self { options: options.application_name("gonggumoa"), embedded: None });
        }
        let embedded = EmbeddedConfig {
            data_dir: data_dir.to_owned(),
            bin_dir: config.database.bin_dir.clone(),
            nice: config.database.nice,
            // A quarter: the rest is for answering, flushing and storing.
            stop_timeout: config.shutdown_timeout / 4,
        };
        let embedded = match ownership {
            Ownership::Own => embedded::start(embedded).await?,
            Ownership::OwnOrJoin => embedded::start_or_join(embedded).await?,
        };
        Ok(Self { options: embedded.connect_options(), embedded: Some(embedded) })
    }

    /// How to reach it.
    pub fn options(&self) -> PgConnectOptions {
        self.options.clone()
    }

    /// Is it the private one?
    pub fn is_embedded(&self) -> bool {
        self.embedded.is_some()
    }

    /// A pool that connects when it is used.
    pub fn pool(&self, connections_max: u32) -> PgPool {
        PgPoolOptions::new()
            .max_connections(connections_max)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .test_before_acquire(false)
            .before_acquire(|connection, state| {
                Box::pin(async move {
                    if state.idle_for >= ASKED_AFTER {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(self.options())
    }

    /// Stops the private cluster if this process owns it. Close the pools before.
    pub async fn stop(&self) -> Result<(), EmbeddedError> {
        match &self.embedded {
            Some(embedded) => embedded.stop().await,
            None => Ok(()),
        }
    }
}
