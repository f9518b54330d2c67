//! E-mail addresses of accounts: what is one, and when two are the same.
//!
//! Two addresses are one account's if they fold to the same text: NFC, every character to lower, upper and lower
//! case again (which makes ẞ, ß and SS one, as well as the two small sigmas), and the domain in its ASCII form
//! (`한국.kr` is `xn--3e0b707e.kr`). The database's own `lower()` knows what its locale knows, which may be ASCII
//! alone, so the folded form is computed here and stored beside the address, under a unique index.
//!
//! Not here: whether mail arrives there, which only mail can tell.

use unicode_normalization::UnicodeNormalization;

/// As long as the column.
pub const EMAIL_CHARS_MAX: usize = 255;

/// An address that an account may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email {
    /// As typed, trimmed, NFC.
    pub text: String,
    /// What makes it the same as another.
    pub folded: String,
}

/// What is wrong with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    /// It is none.
    #[error("is not an e-mail address")]
    NotOne,
    /// Over [`EMAIL_CHARS_MAX`].
    #[error("is longer than {EMAIL_CHARS_MAX} characters")]
    TooLong,
}

impl EmailError {
    /// A bad address stays bad.
    pub fn retryable(&self) -> bool {
        match self {
            Self::NotOne | Self::TooLong => false,
        }
    }

    /// For people.
    pub fn message(&self) -> &'static str {
        match self {
            Self::NotOne => "이메일 형식이 올바르지 않습니다",
            Self::TooLong => "255자 이하여야 합니다",
        }
    }
}

impl Email {
    /// Checks an address.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        let text: String = text.trim().nfc().collect();
        if text.chars().count() > EMAIL_CHARS_MAX {
            return Err(EmailError::TooLong);
        }
        let address: lettre::Address = text.parse().map_err(|_| EmailError::NotOne)?;
        // Quoted names and address literals are legal and nobody's; they are how filters are fooled.
        let odd = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '"' | '\\' | '[' | ']');
        if text.contains(odd) || !address.domain().contains('.') {
            return Err(EmailError::NotOne);
        }
        let folded = fold(&text);
        Ok(Self { text, folded })
    }
}

/// The folded form of whatever was typed as an address.
pub fn fold(text: &str) -> String {
    let text: String = text.trim().nfc().collect();
    let (name, domain) = match text.rsplit_once('@') {
        Some((name, domain)) => (name, Some(domain)),
        None => (&*text, None),
    };
    let mut folded = fold_case(name);
    if let Some(domain) = domain {
        folded.push('@');
        match url::Host::parse(domain) {
            Ok(url::Host::Domain(ascii)) => folded.push_str(&ascii),
            Ok(url::Host::Ipv4(_) | url::Host::Ipv6(_)) | Err(_) => folded.push_str(&fold_case(domain)),
        }
    }
    folded
}

/// Any text, character by character, so that no letter depends on its neighbours.
pub fn fold_case(text: &str) -> String {
    text.chars()
        .flat_map(char::to_lowercase)
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .nfc()
        .collect()
}

#[cfg(test)]
mod tests;
