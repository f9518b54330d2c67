//! Where mail leaves: the server of `SMTP_URL`, or a folder while there is none.
//!
//! `smtp://` speaks in the clear to this machine only. To another one it starts TLS: whenever the server offers
//! it, and always where a password would be sent. `?tls=required`, `?tls=opportunistic` and `?tls=none` say
//! otherwise; `smtps://` is TLS from the first byte.

use lettre::message::Message;
use lettre::transport::smtp::Error as SmtpError;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::{Host, Url};
use uuid::Uuid;

/// For one command; a server that is slower is not working.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(20);
/// For a whole mail.
const SEND_TIMEOUT: Duration = Duration::from_secs(60);
/// Relays and submission servers listen there (RFC 5321, RFC 6409).
const RELAY_PORT: u16 = 25;
const SUBMISSION_PORT: u16 = 587;

/// Where mail leaves.
#[derive(Clone, Debug)]
pub enum Transport {
    /// To a server.
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    /// One file a mail, readable by nobody else.
    Folder(PathBuf),
}

/// Why a mail did not leave.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// The server, or the way to it.
    #[error("the server did not take it")]
    Smtp(#[source] SmtpError),
    #[error("the server did not answer in time")]
    TimedOut,
    #[error("the file cannot be written")]
    Folder(#[source] io::Error),
}

impl SendError {
    /// Whether the same mail may be taken later. A permanent refusal of our sign-in (RFC 4954) is no refusal of
    /// the mail: the operator mends it.
    pub(super) fn retryable(&self) -> bool {
        match self {
            Self::TimedOut | Self::Folder(_) => true,
            Self::Smtp(error) => {
                !error.is_permanent() || matches!(self.status(), Some(530 | 534 | 535 | 538))
            }
        }
    }

    /// The server's code, which unlike its text names nobody.
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Self::Smtp(error) => error.status().map(u16::from),
            Self::TimedOut | Self::Folder(_) => None,
        }
    }

    /// All of it, for the row.
    pub(super) fn whole(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text.chars().filter(|c| *c != '\0').take(1_000).collect()
    }
}

impl Transport {
    /// To the server of an address as in `SMTP_URL`. The error never repeats it.
    pub fn smtp(url: &str) -> Result<Self, String> {
        let url = effective(url)?;
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.as_str())
            .map_err(|_| "is not the address of a mail server".to_owned())?;
        Ok(Self::Smtp(builder.timeout(Some(COMMAND_TIMEOUT)).build()))
    }

    /// Hands a mail over.
    pub(super) async fn send(&self, id: Uuid, message: Message) -> Result<(), SendError> {
        match self {
            Self::Smtp(transport) => tokio::time::timeout(SEND_TIMEOUT, transport.send(message))
                .await
                .map_err(|_| SendError::TimedOut)?
                .map(|_| ())
                .map_err(SendError::Smtp),
            Self::Folder(folder) => {
                let path = write(folder, id, &message.formatted()).await.map_err(SendError::Folder)?;
                tracing::info!(mail.path = %path.display(), "no SMTP_URL: the mail is in a file");
                Ok(())
            }
        }
    }
}

/// The address with TLS and port decided.
fn effective(text: &str) -> Result<Url, String> {
    let mut url = Url::parse(text).map_err(|_| "is not an address".to_owned())?;
    if !matches!(url.scheme(), "smtp" | "smtps") {
        return Err("must start with smtp:// or smtps://".to_owned());
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("names no server".to_owned());
    }
    let has_password = url.password().is_some();
    if !url.username().is_empty() && !has_password {
        return Err("has a user name without a password".to_owned());
    }
    let asked = url.query_pairs().find(|(key, _)| key == "tls").map(|(_, value)| value.into_owned());
    url.set_query(None);
    if url.scheme() == "smtps" {
        return Ok(url);
    }
    let tls = match asked.as_deref() {
        Some(known @ ("required" | "opportunistic" | "none")) => known,
        Some(_) => return Err("has a tls= that is not required, opportunistic or none".to_owned()),
        None if is_this_machine(&url) => "none",
        None if has_password => "required",
        None => "opportunistic",
    };
    if url.port().is_none() {
        let port = if has_password { SUBMISSION_PORT } else { RELAY_PORT };
        url.set_port(Some(port)).map_err(|()| "names no server".to_owned())?;
    }
    if tls != "none" {
        url.set_query(Some(&format!("tls={tls}")));
    }
    Ok(url)
}

/// The scheme is no web scheme, so the host is plain text to the parser.
fn is_this_machine(url: &Url) -> bool {
    match url.host_str().map(Host::parse) {
        Some(Ok(Host::Domain(name))) => name.eq_ignore_ascii_case("localhost"),
        Some(Ok(Host::Ipv4(address))) => address.is_loopback(),
        Some(Ok(Host::Ipv6(address))) => address.is_loopback(),
        Some(Err(_)) | None => false,
    }
}

/// A try after a crash writes the same file again.
async fn write(folder: &Path, id: Uuid, bytes: &[u8]) -> io::Result<PathBuf> {
    use tokio::io::AsyncWriteExt;
    tokio::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).await?;
    let path = folder.join(format!("{}.eml", id.simple()));
    let mut options = tokio::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&path).await?;
    file.write_all(bytes).await?;
    file.sync_all().await?;
    Ok(path)
}

/// Removes files older than `age`; what cannot be removed is left for the next time.
pub(super) async fn remove_old(folder: &Path, age: Duration) -> io::Result<u64> {
    let mut entries = match tokio::fs::read_dir(folder).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut removed = 0;
    while let Some(entry) = entries.next_entry().await? {
        let is_mail = entry.path().extension().is_some_and(|extension| extension == "eml");
        let modified = entry.metadata().await?.modified()?;
        if is_mail && modified.elapsed().is_ok_and(|elapsed| elapsed > age) {
            tokio::fs::remove_file(entry.path()).await?;
            removed += 1;
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests;
