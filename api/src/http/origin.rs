//! Which `Origin` is ours: the pages of `CORS_ORIGINS` and our own. Compared as a whole, case aside;
//! `null` and everything else is somebody else's page.

use gonggumoa_core::click::OriginKind;

/// The list.
#[derive(Clone, Debug)]
pub struct Origins(Box<[Box<str>]>);

impl Origins {
    /// From configured origins; a trailing slash is forgiven.
    pub fn new<'a>(origins: impl IntoIterator<Item = &'a String>) -> Self {
        Self(origins.into_iter().map(|origin| origin.trim().trim_end_matches('/').into()).collect())
    }

    /// Judges one header value.
    pub fn kind(&self, origin: Option<&[u8]>) -> OriginKind {
        match origin {
            None => OriginKind::Absent,
            Some(bytes) if self.0.iter().any(|ours| ours.as_bytes().eq_ignore_ascii_case(bytes)) => {
                OriginKind::Ours
            }
            Some(_) => OriginKind::Foreign,
        }
    }
}
