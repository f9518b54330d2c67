//! What the kernel knows of the programs measured: CPU time, memory, and whose child is whose.

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A started program that does not outlive the run.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// How long it may take to end when asked to.
    stop_within: Duration,
}

impl Server {
    /// Starts a program. Its standard output goes to our standard error: ours is the report.
    pub fn start(command: &mut Command, stop_within: Duration) -> anyhow::Result<Self> {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::from(std::io::stderr()))
            .spawn()
            .with_context(|| format!("starting {:?}", command.get_program()))?;
        Ok(Self { child, stop_within })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Fails if it has ended.
    pub fn check(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => anyhow::bail!("the server ended: {status}"),
        }
    }

    /// Asks it to end (SIGTERM), waits, and ends it if it does not. Returns how long that took.
    pub fn stop(&mut self) -> Duration {
        let asked = Instant::now();
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return Duration::ZERO;
        }
        signal(self.id(), Signal::TERM);
        while asked.elapsed() < self.stop_within {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return asked.elapsed();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        // Both fail only if it ended meanwhile.
        self.child.kill().ok();
        self.child.wait().ok();
        asked.elapsed()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Sends a signal; a process that is gone needs none.
pub fn signal(process_id: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(process_id).ok().and_then(Pid::from_raw) {
        kill_process(pid, signal).ok();
    }
}

/// The fields of `/proc/PID/stat` after the name, which may itself hold spaces and brackets.
fn stat_fields(process_id: u32) -> Option<Vec<u64>> {
    let text = std::fs::read_to_string(format!("/proc/{process_id}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    Some(fields.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect())
}

// Positions in `stat_fields`: proc(5) counts from 1 and begins with the id and the name.
const PARENT: usize = 4 - 3;
const USER_TICKS: usize = 14 - 3;
const CHILDREN_SYSTEM_TICKS: usize = 17 - 3;

/// CPU time that a process has taken, its ended and awaited children included.
pub fn cpu_time(process_id: u32) -> Duration {
    let ticks: u64 = stat_fields(process_id)
        .and_then(|fields| Some(fields.get(USER_TICKS..=CHILDREN_SYSTEM_TICKS)?.iter().sum()))
        .unwrap_or(0);
    Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// CPU time of the process alone. (For one whose child is measured apart.)
pub fn own_cpu_time(process_id: u32) -> Duration {
    let ticks: u64 = stat_fields(process_id)
        .and_then(|fields| Some(fields.get(USER_TICKS..USER_TICKS + 2)?.iter().sum()))
        .unwrap_or(0);
    Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// The process that started this one.
pub fn parent(process_id: u32) -> Option<u32> {
    u32::try_from(*stat_fields(process_id)?.get(PARENT)?).ok()
}

/// The processes whose parent this is.
pub fn children(parent_id: u32) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|id| parent(*id) == Some(parent_id))
        .collect()
}

/// CPU time of a process with all its children, living and ended: PostgreSQL has one for each connection.
pub fn family_cpu_time(process_id: u32) -> Duration {
    cpu_time(process_id) + children(process_id).into_iter().map(cpu_time).sum::<Duration>()
}

/// Memory that the process holds in RAM now, in bytes.
pub fn resident_bytes(process_id: u32) -> u64 {
    status_kilobytes(process_id, "VmRSS:") * 1024
}

/// The most it ever held, in bytes.
pub fn peak_resident_bytes(process_id: u32) -> u64 {
    status_kilobytes(process_id, "VmHWM:") * 1024
}

fn status_kilobytes(process_id: u32, name: &str) -> u64 {
    std::fs::read_to_string(format!("/proc/{process_id}/status"))
        .ok()
        .and_then(|text| {
            let value = text.lines().find_map(|line| line.strip_prefix(name))?;
            value.split_whitespace().next()?.parse().ok()
        })
        .unwrap_or(0)
}

/// The first file under `folder` whose name is `wanted`.
pub fn find_file(folder: &Path, wanted: impl Fn(&str) -> bool) -> Option<PathBuf> {
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).ok()?.flatten() {
            let path = entry.path();
            if path.file_name().and_then(|name| name.to_str()).is_some_and(&wanted) {
                return Some(path);
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_process_is_seen_with_its_children_and_stops() {
        let own = std::process::id();
        assert!(resident_bytes(own) > 0 && peak_resident_bytes(own) > 0);
        let mut server = Server::start(Command::new("sleep").arg("60"), Duration::from_secs(5)).unwrap();
        assert!(children(own).contains(&server.id()));
        assert!(server.check().is_ok());
        assert!(server.stop() < Duration::from_secs(5));
        assert!(server.check().is_err());
    }
}
