//! Several processes on one private cluster: who owns it, who only uses it, and who turns off the light.
//!
//! Problem: a command that finds another process at work joins its server. If that process ends meanwhile, the server
//! must not go away under the command, and a command that begins while a server is being stopped must neither wait
//! for it for ever nor meet it half gone.
//!
//! ```text
//!   DATA_DIR/postgres.lock    exclusive: the owner, who starts and supervises the server
//!   DATA_DIR/postgres.users   shared:    each process that joined
//!                             exclusive: who stops the server, as long as that takes
//! ```
//!
//! Invariants: the server is stopped only by a process that holds both exclusively; a process joins only with its
//! share of the second held, and asks whether the server answers after that. So an owner that ends while others use
//! the server leaves it to them, and the last of them stops it. Locks live as long as their file is open: a killed
//! process holds nothing; a server that the killed one should have stopped is taken over by the next start.

use super::account::Account;
use super::binaries::Binaries;
use super::cluster::{Cluster, DATABASE_NAME, Reach};
use super::error::{EmbeddedError, io_error};
use super::process::{self, ServerLog};
use super::{EmbeddedConfig, EmbeddedPostgres, START_TIMEOUT, options, ping, start_locked};
use sqlx::postgres::PgConnectOptions;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The owner's lock, or `None` while another process owns the cluster.
pub(super) fn own(data_dir: &Path) -> Result<Option<File>, EmbeddedError> {
    locked(&data_dir.join("postgres.lock"), File::try_lock)
}

/// Nobody uses the server but its owner, and nobody joins while this is held. `None`: somebody does.
pub(super) fn alone(data_dir: &Path) -> Result<Option<File>, EmbeddedError> {
    locked(&data_dir.join("postgres.users"), File::try_lock)
}

/// A user's share of the server. `None` while it is being stopped.
fn share(data_dir: &Path) -> Result<Option<File>, EmbeddedError> {
    locked(&data_dir.join("postgres.users"), File::try_lock_shared)
}

fn locked(
    path: &Path,
    lock: impl FnOnce(&File) -> Result<(), TryLockError>,
) -> Result<Option<File>, EmbeddedError> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(io_error("open", path))?;
    match lock(&file) {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(io_error("lock", path)(error)),
    }
}

/// What a process holds that joined.
#[derive(Debug)]
pub(super) struct Joined {
    share: File,
    data_dir: PathBuf,
    stop_timeout: Duration,
}

impl Joined {
    /// Leaves; stops the server if its owner has gone and nobody else uses it.
    pub(super) async fn leave(self) -> Result<(), EmbeddedError> {
        drop(self.share);
        turn_off_if_last(&self.data_dir, self.stop_timeout).await
    }
}

/// Owns the cluster, or joins whoever owns it: whichever is possible first. The owner may be in the middle of its
/// start or of its stop; both are waited for.
pub(super) async fn start_or_join(config: &EmbeddedConfig) -> Result<EmbeddedPostgres, EmbeddedError> {
    let begin = Instant::now();
    loop {
        if let Some(lock) = own(&config.data_dir)? {
            return start_locked(config, lock).await;
        }
        if let Some(share) = share(&config.data_dir)?
            && let Some((options, socket_folder)) = reach(&config.data_dir).await
        {
            let data_dir = config.data_dir.clone();
            let joined = Joined { share, data_dir, stop_timeout: config.stop_timeout };
            return Ok(EmbeddedPostgres::joined(options, socket_folder, joined));
        }
        if begin.elapsed() > START_TIMEOUT {
            return Err(EmbeddedError::Deadline {
                action: "answer",
                seconds: START_TIMEOUT.as_secs(),
                log: config.data_dir.join("postgres.log"),
            });
        }
        tokio::time::sleep(process::POLL_INTERVAL).await;
    }
}

/// How to reach the server, if it answers; before its first start there is not even a folder.
async fn reach(data_dir: &Path) -> Option<(PgConnectOptions, Arc<Reach>)> {
    let socket_folder = Arc::new(used(data_dir).socket_folder().ok()?);
    let options = options(&socket_folder).database(DATABASE_NAME);
    ping(&options).await.ok()?;
    Some((options, socket_folder))
}

/// The cluster for those who start nothing on it.
fn used(data_dir: &Path) -> Cluster {
    Cluster {
        path: data_dir.join("postgres"),
        account: Account { uid: 0, gid: 0, step_down: false },
        binaries: Binaries { major: 0, folder: PathBuf::new() },
    }
}

/// Stops the server unless it has an owner or a user. Whoever leaves calls this after having let go of its own lock.
///
/// Of two that leave at the same time one may see the other's lock, and the other way round. So who gave the owner's
/// lock back because of a user looks once more: a user that left meanwhile saw that lock taken and relies on us.
pub(super) async fn turn_off_if_last(data_dir: &Path, stop_timeout: Duration) -> Result<(), EmbeddedError> {
    loop {
        let Some(owned) = own(data_dir)? else { return Ok(()) };
        if let Some(_alone) = alone(data_dir)? {
            let cluster = used(data_dir);
            let Some(mut server) = process::find_running(&cluster).await? else { return Ok(()) };
            tracing::info!("stopping PostgreSQL: its owner has gone, and nobody else uses it");
            let log = ServerLog::at(data_dir.join("postgres.log"));
            return server.stop(&cluster, stop_timeout, &log).await;
        }
        drop(owned);
        if alone(data_dir)?.is_none() {
            return Ok(());
        }
    }
}
