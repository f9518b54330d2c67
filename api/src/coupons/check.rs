//! What a coupon must be, and how its code is compared.

use crate::admin::input;
use crate::coupons::types::CouponCreate;
use crate::http::check::Checks;
use crate::http::error::ApiError;
use chrono::{DateTime, Utc};
use std::ops::RangeInclusive;
use unicode_normalization::UnicodeNormalization;

/// Shorter ones are guessed, longer ones are not typed in.
pub(crate) const CODE_CHARS: RangeInclusive<usize> = 4..=40;
pub(crate) const POINTS: RangeInclusive<i32> = 1..=1_000_000;

/// A coupon that may be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedCoupon {
    /// As typed in, NFC.
    pub code: String,
    /// What it is looked up by.
    pub code_key: String,
    /// Its name.
    pub name: String,
    /// What it is worth.
    pub points: i32,
    /// From when.
    pub starts_at: DateTime<Utc>,
    /// Until when.
    pub ends_at: DateTime<Utc>,
    /// How many people.
    pub total_limit: Option<i32>,
    /// Whether it is on.
    pub active: bool,
}

/// What a code is looked up by; `None` if no coupon can have it.
pub fn code_key(code: &str) -> Option<String> {
    let code: String = code.trim().nfc().collect();
    let is_code = CODE_CHARS.contains(&code.chars().count())
        && code.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'));
    is_code.then(|| code.to_lowercase().nfc().collect())
}

/// Checks a coupon, new or changed.
pub fn check(body: CouponCreate) -> Result<CheckedCoupon, ApiError> {
    let mut checks = Checks::new();
    let code = input::text(&mut checks, body.code, "code", CODE_CHARS);
    let key = code.as_deref().and_then(code_key);
    checks.ensure(code.is_none() || key.is_some(), "code", "문자, 숫자, -, _만 사용할 수 있습니다");
    let name = input::text(&mut checks, body.name, "name", 1..=100);
    let points = input::number(&mut checks, body.points, "points", POINTS);
    let starts_at = checks.required(body.starts_at, "starts_at");
    let starts_at = input::time(&mut checks, starts_at, "starts_at");
    let ends_at = checks.required(body.ends_at, "ends_at");
    let ends_at = input::time(&mut checks, ends_at, "ends_at");
    input::ordered(&mut checks, starts_at, ends_at, "ends_at");
    let total_limit = match body.total_limit {
        None => None,
        limit => input::number(&mut checks, limit, "total_limit", 1..=i32::MAX),
    };
    checks.finish()?;
    let whole = (|| {
        Some(CheckedCoupon {
            code: code?,
            code_key: key?,
            name: name?,
            points: points?,
            starts_at: starts_at?,
            ends_at: ends_at?,
            total_limit,
            active: body.active.unwrap_or(true),
        })
    })();
    whole.ok_or(ApiError::Malformed)
}
