//! Social sign-in's settings: credentials, and where each provider is.
//!
//! Addresses are settings so that tests and proxies can stand in; whom tokens must be from is not.

use super::http::HttpConfig;
use super::reader::{self, Reader};
use crate::auth::social::provider::Provider;
use crate::auth::social::settings::{ClientSecret, ProviderSettings, SocialSettings};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::SecretString;
use std::time::Duration;

/// Social sign-in.
#[derive(Clone, Debug)]
pub struct SocialConfig {
    /// Those with credentials.
    pub providers: Vec<ProviderSettings>,
    /// Origins to return to; `None`: the front end's, the CORS ones and our own.
    pub return_origins: Option<Vec<String>>,
    /// One call to a provider.
    pub timeout: Duration,
}

impl SocialConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let providers = [kakao(reader), naver(reader), google(reader), apple(reader)];
        Self {
            providers: providers.into_iter().flatten().collect(),
            return_origins: reader.optional("SOCIAL_RETURN_ORIGINS", "https://www.example.com", |text| {
                reader::list(text, reader::origin)
            }),
            // three calls in a row stay below the handlers' 30 s
            timeout: Duration::from_secs(reader.value(
                "SOCIAL_TIMEOUT_SECONDS",
                5,
                "5",
                reader::whole(1..=9),
            )),
        }
    }

    /// With what follows from the HTTP side, when `port` is the one listened on.
    pub fn settings(&self, http: &HttpConfig, port: u16) -> SocialSettings {
        let public_url = match &http.public_url {
            Some(url) => url.origin().ascii_serialization(),
            None => format!("http://{}", std::net::SocketAddr::new(http.host, port)),
        };
        let ours = || http.cors_origins.iter().cloned().chain(http.own_origins(port)).collect();
        SocialSettings {
            providers: self.providers.clone(),
            public_url,
            return_origins: self.return_origins.clone().unwrap_or_else(ours),
            default_return: http.frontend_url.clone(),
            timeout: self.timeout,
            ..SocialSettings::default()
        }
    }
}

/// A provider's base address, without a slash at its end.
fn base(reader: &mut Reader, name: &'static str, real: &'static str) -> String {
    reader.value(name, real.to_owned(), real, |text| {
        reader::site_url(text).map(|url| url.origin().ascii_serialization())
    })
}

fn client_id(reader: &mut Reader, name: &'static str) -> Option<String> {
    reader.optional(name, "0123456789abcdef", |text| Ok(text.to_owned()))
}

fn client_secret(reader: &mut Reader, name: &'static str) -> Option<SecretString> {
    reader.secret(name, "as the provider's console shows it", |text| Ok(reader::wrapped(text)))
}

/// Both or neither.
fn pair(
    reader: &mut Reader,
    id_name: &'static str,
    secret_name: &'static str,
) -> Option<(String, SecretString)> {
    match (client_id(reader, id_name), client_secret(reader, secret_name)) {
        (Some(id), Some(secret)) => Some((id, secret)),
        (None, None) => None,
        (Some(_), None) => {
            let text = format!("is missing although {id_name} is set; they go together");
            reader.problem(secret_name, text, "as the provider's console shows it");
            None
        }
        (None, Some(_)) => {
            let text = format!("is missing although {secret_name} is set; they go together");
            reader.problem(id_name, text, "0123456789abcdef");
            None
        }
    }
}

/// The secret is a switch in Kakao's console: without one the id is enough.
fn kakao(reader: &mut Reader) -> Option<ProviderSettings> {
    let auth = base(reader, "KAKAO_AUTH_URL", "https://kauth.kakao.com");
    let api = base(reader, "KAKAO_API_URL", "https://kapi.kakao.com");
    let secret = client_secret(reader, "KAKAO_CLIENT_SECRET");
    let Some(client_id) = client_id(reader, "KAKAO_CLIENT_ID") else {
        if secret.is_some() {
            let text = "is missing although KAKAO_CLIENT_SECRET is set";
            reader.problem("KAKAO_CLIENT_ID", text, "0123456789abcdef");
        }
        return None;
    };
    Some(ProviderSettings {
        provider: Provider::Kakao,
        client_id,
        secret: secret.map_or(ClientSecret::None, ClientSecret::Fixed),
        authorize_url: format!("{auth}/oauth/authorize"),
        token_url: format!("{auth}/oauth/token"),
        keys_url: Some(format!("{auth}/.well-known/jwks.json")),
        profile_url: Some(format!("{api}/v2/user/me")),
    })
}

fn naver(reader: &mut Reader) -> Option<ProviderSettings> {
    let auth = base(reader, "NAVER_AUTH_URL", "https://nid.naver.com");
    let api = base(reader, "NAVER_API_URL", "https://openapi.naver.com");
    let (client_id, secret) = pair(reader, "NAVER_CLIENT_ID", "NAVER_CLIENT_SECRET")?;
    Some(ProviderSettings {
        provider: Provider::Naver,
        client_id,
        secret: ClientSecret::Fixed(secret),
        authorize_url: format!("{auth}/oauth2.0/authorize"),
        token_url: format!("{auth}/oauth2.0/token"),
        keys_url: None,
        profile_url: Some(format!("{api}/v1/nid/me")),
    })
}

fn google(reader: &mut Reader) -> Option<ProviderSettings> {
    let auth = base(reader, "GOOGLE_AUTH_URL", "https://accounts.google.com");
    let token = base(reader, "GOOGLE_TOKEN_URL", "https://oauth2.googleapis.com");
    let keys = base(reader, "GOOGLE_KEYS_URL", "https://www.googleapis.com");
    let (client_id, secret) = pair(reader, "GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET")?;
    Some(ProviderSettings {
        provider: Provider::Google,
        client_id,
        secret: ClientSecret::Fixed(secret),
        authorize_url: format!("{auth}/o/oauth2/v2/auth"),
        token_url: format!("{token}/token"),
        keys_url: Some(format!("{keys}/oauth2/v3/certs")),
        profile_url: None,
    })
}

fn apple(reader: &mut Reader) -> Option<ProviderSettings> {
    const EXAMPLES: [(&str, &str); 4] = [
        ("APPLE_CLIENT_ID", "com.example.web"),
        ("APPLE_TEAM_ID", "ABCDE12345"),
        ("APPLE_KEY_ID", "FGHIJ67890"),
        ("APPLE_PRIVATE_KEY_PATH", "/etc/gonggumoa/AuthKey_FGHIJ67890.p8"),
    ];
    let auth = base(reader, "APPLE_AUTH_URL", "https://appleid.apple.com");
    let missing: Vec<_> = EXAMPLES.into_iter().filter(|(name, _)| reader.text(name).is_none()).collect();
    if !missing.is_empty() {
        if missing.len() < EXAMPLES.len() {
            for (name, example) in missing {
                reader.problem(name, "is missing although others of Apple's four are set", example);
            }
        }
        return None;
    }
    let [id, team_id, key_id, key] = EXAMPLES;
    let private_key_pem = reader.optional(key.0, key.1, private_key);
    Some(ProviderSettings {
        provider: Provider::Apple,
        client_id: reader.text(id.0)?.to_owned(),
        secret: ClientSecret::Signed {
            team_id: reader.text(team_id.0)?.to_owned(),
            key_id: reader.text(key_id.0)?.to_owned(),
            private_key_pem: private_key_pem?,
        },
        authorize_url: format!("{auth}/auth/authorize"),
        token_url: format!("{auth}/auth/token"),
        keys_url: Some(format!("{auth}/auth/keys")),
        profile_url: None,
    })
}

/// The file's content, once it has signed something: a bad key would show only when somebody signs in.
fn private_key(path: &str) -> Result<SecretString, String> {
    let pem = std::fs::read_to_string(path).map_err(|error| format!("cannot be read ({error})"))?;
    let unusable = |_| "does not hold a P-256 key (PKCS#8, PEM)".to_owned();
    let key = EncodingKey::from_ec_pem(pem.as_bytes()).map_err(unusable)?;
    jsonwebtoken::encode(&Header::new(Algorithm::ES256), &serde_json::json!({}), &key).map_err(unusable)?;
    Ok(SecretString::from(pem))
}
