//! The groups of settings, each with its defaults and the reason of each.

use super::reader::{self, Reader};
use crate::auth::email::Email;
use gonggumoa_core::judge::rules::{BurstLimit, LimitScope};
use gonggumoa_core::log::journal::SEGMENT_BYTES;
use secrecy::SecretString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

pub(super) const METRICS_EXAMPLE: &str = "127.0.0.1:9464";

/// The migrator's "already exists, skipping" of every start is no news; ractor's spans would cost each
/// gonggu's actor some hundred bytes, and every message a look into them; the CQL driver says at each connection that
/// the node is no ScyllaDB.
const DEFAULT_FILTER: &str = "info,ractor=warn,scylla=warn,sqlx::postgres::notice=warn";

/// bcrypt reads 72 bytes, its closing zero among them.
const PASSWORD_BYTES_MAX: usize = 71;
/// Shorter ones are guessed; the API asks the same of everybody.
const PASSWORD_CHARS_MIN: usize = 8;

/// Where the catalog and the clicks are stored.
#[derive(Clone, Debug)]
pub struct DatabaseConfig {
    /// A PostgreSQL of the operator's; `None`: a private one in `DATA_DIR`.
    pub url: Option<SecretString>,
    /// Where the private one's server binaries are; `None`: they are looked for.
    pub bin_dir: Option<PathBuf>,
    /// How far the private one steps back for the edge, 0 (not at all) to 19. 10: the edge gets nine
    /// tenths of a contended core, the store still moves.
    pub nice: i32,
}

/// The signature's algorithm: one, pinned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JwtAlgorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
}

/// Access and refresh tokens.
#[derive(Clone, Debug)]
pub struct TokenConfig {
    /// The signing key; `None`: the one kept in `DATA_DIR`.
    pub secret_key: Option<SecretString>,
    /// The signature's algorithm.
    pub algorithm: JwtAlgorithm,
    /// An access token's life. 30 min: a right taken away is gone soon even where nobody looks it up.
    pub access_token_life: Duration,
    /// A refresh token's life from its last rotation.
    pub refresh_token_life: Duration,
    /// Sessions of one account at once; the oldest ends. 50: every device somebody owns, and some that he forgot.
    pub sessions_per_account: u32,
}

/// Thresholds of the judge. A change makes a new rules version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RulesConfig {
    /// One counted click per visitor and gonggu in this time; 300 s by the requirement document.
    pub dedup_window: Duration,
    /// Mass-click limits: by address, and by the wider network if asked for.
    pub limits: Vec<BurstLimit>,
    /// Members with older accounts get the members' limit.
    pub member_age: Duration,
}

/// What is forgotten, and when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetentionConfig {
    /// Raw addresses are kept this many days, then only masks and hashes.
    pub ip_days: u32,
    /// Clicks are kept this many months. 13: a full year can be proved after it ended.
    pub click_months: u32,
}

/// The journal's room on the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JournalConfig {
    /// Segments take no more than this. 8 GiB hold some 25 million clicks while the store is away.
    pub max_bytes: u64,
    /// Left free for PostgreSQL and the archive: a full disk would stop those that make room again.
    pub reserve_bytes: u64,
}

/// When judging and storing give way to the edge altogether; the journal holds the clicks meanwhile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RushConfig {
    /// More clicks a second are a rush. 30,000: two cores serve three times as many and nothing beside them,
    /// and up to 20,000 figures stay less than a second old.
    pub clicks_per_second: u64,
    /// So long at most, then the store catches up, rush or not; zero: never. 10 s outlast the first moments
    /// after a gonggu opens, and what they bring is stored seconds later.
    pub pause_max: Duration,
}

/// An admin to be made at the start if missing.
#[derive(Clone, Debug)]
pub struct AdminConfig {
    /// NFC, as typed.
    pub email: String,
    /// Checked for length only.
    pub password: SecretString,
}

/// The shape of log lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Log output.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogConfig {
    /// The shape of lines.
    pub format: LogFormat,
    /// Which lines, in `RUST_LOG`'s own language.
    pub filter: String,
}

impl DatabaseConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            url: reader.secret(
                "DATABASE_URL",
                "postgres://user:password@127.0.0.1:5432/gonggumoa",
                database_url,
            ),
            bin_dir: reader
                .optional("PG_BIN_DIR", "/usr/lib/postgresql/15/bin", |text| Ok(PathBuf::from(text))),
            nice: reader.value("PG_NICE", 10, "10", reader::whole(0..=19)),
        }
    }
}

fn database_url(text: &str) -> Result<SecretString, String> {
    if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
        return Err("must start with postgres://".into());
    }
    // The parser's own message may quote the text, password and all.
    sqlx::postgres::PgConnectOptions::from_str(text)
        .map(|_| reader::wrapped(text))
        .map_err(|_| "is not a PostgreSQL address".into())
}

impl JwtAlgorithm {
    /// As in `JWT_ALGORITHM` and in a token's header.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
        }
    }

    /// A key shorter than the hash weakens the signature (RFC 7518, 3.2).
    pub fn key_bytes_min(self) -> usize {
        match self {
            Self::Hs256 => 32,
            Self::Hs384 => 48,
            Self::Hs512 => 64,
        }
    }
}

impl From<JwtAlgorithm> for jsonwebtoken::Algorithm {
    fn from(algorithm: JwtAlgorithm) -> Self {
        match algorithm {
            JwtAlgorithm::Hs256 => Self::HS256,
            JwtAlgorithm::Hs384 => Self::HS384,
            JwtAlgorithm::Hs512 => Self::HS512,
        }
    }
}

impl TokenConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let algorithm = reader.value("JWT_ALGORITHM", JwtAlgorithm::Hs256, "HS256", |text| match text {
            "HS256" => Ok(JwtAlgorithm::Hs256),
            "HS384" => Ok(JwtAlgorithm::Hs384),
            "HS512" => Ok(JwtAlgorithm::Hs512),
            _ => Err("must be HS256, HS384 or HS512".to_owned()),
        });
        let least = algorithm.key_bytes_min();
        let example = "the output of `openssl rand -hex 32`";
        Self {
            secret_key: reader.secret("JWT_SECRET_KEY", example, |text| match text.len() {
                length if length < least => {
                    Err(format!("has {length} bytes; {} needs at least {least}", algorithm.name()))
                }
                _ => Ok(reader::wrapped(text)),
            }),
            algorithm,
            access_token_life: Duration::from_secs(
                60 * reader.value("ACCESS_TOKEN_EXPIRE_MINUTES", 30, "30", reader::whole(1..=1_440)),
            ),
            refresh_token_life: Duration::from_secs(
                86_400 * reader.value("REFRESH_TOKEN_EXPIRE_DAYS", 7, "7", reader::whole(1..=30)),
            ),
            sessions_per_account: reader.value("SESSIONS_PER_ACCOUNT", 50, "50", reader::whole(1..=1_000)),
        }
    }
}

impl RulesConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let dedup = reader.value("DEDUP_WINDOW_SECONDS", 300, "300", reader::whole(1..=86_400));
        let mut limits = vec![BurstLimit {
            scope: LimitScope::Address,
            window_millis: 1_000
                * reader.value("FRAUD_IP_WINDOW_SECONDS", 60, "60", reader::whole(1..=86_400)),
            limit: reader.value("FRAUD_IP_LIMIT", 60, "60", reader::whole(1..=1_000_000)),
            member_limit: reader.value("FRAUD_IP_MEMBER_LIMIT", 1_000, "1000", reader::whole(1..=10_000_000)),
        }];
        // A network holds many households, so a wider limit is a decision about one's own buyers: off.
        let network_window =
            reader.value("FRAUD_NETWORK_WINDOW_SECONDS", 60, "60", reader::whole(1..=86_400));
        let network_members =
            reader.value("FRAUD_NETWORK_MEMBER_LIMIT", 10_000, "10000", reader::whole(1..=10_000_000));
        let network = reader.optional("FRAUD_NETWORK_LIMIT", "600", |text| match text {
            "off" => Ok(None),
            _ => reader::whole(1..=1_000_000)(text).map(Some),
        });
        if let Some(limit) = network.flatten() {
            limits.push(BurstLimit {
                scope: LimitScope::Network,
                window_millis: 1_000 * network_window,
                limit,
                member_limit: network_members,
            });
        }
        for (name, limit) in ["FRAUD_IP_MEMBER_LIMIT", "FRAUD_NETWORK_MEMBER_LIMIT"].into_iter().zip(&limits)
        {
            if limit.member_limit < limit.limit && !reader.is_bad(name) {
                let text = format!(
                    "is {}, below the limit of everybody ({}): members would be worse off than strangers",
                    limit.member_limit, limit.limit
                );
                reader.problem(name, text, "1000");
            }
        }
        Self {
            dedup_window: Duration::from_secs(dedup),
            limits,
            member_age: Duration::from_secs(
                3_600 * reader.value("FRAUD_MEMBER_AGE_HOURS", 24, "24", reader::whole(0..=8_760)),
            ),
        }
    }
}

impl RetentionConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let retention = Self {
            ip_days: reader.value("IP_RETENTION_DAYS", 90, "90", reader::whole(1..=400)),
            click_months: reader.value("CLICK_RETENTION_MONTHS", 13, "13", reader::whole(2..=120)),
        };
        // 31 days a month: an address must never be wanted longer than the click that carries it.
        if retention.ip_days > retention.click_months * 31 && !reader.is_bad("IP_RETENTION_DAYS") {
            let text = format!("is {} days, longer than the clicks are kept", retention.ip_days);
            reader.problem("IP_RETENTION_DAYS", text, "90");
        }
        retention
    }
}

impl JournalConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            max_bytes: reader.value("JOURNAL_MAX_BYTES", 8 << 30, "8GiB", journal_bytes),
            reserve_bytes: reader.value("DISK_RESERVE_BYTES", 1 << 30, "1GiB", reader::bytes(0)),
        }
    }
}

impl RushConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let pause = reader.value("RUSH_PAUSE_SECONDS", 10, "10", reader::whole(0..=60));
        Self {
            clicks_per_second: reader.value(
                "RUSH_CLICKS_PER_SECOND",
                30_000,
                "30000",
                reader::whole(1_000..=100_000_000),
            ),
            pause_max: Duration::from_secs(pause),
        }
    }
}

/// Bytes for at least two segments: with one alone the next could never be made.
fn journal_bytes(text: &str) -> Result<u64, String> {
    let bytes = reader::bytes(0)(text)?;
    if bytes < 2 * SEGMENT_BYTES {
        let (least_mib, segment_mib) = ((2 * SEGMENT_BYTES) >> 20, SEGMENT_BYTES >> 20);
        return Err(format!("must be at least {least_mib}MiB: two segments of {segment_mib} MiB"));
    }
    Ok(bytes)
}

impl AdminConfig {
    pub(super) fn read(reader: &mut Reader) -> Option<Self> {
        let email = reader.optional("ADMIN_EMAIL", "admin@example.com", check_email);
        let password = reader.secret("ADMIN_PASSWORD", "a long sentence of your own", |text| {
            check_password(text).map(|()| reader::wrapped(text))
        });
        match (reader.text("ADMIN_EMAIL").is_some(), reader.text("ADMIN_PASSWORD").is_some()) {
            (true, false) => {
                let text = "is missing although ADMIN_EMAIL is set; they go together";
                reader.problem("ADMIN_PASSWORD", text, "a long sentence of your own");
            }
            (false, true) => {
                let text = "is missing although ADMIN_PASSWORD is set; they go together";
                reader.problem("ADMIN_EMAIL", text, "admin@example.com");
            }
            _ => {}
        }
        Some(Self { email: email?, password: password? })
    }
}

/// An address as the API takes it from anybody, NFC; or what is wrong with it.
pub fn check_email(text: &str) -> Result<String, String> {
    Email::parse(text).map(|email| email.text).map_err(|problem| problem.to_string())
}

/// What is wrong with a new password, without repeating it.
pub fn check_password(text: &str) -> Result<(), String> {
    if text.chars().count() < PASSWORD_CHARS_MIN {
        return Err(format!("is shorter than {PASSWORD_CHARS_MIN} characters"));
    }
    if text.len() > PASSWORD_BYTES_MAX || text.contains('\0') {
        return Err(format!("is longer than {PASSWORD_BYTES_MAX} bytes"));
    }
    Ok(())
}

impl LogConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            format: reader.value("LOG_FORMAT", LogFormat::Text, "json", |text| match text {
                "text" => Ok(LogFormat::Text),
                "json" => Ok(LogFormat::Json),
                _ => Err("must be text or json".to_owned()),
            }),
            filter: reader.value("RUST_LOG", DEFAULT_FILTER.to_owned(), "info,gonggumoa_api=debug", |text| {
                text.parse::<tracing_subscriber::EnvFilter>()
                    .map(|_| text.to_owned())
                    .map_err(|error| format!("is not a log filter ({error})"))
            }),
        }
    }
}

pub(super) fn metrics_addr(reader: &mut Reader) -> Option<SocketAddr> {
    // 9464 is the port that OpenTelemetry gave to Prometheus exporters, so collectors know it.
    let default = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 9464)));
    reader.value("METRICS_ADDR", default, METRICS_EXAMPLE, |text| match text {
        "off" => Ok(None),
        _ => text.parse().map(Some).map_err(|_| "is neither an address with a port nor off".to_owned()),
    })
}
