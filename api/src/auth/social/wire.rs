//! Calls to providers: bounded in time and size, and repeated only where a repeat cannot do harm.
//!
//! A code is good once. If the connection fails before anything was sent, the exchange may be tried again;
//! after that an answer may only have been lost, and a repeat would be refused as a replay.

use super::error::SocialError;
use http::{HeaderMap, StatusCode, header};
use serde_json::Value;
use std::time::Duration;

/// Far above any real answer (a key set of four keys has 2 KB).
const BODY_MAX_BYTES: usize = 256 * 1024;
/// Finding nobody at the other end takes this long at most.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A provider that is over its limit without saying for how long.
const QUOTA_PAUSE_SECONDS: u64 = 10;

/// Which failures are tried once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Only when nothing was sent.
    IfUnsent,
    /// Whenever it may help: reading changes nothing.
    Safe,
}

/// The client; clones share its connections.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    /// `None`: this machine cannot do TLS at all (no certificates); said at each call.
    client: Option<reqwest::Client>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

struct Failure {
    error: SocialError,
    unsent: bool,
}

impl Wire {
    pub(super) fn new(timeout: Duration) -> Self {
        let client = reqwest::Client::builder()
            .timeout(timeout)
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            // a provider that sends us elsewhere is not the one that was configured
            .redirect(reqwest::redirect::Policy::none())
            .user_agent("gonggumoa")
            .build();
        let client = client.inspect_err(|error| {
            let error = error as &(dyn std::error::Error + 'static);
            tracing::error!(error, "social sign-in cannot reach providers: no HTTP client");
        });
        Self { client: client.ok() }
    }

    /// Sends, and once more where that is safe.
    pub(super) async fn send(
        &self,
        request: http::Request<Vec<u8>>,
        repeat: Repeat,
    ) -> Result<Reply, SocialError> {
        let (parts, body) = request.into_parts();
        let again = http::Request::from_parts(parts.clone(), body.clone());
        match self.once(http::Request::from_parts(parts, body)).await {
            Err(failure) if failure.unsent || repeat == Repeat::Safe => {
                self.once(again).await.map_err(|failure| failure.error)
            }
            Ok(reply) if reply.status.is_server_error() && repeat == Repeat::Safe => {
                self.once(again).await.map_err(|failure| failure.error)
            }
            other => other.map_err(|failure| failure.error),
        }
    }

    async fn once(&self, request: http::Request<Vec<u8>>) -> Result<Reply, Failure> {
        let failed = |error| Failure { error, unsent: false };
        let client = self.client.as_ref().ok_or_else(|| failed(SocialError::away("no HTTP client")))?;
        let request = reqwest::Request::try_from(request)
            .map_err(|_| failed(SocialError::ProviderFailed("its address is no address".to_owned())))?;
        let mut response = client.execute(request).await.map_err(|error| passing(&error))?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| passing(&error))? {
            if body.len() + chunk.len() > BODY_MAX_BYTES {
                return Err(failed(SocialError::ProviderFailed("its answer is too long".to_owned())));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { status: response.status(), headers: response.headers().clone(), body })
    }
}

fn passing(error: &reqwest::Error) -> Failure {
    let reason = match () {
        () if error.is_connect() => "no connection",
        () if error.is_timeout() => "no answer in time",
        () => "the connection broke",
    };
    Failure { error: SocialError::away(reason), unsent: error.is_connect() }
}

impl Reply {
    /// Overload and outage, whatever stands in the body.
    pub(super) fn refuse_outage(&self) -> Result<(), SocialError> {
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            let retry_after_seconds = self.retry_after_seconds().unwrap_or(QUOTA_PAUSE_SECONDS);
            return Err(SocialError::Unavailable { reason: "over its limit", retry_after_seconds });
        }
        if self.status.is_server_error() {
            let retry_after_seconds = self.retry_after_seconds().unwrap_or(2);
            return Err(SocialError::Unavailable { reason: "a server error", retry_after_seconds });
        }
        Ok(())
    }

    /// The body as JSON.
    pub(super) fn json(&self) -> Result<Value, SocialError> {
        if self.body.is_empty() {
            return Err(SocialError::ProviderFailed("an empty answer".to_owned()));
        }
        serde_json::from_slice(&self.body)
            .map_err(|_| SocialError::ProviderFailed("an answer that is not JSON".to_owned()))
    }

    /// Seconds of `Retry-After`; its date form is rare enough to be guessed at.
    fn retry_after_seconds(&self) -> Option<u64> {
        self.headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
    }

    /// `max-age` of `Cache-Control`.
    pub(super) fn max_age(&self) -> Option<Duration> {
        let value = self.headers.get(header::CACHE_CONTROL)?.to_str().ok()?;
        let seconds = value.split(',').find_map(|part| part.trim().strip_prefix("max-age="))?;
        seconds.parse().ok().map(Duration::from_secs)
    }

    /// The token endpoint's answer as the standard wants it. An `error` counts before the status, since
    /// Naver sends errors with 200; `expires_in` may be a text there.
    pub(super) fn into_token_response(self) -> Result<http::Response<Vec<u8>>, SocialError> {
        let mut status = self.status;
        let mut body = match self.json() {
            Ok(body) => body,
            Err(error) => return Err(self.refuse_outage().err().unwrap_or(error)),
        };
        let code = body.get("error_code").and_then(Value::as_str);
        if status == StatusCode::TOO_MANY_REQUESTS || code == Some("KOE237") {
            self.refuse_outage()?;
            return Err(SocialError::Unavailable {
                reason: "over its limit",
                retry_after_seconds: QUOTA_PAUSE_SECONDS,
            });
        }
        if body.get("error").is_some_and(Value::is_string) {
            status = StatusCode::BAD_REQUEST;
        } else {
            self.refuse_outage()?;
        }
        if let Some(seconds) = body.get("expires_in").and_then(Value::as_str) {
            body["expires_in"] = seconds.parse::<u64>().map_or(Value::Null, Value::from);
        }
        let mut response = http::Response::new(body.to_string().into_bytes());
        *response.status_mut() = status;
        Ok(response)
    }
}
