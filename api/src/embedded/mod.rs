//! The private PostgreSQL: a cluster in `DATA_DIR/postgres` that starts and stops with the binary.
//!
//! Problem: "started with no configuration it serves everything" needs a database that nobody installed a
//! service for. PostgreSQL refuses to run as root, keeps running when its parent is killed, and must never
//! be started twice on one folder.
//!
//! ```text
//!   start: lock ─▶ cluster there? ─no─▶ initdb (aside, renamed)
//!                      │yes                │
//!                      ▼                   ▼
//!               a server of ours runs? ─yes─▶ take it over ─▶ answers ─▶ database ─▶ supervised
//!                      │no: clear what is left ─▶ spawn ────────▲              │ died: again
//! ```
//!
//! Invariants: one process owns the cluster; others may only join it, and the last one stops it (`sharing`); the socket
//! lies in the cluster's folder (mode 0700), which is the whole access control; nothing listens on TCP. A
//! server that dies is started again with growing pauses, since the journal goes on without it. Dropping
//! the handle without [`EmbeddedPostgres::stop`] leaves the server running; the next start takes it over.
//!
//! Non-goals: replication, backups (`pg_dump -h DATA_DIR/postgres -U gonggumoa`), upgrades across major
//! versions.

mod account;
mod binaries;
mod cluster;
mod error;
mod process;
mod sharing;

pub use error::EmbeddedError;

use crate::priority;
use cluster::{Cluster, DATABASE_NAME, Reach};
use error::io_error;
use process::{Server, ServerLog};
use rustix::process::Pid;
use sharing::Joined;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection};
use std::collections::HashSet;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Starting may include the recovery of a large write-ahead log; a dead server is noticed at once anyway.
const START_TIMEOUT: Duration = Duration::from_secs(300);
/// A healthy server on this machine answers within milliseconds.
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// A slow start says so this often.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);
/// How soon a dead server is noticed and a new session steps back.
const TEND_INTERVAL: Duration = Duration::from_millis(250);
/// The pauses between attempts to start a server that died.
const RESTART_PAUSE_MIN: Duration = Duration::from_millis(250);
const RESTART_PAUSE_MAX: Duration = Duration::from_secs(15);

/// What the private PostgreSQL needs to know.
#[derive(Clone, Debug)]
pub struct EmbeddedConfig {
    /// `DATA_DIR`; it must exist.
    pub data_dir: PathBuf,
    /// `PG_BIN_DIR`: where the server's programs are, if not in a usual place.
    pub bin_dir: Option<PathBuf>,
    /// `PG_NICE`: how far the server steps back for the edge.
    pub nice: i32,
    /// How long a stop may take before the server is told to end without its last checkpoint. Sessions are
    /// cut at once, so this is the time to write 256 MB of buffers.
    pub stop_timeout: Duration,
}

/// The private PostgreSQL, owned or joined.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    options: PgConnectOptions,
    server_pid: watch::Receiver<Option<i32>>,
    stopping: CancellationToken,
    /// `None` in a process that only joined, and after the stop.
    supervisor: Mutex<Option<JoinHandle<Result<(), EmbeddedError>>>>,
    /// `None` in the owner, and after the stop.
    joined: Mutex<Option<Joined>>,
    /// Keeps a short name of the socket's folder alive.
    _socket_folder: Arc<Reach>,
}

/// Starts the cluster, or takes over the one that a killed process left, and owns it from now on.
pub async fn start(config: EmbeddedConfig) -> Result<EmbeddedPostgres, EmbeddedError> {
    let lock = sharing::own(&config.data_dir)?
        .ok_or_else(|| EmbeddedError::InUse { path: config.data_dir.clone() })?;
    start_locked(&config, lock).await
}

/// For commands beside a running server: joins the cluster if another process owns it, else owns it.
pub async fn start_or_join(config: EmbeddedConfig) -> Result<EmbeddedPostgres, EmbeddedError> {
    sharing::start_or_join(&config).await
}

impl EmbeddedPostgres {
    /// How to reach the database. Valid as long as this handle lives.
    pub fn connect_options(&self) -> PgConnectOptions {
        self.options.clone()
    }

    /// The server's process, `None` while there is none.
    pub fn server_pid(&self) -> Option<i32> {
        *self.server_pid.borrow()
    }

    fn joined(options: PgConnectOptions, socket_folder: Arc<Reach>, joined: Joined) -> Self {
        Self {
            options,
            server_pid: watch::channel(None).1,
            stopping: CancellationToken::new(),
            supervisor: Mutex::new(None),
            joined: Mutex::new(Some(joined)),
            _socket_folder: socket_folder,
        }
    }

    /// Ends the server, unless another process owns or uses it. Close the pools before: their sessions are cut. A
    /// second call does nothing.
    pub async fn stop(&self) -> Result<(), EmbeddedError> {
        if let Some(joined) = self.joined.lock().await.take() {
            return joined.leave().await;
        }
        let Some(supervisor) = self.supervisor.lock().await.take() else { return Ok(()) };
        self.stopping.cancel();
        match supervisor.await {
            Ok(result) => result,
            Err(error) => {
                let source = std::io::Error::other(error);
                Err(EmbeddedError::Io { action: "supervise", path: "postgres".into(), source })
            }
        }
    }
}

/// What the supervisor works with.
struct Manager {
    cluster: Cluster,
    log_path: PathBuf,
    nice: i32,
    stop_timeout: Duration,
    admin_options: PgConnectOptions,
    server_pid: watch::Sender<Option<i32>>,
    /// Sessions that have stepped back already.
    tended: HashSet<Pid>,
    data_dir: PathBuf,
    lock: File,
    _socket_folder: Arc<Reach>,
}

async fn start_locked(config: &EmbeddedConfig, lock: File) -> Result<EmbeddedPostgres, EmbeddedError> {
    let path = config.data_dir.join("postgres");
    let account = account::choose(&path)?;
    let version = cluster::version_at(&path)?;
    let bin_dir = config.bin_dir.clone();
    // Asks each server found for its version: a few processes, so not on the async threads.
    let found = tokio::task::spawn_blocking(move || binaries::find(bin_dir.as_deref())).await;
    let found = found.map_err(|error| io_error("look for PostgreSQL beside", &path)(error.into()))??;
    let binaries = binaries::choose(found, version, &path)?;
    cluster::open_for_passing(&config.data_dir, account)?;
    let cluster = Cluster { path, account, binaries };
    if version.is_none() {
        tracing::info!(postgres.version = cluster.binaries.major, "making a private PostgreSQL cluster");
        cluster.create().await?;
    }

    let socket_folder = Arc::new(cluster.socket_folder()?);
    let (server_pid, server_pid_seen) = watch::channel(None);
    let mut manager = Manager {
        admin_options: options(&socket_folder).database("postgres"),
        log_path: config.data_dir.join("postgres.log"),
        nice: config.nice,
        stop_timeout: config.stop_timeout,
        cluster,
        server_pid,
        tended: HashSet::new(),
        data_dir: config.data_dir.clone(),
        lock,
        _socket_folder: Arc::clone(&socket_folder),
    };
    let (server, log) = manager.bring_up().await?;
    let stopping = CancellationToken::new();
    let supervisor = tokio::spawn(manager.supervise(server, log, stopping.clone()));
    Ok(EmbeddedPostgres {
        options: options(&socket_folder).database(DATABASE_NAME),
        server_pid: server_pid_seen,
        stopping,
        supervisor: Mutex::new(Some(supervisor)),
        joined: Mutex::new(None),
        _socket_folder: socket_folder,
    })
}

fn options(socket_folder: &Reach) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .socket(&socket_folder.name)
        .port(cluster::PORT)
        .username(DATABASE_NAME)
        .ssl_mode(PgSslMode::Disable)
        .application_name("gonggumoa")
}

async fn ping(options: &PgConnectOptions) -> Result<(), sqlx::Error> {
    let ping = async { options.connect().await?.close().await };
    // A server that was stopped in its tracks accepts and never answers.
    tokio::time::timeout(PING_TIMEOUT, ping).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

impl Manager {
    /// A server that answers and has our database: found, or started.
    async fn bring_up(&mut self) -> Result<(Server, ServerLog), EmbeddedError> {
        let log = ServerLog::at(self.log_path.clone());
        let server = loop {
            let (mut server, taken_over) = match process::find_running(&self.cluster).await? {
                Some(server) => {
                    tracing::info!(postgres.pid = %server.pid().as_raw_nonzero(), "taking over a running PostgreSQL");
                    (server, true)
                }
                None => {
                    tracing::info!(postgres.version = self.cluster.binaries.major, "starting PostgreSQL");
                    (process::spawn(&self.cluster, &log)?, false)
                }
            };
            priority::lower_process_priority(server.pid(), self.nice);
            let result = match self.wait_until_it_answers(&mut server, &log).await {
                Ok(()) => self.ensure_database().await,
                Err(error) => Err(error),
            };
            match result {
                Ok(()) => break server,
                // It was on its way down when it was found; the next look finds none.
                Err(EmbeddedError::ProgramFailed { .. }) if taken_over => {}
                Err(error) => {
                    // Not left running behind a start that failed; the first error is the one to tell.
                    let _ = server.stop(&self.cluster, self.stop_timeout, &log).await;
                    return Err(error);
                }
            }
        };
        self.server_pid.send_replace(Some(server.pid().as_raw_nonzero().get()));
        Ok((server, log))
    }

    async fn wait_until_it_answers(&self, server: &mut Server, log: &ServerLog) -> Result<(), EmbeddedError> {
        let begin = Instant::now();
        let mut told = begin;
        loop {
            if ping(&self.admin_options).await.is_ok() {
                return Ok(());
            }
            if let Some(status) = server.ended(&self.cluster) {
                return Err(EmbeddedError::ProgramFailed { program: "postgres", status, output: log.tail() });
            }
            if begin.elapsed() > START_TIMEOUT {
                let seconds = START_TIMEOUT.as_secs();
                return Err(EmbeddedError::Deadline { action: "start", seconds, log: log.path.clone() });
            }
            if told.elapsed() > PROGRESS_INTERVAL {
                told = Instant::now();
                tracing::info!(
                    seconds = begin.elapsed().as_secs(),
                    "PostgreSQL is starting (it may be recovering)"
                );
            }
            tokio::time::sleep(process::POLL_INTERVAL).await;
        }
    }

    async fn ensure_database(&self) -> Result<(), EmbeddedError> {
        let mut connection = self.admin_options.connect().await?;
        // Not the checked macro: this runs against the cluster's own database, before there is ours.
        let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
            .bind(DATABASE_NAME)
            .fetch_one(&mut connection)
            .await?;
        if !exists {
            sqlx::query("CREATE DATABASE gonggumoa").execute(&mut connection).await?;
        }
        connection.close().await?;
        Ok(())
    }

    async fn supervise(
        mut self,
        mut server: Server,
        mut log: ServerLog,
        stopping: CancellationToken,
    ) -> Result<(), EmbeddedError> {
        loop {
            tokio::select! {
                biased;
                () = stopping.cancelled() => {
                    return self.end(server, &log).await;
                }
                () = tokio::time::sleep(TEND_INTERVAL) => {}
            }
            if let Some(status) = server.ended(&self.cluster) {
                self.server_pid.send_replace(None);
                tracing::error!(status, "PostgreSQL ended unasked; starting it again");
                match self.bring_up_again(&stopping).await {
                    Some(started) => (server, log) = started,
                    None => return Ok(()),
                }
            }
            self.tend(&server);
        }
    }

    /// Stops the server; one that others use is left to them.
    async fn end(self, mut server: Server, log: &ServerLog) -> Result<(), EmbeddedError> {
        if let Some(_alone) = sharing::alone(&self.data_dir)? {
            tracing::info!("stopping PostgreSQL");
            let result = server.stop(&self.cluster, self.stop_timeout, log).await;
            self.server_pid.send_replace(None);
            return result;
        }
        tracing::info!("PostgreSQL goes on for a command that uses it");
        self.server_pid.send_replace(None);
        drop(self.lock);
        sharing::turn_off_if_last(&self.data_dir, self.stop_timeout).await
    }

    /// Until it runs again, or `None` when we are told to stop.
    async fn bring_up_again(&mut self, stopping: &CancellationToken) -> Option<(Server, ServerLog)> {
        let mut pause = RESTART_PAUSE_MIN;
        loop {
            match self.bring_up().await {
                Ok(started) => return Some(started),
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "PostgreSQL does not start");
                }
            }
            tokio::select! {
                () = stopping.cancelled() => return None,
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(RESTART_PAUSE_MAX),
            }
        }
    }

    /// Every process of the server steps back, also those that came since the last look.
    fn tend(&mut self, server: &Server) {
        if self.nice == 0 {
            return;
        }
        let children = process::children(server.pid());
        self.tended.retain(|pid| children.contains(pid));
        for pid in children {
            if !self.tended.contains(&pid) && priority::lower_session_priority(pid, self.nice) {
                self.tended.insert(pid);
            }
        }
    }
}

#[cfg(test)]
mod tests;
