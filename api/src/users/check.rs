//! What an account's fields may hold.

use crate::http::check::Checks;
use crate::http::error::ApiError;
use crate::users::types::UserUpdate;
use unicode_normalization::UnicodeNormalization;
use url::Url;

pub(crate) const NICKNAME_CHARS_MAX: usize = 50;
pub(crate) const PICTURE_CHARS_MAX: usize = 500;

/// A nickname as it is stored; what is wrong with it goes into `checks`.
pub fn nickname(text: &str, checks: &mut Checks) -> String {
    let clean: String = text.trim().nfc().collect();
    let length = clean.chars().count();
    checks.ensure((1..=NICKNAME_CHARS_MAX).contains(&length), "nickname", "1자 이상 50자 이하여야 합니다");
    checks.ensure(!clean.contains(char::is_control), "nickname", "사용할 수 없는 문자가 있습니다");
    clean
}

/// A change of a profile that may be stored. What is absent stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckedUpdate {
    /// The shown name.
    pub nickname: Option<String>,
    /// Address of the picture; `Some(None)` takes it away.
    pub profile_image: Option<Option<String>>,
    /// E.164; `Some(None)` takes it away.
    pub phone_number: Option<Option<String>>,
}

/// Checks a change.
pub fn update(body: UserUpdate) -> Result<CheckedUpdate, ApiError> {
    let mut checks = Checks::new();
    let shown_name = match body.nickname {
        None => None,
        Some(Some(text)) => Some(nickname(&text, &mut checks)),
        Some(None) => {
            checks.refuse("nickname", "비울 수 없습니다");
            None
        }
    };
    if let Some(Some(picture)) = &body.profile_image {
        checks.ensure(is_picture(picture), "profile_image", "500자 이하의 http(s) 주소여야 합니다");
    }
    if let Some(Some(phone)) = &body.phone_number {
        checks.ensure(is_phone(phone), "phone_number", "+821012345678과 같은 국제 형식이어야 합니다");
    }
    checks.finish()?;
    Ok(CheckedUpdate {
        nickname: shown_name,
        profile_image: body.profile_image,
        phone_number: body.phone_number,
    })
}

fn is_picture(text: &str) -> bool {
    let web = |url: Url| {
        matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none()
    };
    text.chars().count() <= PICTURE_CHARS_MAX
        && !text.contains(|c: char| c.is_control() || c.is_whitespace())
        // the parser also takes `https:host` and backslashes; what is shown to others should look like what it is
        && (text.starts_with("https://") || text.starts_with("http://"))
        && !text.contains('\\')
        && Url::parse(text).is_ok_and(web)
}

/// E.164: a plus sign and 7 to 15 digits, the first not 0.
fn is_phone(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0')
    })
}

#[cfg(test)]
mod tests;
