//! One provider's side of a sign-in: the address to send the browser to, and a code made into a person.

use super::error::SocialError;
use super::id_token::{self, Expected};
use super::keys::Keys;
use super::person::Person;
use super::profile;
use super::provider::Provider;
use super::settings::{ClientSecret, ProviderSettings};
use super::state::LoginSecrets;
use super::wire::{Repeat, Reply, Wire};
use crate::http::error::ApiError;
use futures::future::BoxFuture;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use oauth2::basic::{
    BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse, BasicTokenType,
};
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, Client, ClientId, CsrfToken, EndpointNotSet, EndpointSet,
    ExtraTokenFields, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope,
    StandardRevocableToken, StandardTokenResponse, TokenResponse as _, TokenUrl,
};
use parking_lot::Mutex;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use url::Url;

/// Apple takes up to six months; a day is easier to take back.
const SIGNED_SECRET_LIFE_SECONDS: i64 = 86_400;
/// One that is about to end is made anew.
const SIGNED_SECRET_REST_SECONDS: i64 = 3_600;
/// Whom Apple's client secret is for: the real one, wherever the call goes to.
const APPLE_AUDIENCE: &str = "https://appleid.apple.com";

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Fields {
    id_token: Option<String>,
}

impl ExtraTokenFields for Fields {}

type Tokens = StandardTokenResponse<Fields, BasicTokenType>;
type OauthClient = Client<
    BasicErrorResponse,
    Tokens,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

#[derive(Serialize)]
struct SecretClaims<'a> {
    iss: &'a str,
    iat: i64,
    exp: i64,
    aud: &'a str,
    sub: &'a str,
}

/// One provider with its credentials and its keys.
#[derive(Debug)]
pub(super) struct Exchange {
    settings: ProviderSettings,
    callback: String,
    keys: Option<Keys>,
    /// A signed client secret, and when it ends.
    signed: Mutex<Option<(String, i64)>>,
}

impl Exchange {
    pub(super) fn new(settings: ProviderSettings, callback: String) -> Self {
        let keys = settings.keys_url.clone().map(Keys::new);
        Self { settings, callback, keys, signed: Mutex::new(None) }
    }

    pub(super) fn provider(&self) -> Provider {
        self.settings.provider
    }

    fn client(&self) -> Result<OauthClient, ApiError> {
        let client = Client::new(ClientId::new(self.settings.client_id.clone()))
            .set_auth_uri(AuthUrl::new(self.settings.authorize_url.clone()).map_err(ApiError::internal)?)
            .set_token_uri(TokenUrl::new(self.settings.token_url.clone()).map_err(ApiError::internal)?)
            .set_redirect_uri(RedirectUrl::new(self.callback.clone()).map_err(ApiError::internal)?)
            .set_auth_type(AuthType::RequestBody);
        Ok(client)
    }

    /// Where the browser goes.
    pub(super) fn authorize_url(&self, secrets: &LoginSecrets) -> Result<Url, ApiError> {
        let client = self.client()?;
        let state = secrets.state().to_owned();
        let mut request = client.authorize_url(move || CsrfToken::new(state));
        if self.provider().has_pkce() {
            let verifier = PkceCodeVerifier::new(secrets.pkce_verifier());
            request = request.set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
        }
        if self.provider().has_nonce() {
            request = request.add_extra_param("nonce", secrets.nonce());
        }
        // Kakao and Naver ask for what their consoles say; with a scope they would ask again each time.
        match self.provider() {
            Provider::Google => {
                request =
                    request.add_scopes(["openid", "email", "profile"].map(str::to_owned).map(Scope::new));
            }
            Provider::Apple => {
                request = request
                    .add_scopes(["name", "email"].map(str::to_owned).map(Scope::new))
                    .add_extra_param("response_mode", "form_post");
            }
            Provider::Kakao | Provider::Naver => {}
        }
        Ok(request.url().0)
    }

    /// Who the code stands for. The code is spent, whatever comes out.
    pub(super) fn person<'a>(
        &'a self,
        code: String,
        secrets: &'a LoginSecrets,
        now_seconds: i64,
        wire: &'a Wire,
    ) -> BoxFuture<'a, Result<Person, ApiError>> {
        Box::pin(self.find_person(code, secrets, now_seconds, wire))
    }

    async fn find_person(
        &self,
        code: String,
        secrets: &LoginSecrets,
        now_seconds: i64,
        wire: &Wire,
    ) -> Result<Person, ApiError> {
        let tokens = self.tokens(code, secrets, now_seconds, wire).await?;
        let found = match (&tokens.extra_fields().id_token, &self.keys, &self.settings.profile_url) {
            (Some(id_token), Some(keys), _) => {
                let nonce = secrets.nonce();
                let expected = Expected {
                    provider: self.provider(),
                    client_id: &self.settings.client_id,
                    nonce: &nonce,
                };
                id_token::verified(id_token, &expected, keys, wire).await
            }
            (_, _, Some(url)) => {
                profile::fetched(self.provider(), url, tokens.access_token().secret(), wire).await
            }
            _ => Err(SocialError::ProviderFailed("no id_token".to_owned())),
        };
        found.map_err(|error| self.noted(error))
    }

    async fn tokens(
        &self,
        code: String,
        secrets: &LoginSecrets,
        now_seconds: i64,
        wire: &Wire,
    ) -> Result<Tokens, ApiError> {
        let mut client = self.client()?;
        if let Some(secret) = self.client_secret(now_seconds)? {
            client = client.set_client_secret(oauth2::ClientSecret::new(secret));
        }
        let mut request = client.exchange_code(AuthorizationCode::new(code));
        if self.provider().has_pkce() {
            request = request.set_pkce_verifier(PkceCodeVerifier::new(secrets.pkce_verifier()));
        }
        if self.provider() == Provider::Naver {
            request = request.add_extra_param("state", secrets.state().to_owned());
        }
        let wire = wire.clone();
        let http = move |request| -> BoxFuture<'static, Result<oauth2::HttpResponse, SocialError>> {
            let wire = wire.clone();
            Box::pin(async move {
                wire.send(request, Repeat::IfUnsent).await.and_then(Reply::into_token_response)
            })
        };
        let answer: BoxFuture<'_, Result<Tokens, _>> = Box::pin(request.request_async(&http));
        answer.await.map_err(|error| {
            self.noted(match error {
                RequestTokenError::ServerResponse(answer) => self.refusal(answer.error().as_ref()),
                RequestTokenError::Request(error) => error,
                RequestTokenError::Parse(error, _) => {
                    SocialError::ProviderFailed(format!("token answer: {}", error.path()))
                }
                RequestTokenError::Other(_) => SocialError::ProviderFailed("token answer".to_owned()),
            })
        })
    }

    /// What the `error` of a token endpoint means. The description is left out: it may repeat the code.
    fn refusal(&self, error: &str) -> SocialError {
        match error {
            "invalid_grant" | "access_denied" => SocialError::CodeRefused,
            // Naver's word for an unknown code or a state that does not fit
            "invalid_request" if self.provider() == Provider::Naver => SocialError::CodeRefused,
            "server_error" | "temporarily_unavailable" => SocialError::away("a server error"),
            other => SocialError::ProviderFailed(format!("token error {other:.40}")),
        }
    }

    /// Leaves a line for the operator where the person can do nothing about it.
    fn noted(&self, error: SocialError) -> ApiError {
        let provider = self.provider().name();
        match &error {
            SocialError::Unavailable { .. } | SocialError::TokenRefused(_) => {
                tracing::warn!(social.provider = provider, social.problem = %error, "social sign-in failed");
            }
            SocialError::ProviderFailed(_) => {
                tracing::error!(social.provider = provider, social.problem = %error, "social sign-in failed");
            }
            _ => {}
        }
        error.into()
    }

    fn client_secret(&self, now_seconds: i64) -> Result<Option<String>, ApiError> {
        let ClientSecret::Signed { team_id, key_id, private_key_pem } = &self.settings.secret else {
            return Ok(match &self.settings.secret {
                ClientSecret::Fixed(secret) => Some(secret.expose_secret().to_owned()),
                ClientSecret::None | ClientSecret::Signed { .. } => None,
            });
        };
        let mut signed = self.signed.lock();
        if let Some((secret, ends)) = &*signed
            && now_seconds + SIGNED_SECRET_REST_SECONDS < *ends
        {
            return Ok(Some(secret.clone()));
        }
        let claims = SecretClaims {
            iss: team_id,
            iat: now_seconds,
            exp: now_seconds + SIGNED_SECRET_LIFE_SECONDS,
            aud: APPLE_AUDIENCE,
            sub: &self.settings.client_id,
        };
        let key = EncodingKey::from_ec_pem(private_key_pem.expose_secret().as_bytes())
            .map_err(ApiError::internal)?;
        let header = Header { kid: Some(key_id.clone()), ..Header::new(Algorithm::ES256) };
        let secret = jsonwebtoken::encode(&header, &claims, &key).map_err(ApiError::internal)?;
        *signed = Some((secret.clone(), claims.exp));
        Ok(Some(secret))
    }
}
