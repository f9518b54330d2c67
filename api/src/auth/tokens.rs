//! Access tokens (JWT) and refresh tokens (random, kept only as a hash).
//!
//! Invariants: one algorithm, pinned by the server and never taken from the token; `iss`, `aud`, `exp`
//! and `nbf` required and checked. An access token carries what the edge writes on a click (who, and
//! since when), so that a redirect asks nobody.

use crate::users::types::UserRole;
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::UserId;
use gonggumoa_core::visitor::Member;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

const ISSUER: &str = "gonggumoa";
const AUDIENCE: &str = "gonggumoa-api";
/// Clocks of several machines differ a little.
const LEEWAY_SECONDS: u64 = 5;
/// No token of ours is longer; longer ones are refused unread.
const TOKEN_MAX_BYTES: usize = 2_048;

/// What an access token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The account.
    pub sub: Uuid,
    /// Its role when the token was made.
    pub role: UserRole,
    /// The account's token version; raised to take tokens back.
    pub ver: i32,
    /// When the account was made, in Unix milliseconds.
    pub uca: i64,
    /// The session that it belongs to, a family of refresh tokens: it ends with it.
    pub sid: Uuid,
    /// Who made the token.
    pub iss: String,
    /// Whom it is for.
    pub aud: String,
    /// Issued at, seconds.
    pub iat: i64,
    /// Not before, seconds.
    pub nbf: i64,
    /// Expiry, seconds.
    pub exp: i64,
}

impl Claims {
    /// The account.
    pub fn user_id(&self) -> UserId {
        UserId(self.sub)
    }

    /// What a click keeps of it.
    pub fn member(&self) -> Member {
        Member { id: self.user_id(), created_at: UnixMillis(self.uca) }
    }
}

/// Why a token is not good. Nobody is told which: it is for logs and tests.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Longer than any of ours.
    #[error("token too long")]
    TooLong,
    /// Signature, algorithm or a claim.
    #[error("token refused")]
    Refused(#[from] jsonwebtoken::errors::Error),
}

impl TokenError {
    /// A bad token stays bad.
    pub fn retryable(&self) -> bool {
        false
    }
}

/// For whom a token is made.
#[derive(Clone, Copy, Debug)]
pub struct TokenSubject {
    /// The account.
    pub id: UserId,
    /// Its role.
    pub role: UserRole,
    /// Its token version.
    pub token_version: i32,
    /// When it was made.
    pub created_at: UnixMillis,
    /// The session, a family of refresh tokens.
    pub session_id: Uuid,
}

/// Makes and checks access tokens.
pub struct AccessTokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    header: Header,
    validation: Validation,
    life_seconds: i64,
}

impl std::fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessTokens").field("algorithm", &self.header.alg).finish_non_exhaustive()
    }
}

impl AccessTokens {
    /// With a secret of at least 32 bytes and one HMAC algorithm.
    pub fn new(secret: &[u8], algorithm: Algorithm, life_minutes: u32) -> Self {
        let mut validation = Validation::new(algorithm);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            header: Header::new(algorithm),
            validation,
            life_seconds: i64::from(life_minutes) * 60,
        }
    }

    /// How long a new token lives.
    pub fn life_seconds(&self) -> i64 {
        self.life_seconds
    }

    /// A token for `subject` from `now` on.
    pub fn issue(&self, subject: &TokenSubject, now: UnixMillis) -> Result<String, TokenError> {
        let now_seconds = now.0.div_euclid(1_000);
        let claims = Claims {
            sub: subject.id.0,
            role: subject.role,
            ver: subject.token_version,
            uca: subject.created_at.0,
            sid: subject.session_id,
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            iat: now_seconds,
            nbf: now_seconds,
            exp: now_seconds + self.life_seconds,
        };
        Ok(jsonwebtoken::encode(&self.header, &claims, &self.encoding)?)
    }

    /// The claims of a good token.
    pub fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        if token.len() > TOKEN_MAX_BYTES {
            return Err(TokenError::TooLong);
        }
        Ok(jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation)?.claims)
    }
}

/// A new refresh token: 256 random bits, as text.
pub fn new_refresh_token() -> String {
    use base64::Engine;
    let bytes: [u8; 32] = rand::random();
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

/// What is stored of a refresh token. It is random, so a plain hash is enough.
pub fn refresh_token_hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

#[cfg(test)]
mod tests;
