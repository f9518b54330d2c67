//! Processes: which binary, which ports, and that nothing outlives its test.
//!
//! A test binary can end in ways that run no destructor (a shared deployment lives in a static; an
//! abort; an interrupt). So each deployment has a watchdog: a shell that waits for the end of a pipe
//! that only the test binary holds, and then ends what is left and removes the folder.

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

/// Where the binary under test is.
pub(crate) fn binary() -> PathBuf {
    let path = std::env::var_os("GONGGUMOA_BIN").map_or_else(beside_this_test, PathBuf::from);
    assert!(
        path.is_file(),
        "no binary to test at {}: build it first (cargo build -p gonggumoa-api --bin gonggumoa) or name it in \
         GONGGUMOA_BIN",
        path.display()
    );
    path
}

/// `<target>/<profile>/deps/it-…` stands beside `<target>/<profile>/gonggumoa`.
fn beside_this_test() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().join("gonggumoa")
}

/// A free loopback port below the range that outgoing connections take theirs from, so that it is
/// still free when a deployment comes back after a restart.
pub(crate) fn free_port() -> u16 {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let offset = (std::process::id() % u32::from(COUNT)) as u16;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let port = FIRST + (offset + step) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + COUNT);
}

/// Sends a signal to a process that this test started; one that is gone already is no error.
pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    match kill_process(pid, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(error) => panic!("cannot signal {pid:?}: {error}"),
    }
}

/// Resident memory of a process in bytes.
pub(crate) fn resident_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kibibytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kibibytes * 1024
}

/// A process's children, direct ones.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(child) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        // the name in brackets may hold anything; the parent is the second field after it
        let Some((_, rest)) = stat.rsplit_once(')') else { continue };
        if rest.split_whitespace().nth(1).and_then(|field| field.parse().ok()) == Some(pid) {
            found.push(child);
        }
    }
    found
}

/// Whether a process is still there (a zombie is not).
pub(crate) fn is_alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| stat.rsplit_once(')').map(|(_, rest)| !rest.trim_start().starts_with('Z')))
        .unwrap_or(false)
}

/// Finds files by name below a folder, a few levels deep.
pub(crate) fn find_files(folder: &Path, name: &str, depth: usize) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_name() == name {
            found.push(path);
        } else if depth > 0 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(find_files(&path, name, depth - 1));
        }
    }
    found
}

/// See the module's head. With `KEEP_FOLDERS` set the folder stays, for whoever looks for the reason of a
/// failure. `root` holds `server.pid` and, somewhere below, `postmaster.pid`.
pub(crate) struct Watchdog {
    shell: Child,
}

impl Watchdog {
    pub(crate) fn over(root: &Path) -> io::Result<Self> {
        const SCRIPT: &str = r#"
            read -r _
            end() { # pid, signal, tries of 0.1 s
                kill -"$2" "$1" 2>/dev/null || return 0
                tries=$3
                while kill -0 "$1" 2>/dev/null && [ "$tries" -gt 0 ]; do tries=$((tries - 1)); sleep 0.1; done
                ! kill -0 "$1" 2>/dev/null
            }
            for file in "$1"/*.pid; do
                [ -f "$file" ] || continue
                pid=$(cat "$file")
                end "$pid" TERM 250 || end "$pid" KILL 50
            done
            find "$1" -maxdepth 5 -name postmaster.pid 2>/dev/null | while read -r file; do
                pid=$(head -n 1 "$file")
                kill -CONT "$pid" 2>/dev/null
                end "$pid" QUIT 100 || end "$pid" KILL 50
            done
            umount "$1"/data/journal 2>/dev/null
            [ -n "$KEEP_FOLDERS" ] || rm -rf "$1"
        "#;
        let shell = Command::new("sh")
            .args(["-c", SCRIPT, "watchdog"])
            .arg(root)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { shell })
    }
}

impl Drop for Watchdog {
    /// The test's own end: the same work, waited for, so that it is done before the next test.
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        self.shell.wait().ok();
    }
}
