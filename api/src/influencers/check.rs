//! What a profile must be.

use crate::gonggus::check::is_picture_address;
use crate::gonggus::destination;
use crate::http::check::Checks;
use crate::http::error::ApiError;
use crate::http::text::TextRule;
use crate::influencers::types::InfluencerUpdate;

pub(crate) const BIO: TextRule = TextRule { field: "bio", chars_min: 0, chars_max: 2_000, lines: true };
pub(crate) const URL_MAX_CHARS: usize = 500;

/// A change that may be stored; `None` leaves a field, empty takes it away.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct CheckedProfile {
    /// Trimmed, in NFC.
    pub bio: Option<String>,
    /// A picture's address.
    pub banner_image: Option<String>,
    /// A public address.
    pub instagram_url: Option<String>,
    /// A public address.
    pub tiktok_url: Option<String>,
}

/// Checks a profile.
pub fn profile(body: InfluencerUpdate) -> Result<CheckedProfile, ApiError> {
    let mut checks = Checks::new();
    let bio = body.bio.map(|bio| BIO.check(&bio, &mut checks));
    if let Some(banner) = body.banner_image.as_deref().filter(|banner| !banner.is_empty()) {
        checks.ensure(is_picture_address(banner), "banner_image", "500자 이하의 이미지 주소여야 합니다");
    }
    for (url, field) in [(&body.instagram_url, "instagram_url"), (&body.tiktok_url, "tiktok_url")] {
        let Some(url) = url.as_deref().filter(|url| !url.is_empty()) else { continue };
        checks.ensure(url.chars().count() <= URL_MAX_CHARS, field, "500자 이하여야 합니다");
        if let Some(refusal) = destination::refusal(url) {
            checks.refuse(field, refusal);
        }
    }
    checks.finish()?;
    Ok(CheckedProfile {
        bio,
        banner_image: body.banner_image,
        instagram_url: body.instagram_url,
        tiktok_url: body.tiktok_url,
    })
}
