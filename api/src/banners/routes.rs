//! `GET /banners`: what is shown now.

use crate::app::App;
use crate::banners::types::{BannerFilter, ShownBannerListResponse};
use crate::banners::{check, queries};
use crate::http::error::ApiError;
use crate::http::extract::Query;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// A banner that begins or ends is seen everywhere after this; what the page costs otherwise is one query.
const CACHE_CONTROL: &str = "public, max-age=30";

/// The public routes of banners.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_shown_banners))
}

/// The banners that are shown now, in order; those of all slots if none is named.
#[utoipa::path(get, path = "/banners", tag = "banners", params(
    BannerFilter,
    ("If-None-Match" = Option<String>, Header, description = "the `ETag` of an earlier answer"),
), responses(
    (status = 200, body = ShownBannerListResponse, headers(
        ("ETag" = String, description = "changes with the answer"),
        ("Cache-Control" = String),
    )),
    (status = 304, description = "the earlier answer still holds"),
))]
async fn list_shown_banners(
    State(app): State<App>,
    Query(filter): Query<BannerFilter>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    check::filter(&filter)?;
    let items = queries::shown(&app.pool, filter.slot.as_deref(), app.clock.now().to_utc()).await?;
    let body = serde_json::to_vec(&json!(ShownBannerListResponse { items })).map_err(ApiError::internal)?;
    let tag = format!("\"{}\"", &blake3::hash(&body).to_hex()[..32]);
    let known = headers.get_all(header::IF_NONE_MATCH).iter().any(|value| names(value.as_bytes(), &tag));
    let caching = [(header::ETAG, tag), (header::CACHE_CONTROL, CACHE_CONTROL.to_owned())];
    if known {
        return Ok((StatusCode::NOT_MODIFIED, caching).into_response());
    }
    let json = [(header::CONTENT_TYPE, "application/json")];
    Ok((caching, json, body).into_response())
}

/// Whether an `If-None-Match` names this tag; weak ones count, as they do for GET.
fn names(value: &[u8], tag: &str) -> bool {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).any(|candidate| {
        candidate == b"*" || candidate.strip_prefix(b"W/").unwrap_or(candidate) == tag.as_bytes()
    })
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn tags_are_found_in_lists() {
        for good in ["\"a\"", "W/\"a\"", "\"b\", \"a\"", "*"] {
            assert!(names(good.as_bytes(), "\"a\""), "{good}");
        }
        for bad in ["", "a", "\"b\"", "\"aa\""] {
            assert!(!names(bad.as_bytes(), "\"a\""), "{bad}");
        }
    }
}
