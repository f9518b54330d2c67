//! From an outbox row to a message: headers encoded (RFC 2047), the same `Message-ID` and `Date` at every try.

use super::outbox::Taken;
use lettre::Message;
use lettre::message::{Mailbox, MultiPart, SinglePart};

/// Why a row is no message. It never will be.
#[derive(Debug, thiserror::Error)]
pub(super) enum ComposeError {
    #[error("the recipient is not an e-mail address")]
    Recipient(#[from] lettre::address::AddressError),
    #[error("not a message")]
    Message(#[from] lettre::error::Error),
}

/// `MAIL_FROM`: an address, with a name or without.
pub fn sender_mailbox(text: &str) -> Result<Mailbox, String> {
    if text.chars().any(char::is_control) {
        return Err("holds control characters".to_owned());
    }
    text.parse().map_err(|_| "is not an e-mail address, with a name or without".to_owned())
}

pub(super) fn compose(from: &Mailbox, mail: &Taken) -> Result<Message, ComposeError> {
    let to = Mailbox::new(None, mail.recipient.parse()?);
    let builder = Message::builder()
        .from(from.clone())
        .to(to)
        .subject(mail.subject.clone())
        .date(mail.created_at.into())
        .message_id(Some(format!("<{}@{}>", mail.id.simple(), from.email.domain())));
    Ok(match &mail.html_body {
        Some(html) => {
            builder.multipart(MultiPart::alternative_plain_html(mail.text_body.clone(), html.clone()))?
        }
        None => builder.singlepart(SinglePart::plain(mail.text_body.clone()))?,
    })
}
