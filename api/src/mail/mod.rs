//! Mail: written into the outbox in the caller's transaction, sent by a task of its own.
//!
//! Problem: a mail sent inside a transaction goes out for what is then rolled back, and one sent after it is
//! lost by a crash in between. So [`queue`] writes a row of `mails`: it exists exactly if what it tells of was
//! committed. The task (`sender`) takes rows under `FOR UPDATE SKIP LOCKED`, with a lease, so that any number of
//! processes may send; `transport` hands them to the server of `SMTP_URL`, or writes files while there is none.
//!
//! Invariants:
//! - At least once: a crash between the server's yes and our note of it sends again, under the same
//!   `Message-ID`, by which mail programs show it once.
//! - A passing failure is tried again with growing pauses, a bounded number of times; a server that refuses for
//!   good (5xx) ends the mail at once. Failures of our own sign-in there are passing: they are no fault of the
//!   mail.
//! - The texts are emptied when a mail has ended, since they may hold a code; the row goes after
//!   `MAIL_RETENTION_DAYS`.
//! - No header can be injected: addresses are parsed, a subject with control characters is refused.
//!
//! Not here: what is written in a mail (see the domain that sends it), bounces that come back as mail.

mod compose;
mod outbox;
pub mod sender;
pub mod transport;

pub use compose::sender_mailbox;
pub use sender::{MailHandle, MailSettings, spawn};
pub use transport::Transport;

use crate::http::error::ApiError;
use sqlx::PgConnection;
use uuid::Uuid;

/// A mail to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// One address, without a name.
    pub to: String,
    /// One line, in any language.
    pub subject: String,
    /// The text.
    pub text: String,
    /// The same as HTML, if there is such a form.
    pub html: Option<String>,
}

/// Why a mail was not taken.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// Not one address.
    #[error("the recipient is not an e-mail address")]
    Recipient(#[from] lettre::address::AddressError),
    /// A subject is one line.
    #[error("the subject holds control characters")]
    Subject,
    /// PostgreSQL.
    #[error("the mail cannot be stored")]
    Database(#[from] sqlx::Error),
}

impl MailError {
    /// Whether the same call may work later.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Recipient(_) | Self::Subject => false,
            Self::Database(error) => crate::migrate::may_pass(error),
        }
    }
}

impl From<MailError> for ApiError {
    fn from(error: MailError) -> Self {
        match error {
            MailError::Database(error) => error.into(),
            error @ (MailError::Recipient(_) | MailError::Subject) => Self::internal(error),
        }
    }
}

/// Writes a mail into the outbox; it goes out when, and only if, the caller's transaction commits.
pub async fn queue(connection: &mut PgConnection, mail: &Mail) -> Result<Uuid, MailError> {
    mail.to.parse::<lettre::Address>()?;
    if mail.subject.chars().any(char::is_control) {
        return Err(MailError::Subject);
    }
    let id = Uuid::now_v7();
    outbox::insert(connection, id, mail).await?;
    Ok(id)
}

#[cfg(test)]
mod tests;
