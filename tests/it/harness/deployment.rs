//! One deployment: a folder, settings and ports that outlive the processes started on it.

use super::process::{self, Watchdog, binary, free_port, signal};
use super::wait::{LONG, eventually, poll_pause};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

/// Its admin, made at every start if missing.
pub(crate) const ADMIN_EMAIL: &str = "admin@gonggumoa.example";
/// The password of every account that tests make.
pub(crate) const PASSWORD: &str = "correct horse battery 1!";
/// An origin that counts as ours.
pub(crate) const OUR_ORIGIN: &str = "https://app.gonggumoa.example";

/// See the module's head.
pub(crate) struct Deployment {
    root: PathBuf,
    port: u16,
    metrics_port: u16,
    settings: BTreeMap<String, String>,
    server: Option<Child>,
    /// Ends what is left when this value, or this test binary, is gone.
    _watchdog: Watchdog,
}

impl Deployment {
    /// An empty folder with settings that make tests fast and visitors tellable apart.
    pub(crate) fn new() -> Self {
        let root = tempfile::Builder::new().prefix("gonggumoa-it-").tempdir().unwrap().keep();
        // PostgreSQL runs as another user, who must pass this folder
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
        Self::at(root)
    }

    fn at(root: PathBuf) -> Self {
        let (port, metrics_port) = (free_port(), free_port());
        let mut deployment = Self {
            _watchdog: Watchdog::over(&root).unwrap(),
            root,
            port,
            metrics_port,
            settings: BTreeMap::new(),
            server: None,
        };
        let data_dir = deployment.data_dir().display().to_string();
        deployment
            .set("DATA_DIR", &data_dir)
            .set("API_HOST", "127.0.0.1")
            .set("API_PORT", &port.to_string())
            .set("METRICS_ADDR", &format!("127.0.0.1:{metrics_port}"))
            .set("ADMIN_EMAIL", ADMIN_EMAIL)
            .set("ADMIN_PASSWORD", PASSWORD)
            .set("CORS_ORIGINS", OUR_ORIGIN)
            // tests choose each visitor's address
            .set("TRUSTED_PROXIES", "127.0.0.1/32")
            .set("RUST_LOG", "info");
        deployment
    }

    /// A byte-for-byte copy of this one's data, at other ports. Its processes must not be running.
    pub(crate) fn cloned(&self) -> Self {
        assert!(self.server.is_none(), "only a stopped deployment can be cloned");
        let mut twin = Self::new();
        copy_folder(&self.data_dir(), &twin.data_dir());
        for (name, value) in &self.settings {
            if !["DATA_DIR", "API_PORT", "METRICS_ADDR"].contains(&name.as_str()) {
                twin.set(name, value);
            }
        }
        twin
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn unset(&mut self, name: &str) -> &mut Self {
        self.settings.remove(name);
        self
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.root.join("data")
    }

    /// The journal's segments, those too that were deleted since they were kept.
    pub(crate) fn kept_segments(&self) -> PathBuf {
        self.scratch("segments")
    }

    /// Links the segments that there are, so that they stay when the server needs them no more. A segment of an
    /// earlier time under the same name held nothing.
    pub(crate) fn keep_segments(&self) {
        let kept = self.kept_segments();
        fs::create_dir_all(&kept).unwrap();
        for entry in fs::read_dir(self.data_dir().join("journal")).unwrap().flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "seg") {
                let link = kept.join(entry.file_name());
                fs::remove_file(&link).ok();
                fs::hard_link(entry.path(), link).unwrap();
            }
        }
    }

    /// A folder of the test's own, removed with the deployment.
    pub(crate) fn scratch(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://{}", self.address())
    }

    pub(crate) fn metrics_url(&self) -> String {
        format!("http://127.0.0.1:{}/metrics", self.metrics_port)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.server.as_ref().expect("the server was started").id()
    }

    /// Starts a process on the folder and waits until it serves.
    pub(crate) async fn start(&mut self) -> &mut Self {
        self.spawn(None);
        self.ready().await;
        self
    }

    /// Starts a process without waiting. `socket` is handed over the way a service manager does:
    /// as descriptor 3, with LISTEN_FDS and the process's own id in LISTEN_PID.
    pub(crate) fn spawn(&mut self, socket: Option<&TcpListener>) {
        assert!(self.server.is_none(), "this deployment already has a process");
        let command = match socket {
            None => self.command_line(&[]),
            Some(listener) => {
                let mut shell = self.prepared(Command::new("sh"));
                let script = "exec env LISTEN_PID=$$ LISTEN_FDS=1 \"$0\" 3<&0 0</dev/null";
                shell.args(["-c", script]).arg(binary());
                shell.stdin(Stdio::from(OwnedFd::from(listener.try_clone().unwrap())));
                shell
            }
        };
        self.server = Some(self.launch(command));
        fs::write(self.root.join("server.pid"), self.pid().to_string()).unwrap();
    }

    fn launch(&self, mut command: Command) -> Child {
        command.stdout(Stdio::from(self.log())).stderr(Stdio::from(self.log())).spawn().unwrap()
    }

    fn log(&self) -> File {
        OpenOptions::new().create(true).append(true).open(self.log_path()).unwrap()
    }

    fn log_path(&self) -> PathBuf {
        self.root.join("server.log")
    }

    /// All that the processes of this deployment have said.
    pub(crate) fn log_text(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_path()).unwrap_or_default()).into_owned()
    }

    /// Waits until the process says that it is ready.
    pub(crate) async fn ready(&mut self) {
        let url = format!("{}/health/ready", self.base_url());
        let client = reqwest::Client::new();
        let started = Instant::now();
        loop {
            if let Some(status) = self.server.as_mut().unwrap().try_wait().unwrap() {
                panic!("the server ended with {status} instead of getting ready:\n{}", self.log_tail());
            }
            let answer = client.get(&url).timeout(Duration::from_secs(5)).send().await;
            match answer {
                Ok(answer) if answer.status().is_success() => return,
                answer => assert!(
                    started.elapsed() < LONG,
                    "not ready within {LONG:?}: {:?}\n{}",
                    answer.map(|answer| answer.status()),
                    self.log_tail()
                ),
            }
            poll_pause().await;
        }
    }

    /// kill -9, and its remains taken up.
    pub(crate) fn kill(&mut self) {
        let mut server = self.server.take().expect("the server was started");
        server.kill().unwrap();
        server.wait().unwrap();
        fs::remove_file(self.root.join("server.pid")).ok();
    }

    pub(crate) fn signal(&self, which: Signal) {
        signal(self.pid(), which);
    }

    /// Waits for the process's end.
    pub(crate) async fn exited(&mut self, deadline: Duration) -> ExitStatus {
        let mut server = self.server.take().expect("the server was started");
        let started = Instant::now();
        loop {
            if let Some(status) = server.try_wait().unwrap() {
                fs::remove_file(self.root.join("server.pid")).ok();
                return status;
            }
            if started.elapsed() > deadline {
                self.server = Some(server);
                panic!("the process did not end within {deadline:?}:\n{}", self.log_tail());
            }
            poll_pause().await;
        }
    }

    /// SIGTERM, and a clean end.
    pub(crate) async fn stop(&mut self) {
        self.signal(Signal::TERM);
        let status = self.exited(Duration::from_secs(30)).await;
        assert!(status.success(), "a clean stop ended with {status}:\n{}", self.log_tail());
    }

    /// A start that has to fail: what it said.
    pub(crate) async fn refusal(&self) -> String {
        let output = self.run(&[]).await;
        assert!(!output.status.success(), "it ran although it had to refuse");
        said(&output)
    }

    /// Runs the binary with these arguments and this deployment's settings until it ends.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        self.run_with_input(arguments, "").await
    }

    /// The same with something on its standard input.
    pub(crate) async fn run_with_input(&self, arguments: &[&str], input: &str) -> Output {
        let paths = ["in", "out", "err"].map(|stream| self.scratch(&format!("command.{stream}")));
        fs::write(&paths[0], input).unwrap();
        let mut command = self.command_line(arguments);
        command.stdin(File::open(&paths[0]).unwrap());
        command.stdout(File::create(&paths[1]).unwrap()).stderr(File::create(&paths[2]).unwrap());
        let mut child = command.spawn().unwrap();
        let pid_file = self.scratch("command.pid");
        fs::write(&pid_file, child.id().to_string()).unwrap();
        let started = Instant::now();
        let (status, ended) = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break (status, true);
            }
            if started.elapsed() > LONG {
                signal(child.id(), Signal::TERM);
                break (child.wait().unwrap(), false);
            }
            poll_pause().await;
        };
        fs::remove_file(&pid_file).ok();
        let output =
            Output { status, stdout: fs::read(&paths[1]).unwrap(), stderr: fs::read(&paths[2]).unwrap() };
        assert!(ended, "gonggumoa {arguments:?} did not end within {LONG:?}: {}", last_lines(&said(&output)));
        output
    }

    fn command_line(&self, arguments: &[&str]) -> Command {
        let mut command = self.prepared(Command::new(binary()));
        command.args(arguments).stdin(Stdio::null());
        command
    }

    /// Nothing of the caller's surroundings but what finds programs: a DATABASE_URL of the person who
    /// runs the tests must not be used.
    fn prepared(&self, mut command: Command) -> Command {
        command.env_clear().current_dir(&self.root).envs(&self.settings);
        for name in ["PATH", "HOME", "PG_BIN_DIR", "TMPDIR"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
    }

    fn log_tail(&self) -> String {
        last_lines(&self.log_text())
    }

    /// The process id of the embedded cluster's postmaster, if one is noted.
    pub(crate) fn postmaster(&self) -> Option<u32> {
        let file = process::find_files(&self.data_dir(), "postmaster.pid", 3).pop()?;
        fs::read_to_string(file).ok()?.lines().next()?.trim().parse().ok()
    }

    /// Waits until the embedded cluster's processes are gone.
    pub(crate) async fn postgres_gone(&self, postmaster: u32) {
        eventually("PostgreSQL ends with the server", LONG, async || {
            if process::is_alive(postmaster) { Err(format!("{postmaster} is alive")) } else { Ok(()) }
        })
        .await;
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the server's last words\n{}", self.log_tail());
        }
        if let Some(mut server) = self.server.take() {
            server.kill().ok();
            server.wait().ok();
            fs::remove_file(self.root.join("server.pid")).ok();
        }
    }
}

/// Enough to see what happened.
fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

/// A copy that keeps owners and modes, as a backup tool would make it.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(status.success(), "cp -a {} {}", from.display(), to.display());
}

/// Both streams of a finished command.
pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
