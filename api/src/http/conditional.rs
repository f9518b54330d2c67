//! Answers that a client may keep: a strong ETag of the content, `If-None-Match`, and how long it is good.
//!
//! Problem: a list is read far more often than it changes, and sending it again is most of its cost.
//! Invariants: the tag is a hash of the very bytes that are sent, so equal tags mean equal bodies; what is
//! made for one person is never kept by a shared cache; an answer says by which headers it differs.

use crate::app::App;
use crate::http::auth::ACCESS_COOKIE;
use crate::http::error::ApiError;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;

/// So many characters of the hash make a tag: 128 bits, never equal by chance.
const TAG_CHARS: usize = 32;
/// The same with its quotes.
const TAG_BYTES: usize = TAG_CHARS + 2;

/// What the client has already, and whether it says who it is.
#[derive(Clone, Debug)]
pub struct Conditional {
    known: Vec<String>,
    is_personal: bool,
}

impl FromRequestParts<App> for Conditional {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        Ok(Self::new(&parts.headers))
    }
}

impl Conditional {
    /// Of these headers.
    pub fn new(headers: &HeaderMap) -> Self {
        let known = headers
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            // GET compares weakly: a proxy that compresses may have weakened the tag
            .map(|tag| tag.trim().trim_start_matches("W/").to_owned())
            .collect();
        let has_cookie = headers
            .get_all(header::COOKIE)
            .iter()
            .any(|value| value.to_str().is_ok_and(|value| value.contains(ACCESS_COOKIE)));
        Self { known, is_personal: has_cookie || headers.contains_key(header::AUTHORIZATION) }
    }

    /// The answer, or 304 if the client has it. Who is not signed in may use it for `max_age_seconds`
    /// without asking again; who is asks each time, since he expects to see what he has just changed.
    pub fn answer<T: Serialize>(&self, body: &T, max_age_seconds: u32) -> Result<Response, ApiError> {
        self.answer_prepared(&Prepared::of(body)?, max_age_seconds)
    }

    /// The same of what was prepared before.
    pub fn answer_prepared(&self, prepared: &Prepared, max_age_seconds: u32) -> Result<Response, ApiError> {
        let tag = prepared.tag();
        let is_known = self.known.iter().any(|known| *known == tag || known == "*");
        let mut response = if is_known {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            let kind = HeaderValue::from_static("application/json");
            ([(header::CONTENT_TYPE, kind)], Body::from(prepared.body())).into_response()
        };
        let age = match (self.is_personal, max_age_seconds) {
            (true, _) => HeaderValue::from_static("private, no-cache"),
            (false, 1) => HeaderValue::from_static("public, max-age=1"),
            (false, seconds) => {
                HeaderValue::try_from(format!("public, max-age={seconds}")).map_err(ApiError::internal)?
            }
        };
        let headers = response.headers_mut();
        headers.insert(header::ETAG, HeaderValue::from_maybe_shared(tag).map_err(ApiError::internal)?);
        headers.insert(header::CACHE_CONTROL, age);
        headers.append(header::VARY, HeaderValue::from_static("authorization, cookie"));
        Ok(response)
    }
}

/// JSON ready to be sent, with its tag before it: one piece of memory, as a cache keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared(Bytes);

impl Prepared {
    /// The JSON of `body`.
    pub fn of<T: Serialize>(body: &T) -> Result<Self, ApiError> {
        let mut bytes = vec![b'"'; TAG_BYTES];
        serde_json::to_writer(&mut bytes, body).map_err(ApiError::internal)?;
        let hash = blake3::hash(bytes.get(TAG_BYTES..).unwrap_or_default()).to_hex();
        for (place, letter) in bytes.iter_mut().skip(1).zip(hash.bytes().take(TAG_CHARS)) {
            *place = letter;
        }
        Ok(Self(bytes.into()))
    }

    /// What a cache kept, if it is that.
    pub fn from_bytes(bytes: Bytes) -> Option<Self> {
        let tag = bytes.get(..TAG_BYTES)?;
        (tag.first() == Some(&b'"') && tag.last() == Some(&b'"')).then_some(Self(bytes))
    }

    /// What a cache keeps.
    pub fn bytes(&self) -> Bytes {
        self.0.clone()
    }

    /// The ETag, in its quotes.
    pub fn tag(&self) -> Bytes {
        self.0.slice(..TAG_BYTES)
    }

    /// The JSON.
    pub fn body(&self) -> Bytes {
        self.0.slice(TAG_BYTES..)
    }
}

#[cfg(test)]
mod tests;
