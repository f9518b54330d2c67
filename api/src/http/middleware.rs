//! What every request to the router goes through: an id, a span, a deadline, a net under panics.
//!
//! `/go` does not come here (see `tracking::edge`). Streams are exempt from the deadline once they
//! have begun, since it covers the handler's answer and not its body.

use crate::app::App;
use crate::http::error::{ApiError, FailureReport, internal_body};
use crate::http::request_id::REQUEST_ID;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};
use tower_http::cors::{AllowOrigin, CorsLayer};
use tracing::Instrument;

/// The outermost layer.
pub async fn envelope(State(app): State<App>, request: Request, next: Next) -> Response {
    let request_id = app.request_ids.next();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let span = tracing::debug_span!(
        "http.request",
        http.method = %request.method(),
        http.route = route.as_deref().unwrap_or(""),
        request.id = request_id.to_str().unwrap_or_default(),
    );
    let started = Instant::now();
    let mut response =
        guarded(next.run(request), app.settings.handler_timeout).instrument(span.clone()).await;
    let _entered = span.enter();
    if let Some(FailureReport(cause)) = response.extensions_mut().remove::<FailureReport>() {
        tracing::error!(
            error = &*cause as &(dyn std::error::Error + 'static),
            request.id = request_id.to_str().unwrap_or_default(),
            http.route = route.as_deref().unwrap_or(""),
            "request failed"
        );
        response.headers_mut().remove(header::CONTENT_LENGTH);
        *response.body_mut() = internal_body(&request_id);
    }
    tracing::debug!(
        http.status = response.status().as_u16(),
        http.elapsed_millis = started.elapsed().as_millis() as u64,
        "request answered"
    );
    response.headers_mut().insert(REQUEST_ID, request_id);
    response
}

async fn guarded(handler: impl Future<Output = Response>, deadline: Duration) -> Response {
    match tokio::time::timeout(deadline, AssertUnwindSafe(handler).catch_unwind()).await {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => {
            let what = panic
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "unknown".to_owned());
            ApiError::internal(format!("a handler panicked: {what}")).into_response()
        }
        Err(_) => ApiError::TimedOut.into_response(),
    }
}

/// CORS for the configured origins, with credentials; others get no such headers.
pub fn cors(origins: &[String]) -> CorsLayer {
    let allowed: Vec<HeaderValue> = origins
        .iter()
        .filter_map(|origin| HeaderValue::from_str(origin.trim().trim_end_matches('/')).ok())
        .collect();
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(allowed))
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static("last-event-id"),
        ])
        .expose_headers([
            REQUEST_ID,
            HeaderName::from_static("x-click-id"),
            HeaderName::from_static("x-content-sha256"),
            header::RETRY_AFTER,
        ])
        .max_age(Duration::from_secs(600))
}

/// No route matched.
pub async fn no_route() -> ApiError {
    ApiError::RouteNotFound
}

/// A route matched, its methods did not.
pub async fn no_method() -> Response {
    let response = ApiError::MethodNotAllowed.into_response();
    debug_assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    response
}
