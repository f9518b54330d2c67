//! Who somebody is in a provider's words, cut down to what can be believed and stored.

use super::error::SocialError;
use super::provider::Provider;
use crate::auth::email::Email;
use serde_json::Value;
use unicode_normalization::UnicodeNormalization;
use url::Url;

const SUBJECT_MAX_CHARS: usize = 255;
const NICKNAME_MAX_CHARS: usize = 50;
const PICTURE_MAX_CHARS: usize = 500;
/// Apple's forwarding addresses: one per person and app.
const RELAY_HOST: &str = "@privaterelay.appleid.com";

/// A person as a provider vouches for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) provider: Provider,
    /// The provider's id of them: with the provider's name the only key.
    pub(super) subject: String,
    pub(super) email: Option<String>,
    /// Whether the provider asserts that the address is theirs.
    pub(super) email_verified: bool,
    /// A forwarding address: it tells nothing about any other account.
    pub(super) is_relay: bool,
    pub(super) nickname: Option<String>,
    pub(super) picture: Option<String>,
}

impl Person {
    pub(super) fn new(provider: Provider, subject: String) -> Result<Self, SocialError> {
        let length = subject.chars().count();
        if length == 0 || length > SUBJECT_MAX_CHARS || subject.chars().any(char::is_control) {
            return Err(SocialError::ProviderFailed("a person without a usable id".to_owned()));
        }
        Ok(Self {
            provider,
            subject,
            email: None,
            email_verified: false,
            is_relay: false,
            nickname: None,
            picture: None,
        })
    }

    /// An address that is none is dropped; so is the provider's word on it when it never proves any.
    pub(super) fn set_email(&mut self, email: Option<&str>, verified: bool, is_private: bool) {
        self.email = email.and_then(|text| Email::parse(text).ok()).map(|email| email.text);
        self.email_verified = self.email.is_some() && verified && self.provider.proves_email();
        let relayed = |email: &String| email.to_ascii_lowercase().ends_with(RELAY_HOST);
        self.is_relay = self.provider == Provider::Apple
            && self.email.as_ref().is_some_and(|email| is_private || relayed(email));
    }

    /// The address that may stand in `users.email`.
    pub(super) fn proved_email(&self) -> Option<&str> {
        self.email.as_deref().filter(|_| self.email_verified)
    }

    /// The shown name: theirs, or one that everybody could have.
    pub(super) fn shown_name(&self) -> String {
        let text = self.nickname.as_deref().unwrap_or_default();
        clean_name(text).unwrap_or_else(|| format!("회원{:04}", rand::random_range(0..10_000)))
    }

    /// The picture's address, if it is one that a page may show.
    pub(super) fn shown_picture(&self) -> Option<String> {
        let url = Url::parse(self.picture.as_deref()?).ok()?;
        let fits = url.scheme() == "https" && url.as_str().chars().count() <= PICTURE_MAX_CHARS;
        fits.then(|| url.into())
    }
}

/// A name as it may be stored: NFC, without control characters, cut; `None` if nothing is left.
pub(super) fn clean_name(text: &str) -> Option<String> {
    let name: String = text.nfc().filter(|c| !c.is_control()).collect();
    let name: String = name.trim().chars().take(NICKNAME_MAX_CHARS).collect();
    let name = name.trim_end().to_owned();
    (!name.is_empty()).then_some(name)
}

/// True, or the text that some send instead.
pub(super) fn is_true(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Bool(value)) => *value,
        Some(Value::String(text)) => text == "true",
        _ => false,
    }
}
