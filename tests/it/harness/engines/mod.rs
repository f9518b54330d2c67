//! Servers that one test owns: Kafka brokers, CQL nodes, a Redis. It may kill -9 them, freeze them, and
//! start them again on the same folder and port, which nobody may do to those that all tests share
//! (`TEST_KAFKA_BROKERS`, `TEST_CQL_NODES`, `TEST_REDIS_URL`; `.ci/with-engines` starts those).
//!
//! Invariants: a server is its folder, its ports and its command line; processes come and go over these.
//! Ready means that it said so or answered, never that a time has passed. None outlives its test: each is
//! a process group that its value's end kills, and a watchdog does it when the test binary is gone.
//! Without the servers' programs a test is skipped on a laptop, and fails in CI.

pub(crate) mod cassandra;
mod java;
pub(crate) mod kafka;
pub(crate) mod redis;

pub(crate) use cassandra::CassandraNodes;
pub(crate) use kafka::KafkaBrokers;
pub(crate) use redis::RedisServer;

use super::process::Watchdog;
use super::wait::poll_pause;
use rustix::process::{Pid, Signal, kill_process_group};
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A start takes 4 to 8 s on an idle machine; other tests run beside it.
const START_DEADLINE: Duration = Duration::from_secs(180);
/// Enough of a log to see what happened.
const LOG_TAIL_LINES: usize = 60;

/// The folder over the servers of one value. Declare it after them: fields end in their order.
struct Site {
    root: PathBuf,
    /// Ends what is left, and removes the folder.
    _watchdog: Watchdog,
}

impl Site {
    fn new(kind: &str) -> Self {
        let root = tempfile::Builder::new().prefix(&format!("gonggumoa-{kind}-")).tempdir().unwrap().keep();
        Self { _watchdog: Watchdog::over(&root).unwrap(), root }
    }

    /// The folder of one server, with the two that every one of them wants.
    fn folder(&self, name: &str) -> PathBuf {
        let folder = self.root.join(name);
        for inner in ["data", "tmp"] {
            fs::create_dir_all(folder.join(inner)).unwrap();
        }
        folder
    }
}

/// One server: a folder and a command line that outlive the processes started on them.
struct Engine {
    name: String,
    folder: PathBuf,
    command: Vec<OsString>,
    process: Option<Child>,
    /// Counts processes, so that each has a log of its own.
    run: u32,
}

impl Engine {
    fn new(name: &str, folder: &Path, command: Vec<OsString>) -> Self {
        Self { name: name.to_owned(), folder: folder.to_owned(), command, process: None, run: 0 }
    }

    /// Starts a process without waiting.
    fn spawn(&mut self) {
        assert!(self.process.is_none(), "{} is running", self.name);
        self.run += 1;
        let log = File::create(self.log_path()).unwrap();
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).current_dir(&self.folder).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log).process_group(0);
        let process = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", self.name));
        fs::write(self.pid_path(), process.id().to_string()).unwrap();
        self.process = Some(process);
    }

    /// Waits until the probe, which is given what the process has said, holds.
    async fn ready(&mut self, mut probe: impl AsyncFnMut(&str) -> Result<(), String>) {
        let started = Instant::now();
        loop {
            let log = self.log_text();
            let ended = self.process.as_mut().expect("it was started").try_wait().unwrap();
            if let Some(status) = ended {
                panic!("{} ended with {status} instead of getting ready:\n{}", self.name, tail(&log));
            }
            let Err(reason) = probe(&log).await else { return };
            assert!(
                started.elapsed() < START_DEADLINE,
                "{} not ready within {START_DEADLINE:?}: {reason}:\n{}",
                self.name,
                tail(&log)
            );
            poll_pause().await;
        }
    }

    /// kill -9, and its remains taken up.
    fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.process.take().expect("it was started").wait().unwrap();
        fs::remove_file(self.pid_path()).ok();
    }

    /// Stops its processes in the middle of whatever they do: its connections stay open and nothing answers.
    fn pause(&self) {
        self.signal(Signal::STOP);
    }

    fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, which: Signal) {
        let process = self.process.as_ref().unwrap_or_else(|| panic!("{} is not running", self.name));
        let group = Pid::from_raw(i32::try_from(process.id()).unwrap()).unwrap();
        match kill_process_group(group, which) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => panic!("cannot signal {}: {error}", self.name),
        }
    }

    fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// What its newest process has said.
    fn log_text(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_path()).unwrap_or_default()).into_owned()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.join(format!("run-{}.log", self.run))
    }

    /// Where the watchdog looks for processes.
    fn pid_path(&self) -> PathBuf {
        self.folder.with_extension("pid")
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the last words of {}\n{}", self.name, tail(&self.log_text()));
        }
        if self.is_running() {
            self.kill();
        }
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
}

/// One of the files in `tests/engines` with its `@KEYS@` filled in, in a server's folder.
fn fill(folder: &Path, file: &str, template: &str, values: &[(&str, &str)]) -> PathBuf {
    let mut text = template.replace("@FOLDER@", folder.to_str().unwrap());
    for (key, value) in values {
        text = text.replace(&format!("@{key}@"), value);
    }
    let is_key = |word: &&str| !word.is_empty() && word.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    let forgotten = text.split('@').skip(1).find(is_key);
    assert_eq!(forgotten, None, "a value for {file}");
    let path = folder.join(file);
    fs::write(&path, text).unwrap();
    path
}

/// Says why a test does not run; in CI that is a failure.
pub(crate) fn unavailable<T>(reason: &str) -> Option<T> {
    assert!(std::env::var_os("CI").is_none(), "{reason}");
    eprintln!("skipped: {reason}");
    None
}
