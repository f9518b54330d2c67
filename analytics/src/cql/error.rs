//! What an error of the driver or the cluster means for the caller: try again, change a setting, or stop.

use super::config::CqlConfig;
use gonggumoa_core::store::StoreError;
use scylla::errors::{
    ConnectionError, ConnectionPoolError, ConnectionSetupRequestErrorKind, DbError, DeserializationError,
    ExecutionError, MetadataError, NewSessionError, NextPageError, NextRowError, PagerExecutionError,
    PrepareError, RequestAttemptError, RequestError,
};
use std::error::Error;

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CqlError {
    /// A setting does not fit the cluster, or nothing.
    #[error("{setting}={value:?}: {problem}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// Its value; never a password.
        value: String,
        /// What is wrong with it.
        problem: String,
        /// Whether it may be right later: a node that is down is no other than one that was never there.
        passing: bool,
    },
    /// The keyspace lacks migrations that this program needs.
    #[error("keyspace {keyspace} is at migration {found}, and this program needs {needed}: migrate it first")]
    SchemaOlder {
        /// The keyspace.
        keyspace: String,
        /// Its newest migration; 0: none.
        found: i32,
        /// The newest one known here.
        needed: i32,
    },
    /// The keyspace was migrated by a newer program.
    #[error("keyspace {keyspace} is at migration {found}, and this program knows {known}: use a newer one")]
    SchemaNewer {
        /// The keyspace.
        keyspace: String,
        /// Its newest migration.
        found: i32,
        /// The newest one known here.
        known: i32,
    },
    /// A migration was applied whose text is not the one known here.
    #[error("migration {number} of keyspace {keyspace} was applied with another text (checksum {found})")]
    SchemaChanged {
        /// The keyspace.
        keyspace: String,
        /// Its number.
        number: i32,
        /// The checksum stored with it.
        found: String,
    },
    /// The cluster does not answer, or failed for a passing reason.
    #[error("the CQL cluster is unavailable")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// The cluster refused for a lasting reason.
    #[error("the CQL cluster refused")]
    Refused(#[source] Box<dyn Error + Send + Sync>),
}

impl CqlError {
    /// Whether the same call may work later.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Setting { passing, .. } => *passing,
            Self::Unavailable(_) => true,
            Self::SchemaOlder { .. }
            | Self::SchemaNewer { .. }
            | Self::SchemaChanged { .. }
            | Self::Refused(_) => false,
        }
    }
}

impl From<StoreError> for CqlError {
    fn from(error: StoreError) -> Self {
        if error.retryable() { Self::Unavailable(Box::new(error)) } else { Self::Refused(Box::new(error)) }
    }
}

/// An error of any of the driver's calls.
pub(crate) trait DriverError: Error + Send + Sync + Sized + 'static {
    /// Whether it would come again.
    fn is_lasting(&self) -> bool;

    /// As the store's error.
    fn store(self) -> StoreError {
        if self.is_lasting() {
            StoreError::Refused(Box::new(self))
        } else {
            StoreError::Unavailable(Box::new(self))
        }
    }
}

/// What the cluster said; all that it cannot do at the moment passes.
fn is_lasting(error: &DbError) -> bool {
    matches!(
        error,
        DbError::SyntaxError
            | DbError::Invalid
            | DbError::AlreadyExists { .. }
            | DbError::FunctionFailure { .. }
            | DbError::AuthenticationError
            | DbError::Unauthorized
            | DbError::ConfigError
            | DbError::ProtocolError
    )
}

impl DriverError for RequestAttemptError {
    fn is_lasting(&self) -> bool {
        match self {
            Self::DbError(error, _) => is_lasting(error),
            Self::SerializationError(_) | Self::CqlRequestSerialization(_) => true,
            _ => false,
        }
    }
}

impl DriverError for PrepareError {
    fn is_lasting(&self) -> bool {
        matches!(self, Self::AllAttemptsFailed { first_attempt } if first_attempt.is_lasting())
    }
}

impl DriverError for ExecutionError {
    fn is_lasting(&self) -> bool {
        match self {
            Self::BadQuery(_) | Self::UseKeyspaceError(_) => true,
            Self::PrepareError(error) => error.is_lasting(),
            Self::LastAttemptError(error) => error.is_lasting(),
            _ => false,
        }
    }
}

impl DriverError for NextRowError {
    fn is_lasting(&self) -> bool {
        match self {
            Self::NextPageError(error) => page_is_lasting(error),
            _ => true,
        }
    }
}

fn page_is_lasting(error: &NextPageError) -> bool {
    match error {
        NextPageError::RequestFailure(RequestError::LastAttemptError(error)) => error.is_lasting(),
        NextPageError::RequestFailure(_) => false,
        _ => true,
    }
}

impl DriverError for PagerExecutionError {
    fn is_lasting(&self) -> bool {
        match self {
            Self::PrepareError(error) => error.is_lasting(),
            Self::NextPageError(error) => page_is_lasting(error),
            Self::SerializationError(_) | Self::UseKeyspaceError(_) => true,
            _ => false,
        }
    }
}

/// What a node answers that has not heard yet of a keyspace or a table which another one knows already, or whose
/// own schema is just changing.
pub(crate) fn is_unsettled(error: &ExecutionError) -> bool {
    matches!(
        error,
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(
            DbError::Invalid | DbError::ConfigError | DbError::ServerError,
            _,
        )) | ExecutionError::PrepareError(PrepareError::AllAttemptsFailed {
            first_attempt: RequestAttemptError::DbError(
                DbError::Invalid | DbError::ConfigError | DbError::ServerError,
                _,
            ),
        })
    )
}

/// A row that cannot be read into its type.
#[expect(clippy::needless_pass_by_value, reason = "as `map_err` hands errors on")]
pub(crate) fn damaged(what: &'static str, problem: impl ToString) -> StoreError {
    StoreError::Damaged { what, problem: problem.to_string() }
}

impl DriverError for DeserializationError {
    fn is_lasting(&self) -> bool {
        true
    }
}

/// What stands in the way of a session, by the setting that may be wrong.
pub(crate) fn session_error(config: &CqlConfig, error: NewSessionError) -> CqlError {
    let nodes = |problem: String, passing| CqlError::Setting {
        setting: "SCYLLA_NODES",
        value: config.nodes.join(","),
        problem,
        passing,
    };
    match error {
        NewSessionError::FailedToResolveAnyHostname(_) => {
            nodes("none of the names can be resolved to an address".into(), true)
        }
        NewSessionError::EmptyKnownNodesList => nodes("names no node".into(), false),
        NewSessionError::MetadataError(MetadataError::ConnectionPoolError(ConnectionPoolError::Broken {
            last_connection_error,
        })) => connection_error(config, last_connection_error),
        NewSessionError::IllegalConfig(problem) => CqlError::Refused(String::from(problem).into()),
        error => CqlError::Unavailable(Box::new(error)),
    }
}

fn connection_error(config: &CqlConfig, error: ConnectionError) -> CqlError {
    let credentials = |problem: &str| CqlError::Setting {
        setting: "SCYLLA_USER, SCYLLA_PASSWORD",
        value: config.credentials.as_ref().map(|(user, _)| user.clone()).unwrap_or_default(),
        problem: problem.to_owned(),
        passing: false,
    };
    match &error {
        ConnectionError::ConnectionSetupRequestError(setup) => match setup.get_error() {
            ConnectionSetupRequestErrorKind::MissingAuthentication => {
                credentials("the cluster asks for a user and a password")
            }
            ConnectionSetupRequestErrorKind::DbError(
                DbError::AuthenticationError | DbError::Unauthorized,
                _,
            )
            | ConnectionSetupRequestErrorKind::AuthFinishError(_) => {
                credentials("the cluster does not know this user with this password")
            }
            _ => CqlError::Unavailable(Box::new(error)),
        },
        _ => CqlError::Setting {
            setting: "SCYLLA_NODES",
            value: config.nodes.join(","),
            problem: format!("no node answers: {error}"),
            passing: true,
        },
    }
}

/// No keyspace of this name, or none that this user may see.
pub(crate) fn no_keyspace(config: &CqlConfig) -> CqlError {
    CqlError::Setting {
        setting: "SCYLLA_KEYSPACE",
        value: config.keyspace.clone(),
        problem: "the cluster has no keyspace of this name: migrate it first".to_owned(),
        passing: false,
    }
}
