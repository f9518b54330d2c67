//! Passwords: bcrypt off the async threads, a few at a time and by turns ([`super::turns`]), and the same time for
//! accounts that do not exist.

use crate::auth::turns::{Client, TurnError, Turns};
use crate::http::error::ApiError;
use std::sync::Arc;
use std::time::Duration;

/// bcrypt reads no more than this; longer passwords are refused instead of cut. All 72 count: the key is 72 bytes
/// long, a shorter password is closed by a zero byte and a password of 72 bytes fills it whole, so that (zero
/// bytes being refused) no two passwords give one key. The crate's `non_truncating_hash` stops at 71, since it
/// counts the closing byte; its `hash` reads the same key, and the length is checked here before it.
pub const PASSWORD_MAX_BYTES: usize = 72;
/// Shorter ones are guessed.
pub const PASSWORD_MIN_BYTES: usize = 8;
/// Who waited this long for a core is told to come back.
const WAIT_MAX: Duration = Duration::from_secs(8);
/// When who has too many waiting may come back: a few turns later.
const TOO_MANY_RETRY_SECONDS: u64 = 2;

/// Why a password could not be hashed or checked.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// No turn.
    #[error("no turn for a password check")]
    Turn(#[from] TurnError),
    /// Over [`PASSWORD_MAX_BYTES`].
    #[error("password too long")]
    TooLong,
    /// bcrypt itself.
    #[error("bcrypt failed")]
    Bcrypt(#[from] bcrypt::BcryptError),
    /// The thread died.
    #[error("the hashing thread died")]
    Thread(#[from] tokio::task::JoinError),
}

impl PasswordError {
    /// Whether the same call may work later.
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Turn(_))
    }
}

impl From<PasswordError> for ApiError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Turn(TurnError::TimedOut) => Self::Unavailable,
            PasswordError::Turn(TurnError::TooMany) => {
                Self::RateLimited { retry_after_seconds: TOO_MANY_RETRY_SECONDS }
            }
            PasswordError::TooLong => Self::field("password", "비밀번호는 72바이트 이하여야 합니다"),
            error @ (PasswordError::Bcrypt(_) | PasswordError::Thread(_)) => Self::internal(error),
        }
    }
}

/// What is wrong with a new password, for people; `None` if it may be one. Bytes, not characters: a Korean
/// syllable has three, so 24 of them are the longest password in Hangul alone.
pub fn refusal(password: &str) -> Option<&'static str> {
    if !(PASSWORD_MIN_BYTES..=PASSWORD_MAX_BYTES).contains(&password.len()) {
        return Some("8바이트 이상 72바이트 이하여야 합니다 (영문·숫자는 1바이트, 한글은 3바이트)");
    }
    password.contains('\0').then_some("사용할 수 없는 문자가 있습니다")
}

/// Hashes and checks.
#[derive(Clone, Debug)]
pub struct Passwords {
    turns: Turns,
    cost: u32,
    /// A well-formed hash that no password has, at the same cost.
    nobody: Arc<str>,
}

impl Passwords {
    /// At this cost, `at_once` at a time.
    pub fn new(cost: u32, at_once: usize) -> Self {
        Self { turns: Turns::new(at_once), cost, nobody: format!("$2b${cost:02}${}", ".".repeat(53)).into() }
    }

    /// A hash to store.
    pub async fn hash(&self, password: String, client: Client) -> Result<String, PasswordError> {
        if password.len() > PASSWORD_MAX_BYTES {
            return Err(PasswordError::TooLong);
        }
        let cost = self.cost;
        self.off_thread(client, move || bcrypt::hash(password, cost)).await
    }

    /// Whether the password fits; `None` (no such account, or one without a password) takes as long
    /// and never fits.
    pub async fn verify(
        &self,
        password: String,
        hash: Option<String>,
        client: Client,
    ) -> Result<bool, PasswordError> {
        let fits_at_all = hash.is_some() && password.len() <= PASSWORD_MAX_BYTES;
        let hash = hash.unwrap_or_else(|| self.nobody.to_string());
        let fits = self.off_thread(client, move || bcrypt::verify(password, &hash)).await?;
        Ok(fits && fits_at_all)
    }

    async fn off_thread<T: Send + 'static>(
        &self,
        client: Client,
        work: impl FnOnce() -> Result<T, bcrypt::BcryptError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let turn = self.turns.take(client, WAIT_MAX).await?;
        // the turn travels with the work: a client that leaves does not free the core
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(turn);
            result
        });
        Ok(done.await??)
    }
}

#[cfg(test)]
mod tests;
