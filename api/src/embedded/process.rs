//! The server's process: is one running, is it ours, starting it, ending it.
//!
//! Problem: the binary may have been killed and its server lives on, or both are dead and the pid file
//! names a number that belongs to somebody else by now. PostgreSQL itself can tell the first case from a
//! fresh start, but of a foreign process of the same user it says "already running" for ever.
//!
//! Invariants: a process is ours only if its working folder *is* the cluster's folder (device and inode, not
//! a name) and it is a `postgres`; the pid file is removed only when no such process is left, because two
//! servers on one folder destroy it; no signal goes to a process that was not found to be ours just before.

use super::cluster::{self, Cluster, last_lines};
use super::error::{EmbeddedError, io_error};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::process::Child;

/// How often a condition is looked at again.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// A server whose parent died ends by itself at once, or after the statement that it is in.
const ORPHANS_TIMEOUT: Duration = Duration::from_secs(20);
/// The log is moved aside above this, so that it never grows without end.
const LOG_BYTES_MAX: u64 = 16 << 20;

/// A running server.
#[derive(Debug)]
pub(super) enum Server {
    /// Started by us.
    Child(Child, Pid),
    /// Left by a binary that was killed.
    TakenOver(Pid),
}

/// The server's log file, and where this start's lines begin.
#[derive(Clone, Debug)]
pub(super) struct ServerLog {
    pub(super) path: PathBuf,
    start: u64,
}

impl Server {
    pub(super) fn pid(&self) -> Pid {
        match self {
            Self::Child(_, pid) | Self::TakenOver(pid) => *pid,
        }
    }

    /// Has it ended? With how, where that can be told.
    pub(super) fn ended(&mut self, cluster: &Cluster) -> Option<String> {
        match self {
            Self::Child(child, _) => match child.try_wait() {
                Ok(status) => status.map(|status| status.to_string()),
                Err(error) => Some(error.to_string()),
            },
            Self::TakenOver(pid) => (!is_ours(*pid, &cluster.path)).then(|| "ended".to_owned()),
        }
    }

    /// Ends it: fast (sessions are cut, everything is written), and at half the deadline at once, which
    /// costs the next start a recovery but no data.
    pub(super) async fn stop(
        &mut self,
        cluster: &Cluster,
        timeout: Duration,
        log: &ServerLog,
    ) -> Result<(), EmbeddedError> {
        let begin = Instant::now();
        let mut signalled = None;
        while self.ended(cluster).is_none() {
            let wanted = if begin.elapsed() < timeout / 2 { Signal::INT } else { Signal::QUIT };
            if signalled != Some(wanted) {
                // It may end between the look and the signal: that is what we want.
                let _ = kill_process(self.pid(), wanted);
                signalled = Some(wanted);
            }
            if begin.elapsed() > timeout {
                return Err(EmbeddedError::Deadline {
                    action: "stop",
                    seconds: timeout.as_secs(),
                    log: log.path.clone(),
                });
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }
}

impl ServerLog {
    pub(super) fn at(path: PathBuf) -> Self {
        let length = fs::metadata(&path).map_or(0, |metadata| metadata.len());
        if length > LOG_BYTES_MAX && fs::rename(&path, path.with_extension("log.1")).is_ok() {
            return Self { path, start: 0 };
        }
        Self { path, start: length }
    }

    /// The last lines of this start.
    pub(super) fn tail(&self) -> String {
        let mut text = Vec::new();
        // Without its log the failure is told all the same, only shorter.
        let _ = fs::File::open(&self.path).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.start))?;
            file.take(1 << 20).read_to_end(&mut text)
        });
        last_lines(&String::from_utf8_lossy(&text))
    }
}

/// Starts a server. The caller has made sure that none runs.
pub(super) fn spawn(cluster: &Cluster, log: &ServerLog) -> Result<Server, EmbeddedError> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&log.path)
        .map_err(io_error("open", &log.path))?;
    let (mut command, reach) = cluster.server()?;
    let program = cluster.binaries.program("postgres");
    let errors = file.try_clone().map_err(io_error("open", &log.path))?;
    let child = command.stdout(file).stderr(errors).spawn().map_err(io_error("run", &program))?;
    drop(reach);
    let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let pid = pid.ok_or_else(|| io_error("run", &program)(std::io::ErrorKind::NotFound.into()))?;
    Ok(Server::Child(child, pid))
}

/// The server that runs on this cluster already, if there is one. What a dead one left behind is cleared.
pub(super) async fn find_running(cluster: &Cluster) -> Result<Option<Server>, EmbeddedError> {
    let file = cluster.path.join("postmaster.pid");
    let pid = match fs::read_to_string(&file) {
        Ok(text) => text.lines().next().and_then(|line| line.trim().parse().ok()).and_then(Pid::from_raw),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(io_error("read", &file)(error)),
    };
    if let Some(pid) = pid.filter(|pid| is_ours(*pid, &cluster.path)) {
        return Ok(Some(Server::TakenOver(pid)));
    }
    if cfg!(target_os = "linux") {
        end_orphans(&cluster.path).await?;
        // The socket's lock names the same process, and PostgreSQL heeds it as much.
        let socket_lock = cluster.path.join(format!(".s.PGSQL.{}.lock", cluster::PORT));
        for left in [file, socket_lock] {
            match fs::remove_file(&left) {
                Ok(()) => tracing::info!(path = %left.display(), "removed what a dead PostgreSQL left"),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(io_error("remove", &left)(error)),
            }
        }
    }
    Ok(None)
}

/// The children of a server that lead a session of their own.
pub(super) fn children(server: Pid) -> Vec<Pid> {
    let server = server.as_raw_nonzero();
    let text = fs::read_to_string(format!("/proc/{server}/task/{server}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|word| word.parse().ok()).filter_map(Pid::from_raw).collect()
}

/// Sessions of a dead server: they use the shared memory still, so none may be left before the next starts.
async fn end_orphans(cluster: &Path) -> Result<(), EmbeddedError> {
    let begin = Instant::now();
    let mut told = false;
    loop {
        let orphans: Vec<Pid> = all_processes().into_iter().filter(|pid| is_ours(*pid, cluster)).collect();
        if orphans.is_empty() {
            return Ok(());
        }
        if !told {
            told = true;
            tracing::warn!(count = orphans.len(), "ending what an earlier PostgreSQL left running");
        }
        for pid in &orphans {
            let _ = kill_process(*pid, Signal::QUIT);
        }
        if begin.elapsed() > ORPHANS_TIMEOUT {
            let pids = orphans.iter().map(|pid| pid.as_raw_nonzero().get()).collect();
            return Err(EmbeddedError::Orphans { pids, path: cluster.into() });
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

fn all_processes() -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok()))
        .filter_map(Pid::from_raw)
        .collect()
}

/// Is this process a PostgreSQL on this cluster?
fn is_ours(pid: Pid, cluster: &Path) -> bool {
    let number = pid.as_raw_nonzero();
    if cfg!(target_os = "linux") {
        let named =
            fs::read_to_string(format!("/proc/{number}/comm")).is_ok_and(|comm| comm.trim() == "postgres");
        let folder = |path: &Path| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino())).ok();
        let working = folder(Path::new(&format!("/proc/{number}/cwd")));
        return named && working.is_some() && working == folder(cluster);
    }
    // Without /proc the server's name is all that can be asked for; PostgreSQL itself checks the rest.
    std::process::Command::new("ps")
        .args(["-o", "comm=", "-p", &number.to_string()])
        .output()
        .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("postgres"))
}
