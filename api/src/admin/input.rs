//! Checks that several admin bodies share. Each refuses by name and goes on, so that one answer names all.

use crate::http::check::Checks;
use chrono::{DateTime, Datelike, Utc};
use std::ops::RangeInclusive;
use unicode_normalization::UnicodeNormalization;

/// A text as it is stored: trimmed, NFC, of so many characters, without control characters.
pub fn text(
    checks: &mut Checks,
    value: Option<String>,
    field: &'static str,
    length: RangeInclusive<usize>,
) -> Option<String> {
    let value =
        if *length.start() == 0 { value.unwrap_or_default() } else { checks.required(value, field)? };
    let value: String = value.trim().nfc().collect();
    if !length.contains(&value.chars().count()) {
        checks.refuse(field, format!("{}자 이상 {}자 이하여야 합니다", length.start(), length.end()));
        return None;
    }
    if value.chars().any(char::is_control) {
        checks.refuse(field, "사용할 수 없는 문자가 있습니다");
        return None;
    }
    Some(value)
}

/// A number within these bounds; what comes over HTTP has 64 bits, columns have fewer.
pub fn number(
    checks: &mut Checks,
    value: Option<i64>,
    field: &'static str,
    bounds: RangeInclusive<i32>,
) -> Option<i32> {
    let value = checks.required(value, field)?;
    let number = i32::try_from(value).ok().filter(|number| bounds.contains(number));
    if number.is_none() {
        checks.refuse(field, format!("{} 이상 {} 이하여야 합니다", bounds.start(), bounds.end()));
    }
    number
}

/// A time of our age, in whole milliseconds. `None` stays `None`.
pub fn time(checks: &mut Checks, value: Option<DateTime<Utc>>, field: &'static str) -> Option<DateTime<Utc>> {
    let value = value?;
    if !(2000..2100).contains(&value.year()) {
        checks.refuse(field, "2000년부터 2099년 사이여야 합니다");
        return None;
    }
    DateTime::from_timestamp_millis(value.timestamp_millis())
}

/// That a range begins before it ends, where both ends are given.
pub fn ordered(
    checks: &mut Checks,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
    field: &'static str,
) {
    if let (Some(from), Some(to)) = (from, to) {
        checks.ensure(from < to, field, "끝은 시작보다 뒤여야 합니다");
    }
}

/// The address of a picture: our own by path, others by http(s). The caller has checked its length.
pub fn is_picture_address(text: &str) -> bool {
    !text.chars().any(char::is_whitespace)
        && ((text.starts_with('/') && !text.starts_with("//") && !text.contains('\\'))
            || text.starts_with("https://")
            || text.starts_with("http://"))
}

/// An optional picture's address; empty is none.
pub fn picture(checks: &mut Checks, value: Option<String>, field: &'static str) -> Option<String> {
    let value = text(checks, value, field, 0..=500).filter(|text| !text.is_empty())?;
    checks.ensure(is_picture_address(&value), field, "500자 이하의 이미지 주소여야 합니다");
    Some(value)
}
