//! Why the private PostgreSQL does not run.

use std::io;
use std::path::PathBuf;

/// Why the private PostgreSQL does not run.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// There is no server to start.
    #[error(
        "PostgreSQL's server programs were not found (looked in {looked_in}): install them \
         (Debian, Ubuntu: apt-get install postgresql; macOS: brew install postgresql), or set PG_BIN_DIR to \
         their folder, or DATABASE_URL to a server that runs elsewhere"
    )]
    NoBinaries {
        /// Where they were looked for.
        looked_in: String,
    },
    /// The cluster is of another major version than every server found.
    #[error(
        "{} was made by PostgreSQL {cluster}, but the server programs found are of version {found}: install \
         version {cluster}, or move the data with its pg_dump", path.display()
    )]
    OtherVersion {
        /// The cluster's folder.
        path: PathBuf,
        /// Its version.
        cluster: u32,
        /// The versions at hand.
        found: String,
    },
    /// Servers were found, but older than the schema needs.
    #[error("PostgreSQL {least} or newer is needed, found only {found}")]
    TooOld {
        /// The least major version.
        least: u32,
        /// The versions at hand.
        found: String,
    },
    /// Run as root, and nobody to run the server as.
    #[error(
        "PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody to run it as"
    )]
    NoAccount,
    /// The cluster belongs to somebody else.
    #[error(
        "{} belongs to user number {owner}, this process runs as {ours}: start it as the user of the first \
         start, or give the folder to this one (chown -R)", path.display()
    )]
    OtherOwner {
        /// The cluster's folder.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who we are.
        ours: u32,
    },
    /// Another process has this data folder.
    #[error("another gonggumoa uses {}", path.display())]
    InUse {
        /// The data folder.
        path: PathBuf,
    },
    /// The socket's path is longer than the system allows.
    #[error("{} is too long for a socket (its path may have {most} bytes): choose a shorter DATA_DIR", path.display())]
    SocketPathTooLong {
        /// The folder.
        path: PathBuf,
        /// The limit.
        most: usize,
    },
    /// One of PostgreSQL's programs failed.
    #[error("{program} failed ({status}){}", tail_of(.output))]
    ProgramFailed {
        /// Which.
        program: &'static str,
        /// How it ended.
        status: String,
        /// Its last words.
        output: String,
    },
    /// Processes of an earlier server do not end.
    #[error("processes {pids:?} of an earlier PostgreSQL still use {} and do not end", path.display())]
    Orphans {
        /// Their numbers.
        pids: Vec<i32>,
        /// The cluster's folder.
        path: PathBuf,
    },
    /// It did not come up, or go down, in time.
    #[error("PostgreSQL did not {action} within {seconds} s (see {})", log.display())]
    Deadline {
        /// "start" or "stop".
        action: &'static str,
        /// The deadline.
        seconds: u64,
        /// Its log.
        log: PathBuf,
    },
    /// The file system said no.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// It runs, but does not do as it is told.
    #[error("the private PostgreSQL refuses")]
    Database(#[from] sqlx::Error),
}

impl EmbeddedError {
    /// Would the same call, made later, possibly succeed?
    pub fn retryable(&self) -> bool {
        match self {
            Self::ProgramFailed { .. }
            | Self::Orphans { .. }
            | Self::Deadline { .. }
            | Self::InUse { .. }
            | Self::Io { .. }
            | Self::Database(_) => true,
            Self::NoBinaries { .. }
            | Self::OtherVersion { .. }
            | Self::TooOld { .. }
            | Self::NoAccount
            | Self::OtherOwner { .. }
            | Self::SocketPathTooLong { .. } => false,
        }
    }
}

/// Turns an I/O error into ours; for `map_err`.
pub(super) fn io_error(
    action: &'static str,
    path: &std::path::Path,
) -> impl FnOnce(io::Error) -> EmbeddedError {
    let path = path.to_owned();
    move |source| EmbeddedError::Io { action, path, source }
}

fn tail_of(output: &str) -> String {
    if output.is_empty() { String::new() } else { format!(", its last words:\n{output}") }
}
