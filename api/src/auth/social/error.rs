//! What can go wrong with a social sign-in: one table of its own, which [`ApiError`] hands through.
//!
//! [`ApiError`]: crate::http::error::ApiError

use http::StatusCode;

/// Why a social sign-in did not happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SocialError {
    /// No such provider.
    #[error("unknown provider")]
    UnknownProvider,
    /// The provider is known and has no credentials here.
    #[error("provider not configured")]
    NotConfigured,
    /// The state is unknown, used, too old, or another browser's or provider's.
    #[error("state not valid")]
    StateInvalid,
    /// The person, or the provider on their behalf, said no.
    #[error("sign-in denied")]
    Denied,
    /// The provider does not take the code (any more).
    #[error("code refused by the provider")]
    CodeRefused,
    /// The id_token is not for us, not now, or not the provider's.
    #[error("id_token refused: {0}")]
    TokenRefused(&'static str),
    /// The provider cannot be reached, is overloaded or too slow.
    #[error("provider unavailable: {reason}")]
    Unavailable {
        /// For the log.
        reason: &'static str,
        /// As the provider asks, or a guess.
        retry_after_seconds: u64,
    },
    /// The provider answered what it should not: nonsense, or that our credentials are wrong.
    #[error("provider failed: {0}")]
    ProviderFailed(String),
    /// An account with this e-mail exists and must be signed in to before it can be linked.
    #[error("an account with this e-mail exists")]
    LinkRequired,
    /// The identity is another account's, or this account has another of the same provider.
    #[error("already linked")]
    AlreadyLinked,
    /// Without this one nobody could sign in to the account any more.
    #[error("last login method")]
    LastLoginMethod,
}

impl SocialError {
    /// The provider is away for a reason that goes to the log.
    pub(super) fn away(reason: &'static str) -> Self {
        Self::Unavailable { reason, retry_after_seconds: 2 }
    }

    /// Whether the same request may work later. (A code is single-use, so most need a new start.)
    pub fn retryable(&self) -> bool {
        self.retry_after_seconds().is_some()
    }

    /// When to come back.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::Unavailable { retry_after_seconds, .. } => Some((*retry_after_seconds).clamp(1, 3_600)),
            _ => None,
        }
    }

    /// The table.
    pub fn entry(&self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        match self {
            Self::UnknownProvider => {
                (S::NOT_FOUND, "SOCIAL_PROVIDER_NOT_FOUND", "지원하지 않는 소셜 로그인입니다")
            }
            Self::NotConfigured => {
                (S::NOT_FOUND, "SOCIAL_PROVIDER_NOT_CONFIGURED", "사용할 수 없는 소셜 로그인입니다")
            }
            Self::StateInvalid => (
                S::BAD_REQUEST,
                "SOCIAL_STATE_INVALID",
                "로그인 요청이 만료되었거나 올바르지 않습니다. 처음부터 다시 시도해 주세요",
            ),
            Self::Denied => (S::UNAUTHORIZED, "SOCIAL_LOGIN_DENIED", "소셜 로그인이 취소되었습니다"),
            Self::CodeRefused => (
                S::UNAUTHORIZED,
                "SOCIAL_CODE_INVALID",
                "인증 코드가 만료되었거나 이미 사용되었습니다. 다시 시도해 주세요",
            ),
            Self::TokenRefused(_) => {
                (S::UNAUTHORIZED, "SOCIAL_TOKEN_INVALID", "소셜 로그인 정보를 확인할 수 없습니다")
            }
            Self::Unavailable { .. } => (
                S::SERVICE_UNAVAILABLE,
                "SOCIAL_PROVIDER_UNAVAILABLE",
                "소셜 로그인 서비스가 응답하지 않습니다. 잠시 후 다시 시도해 주세요",
            ),
            Self::ProviderFailed(_) => (
                S::BAD_GATEWAY,
                "SOCIAL_PROVIDER_ERROR",
                "소셜 로그인 서비스에서 올바른 응답을 받지 못했습니다",
            ),
            Self::LinkRequired => (
                S::CONFLICT,
                "SOCIAL_LINK_REQUIRED",
                "같은 이메일의 계정이 있습니다. 기존 방법으로 로그인한 뒤 소셜 계정을 연결해 주세요",
            ),
            Self::AlreadyLinked => (S::CONFLICT, "SOCIAL_ALREADY_LINKED", "이미 연결된 소셜 계정이 있습니다"),
            Self::LastLoginMethod => {
                (S::CONFLICT, "LAST_LOGIN_METHOD", "마지막 로그인 방법은 해제할 수 없습니다")
            }
        }
    }
}
