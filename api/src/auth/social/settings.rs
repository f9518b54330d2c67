//! What social sign-in can be told. Plain values, checked by whoever made them.

use super::provider::Provider;
use secrecy::SecretString;
use std::time::Duration;
use url::Url;

/// Settings of all providers.
#[derive(Clone, Debug)]
pub struct SocialSettings {
    /// Those with credentials.
    pub providers: Vec<ProviderSettings>,
    /// The address under which providers send browsers back to this server, without a slash at its end.
    pub public_url: String,
    /// Origins to which a browser may be sent after a sign-in.
    pub return_origins: Vec<String>,
    /// Where it goes without a wish.
    pub default_return: Option<Url>,
    /// How long one call to a provider may take, its answer included. 5 s: three in a row stay under the
    /// handlers' own deadline, and no person waits longer before a login button.
    pub timeout: Duration,
    /// Calls a minute from one address (an IPv6 /64); a sign-in makes three, and a carrier puts many people
    /// behind one address.
    pub per_address_per_minute: u32,
}

/// One provider.
#[derive(Clone, Debug)]
pub struct ProviderSettings {
    /// Which.
    pub provider: Provider,
    /// Our name there.
    pub client_id: String,
    /// What proves that we are it.
    pub secret: ClientSecret,
    /// Where the browser is sent.
    pub authorize_url: String,
    /// Where a code is exchanged.
    pub token_url: String,
    /// Where its signing keys are, if it signs id_tokens.
    pub keys_url: Option<String>,
    /// Where the profile is, if it is asked for.
    pub profile_url: Option<String>,
}

/// What proves who we are at the token endpoint.
#[derive(Clone, Debug)]
pub enum ClientSecret {
    /// Nothing: a Kakao app whose secret is switched off.
    None,
    /// A fixed text.
    Fixed(SecretString),
    /// A token that we sign (Apple).
    Signed {
        /// The team's id.
        team_id: String,
        /// The key's id.
        key_id: String,
        /// The key: PKCS#8, PEM, P-256.
        private_key_pem: SecretString,
    },
}

impl Default for SocialSettings {
    fn default() -> Self {
        Self {
            providers: Vec::new(),
            public_url: "http://127.0.0.1:8000".to_owned(),
            return_origins: Vec::new(),
            default_return: None,
            timeout: Duration::from_secs(5),
            per_address_per_minute: 180,
        }
    }
}

impl SocialSettings {
    /// The `redirect_uri` of a provider: what has to be registered there.
    pub fn callback(&self, provider: Provider) -> String {
        format!("{}/api/v1/auth/social/{}/callback", self.public_url, provider.name())
    }
}
