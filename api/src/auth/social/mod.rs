//! Signing in with Kakao, Naver, Google and Apple.
//!
//! Problem: somebody else vouches for a person, over a browser that strangers can steer. What must hold:
//!
//! - A `state` is good once, for at most ten minutes, for one provider, one browser (the cookie
//!   `login_state`) and one address to return to. PostgreSQL knows hashes only; the PKCE verifier and the
//!   nonce are derived from state *and* cookie, so that neither a copy of the database nor a copy of the
//!   address in the browser's bar is enough to finish a sign-in.
//! - `redirect_uri` is ours and fixed; from there the browser is sent to the `return_to` of the state, whose
//!   origin is on the list of allowed ones.
//! - An id_token counts only with a signature of the provider's current keys and the real issuer, our client
//!   id, an expiry and the nonce; the algorithm is pinned.
//! - The identity is (provider, subject). An e-mail is never a key: see [`link`] for when it may connect a
//!   person with an account that exists.
//! - `users.email` only ever gets an address that the provider has proved. Others stay an attribute of the
//!   identity, and the account has no e-mail (null): an address that nobody proved would let its real owner
//!   take over, by a password reset, an account that a stranger signs in to as well.
//! - A provider that is slow, down or talks nonsense costs one clear error and no account.
//!
//! The protocol is `oauth2`'s; id_tokens are checked with `jsonwebtoken`, since Google's second issuer form
//! (without a scheme) is no address and strict OpenID libraries cannot read it.

pub mod error;
mod exchange;
mod id_token;
mod keys;
mod limit;
pub mod link;
mod member_routes;
mod person;
mod profile;
pub mod provider;
pub mod queries;
pub mod routes;
pub mod settings;
mod state;
pub mod types;
mod wire;

use crate::http::error::ApiError;
use error::SocialError;
use exchange::Exchange;
use limit::AddressLimit;
use provider::Provider;
use settings::SocialSettings;
use url::Url;
use wire::Wire;

/// Everything that social sign-in keeps between requests.
#[derive(Debug)]
pub struct Social {
    exchanges: Vec<Exchange>,
    wire: Wire,
    limit: AddressLimit,
    settings: SocialSettings,
}

impl Social {
    /// With these providers; none is a working state too.
    pub fn new(settings: &SocialSettings) -> Self {
        let exchanges = settings.providers.iter().cloned().map(|given| {
            let callback = settings.callback(given.provider);
            Exchange::new(given, callback)
        });
        Self {
            exchanges: exchanges.collect(),
            wire: Wire::new(settings.timeout),
            limit: AddressLimit::new(settings.per_address_per_minute),
            settings: settings.clone(),
        }
    }

    /// The provider of a path, if it is known and set up.
    fn exchange(&self, name: &str) -> Result<&Exchange, SocialError> {
        let provider = Provider::from_name(name).ok_or(SocialError::UnknownProvider)?;
        self.exchanges
            .iter()
            .find(|exchange| exchange.provider() == provider)
            .ok_or(SocialError::NotConfigured)
    }

    /// Where a browser may be sent after a sign-in; without a wish, to the front end.
    fn return_to(&self, wish: Option<&str>) -> Result<Url, ApiError> {
        const LENGTH_MAX_BYTES: usize = 2_000;
        let refused = || ApiError::field("return_to", "허용되지 않은 주소입니다");
        let url = match wish.filter(|text| !text.trim().is_empty()) {
            None => self.settings.default_return.clone().ok_or_else(refused)?,
            Some(text) if text.len() > LENGTH_MAX_BYTES => return Err(refused()),
            Some(text) => Url::parse(text.trim()).map_err(|_| refused())?,
        };
        let bare = url.username().is_empty() && url.password().is_none();
        let origin = url.origin().ascii_serialization();
        let allowed = self.settings.return_origins.iter().any(|ours| ours.eq_ignore_ascii_case(&origin));
        if bare && allowed { Ok(url) } else { Err(refused()) }
    }
}

#[cfg(test)]
mod tests;
