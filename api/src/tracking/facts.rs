//! What a request says of itself, read in one pass over its headers, without judging it.
//!
//! Values are lossy UTF-8: a header of any bytes makes a click, never an error.

use crate::app::AppParts;
use crate::http::auth::{bearer_value, cookie_value};
use crate::tracking::links::Link;
use gonggumoa_core::click::{ClickFacts, ClickMethod, Endpoint, OriginKind, TEXT_MAX_CHARS};
use gonggumoa_core::log::PendingClick;
use gonggumoa_core::visitor::Member;
use http::HeaderMap;
use std::borrow::Cow;
use std::net::IpAddr;

/// No more of a header is decoded: every character of UTF-8 (and every piece that is replaced) takes
/// at most four bytes, so the first `TEXT_MAX_CHARS` characters lie in these.
const TEXT_MAX_BYTES: usize = 4 * TEXT_MAX_CHARS + 4;

/// The longest name of a header that matters has 14.
const NAME_MAX_BYTES: usize = 16;

/// The headers that matter, borrowed.
#[derive(Debug, Default)]
pub struct HeaderFacts<'a> {
    user_agent: Option<&'a [u8]>,
    referer: Option<&'a [u8]>,
    origin: Option<&'a [u8]>,
    bearer: Option<&'a str>,
    cookie: Option<&'a str>,
    purpose: Cow<'a, str>,
    fetch_site: Option<&'a [u8]>,
    fetch_mode: Option<&'a [u8]>,
    fetch_dest: Option<&'a [u8]>,
    fetch_user: Option<&'a [u8]>,
}

impl<'a> HeaderFacts<'a> {
    /// Reads them.
    pub fn read(headers: &'a HeaderMap) -> Self {
        let mut facts = Self::default();
        for (name, value) in headers {
            facts.take(name.as_str(), value.as_bytes());
        }
        facts
    }

    /// Takes a header whose name may have capitals.
    pub fn take_any_case(&mut self, name: &str, value: &'a [u8]) {
        let mut small = [0u8; NAME_MAX_BYTES];
        let Some(small) = small.get_mut(..name.len()) else { return };
        small.copy_from_slice(name.as_bytes());
        small.make_ascii_lowercase();
        if let Ok(name) = std::str::from_utf8(small) {
            self.take(name, value);
        }
    }

    /// Takes one header more; of one that stands twice the first counts, purposes are joined.
    fn take(&mut self, name: &str, value: &'a [u8]) {
        match name {
            "user-agent" => keep(&mut self.user_agent, value),
            "referer" => keep(&mut self.referer, value),
            "origin" => keep(&mut self.origin, value),
            "sec-fetch-site" => keep(&mut self.fetch_site, value),
            "sec-fetch-mode" => keep(&mut self.fetch_mode, value),
            "sec-fetch-dest" => keep(&mut self.fetch_dest, value),
            "sec-fetch-user" => keep(&mut self.fetch_user, value),
            "authorization" if self.bearer.is_none() => self.bearer = bearer_value(value),
            "cookie" if self.cookie.is_none() => self.cookie = cookie_value(value),
            "sec-purpose" | "purpose" | "x-purpose" | "x-moz" => {
                let text = lossy(Some(value));
                self.purpose = if self.purpose.is_empty() {
                    text
                } else {
                    Cow::Owned(format!("{}, {text}", self.purpose))
                };
            }
            _ => {}
        }
    }

    /// Who the tokens say it is. The cookie counts on `/go`, and on POST only from our own pages.
    fn member(&self, app: &AppParts, endpoint: Endpoint, origin: OriginKind) -> Option<Member> {
        let cookie_counts = match endpoint {
            Endpoint::Go => true,
            Endpoint::Post => origin == OriginKind::Ours,
        };
        let cookie = self.cookie.filter(|_| cookie_counts);
        [self.bearer, cookie]
            .into_iter()
            .flatten()
            .find_map(|token| app.tokens.verify(token).ok())
            .map(|claims| claims.member())
    }

    /// Hands the click to the sink.
    pub fn record(
        &self,
        app: &AppParts,
        link: &Link,
        endpoint: Endpoint,
        method: ClickMethod,
        address: IpAddr,
    ) -> PendingClick {
        let origin = app.origins.kind(self.origin);
        app.sink.append(&ClickFacts {
            gonggu_id: link.gonggu_id,
            opens_at: link.opens_at,
            closes_at: link.closes_at,
            member: self.member(app, endpoint, origin),
            address,
            address_hash: app.address_key.address_hash(address),
            network_hash: app.address_key.network_hash(address),
            user_agent: &lossy(self.user_agent),
            referer: &lossy(self.referer),
            endpoint,
            method,
            purpose: &self.purpose,
            fetch_site: &lossy(self.fetch_site),
            fetch_mode: &lossy(self.fetch_mode),
            fetch_dest: &lossy(self.fetch_dest),
            fetch_user: &lossy(self.fetch_user),
            origin,
        })
    }
}

fn keep<'a>(place: &mut Option<&'a [u8]>, value: &'a [u8]) {
    if place.is_none() {
        *place = Some(value);
    }
}

fn lossy(value: Option<&[u8]>) -> Cow<'_, str> {
    let value = value.unwrap_or_default();
    String::from_utf8_lossy(&value[..value.len().min(TEXT_MAX_BYTES)])
}
