//! What a banner must be.

use crate::admin::input;
use crate::banners::types::{BannerCreate, BannerFilter};
use crate::gonggus::destination;
use crate::http::check::Checks;
use crate::http::error::ApiError;
use chrono::{DateTime, Utc};

pub(crate) const SLOT_MAX_CHARS: usize = 40;
pub(crate) const LINK_MAX_CHARS: usize = 1_000;

/// A banner that may be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedBanner {
    /// Where it is shown.
    pub slot: String,
    /// Its picture.
    pub image_url: String,
    /// Where it leads.
    pub link_url: Option<String>,
    /// Its place.
    pub sort_order: i32,
    /// From when.
    pub starts_at: Option<DateTime<Utc>>,
    /// Until when.
    pub ends_at: Option<DateTime<Utc>>,
    /// Whether it is on.
    pub active: bool,
}

/// Checks a banner, new or changed.
pub fn check(body: BannerCreate) -> Result<CheckedBanner, ApiError> {
    let mut checks = Checks::new();
    let slot = input::text(&mut checks, body.slot, "slot", 1..=SLOT_MAX_CHARS);
    checks.ensure(
        slot.as_deref().is_none_or(is_slot),
        "slot",
        "영문 소문자, 숫자, -, _만 사용할 수 있습니다",
    );
    let image_url = checks.required(body.image_url, "image_url");
    let image_given = image_url.is_some();
    let image_url = input::picture(&mut checks, image_url, "image_url");
    checks.ensure(!image_given || image_url.is_some(), "image_url", "이미지 주소여야 합니다");
    let link_url = input::text(&mut checks, body.link_url, "link_url", 0..=LINK_MAX_CHARS);
    let link_url = link_url.filter(|link| !link.is_empty());
    if let Some(problem) = link_url.as_deref().and_then(link_refusal) {
        checks.refuse("link_url", problem);
    }
    let sort_order = body.sort_order.or(Some(0));
    let sort_order = input::number(&mut checks, sort_order, "sort_order", i32::MIN..=i32::MAX);
    let starts_at = input::time(&mut checks, body.starts_at, "starts_at");
    let ends_at = input::time(&mut checks, body.ends_at, "ends_at");
    input::ordered(&mut checks, starts_at, ends_at, "ends_at");
    checks.finish()?;
    let whole = (|| {
        Some(CheckedBanner {
            slot: slot?,
            image_url: image_url?,
            link_url,
            sort_order: sort_order?,
            starts_at,
            ends_at,
            active: body.active.unwrap_or(true),
        })
    })();
    whole.ok_or(ApiError::Malformed)
}

/// Checks what is asked for.
pub fn filter(filter: &BannerFilter) -> Result<(), ApiError> {
    if filter.slot.as_deref().is_none_or(is_slot) {
        Ok(())
    } else {
        Err(ApiError::field("slot", "영문 소문자, 숫자, -, _ 40자 이하여야 합니다"))
    }
}

fn is_slot(slot: &str) -> bool {
    (1..=SLOT_MAX_CHARS).contains(&slot.len())
        && slot.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
}

/// A path of ours, or what a gonggu might lead to.
fn link_refusal(link: &str) -> Option<&'static str> {
    let is_path = link.starts_with('/')
        && !link.starts_with("//")
        && !link.contains('\\')
        && !link.chars().any(char::is_whitespace);
    if is_path { None } else { destination::refusal(link) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_the_public_or_to_us() {
        for good in ["/gonggus/1?a=b", "https://shop.kr/p", "http://8.8.8.8/"] {
            assert_eq!(link_refusal(good), None, "{good}");
        }
        for bad in
            ["//evil.kr", "/\\evil.kr", "javascript:alert(1)", "https://127.0.0.1/", "gonggus/1", "/a b"]
        {
            assert!(link_refusal(bad).is_some(), "{bad}");
        }
    }
}
