//! The cluster's folder: how it is made, and how a server of another user reaches it.
//!
//! Problem: the server runs as an unprivileged user, but `DATA_DIR` may lie below folders that only root may
//! pass (`/root`, a temporary folder), and a socket's path may have 107 bytes only. On Linux both are solved
//! by handing the server an open descriptor of its folder: `/proc/self/fd/N` needs no right on the folders
//! above and is always short. No mode of a folder that is not ours is ever changed. Elsewhere the plain path
//! is used.
//!
//! Invariant: a cluster is complete or absent. It is made aside and renamed, so that a crash in the middle
//! leaves nothing that looks like one.

use super::account::Account;
use super::binaries::Binaries;
use super::error::{EmbeddedError, io_error};
use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// The cluster's superuser and database; only the owner of its folder can reach its socket at all.
pub(super) const DATABASE_NAME: &str = "gonggumoa";
/// Names the socket file only: no TCP port is opened.
pub(super) const PORT: u16 = 5432;
/// `sun_path` less its closing zero: 108 on Linux, 104 on the BSDs and macOS.
const SOCKET_PATH_BYTES_MAX: usize = if cfg!(target_os = "linux") { 107 } else { 103 };
/// Its search bit lets the server's user pass; what is in it stays closed by its own modes.
const SEARCH_BIT: u32 = 0o001;

/// `DATA_DIR/postgres` and who owns it.
#[derive(Clone, Debug)]
pub(super) struct Cluster {
    pub(super) path: PathBuf,
    pub(super) account: Account,
    pub(super) binaries: Binaries,
}

/// A folder under a name that a child process can use whatever lies above it.
#[derive(Debug)]
pub(super) struct Reach {
    /// The name.
    pub(super) name: PathBuf,
    /// Must live until the child has started, or as long as the name is used by ourselves.
    _descriptor: Option<OwnedFd>,
}

impl Reach {
    /// For a child: the descriptor goes on to it.
    fn for_child(path: &Path) -> Result<Self, EmbeddedError> {
        Self::open(path, rustix::fs::OFlags::empty())
    }

    /// For ourselves.
    fn for_us(path: &Path) -> Result<Self, EmbeddedError> {
        Self::open(path, rustix::fs::OFlags::CLOEXEC)
    }

    fn open(path: &Path, flags: rustix::fs::OFlags) -> Result<Self, EmbeddedError> {
        if !(cfg!(target_os = "linux") && Path::new("/proc/self/fd").exists()) {
            return Ok(Self { name: path.into(), _descriptor: None });
        }
        let flags = flags | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::RDONLY;
        let descriptor = rustix::fs::open(path, flags, rustix::fs::Mode::empty())
            .map_err(|error| io_error("open", path)(error.into()))?;
        let name = format!("/proc/self/fd/{}", descriptor.as_raw_fd()).into();
        Ok(Self { name, _descriptor: Some(descriptor) })
    }
}

/// The version of a complete cluster, `None` where there is none.
pub(super) fn version_at(path: &Path) -> Result<Option<u32>, EmbeddedError> {
    let file = path.join("PG_VERSION");
    match fs::read_to_string(&file) {
        Ok(text) => match text.trim().parse() {
            Ok(version) => Ok(Some(version)),
            Err(_) => Err(io_error("understand", &file)(io::ErrorKind::InvalidData.into())),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error("read", &file)(error)),
    }
}

impl Cluster {
    /// Makes the cluster.
    pub(super) async fn create(&self) -> Result<(), EmbeddedError> {
        let aside = self.path.with_extension("new");
        remove_if_present(&aside)?;
        fs::create_dir(&aside).map_err(io_error("make", &aside))?;
        fs::set_permissions(&aside, Permissions::from_mode(0o700)).map_err(io_error("close", &aside))?;
        if self.account.step_down {
            std::os::unix::fs::chown(&aside, Some(self.account.uid), Some(self.account.gid))
                .map_err(io_error("hand over", &aside))?;
        }
        let reach = Reach::for_child(&aside)?;
        let output = self
            .command("initdb")
            .arg("--pgdata")
            .arg(&reach.name)
            // C alone has no Hangul letters: the trigram search would see none.
            .args(["--locale=C.UTF-8", "--encoding=UTF8"])
            .args(["--username", DATABASE_NAME])
            // The folder is closed to others, and with it the socket; over TCP nobody gets in.
            .args(["--auth-local=trust", "--auth-host=reject"])
            // Money is stored here: a block that rotted on the disk must be an error, not a figure.
            .args(["--data-checksums", "--no-instructions"])
            .output()
            .await
            .map_err(io_error("run", &self.binaries.program("initdb")))?;
        if !output.status.success() {
            let text = [output.stdout, output.stderr].concat();
            return Err(EmbeddedError::ProgramFailed {
                program: "initdb",
                status: output.status.to_string(),
                output: last_lines(&String::from_utf8_lossy(&text)),
            });
        }
        fs::rename(&aside, &self.path).map_err(io_error("rename", &aside))?;
        let parent = self.path.parent().unwrap_or(Path::new("/"));
        File::open(parent).and_then(|folder| folder.sync_all()).map_err(io_error("sync", parent))
    }

    /// The server, ready to be started, and what must live until it has been.
    pub(super) fn server(&self) -> Result<(Command, Reach), EmbeddedError> {
        let reach = Reach::for_child(&self.path)?;
        let mut command = self.command("postgres");
        command.arg("-D").arg(&reach.name);
        for (name, value) in settings() {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command.arg("-c").arg(format!("unix_socket_directories={}", reach.name.display()));
        Ok((command, reach))
    }

    /// The folder of the socket as we name it: its path, or where that is too long a short one.
    pub(super) fn socket_folder(&self) -> Result<Reach, EmbeddedError> {
        let socket = format!("{}/.s.PGSQL.{PORT}", self.path.display());
        if socket.len() <= SOCKET_PATH_BYTES_MAX {
            return Ok(Reach { name: self.path.clone(), _descriptor: None });
        }
        let reach = Reach::for_us(&self.path)?;
        if reach.name == self.path {
            return Err(EmbeddedError::SocketPathTooLong {
                path: self.path.clone(),
                most: SOCKET_PATH_BYTES_MAX,
            });
        }
        Ok(reach)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.binaries.program(program));
        // PGDATA, PGPORT and their like of the operator's shell are about other servers; the messages
        // that we may have to read are English.
        command.env_clear().env("LC_MESSAGES", "C");
        for name in ["PATH", "TZDIR", "LD_LIBRARY_PATH"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        // A group of its own: Ctrl-C in the terminal is for us, and we stop the server in order.
        command.stdin(Stdio::null()).current_dir("/").process_group(0);
        if self.account.step_down {
            command.uid(self.account.uid).gid(self.account.gid);
        }
        command
    }
}

/// A folder of ours that nobody may pass gets the search bit when the server runs as somebody else, for
/// tools such as `psql` run as that user. The server itself does not need it.
pub(super) fn open_for_passing(data_dir: &Path, account: Account) -> Result<(), EmbeddedError> {
    if !account.step_down {
        return Ok(());
    }
    let metadata = fs::metadata(data_dir).map_err(io_error("look at", data_dir))?;
    let mode = metadata.mode() & 0o7777;
    if metadata.uid() == 0 && mode & SEARCH_BIT == 0 {
        // 0700 becomes 0711: the group's search bit comes along, as for every folder that is only passed.
        let passing = if mode & 0o077 == 0 { 0o011 } else { SEARCH_BIT };
        fs::set_permissions(data_dir, Permissions::from_mode(mode | passing))
            .map_err(io_error("set the search bit of", data_dir))?;
    }
    Ok(())
}

/// What differs from PostgreSQL's defaults, each with its reason. Given on the command line, so that a
/// newer binary's values hold for an older cluster.
fn settings() -> Vec<(&'static str, String)> {
    let fixed = [
        // The socket is enough for one machine; nothing listens on the network.
        ("listen_addresses", ""),
        ("unix_socket_permissions", "0700"),
        // Our pools take about twenty; the rest is for an operator's psql and a second command.
        ("max_connections", "60"),
        // The hot set (heads, newest rollups, index tips) fits; the page cache does the rest.
        ("shared_buffers", "256MB"),
        // Clicks are written in bulk: with the default of 1 GB a checkpoint would start every few seconds
        // at full speed and write every page whole again.
        ("max_wal_size", "4GB"),
        ("min_wal_size", "256MB"),
        ("checkpoint_timeout", "15min"),
        ("wal_compression", "on"),
        // COPY streams are large; the default of 1/32 of shared_buffers would flush in small bites.
        ("wal_buffers", "16MB"),
        // What is stored decides which part of the journal may go: it has to be on the disk.
        ("synchronous_commit", "on"),
        // Short statements only: compiling them takes longer than running them.
        ("jit", "off"),
        // One question must not take every core from the edge.
        ("max_parallel_workers_per_gather", "0"),
        // Solid-state disks: a random page costs about what the next one does.
        ("random_page_cost", "1.1"),
        ("timezone", "UTC"),
        ("log_timezone", "UTC"),
        ("log_line_prefix", "%m [%p] "),
        // With the WAL's size a checkpoint every few minutes is normal, not news.
        ("log_checkpoints", "off"),
    ];
    let mut settings: Vec<_> = fixed.map(|(name, value)| (name, value.to_owned())).to_vec();
    settings.push(("port", PORT.to_string()));
    settings
}

/// The end of a program's output, enough to tell why it failed.
pub(super) fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}

fn remove_if_present(path: &Path) -> Result<(), EmbeddedError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("remove", path)(error)),
        _ => Ok(()),
    }
}
