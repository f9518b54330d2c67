//! A sign-in under way: what binds its end to its beginning.
//!
//! ```text
//!   authorize   state (in the address) + browser secret (cookie) ──▶ hashes in PostgreSQL
//!   end         state + cookie ──▶ the row, deleted as it is read: once
//! ```
//! Nonce and PKCE verifier are hashes over both, so they are stored nowhere.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, header};
use sha2::{Digest, Sha256};

/// The cookie that binds a sign-in to the browser that began it.
pub(super) const STATE_COOKIE: &str = "login_state";
/// From the start of a sign-in to its end.
pub(super) const STATE_LIFE_SECONDS: i64 = 600;
/// From Apple's form to the call that ends the sign-in.
pub(super) const HANDOVER_LIFE_SECONDS: i64 = 60;
/// 32 bytes in base64 without padding.
const SECRET_CHARS: usize = 43;

/// The two secrets of a sign-in.
#[derive(Clone)]
pub(super) struct LoginSecrets {
    state: String,
    browser: String,
}

impl LoginSecrets {
    /// A new sign-in in a browser that may have another one under way (two tabs share the cookie).
    pub(super) fn begin(headers: &HeaderMap) -> Self {
        Self { state: random(), browser: cookie(headers).unwrap_or_else(random) }
    }

    /// One that comes to its end; `None` without its cookie, or with a state that none of ours looks like.
    pub(super) fn resume(state: &str, headers: &HeaderMap) -> Option<Self> {
        Some(Self { state: well_formed(state)?, browser: cookie(headers)? })
    }

    pub(super) fn state(&self) -> &str {
        &self.state
    }

    pub(super) fn browser(&self) -> &str {
        &self.browser
    }

    pub(super) fn state_hash(&self) -> Vec<u8> {
        hash(&self.state)
    }

    pub(super) fn browser_hash(&self) -> Vec<u8> {
        hash(&self.browser)
    }

    pub(super) fn nonce(&self) -> String {
        self.derived("nonce")
    }

    /// 43 characters: the shortest that PKCE takes.
    pub(super) fn pkce_verifier(&self) -> String {
        self.derived("pkce")
    }

    fn derived(&self, purpose: &str) -> String {
        let digest = Sha256::new()
            .chain_update(purpose)
            .chain_update([0])
            .chain_update(&self.browser)
            .chain_update([0])
            .chain_update(&self.state);
        URL_SAFE_NO_PAD.encode(digest.finalize())
    }
}

/// What is stored of a secret: they are random, so a plain hash is enough.
pub(super) fn hash(secret: &str) -> Vec<u8> {
    Sha256::digest(secret.as_bytes()).to_vec()
}

/// 256 random bits as text.
pub(super) fn random() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// A secret that may be one of ours.
pub(super) fn well_formed(text: &str) -> Option<String> {
    let fits = text.len() == SECRET_CHARS
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    fits.then(|| text.to_owned())
}

fn cookie(headers: &HeaderMap) -> Option<String> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(';')).find_map(|pair| {
        let value = pair.trim().strip_prefix(STATE_COOKIE)?.strip_prefix('=')?;
        well_formed(value)
    })
}
