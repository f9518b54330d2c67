//! The four providers, and in what they differ.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Who vouches for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// Kakao.
    Kakao,
    /// Naver, by OAuth 2 and its profile call.
    Naver,
    /// Google.
    Google,
    /// Apple.
    Apple,
}

impl Provider {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Kakao, Self::Naver, Self::Google, Self::Apple];

    /// As in paths and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kakao => "kakao",
            Self::Naver => "naver",
            Self::Google => "google",
            Self::Apple => "apple",
        }
    }

    /// The provider of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| provider.name() == name)
    }

    /// Whether it binds the code to a secret of ours (PKCE, S256).
    pub(super) fn has_pkce(self) -> bool {
        matches!(self, Self::Kakao | Self::Google)
    }

    /// Whether it repeats our nonce in the id_token.
    pub(super) fn has_nonce(self) -> bool {
        !matches!(self, Self::Naver)
    }

    /// The real issuers: constants, wherever the calls go to. Google has two forms of one.
    pub(super) fn issuers(self) -> &'static [&'static str] {
        match self {
            Self::Kakao => &["https://kauth.kakao.com"],
            Self::Naver => &[],
            Self::Google => &["https://accounts.google.com", "accounts.google.com"],
            Self::Apple => &["https://appleid.apple.com"],
        }
    }

    /// Whether it ever proves an e-mail. Naver's is a contact address that anybody may type.
    pub(super) fn proves_email(self) -> bool {
        !matches!(self, Self::Naver)
    }
}
