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
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;

/// So many characters of the hash make a tag: 128 bits, never equal by chance.
const TAG_CHARS: usize = 32;

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
        let bytes = serde_json::to_vec(body).map_err(ApiError::internal)?;
        let mut tag = format!("\"{}", blake3::hash(&bytes).to_hex());
        tag.truncate(1 + TAG_CHARS);
        tag.push('"');
        let is_known = self.known.iter().any(|known| *known == tag || known == "*");
        let mut response = if is_known {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            let kind = HeaderValue::from_static("application/json");
            ([(header::CONTENT_TYPE, kind)], Body::from(bytes)).into_response()
        };
        let age = if self.is_personal {
            "private, no-cache".to_owned()
        } else {
            format!("public, max-age={max_age_seconds}")
        };
        let headers = response.headers_mut();
        headers.insert(header::ETAG, HeaderValue::try_from(tag).map_err(ApiError::internal)?);
        headers.insert(header::CACHE_CONTROL, HeaderValue::try_from(age).map_err(ApiError::internal)?);
        headers.append(header::VARY, HeaderValue::from_static("authorization, cookie"));
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn asked(name: header::HeaderName, value: &str) -> Conditional {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        Conditional::new(&headers)
    }

    fn shown(response: &Response, name: header::HeaderName) -> String {
        response.headers()[name].to_str().unwrap().to_owned()
    }

    #[test]
    fn what_the_client_has_is_not_sent_again() {
        let first = Conditional::new(&HeaderMap::new()).answer(&"a", 5).unwrap();
        assert_eq!(first.status(), StatusCode::OK);
        assert_eq!(shown(&first, header::CACHE_CONTROL), "public, max-age=5");
        let tag = shown(&first, header::ETAG);
        assert_eq!(tag.len(), TAG_CHARS + 2);
        for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
            let again = asked(header::IF_NONE_MATCH, &known).answer(&"a", 5).unwrap();
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{known}");
            assert_eq!(shown(&again, header::ETAG), tag);
        }
        let changed = asked(header::IF_NONE_MATCH, &tag).answer(&"b", 5).unwrap();
        assert_eq!(changed.status(), StatusCode::OK);
        assert_ne!(shown(&changed, header::ETAG), tag);
    }

    #[test]
    fn what_is_a_persons_is_not_shared() {
        for personal in
            [asked(header::AUTHORIZATION, "Bearer x"), asked(header::COOKIE, "a=b; access_token=x")]
        {
            let response = personal.answer(&"a", 5).unwrap();
            assert_eq!(shown(&response, header::CACHE_CONTROL), "private, no-cache");
        }
        let other = asked(header::COOKIE, "theme=dark").answer(&"a", 5).unwrap();
        assert_eq!(shown(&other, header::CACHE_CONTROL), "public, max-age=5");
    }
}
