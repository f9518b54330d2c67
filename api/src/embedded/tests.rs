#![allow(clippy::unwrap_used, clippy::expect_used)]

//! With the real server. The folder is a fresh 0700 one, so that run as root every test also shows that the
//! server's user gets where it has to.

use super::*;
use rustix::process::{Signal, kill_process, test_kill_process};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;

/// A data folder whose server does not outlive the test, however it ends.
struct Folder {
    path: PathBuf,
    _root: tempfile::TempDir,
}

impl Folder {
    fn new(below: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(below);
        std::fs::create_dir_all(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        Self { path, _root: root }
    }

    fn config(&self) -> EmbeddedConfig {
        EmbeddedConfig {
            data_dir: self.path.clone(),
            bin_dir: None,
            nice: 10,
            stop_timeout: Duration::from_secs(15),
        }
    }

    fn pid_in_file(&self) -> Option<Pid> {
        let text = std::fs::read_to_string(self.path.join("postgres/postmaster.pid")).ok()?;
        Pid::from_raw(text.lines().next()?.trim().parse().ok()?)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(pid) = self.pid_in_file().filter(|pid| process::children(*pid).len() > 1) {
            let _ = kill_process(pid, Signal::QUIT);
        }
    }
}

async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let begin = Instant::now();
    while !condition().await {
        assert!(begin.elapsed() < Duration::from_secs(30), "not in time: {what}");
        tokio::time::sleep(process::POLL_INTERVAL).await;
    }
}

async fn ask(postgres: &EmbeddedPostgres, question: &'static str) -> String {
    let mut connection = postgres.connect_options().connect().await.unwrap();
    sqlx::query_scalar(question).fetch_one(&mut connection).await.unwrap()
}

async fn write_note(postgres: &EmbeddedPostgres) {
    let mut connection = postgres.connect_options().connect().await.unwrap();
    sqlx::query("CREATE TABLE note AS SELECT 'kept' AS text").execute(&mut connection).await.unwrap();
}

fn alive(pid: Pid) -> bool {
    test_kill_process(pid).is_ok()
}

#[tokio::test]
async fn starts_stops_and_keeps_its_data() {
    let folder = Folder::new("data");
    // What a start that was killed in initdb leaves.
    std::fs::create_dir_all(folder.path.join("postgres.new/base")).unwrap();

    let first = start(folder.config()).await.unwrap();
    assert_eq!(ask(&first, "SHOW listen_addresses").await, "");
    assert_eq!(
        ask(&first, "SELECT datcollate || datname FROM pg_database WHERE datname = current_database()").await,
        "C.UTF-8gonggumoa"
    );
    assert_eq!(ask(&first, "SHOW data_checksums").await, "on");
    write_note(&first).await;
    let pid = folder.pid_in_file().unwrap();
    assert_eq!(first.server_pid(), Some(pid.as_raw_nonzero().get()));
    let cluster = folder.path.join("postgres").metadata().unwrap();
    assert_eq!(cluster.mode() & 0o777, 0o700);
    if rustix::process::geteuid().is_root() {
        assert_ne!(cluster.uid(), 0, "root hands the cluster to an unprivileged user");
        assert_eq!(folder.path.metadata().unwrap().mode() & 0o777, 0o711);
    }
    // The server steps back, and does not hear the terminal's Ctrl-C.
    assert_eq!(rustix::process::getpriority_process(Some(pid)), Ok(10));
    assert_eq!(rustix::process::getpgid(Some(pid)), Ok(pid));
    first.stop().await.unwrap();
    first.stop().await.unwrap();
    assert!(!alive(pid) && folder.pid_in_file().is_none());

    let second = start(folder.config()).await.unwrap();
    assert_eq!(ask(&second, "SELECT text FROM note").await, "kept");
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_killed_server_is_started_again() {
    let folder = Folder::new("data");
    let postgres = start(folder.config()).await.unwrap();
    write_note(&postgres).await;
    let pid = folder.pid_in_file().unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    until("another server answers", async || {
        postgres.server_pid().is_some_and(|now| now != pid.as_raw_nonzero().get())
            && ping(&postgres.connect_options()).await.is_ok()
    })
    .await;
    assert_eq!(ask(&postgres, "SELECT text FROM note").await, "kept");
    postgres.stop().await.unwrap();
}

/// The runtime goes away with everything in it, as a killed process does; the server stays.
fn start_and_vanish(config: EmbeddedConfig) {
    let gone = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let postgres = runtime.block_on(start(config)).unwrap();
        runtime.block_on(write_note(&postgres));
        drop(runtime);
    });
    gone.join().unwrap();
}

#[tokio::test]
async fn a_server_left_alive_is_taken_over_and_stopped() {
    let folder = Folder::new("data");
    let config = folder.config();
    tokio::task::spawn_blocking(move || start_and_vanish(config)).await.unwrap();
    let pid = folder.pid_in_file().expect("it runs on");
    assert!(alive(pid));

    let postgres = start(folder.config()).await.unwrap();
    assert_eq!(folder.pid_in_file(), Some(pid), "the same server, not a second one");
    assert_eq!(ask(&postgres, "SELECT text FROM note").await, "kept");
    postgres.stop().await.unwrap();
    assert!(folder.pid_in_file().is_none());
}

#[tokio::test]
async fn a_server_and_its_owner_killed_together_are_recovered() {
    let folder = Folder::new("data");
    let config = folder.config();
    tokio::task::spawn_blocking(move || start_and_vanish(config)).await.unwrap();
    kill_process(folder.pid_in_file().unwrap(), Signal::KILL).unwrap();
    let postgres = start(folder.config()).await.unwrap();
    assert_eq!(ask(&postgres, "SELECT text FROM note").await, "kept");
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_pid_that_belongs_to_somebody_else_by_now_is_left_alone() {
    let folder = Folder::new("data");
    let postgres = start(folder.config()).await.unwrap();
    let owner = folder.path.join("postgres").metadata().unwrap();
    postgres.stop().await.unwrap();

    // Of the server's own user: exactly the case that PostgreSQL takes for a running server.
    let mut command = std::process::Command::new("sleep");
    command.arg("60").current_dir("/");
    if rustix::process::geteuid().is_root() {
        command.uid(owner.uid()).gid(owner.gid());
    }
    let mut stranger = command.spawn().unwrap();
    for name in ["postmaster.pid", ".s.PGSQL.5432.lock"] {
        let file = folder.path.join("postgres").join(name);
        std::fs::write(&file, format!("{}\n/elsewhere\n1\n5432\n\n\n", stranger.id())).unwrap();
        std::os::unix::fs::chown(&file, Some(owner.uid()), Some(owner.gid())).unwrap();
    }

    let result = start(folder.config()).await;
    assert!(stranger.try_wait().unwrap().is_none(), "the stranger lives");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    result.unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn one_owns_and_others_join() {
    // Its socket's path would be far above the limit of 107 bytes.
    let folder = Folder::new(&format!("{0}/{0}/{0}", "d".repeat(90)));
    let owner = start(folder.config()).await.unwrap();
    let error = start(folder.config()).await.unwrap_err();
    assert!(matches!(error, EmbeddedError::InUse { .. }), "{error}");

    let joined = start_or_join(folder.config()).await.unwrap();
    assert_eq!(ask(&joined, "SELECT 'answers'::text").await, "answers");
    joined.stop().await.unwrap();
    assert_eq!(ask(&owner, "SELECT 'still there'::text").await, "still there");
    owner.stop().await.unwrap();
}

#[tokio::test]
async fn sessions_step_back_too() {
    let folder = Folder::new("data");
    let postgres = start(folder.config()).await.unwrap();
    let mut connection = postgres.connect_options().connect().await.unwrap();
    let session: i32 =
        sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut connection).await.unwrap();
    let file = format!("/proc/{session}/autogroup");
    until("the session's group stepped back", async || match std::fs::read_to_string(&file) {
        Ok(text) => text.trim_end().ends_with("nice 10"),
        Err(_) => true,
    })
    .await;
    let ours = std::fs::read_to_string("/proc/self/autogroup").unwrap_or_default();
    assert!(!ours.trim_end().ends_with("nice 10"), "the edge's own group must not: {ours}");
    connection.close().await.unwrap();
    postgres.stop().await.unwrap();
}

/// Two commands, again and again: one begins at every moment of the other's end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_begins_while_another_ends_is_served() {
    let folder = Folder::new("data");
    let first = start_or_join(folder.config()).await.unwrap();
    let mut running = first;
    for round in 0..12u32 {
        let config = folder.config();
        let next = tokio::spawn(async move {
            for _ in 0..round * 40 {
                tokio::task::yield_now().await;
            }
            let next = start_or_join(config).await.unwrap();
            assert_eq!(ask(&next, "SELECT 'answers'::text").await, "answers");
            // a session that lasts is not cut by the other's end
            let mut session = next.connect_options().connect().await.unwrap();
            let slow: String = sqlx::query_scalar("SELECT 'whole' FROM pg_sleep(0.2)")
                .fetch_one(&mut session)
                .await
                .unwrap();
            assert_eq!(slow, "whole");
            next
        });
        for _ in 0..(12 - round) * 40 {
            tokio::task::yield_now().await;
        }
        running.stop().await.unwrap();
        let next = tokio::time::timeout(Duration::from_secs(40), next).await;
        running = next.expect("the second one hangs").unwrap();
    }
    running.stop().await.unwrap();
    assert!(folder.pid_in_file().is_none(), "the last one stops it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_goes_with_the_last_of_those_who_use_it() {
    let folder = Folder::new("data");
    let owner = start(folder.config()).await.unwrap();
    let mut users = Vec::new();
    for _ in 0..3 {
        users.push(start_or_join(folder.config()).await.unwrap());
    }
    let pid = folder.pid_in_file().unwrap();
    owner.stop().await.unwrap();
    assert_eq!(ask(&users[0], "SELECT 'still there'::text").await, "still there");
    // whoever starts now takes the same one over, and leaves it as it was
    let again = start(folder.config()).await.unwrap();
    assert_eq!(folder.pid_in_file(), Some(pid));
    again.stop().await.unwrap();
    assert!(alive(pid));
    let stops = users.iter().map(EmbeddedPostgres::stop);
    futures::future::try_join_all(stops).await.unwrap();
    assert!(folder.pid_in_file().is_none());
}
