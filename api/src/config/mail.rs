//! Outgoing mail.

use super::http::HttpConfig;
use super::reader::{self, Reader};
use crate::mail::{Transport, sender_mailbox};
use lettre::message::Mailbox;
use secrecy::SecretString;

const FROM_EXAMPLE: &str = "공구모아 <no-reply@example.com>";

/// How mail leaves.
#[derive(Clone, Debug)]
pub struct MailConfig {
    /// The server; `None`: files in `DATA_DIR/mails`.
    pub smtp_url: Option<SecretString>,
    /// Whom mail comes from. Without a server nobody receives it, so any name will do there.
    pub from: Mailbox,
    /// How long sent and failed mails are kept, without their texts. 7 days: long enough to answer who asks
    /// where a mail went, short enough not to be a list of addresses.
    pub retention_days: u32,
}

impl MailConfig {
    pub(super) fn read(reader: &mut Reader, http: &HttpConfig) -> Self {
        let smtp_url = reader.secret("SMTP_URL", "smtps://user:password@mail.example.com", |text| {
            Transport::smtp(text).map(|_| reader::wrapped(text))
        });
        let from = reader.optional("MAIL_FROM", FROM_EXAMPLE, sender_mailbox);
        if smtp_url.is_some() && from.is_none() && !reader.is_bad("MAIL_FROM") {
            let text = "is missing although SMTP_URL is set: mail servers refuse a sender that is not theirs";
            reader.problem("MAIL_FROM", text, FROM_EXAMPLE);
        }
        Self {
            smtp_url,
            from: from.unwrap_or_else(|| default_from(http)),
            retention_days: reader.value("MAIL_RETENTION_DAYS", 7, "7", reader::whole(1..=365)),
        }
    }
}

fn default_from(http: &HttpConfig) -> Mailbox {
    let host = http.public_url.as_ref().and_then(|url| url.domain()).unwrap_or("gonggumoa.localhost");
    let address = lettre::Address::new_dangerous("no-reply", host);
    Mailbox::new(Some("공구모아".to_owned()), address)
}
