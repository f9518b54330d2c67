//! Kakao, Naver, Google and Apple as far as signing in needs them, in the test process: one strict server
//! that refuses what the real ones refuse, with their own error shapes and quirks, and does to a sign-in
//! whatever its [`Fault`] says.
//!
//! It runs on a thread of its own, since tests come and go with their runtimes. A fault belongs to one
//! consent, so tests do not meet each other's.

mod authorize;
pub(crate) mod browser;
mod signing;
mod token;

use axum::Router;
use axum::routing::{get, post};
use signing::Keys;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

pub(crate) const KAKAO_ID: &str = "kakao-rest-api-key";
pub(crate) const KAKAO_SECRET: &str = "kakao secret + /=";
pub(crate) const NAVER_ID: &str = "naver-client";
pub(crate) const NAVER_SECRET: &str = "naver-secret";
pub(crate) const GOOGLE_ID: &str = "1234.apps.googleusercontent.com";
pub(crate) const GOOGLE_SECRET: &str = "GOCSPX-secret";
pub(crate) const APPLE_ID: &str = "kr.gonggumoa.web";
pub(crate) const APPLE_TEAM: &str = "TEAM123456";
pub(crate) const APPLE_KEY: &str = "KEY1234567";

/// What goes wrong with one sign-in at the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Fault {
    #[default]
    None,
    /// The person says no.
    Denied,
    /// No answer before our patience ends.
    Timeout,
    /// Headers at once, the body never.
    SlowBody,
    ServerError,
    TooMany,
    TooManyWithRetryAfter,
    MalformedJson,
    EmptyBody,
    WrongAudience,
    WrongIssuer,
    WrongNonce,
    Expired,
    /// Right in all but the key, which the provider does not publish.
    UnknownKey,
    /// Right id of a key, another key's signature.
    ForgedSignature,
    /// `alg: none`.
    Unsigned,
    /// Signed with a key published since the last look.
    RotatedKey,
    /// No id_token at all.
    NoIdToken,
    /// The profile call fails in the service's form.
    ProfileError,
    /// The profile call fails in the gateway's form.
    GatewayError,
    /// Google's other issuer form.
    BareIssuer,
}

/// Somebody with an account at a provider.
#[derive(Clone, Debug, Default)]
pub(crate) struct Human {
    pub(crate) subject: String,
    pub(crate) name: String,
    pub(crate) email: Option<String>,
    pub(crate) email_verified: bool,
    pub(crate) is_private_email: bool,
    /// Whether Google runs the mailbox (a Workspace domain).
    pub(crate) is_hosted: bool,
}

impl Human {
    /// With an address that nobody else has, verified.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(4_012_345_678);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self {
            subject: number.to_string(),
            name: "김가상".to_owned(),
            email: Some(format!("person{number}@example.com")),
            email_verified: true,
            is_private_email: false,
            is_hosted: true,
        }
    }

    pub(crate) fn with_email(email: &str) -> Self {
        Self { email: Some(email.to_owned()), ..Self::new() }
    }

    pub(crate) fn unverified(self) -> Self {
        Self { email_verified: false, ..self }
    }
}

/// A consent that waits for its code to be shown, once.
#[derive(Clone)]
struct Grant {
    provider: &'static str,
    human: Human,
    fault: Fault,
    redirect_uri: String,
    state: String,
    nonce: Option<String>,
    challenge: Option<String>,
}

#[derive(Default)]
struct Memory {
    /// Picked by a header when the browser comes to the provider's page.
    humans: HashMap<String, (Human, Fault)>,
    grants: HashMap<String, Grant>,
    /// By access token.
    tokens: HashMap<String, Grant>,
    /// Apple tells a name only once.
    known_to_apple: Vec<String>,
    key_fetches: HashMap<&'static str, u32>,
    token_calls: u32,
    keys_are_away: bool,
}

/// The server.
#[derive(Clone)]
pub(crate) struct Vendors {
    memory: Arc<Mutex<Memory>>,
    keys: Arc<Keys>,
    /// Where our own server is: redirect addresses are registered, and compared exactly.
    callback_base: String,
    port: u16,
}

impl Vendors {
    /// Serves until the process ends.
    pub(crate) fn start(callback_base: String) -> Self {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let vendors = Self {
            memory: Arc::default(),
            keys: Arc::new(Keys::generate()),
            callback_base,
            port: listener.local_addr().unwrap().port(),
        };
        let router = vendors.router();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, router).await.unwrap();
            });
        });
        vendors
    }

    fn router(&self) -> Router {
        Router::new()
            .route("/oauth/authorize", get(authorize::kakao))
            .route("/oauth2.0/authorize", get(authorize::naver))
            .route("/o/oauth2/v2/auth", get(authorize::google))
            .route("/auth/authorize", get(authorize::apple))
            .route("/oauth/token", post(token::kakao))
            .route("/oauth2.0/token", post(token::naver).get(token::naver_by_query))
            .route("/token", post(token::google))
            .route("/auth/token", post(token::apple))
            .route("/v2/user/me", get(token::kakao_profile))
            .route("/v1/nid/me", get(token::naver_profile))
            .route("/.well-known/jwks.json", get(signing::kakao_keys))
            .route("/oauth2/v3/certs", get(signing::google_keys))
            .route("/auth/keys", get(signing::apple_keys))
            .with_state(self.clone())
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What our server has to be told.
    pub(crate) fn settings(&self, apple_key_path: &str) -> Vec<(&'static str, String)> {
        let base = self.base_url();
        let fixed = [
            ("KAKAO_CLIENT_ID", KAKAO_ID),
            ("KAKAO_CLIENT_SECRET", KAKAO_SECRET),
            ("NAVER_CLIENT_ID", NAVER_ID),
            ("NAVER_CLIENT_SECRET", NAVER_SECRET),
            ("GOOGLE_CLIENT_ID", GOOGLE_ID),
            ("GOOGLE_CLIENT_SECRET", GOOGLE_SECRET),
            ("APPLE_CLIENT_ID", APPLE_ID),
            ("APPLE_TEAM_ID", APPLE_TEAM),
            ("APPLE_KEY_ID", APPLE_KEY),
            ("APPLE_PRIVATE_KEY_PATH", apple_key_path),
        ];
        let bases = [
            "KAKAO_AUTH_URL",
            "KAKAO_API_URL",
            "NAVER_AUTH_URL",
            "NAVER_API_URL",
            "GOOGLE_AUTH_URL",
            "GOOGLE_TOKEN_URL",
            "GOOGLE_KEYS_URL",
            "APPLE_AUTH_URL",
        ];
        let fixed = fixed.into_iter().map(|(name, value)| (name, value.to_owned()));
        fixed.chain(bases.into_iter().map(|name| (name, base.clone()))).collect()
    }

    /// The private key that Apple gave us.
    pub(crate) fn apple_private_key(&self) -> &str {
        &self.keys.client_pem
    }

    /// How often a provider's keys were asked for.
    pub(crate) fn key_fetches(&self, provider: &'static str) -> u32 {
        self.memory().key_fetches.get(provider).copied().unwrap_or(0)
    }

    /// From now on the keys cannot be had, or can again.
    pub(crate) fn set_keys_away(&self, away: bool) {
        self.memory().keys_are_away = away;
    }

    /// How often any token endpoint was called.
    pub(crate) fn token_calls(&self) -> u32 {
        self.memory().token_calls
    }

    /// Registers what happens when the browser comes with this ticket.
    fn expect(&self, ticket: String, human: Human, fault: Fault) {
        self.memory().humans.insert(ticket, (human, fault));
    }
}
