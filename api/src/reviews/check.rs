//! What a review must be, whether new or changed.

use crate::http::check::Checks;
use crate::http::error::ApiError;
use crate::http::text::TextRule;
use crate::reviews::types::{ReviewCreate, ReviewRow, ReviewUpdate};

/// More pictures no page shows.
pub(crate) const IMAGES_MAX: usize = 10;
pub(crate) const IMAGE_MAX_CHARS: usize = 500;
pub(crate) const CONTENT: TextRule =
    TextRule { field: "content", chars_min: 1, chars_max: 2_000, lines: true };

/// A review that may be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedReview {
    /// 1 to 5.
    pub rating: i16,
    /// Trimmed, in NFC.
    pub content: String,
    /// Addresses of pictures.
    pub images: Vec<String>,
}

/// Checks a new one.
pub fn create(body: ReviewCreate) -> Result<CheckedReview, ApiError> {
    let mut checks = Checks::new();
    let rating = checks.required(body.rating, "rating");
    let rating = rating.map(|rating| i16::try_from(rating).ok().filter(|rating| (1..=5).contains(rating)));
    checks.ensure(rating != Some(None), "rating", "1 이상 5 이하여야 합니다");
    let content = checks.required(body.content, CONTENT.field);
    let content = content.map(|content| CONTENT.check(&content, &mut checks));
    let images = body.images.unwrap_or_default();
    checks.ensure(images.len() <= IMAGES_MAX, "images", "10개 이하여야 합니다");
    let are_pictures = images.iter().all(|image| is_picture(image));
    checks.ensure(
        are_pictures,
        "images",
        "500자 이하의 http(s) 이미지 주소이거나 업로드한 이미지여야 합니다",
    );
    checks.finish()?;
    match (rating.flatten(), content) {
        (Some(rating), Some(content)) => Ok(CheckedReview { rating, content, images }),
        _ => Err(ApiError::Malformed),
    }
}

/// Checks what `row` becomes by a change.
pub fn update(row: ReviewRow, body: ReviewUpdate) -> Result<CheckedReview, ApiError> {
    create(ReviewCreate {
        rating: body.rating.or(Some(row.rating.into())),
        content: body.content.or(Some(row.content)),
        images: body.images.or(Some(row.images.0)),
    })
}

/// An address elsewhere, or a picture that was uploaded here.
fn is_picture(address: &str) -> bool {
    is_uploaded(address) || is_elsewhere(address)
}

/// `/images/{year}/{month}/{uuid}.webp`, exactly: no other path of ours is a picture.
fn is_uploaded(address: &str) -> bool {
    let digits = |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_id = |text: &str| text.len() == 36 && uuid::Uuid::try_parse(text).is_ok();
    let parts = address.strip_prefix("/images/").map(|path| path.splitn(3, '/').collect::<Vec<_>>());
    match parts.as_deref() {
        Some([year, month, file]) => {
            digits(year, 4) && digits(month, 2) && file.strip_suffix(".webp").is_some_and(is_id)
        }
        _ => false,
    }
}

fn is_elsewhere(address: &str) -> bool {
    let is_http = url::Url::parse(address).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none()
    });
    is_http
        && (address.starts_with("https://") || address.starts_with("http://"))
        && address.chars().count() <= IMAGE_MAX_CHARS
        && !address.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\')
}

#[cfg(test)]
mod tests;
