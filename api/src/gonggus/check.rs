//! What a gonggu must be, whether new or changed: a change is checked as the whole that it makes.

use crate::gonggus::destination;
use crate::gonggus::types::{GongguCreate, GongguRow, GongguUpdate};
use crate::http::check::Checks;
use crate::http::error::ApiError;
use crate::http::text::TextRule;
use chrono::{DateTime, Datelike, Utc};
use std::collections::HashSet;
use uuid::Uuid;

/// At most so many categories.
pub const CATEGORIES_MAX: usize = 2;
pub(crate) const TITLE: TextRule = TextRule { field: "title", chars_min: 1, chars_max: 200, lines: false };
pub(crate) const DESCRIPTION: TextRule =
    TextRule { field: "description", chars_min: 0, chars_max: 20_000, lines: true };
/// The width of every column that holds a picture's address.
pub(crate) const PICTURE_MAX_CHARS: usize = 500;

/// A gonggu that may be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedGonggu {
    /// Trimmed, in NFC.
    pub title: String,
    /// Trimmed, in NFC.
    pub description: String,
    /// In won.
    pub original_price: i32,
    /// In won.
    pub gonggu_price: i32,
    /// When it opens.
    pub open_at: DateTime<Utc>,
    /// When it closes.
    pub close_at: DateTime<Utc>,
    /// Where it is sold.
    pub external_url: String,
    /// Its picture.
    pub thumbnail: Option<String>,
}

/// Checks a new one.
pub fn create(body: &GongguCreate) -> Result<CheckedGonggu, ApiError> {
    check(body.clone())
}

/// Checks what `row` becomes by a change.
pub fn update(row: &GongguRow, body: &GongguUpdate) -> Result<CheckedGonggu, ApiError> {
    let body = body.clone();
    check(GongguCreate {
        title: body.title.or_else(|| Some(row.title.clone())),
        description: body.description.or_else(|| Some(row.description.clone())),
        original_price: body.original_price.or(Some(row.original_price.into())),
        gonggu_price: body.gonggu_price.or(Some(row.gonggu_price.into())),
        open_at: body.open_at.or(Some(row.open_at)),
        close_at: body.close_at.or(Some(row.close_at)),
        external_url: body.external_url.or_else(|| Some(row.external_url.clone())),
        thumbnail: body.thumbnail.or_else(|| row.thumbnail.clone()),
        category_ids: None,
        influencer_id: None,
    })
}

/// Checks categories by number; that they exist is the database's to say.
pub fn categories(ids: Option<&[Uuid]>) -> Result<(), ApiError> {
    let ids = ids.unwrap_or_default();
    if ids.len() > CATEGORIES_MAX {
        return Err(ApiError::TooManyCategories);
    }
    if ids.iter().collect::<HashSet<_>>().len() < ids.len() {
        return Err(ApiError::field("category_ids", "같은 카테고리를 두 번 선택할 수 없습니다"));
    }
    Ok(())
}

fn check(body: GongguCreate) -> Result<CheckedGonggu, ApiError> {
    let mut checks = Checks::new();
    let title = checks.required(body.title, TITLE.field).map(|title| TITLE.check(&title, &mut checks));
    let description = DESCRIPTION.check(&body.description.unwrap_or_default(), &mut checks);
    let original_price = price(&mut checks, body.original_price, "original_price");
    let gonggu_price = price(&mut checks, body.gonggu_price, "gonggu_price");
    if let (Some(original), Some(gonggu)) = (original_price, gonggu_price) {
        checks.ensure(gonggu <= original, "gonggu_price", "공구가는 정가보다 높을 수 없습니다");
    }
    let open_at = time(&mut checks, body.open_at, "open_at");
    let close_at = time(&mut checks, body.close_at, "close_at");
    if let (Some(open_at), Some(close_at)) = (open_at, close_at) {
        checks.ensure(open_at < close_at, "close_at", "종료 시각은 시작 시각보다 뒤여야 합니다");
    }
    let external_url = checks.required(body.external_url, "external_url");
    if let Some(refusal) = external_url.as_deref().and_then(destination::refusal) {
        checks.refuse("external_url", refusal);
    }
    let thumbnail = body.thumbnail.filter(|thumbnail| !thumbnail.is_empty());
    if let Some(thumbnail) = &thumbnail {
        let fits = is_picture_address(thumbnail);
        checks.ensure(fits, "thumbnail", "500자 이하의 이미지 주소여야 합니다");
    }
    checks.finish()?;
    let whole = (|| {
        Some(CheckedGonggu {
            title: title?,
            description,
            original_price: original_price?,
            gonggu_price: gonggu_price?,
            open_at: open_at?,
            close_at: close_at?,
            external_url: external_url?,
            thumbnail,
        })
    })();
    whole.ok_or(ApiError::Malformed)
}

fn price(checks: &mut Checks, value: Option<i64>, field: &'static str) -> Option<i32> {
    let value = checks.required(value, field)?;
    let price = i32::try_from(value).ok().filter(|price| *price > 0);
    checks.ensure(price.is_some(), field, "1원 이상 2147483647원 이하여야 합니다");
    price
}

/// Whole milliseconds: what the log and the database both hold.
fn time(checks: &mut Checks, value: Option<DateTime<Utc>>, field: &'static str) -> Option<DateTime<Utc>> {
    let value = checks.required(value, field)?;
    checks.ensure((2000..2100).contains(&value.year()), field, "2000년부터 2099년 사이여야 합니다");
    DateTime::from_timestamp_millis(value.timestamp_millis())
}

/// Our own pictures by path, others by http(s).
pub fn is_picture_address(text: &str) -> bool {
    text.chars().count() <= PICTURE_MAX_CHARS
        && !text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\')
        && ((text.starts_with('/') && !text.starts_with("//"))
            || text.starts_with("https://")
            || text.starts_with("http://"))
}

#[cfg(test)]
mod tests;
