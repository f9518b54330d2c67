//! Extractors whose refusals speak the API's error format.
//!
//! [`JsonBody`] is stricter than serde: a key that stands twice in one object is refused (which of the
//! two a program believes is how filters are fooled), and only `application/json` is JSON.

use crate::app::App;
use crate::http::address::Peer;
use crate::http::error::ApiError;
use axum::body::{Body, HttpBody};
use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequest, Request};
use http::request::Parts;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::{DeserializeOwned, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;

/// A JSON body.
#[derive(Debug)]
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            return Err(ApiError::UnsupportedMediaType);
        }
        let bytes = read_body(request.into_body(), app.settings.body_max_bytes).await?;
        parse_json(&bytes).map(JsonBody)
    }
}

/// A body that may be absent altogether: none, and no content type that announces one.
impl<T: DeserializeOwned> OptionalFromRequest<App> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Option<Self>, ApiError> {
        if !request.headers().contains_key(header::CONTENT_TYPE) {
            let bytes = read_body(request.into_body(), app.settings.body_max_bytes).await?;
            return if bytes.is_empty() { Ok(None) } else { Err(ApiError::UnsupportedMediaType) };
        }
        <Self as FromRequest<App>>::from_request(request, app).await.map(Some)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

async fn read_body(body: Body, bytes_max: usize) -> Result<bytes::Bytes, ApiError> {
    // An announced length that is too large is refused before the first byte of it.
    if HttpBody::size_hint(&body).lower() > bytes_max as u64 {
        return Err(ApiError::PayloadTooLarge);
    }
    match Limited::new(body, bytes_max).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => Err(ApiError::PayloadTooLarge),
        Err(_) => Err(ApiError::Malformed),
    }
}

/// Parses, refusing malformed text and duplicate keys with 400 and wrong shapes with 422.
pub fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    check_keys(bytes)?;
    // serde would also read a structure from an array of its values; no client means that.
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(ApiError::field("body", "JSON 객체여야 합니다"));
    }
    let mut document = serde_json::Deserializer::from_slice(bytes);
    serde_path_to_error::deserialize(&mut document).map_err(|error| match error.inner().classify() {
        Category::Io | Category::Syntax | Category::Eof => no_json(error.inner()),
        Category::Data => {
            let text = error.inner().to_string();
            match text.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
                Some(field) => ApiError::field(field.to_owned(), "필수 항목입니다"),
                None => wrong_form(&error.path().to_string(), "body"),
            }
        }
    })
}

/// A value that is not what its field holds. `path` names it, or is `.` for the whole, which is called `whole`. The
/// parser's own words are English and for programmers; what people need is the field, and how a time is written.
fn wrong_form(path: &str, whole: &'static str) -> ApiError {
    let is_time = path.ends_with("_at") || matches!(path, "from" | "to" | "effective_from");
    let message = match is_time {
        true => "값의 형식이 올바르지 않습니다 (예: 2026-11-01T09:00:00+09:00)",
        false => "값의 형식이 올바르지 않습니다",
    };
    match path {
        "." | "?" | "" => ApiError::field(whole, message),
        field => ApiError::field(field.to_owned(), message),
    }
}

/// Walks the whole document once, for its syntax and its keys.
fn check_keys(bytes: &[u8]) -> Result<(), ApiError> {
    let mut duplicate = None;
    let mut document = serde_json::Deserializer::from_slice(bytes);
    let walked =
        UniqueKeys { duplicate: &mut duplicate }.deserialize(&mut document).and_then(|()| document.end());
    match (duplicate, walked) {
        (Some(key), _) => Err(ApiError::DuplicateKey(key)),
        (None, Ok(())) => Ok(()),
        (None, Err(error)) => Err(no_json(&error)),
    }
}

/// Where it stops to be JSON: the parser's words are not for people, the place is.
fn no_json(error: &serde_json::Error) -> ApiError {
    ApiError::MalformedJson { line: error.line(), column: error.column() }
}

/// Visits a value of any shape and stops at the first key that repeats.
struct UniqueKeys<'a> {
    duplicate: &'a mut Option<String>,
}

impl<'de> DeserializeSeed<'de> for UniqueKeys<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for UniqueKeys<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut keys = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if keys.contains(&key) {
                *self.duplicate = Some(key);
                return Err(serde::de::Error::custom("duplicate key"));
            }
            keys.insert(key);
            map.next_value_seed(UniqueKeys { duplicate: self.duplicate })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(UniqueKeys { duplicate: self.duplicate })?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Segments of the path. What is not even text is a malformed request; whether an id is one, the domain says.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(path) => Ok(Self(path.0)),
            Err(_) => Err(ApiError::Malformed),
        }
    }
}

/// The query string.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let pairs = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let values = serde_urlencoded::Deserializer::new(pairs);
        let read = serde_path_to_error::deserialize(values);
        read.map(Self).map_err(|error| wrong_form(&error.path().to_string(), "query"))
    }
}

/// The client's address, by the rules of [`crate::http::address`].
#[derive(Clone, Copy, Debug)]
pub struct ClientAddress(pub IpAddr);

impl FromRequestParts<App> for ClientAddress {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Some(Peer(peer)) = parts.extensions.get::<Peer>().copied() else {
            return Err(ApiError::internal("the server did not name the connection's peer"));
        };
        Ok(Self(app.proxies.client_by(peer, &parts.headers)))
    }
}

#[cfg(test)]
mod tests;
