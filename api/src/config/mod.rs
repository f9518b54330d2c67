//! Settings: read once at the start, checked together, then handed round as plain values.
//!
//! Problem: a wrong setting found late costs clicks, and settings found wrong one at a time cost an
//! operator's evening. So everything is read and checked before anything is opened, and a start that fails
//! shows every problem: the variable's name, what is wrong with its value, and an example.
//!
//! Invariants: nothing is required on one machine; empty means unset; the process environment wins over
//! `.env`; secrets are wrapped and never printed, in messages and `Debug` output alike. Values that only a
//! running deployment can tell (does the database answer?) are not checked here.

mod cluster;
mod groups;
mod http;
mod mail;
mod objects;
mod reader;
mod social;

pub use cluster::{ClusterConfig, KafkaSettings, RedisSettings, Roles};
pub use groups::{
    AdminConfig, DatabaseConfig, JournalConfig, JwtAlgorithm, LogConfig, LogFormat, RetentionConfig,
    RulesConfig, RushConfig, TokenConfig, check_email, check_password,
};
pub use http::HttpConfig;
pub use mail::MailConfig;
pub use social::SocialConfig;

use gonggumoa_analytics::archive::S3Settings;
use gonggumoa_core::visitor::AddressKey;
use reader::Reader;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// All settings of a start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Everything this machine keeps: database, journal, archive, secrets.
    pub data_dir: PathBuf,
    /// Where the catalog and the clicks are stored.
    pub database: DatabaseConfig,
    /// What this process does, and the engines it shares.
    pub cluster: ClusterConfig,
    /// The bucket of the archive; `None`: a folder of `data_dir`.
    pub objects: Option<S3Settings>,
    /// Without a bucket the archive lies in this folder; `None`: `archive` of `data_dir`.
    pub archive_dir: Option<PathBuf>,
    /// The HTTP side.
    pub http: HttpConfig,
    /// Outgoing mail.
    pub mail: MailConfig,
    /// Access and refresh tokens.
    pub tokens: TokenConfig,
    /// Social sign-in.
    pub social: SocialConfig,
    /// Thresholds that become a rules version.
    pub rules: RulesConfig,
    /// What is forgotten, and when.
    pub retention: RetentionConfig,
    /// The journal's room on the disk.
    pub journal: JournalConfig,
    /// When the store gives way.
    pub rush: RushConfig,
    /// The deployment's key of the address hashes; `None`: the one kept in `data_dir`.
    pub address_hash_key: Option<AddressKey>,
    /// An admin to be made at the start if missing.
    pub admin: Option<AdminConfig>,
    /// Log output.
    pub log: LogConfig,
    /// Where `/metrics` is served; `None`: nowhere. Loopback by default: figures are not for the public.
    pub metrics_addr: Option<SocketAddr>,
    /// A stop gets this long to answer, flush and store before it ends anyway. 20 s stays under the 30 s
    /// that container runtimes commonly wait before they kill.
    pub shutdown_timeout: Duration,
}

/// One setting that stops the start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// The variable.
    pub name: &'static str,
    /// What is wrong with it.
    pub text: String,
    /// A line that would be right.
    pub example: Option<String>,
}

/// Every problem of a start's settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// In the order in which they were found.
    pub problems: Vec<Problem>,
}

impl ConfigError {
    /// Never: the same settings are as wrong the next time.
    pub fn retryable(&self) -> bool {
        false
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.len() {
            1 => write!(f, "a setting is wrong:")?,
            count => write!(f, "{count} settings are wrong:")?,
        }
        for problem in &self.problems {
            write!(f, "\n  {}: {}", problem.name, problem.text)?;
            if let Some(example) = &problem.example {
                write!(f, " (example: {example})")?;
            }
        }
        Ok(())
    }
}

impl Config {
    /// Reads the process environment and, for what it leaves out, `.env` in the working directory or the
    /// nearest folder above it.
    pub fn from_environment() -> Result<Self, ConfigError> {
        let mut variables = BTreeMap::new();
        let mut problem = None;
        if let Some(file) = nearest_env_file() {
            match read_env_file(&file) {
                Ok(found) => variables = found,
                Err(found) => problem = Some(found),
            }
        }
        variables.extend(
            std::env::vars_os()
                .map(|(name, value)| (name.to_string_lossy().into(), value.to_string_lossy().into()))
                // An empty variable must not hide the file's value: empty is unset.
                .filter(|(_, value): &(String, String)| !value.trim().is_empty()),
        );
        match (Self::from_variables(variables), problem) {
            (result, None) => result,
            (Ok(_), Some(problem)) => Err(ConfigError { problems: vec![problem] }),
            (Err(mut error), Some(problem)) => {
                error.problems.insert(0, problem);
                Err(error)
            }
        }
    }

    /// Reads the given variables and nothing else.
    pub fn from_variables(variables: BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(variables);
        let http = HttpConfig::read(&mut reader);
        let mut config = Self {
            data_dir: reader.value("DATA_DIR", PathBuf::from("data"), "./data", |text| Ok(text.into())),
            database: DatabaseConfig::read(&mut reader),
            cluster: ClusterConfig::read(&mut reader),
            objects: objects::read(&mut reader),
            archive_dir: reader
                .optional("ARCHIVE_DIR", "/mnt/shared/archive", |text| Ok(PathBuf::from(text))),
            mail: MailConfig::read(&mut reader, &http),
            http,
            tokens: TokenConfig::read(&mut reader),
            social: SocialConfig::read(&mut reader),
            rules: RulesConfig::read(&mut reader),
            retention: RetentionConfig::read(&mut reader),
            journal: JournalConfig::read(&mut reader),
            rush: RushConfig::read(&mut reader),
            address_hash_key: reader
                .secret("ADDRESS_HASH_KEY", "the output of `openssl rand -hex 32`", reader::hex_key)
                .map(AddressKey::new),
            admin: AdminConfig::read(&mut reader),
            log: LogConfig::read(&mut reader),
            metrics_addr: groups::metrics_addr(&mut reader),
            shutdown_timeout: Duration::from_secs(reader.value(
                "SHUTDOWN_TIMEOUT_SECONDS",
                20,
                "20",
                reader::whole(1..=600),
            )),
        };
        if let Some(metrics) = config.metrics_addr
            && metrics == config.http.address()
            && metrics.port() != 0
        {
            reader.problem("METRICS_ADDR", "is the same as API_HOST and API_PORT", groups::METRICS_EXAMPLE);
        }
        if let Some(scylla) = &mut config.cluster.scylla {
            scylla.ip_retention_days = config.retention.ip_days;
            scylla.click_retention_months = config.retention.click_months;
        }
        reader.finish(config)
    }
}

fn nearest_env_file() -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    here.ancestors().map(|folder| folder.join(".env")).find(|file| file.is_file())
}

/// A line that cannot be read is named by its number: its text may hold a secret.
fn read_env_file(file: &Path) -> Result<BTreeMap<String, String>, Problem> {
    let problem =
        |text: String| Problem { name: ".env", text: format!("{} {text}", file.display()), example: None };
    let lines =
        dotenvy::from_path_iter(file).map_err(|error| problem(format!("cannot be read ({error})")))?;
    let mut variables = BTreeMap::new();
    for (index, line) in lines.enumerate() {
        match line {
            // The first of two lines wins, as in every reader of such files.
            Ok((name, value)) => {
                variables.entry(name).or_insert(value);
            }
            Err(dotenvy::Error::LineParse(..)) => {
                let text = format!("has a line that is not NAME=value (setting number {})", index + 1);
                return Err(problem(text));
            }
            Err(error) => return Err(problem(format!("cannot be read ({error})"))),
        }
    }
    Ok(variables)
}

#[cfg(test)]
mod tests;
