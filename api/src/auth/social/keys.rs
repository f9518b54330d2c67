//! A provider's signing keys, by their ids.
//!
//! They are kept as long as the provider says (`Cache-Control`, within bounds) and fetched by one caller at a
//! time. An id that is not among them may be new, so it is asked for at once, but not more than once a
//! minute: ids in forged tokens must not become calls to the provider. Keys that have got old still serve
//! while the provider cannot be asked, for a day.

use super::error::SocialError;
use super::wire::{Repeat, Wire};
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use serde_json::Value;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// Providers without `Cache-Control`.
const AGE_DEFAULT: Duration = Duration::from_secs(3_600);
const AGE_LEAST: Duration = Duration::from_secs(300);
/// A key taken back must go some day.
const AGE_MOST: Duration = Duration::from_secs(86_400);
/// Least time between two fetches for unknown ids.
const UNKNOWN_EVERY: Duration = Duration::from_secs(60);
/// After a failed fetch the next callers are not made to wait for the same failure.
const FAILED_PAUSE: Duration = Duration::from_secs(1);

/// The keys of one provider.
#[derive(Debug)]
pub(super) struct Keys {
    url: String,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    keys: HashMap<String, DecodingKey>,
    fetched_at: Option<Instant>,
    age_max: Duration,
    asked_for_unknown_at: Option<Instant>,
    failed: Option<(Instant, SocialError)>,
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Known").field("ids", &self.keys.keys().collect::<Vec<_>>()).finish_non_exhaustive()
    }
}

impl Keys {
    pub(super) fn new(url: String) -> Self {
        Self { url, known: Mutex::default() }
    }

    /// The key of this id.
    pub(super) async fn get(&self, wire: &Wire, id: &str) -> Result<DecodingKey, SocialError> {
        let mut known = self.known.lock().await;
        let age = known.fetched_at.map(|at| at.elapsed());
        if age.is_none_or(|age| age >= known.age_max) {
            let fetched = self.fetch(wire, &mut known).await;
            let usable = age.is_some_and(|age| age < AGE_MOST);
            if let Err(error) = fetched
                && !usable
            {
                return Err(error);
            }
        }
        if !known.keys.contains_key(id)
            && known.asked_for_unknown_at.is_none_or(|at| at.elapsed() >= UNKNOWN_EVERY)
        {
            known.asked_for_unknown_at = Some(Instant::now());
            self.fetch(wire, &mut known).await?;
        }
        known.keys.get(id).cloned().ok_or(SocialError::TokenRefused("signed with an unknown key"))
    }

    async fn fetch(&self, wire: &Wire, known: &mut Known) -> Result<(), SocialError> {
        if let Some((at, error)) = &known.failed
            && at.elapsed() < FAILED_PAUSE
        {
            return Err(error.clone());
        }
        match self.ask(wire).await {
            Ok((keys, age_max)) => {
                *known = Known {
                    keys,
                    age_max,
                    fetched_at: Some(Instant::now()),
                    failed: None,
                    asked_for_unknown_at: known.asked_for_unknown_at,
                };
                Ok(())
            }
            Err(error) => {
                known.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    async fn ask(&self, wire: &Wire) -> Result<(HashMap<String, DecodingKey>, Duration), SocialError> {
        let request = http::Request::get(&self.url)
            .header(http::header::ACCEPT, "application/json")
            .body(Vec::new())
            .map_err(|_| SocialError::ProviderFailed("the keys' address is no address".to_owned()))?;
        let reply = wire.send(request, Repeat::Safe).await?;
        reply.refuse_outage()?;
        let age = reply.max_age().unwrap_or(AGE_DEFAULT).clamp(AGE_LEAST, AGE_MOST);
        let keys = rsa_keys(&reply.json()?);
        if keys.is_empty() {
            return Err(SocialError::ProviderFailed("no keys".to_owned()));
        }
        Ok((keys, age))
    }
}

/// RSA keys with an id; a key of another kind is none of ours and does not spoil the rest.
fn rsa_keys(document: &Value) -> HashMap<String, DecodingKey> {
    let keys = document.get("keys").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    keys.iter()
        .filter_map(|key| serde_json::from_value::<Jwk>(key.clone()).ok())
        .filter(|key| matches!(key.algorithm, AlgorithmParameters::RSA(_)))
        .filter_map(|key| Some((key.common.key_id.clone()?, DecodingKey::from_jwk(&key).ok()?)))
        .collect()
}
