//! Clicks that are never paid for, by reason; the first reason in order stands.
//!
//! Headers that are absent decide nothing: an old browser sends none of them.

use crate::click::{ClickMethod, Endpoint, InvalidReason, OriginKind, RawClick};
use crate::gonggu::{GongguStatus, status_at};

/// Values of the purpose headers that say "nobody has clicked yet".
const PREFETCH_PURPOSES: [&str; 3] = ["prefetch", "prerender", "preview"];

/// Why the click is invalid, if it is. `is_bot` is the word of the rules on its user agent.
pub(super) fn reason(click: &RawClick, is_bot: bool) -> Option<InvalidReason> {
    if click.method == ClickMethod::Head {
        Some(InvalidReason::Head)
    } else if is_prefetch(&click.purpose) {
        Some(InvalidReason::Prefetch)
    } else if is_bot {
        Some(InvalidReason::Bot)
    } else if is_embedded(click) {
        Some(InvalidReason::Embedded)
    } else if status_at(click.clicked_at, click.opens_at, click.closes_at) != GongguStatus::Active {
        Some(InvalidReason::NotActive)
    } else {
        None
    }
}

/// `prefetch;prerender` and the like: a list of tokens, any of which may say it.
fn is_prefetch(purpose: &str) -> bool {
    !purpose.is_empty()
        && purpose.split([',', ';']).any(|token| {
            let token = token.trim();
            PREFETCH_PURPOSES.iter().any(|known| token.eq_ignore_ascii_case(known))
        })
}

/// A frame, image or script of somebody else's page, or a form of a foreign origin.
fn is_embedded(click: &RawClick) -> bool {
    let other = |value: &str, expected: &str| {
        // Nearly every click says just what is expected.
        value != expected && {
            let value = value.trim();
            !value.is_empty() && !value.eq_ignore_ascii_case(expected)
        }
    };
    match click.endpoint {
        Endpoint::Go => other(&click.fetch_dest, "document") || other(&click.fetch_mode, "navigate"),
        Endpoint::Post => click.origin == OriginKind::Foreign,
    }
}
