//! The edge: record, then answer. The one path whose speed is the product's.
//!
//! Invariants:
//! - a response carries `X-Click-Id` only after the click's append resolved, hence after its fsync;
//! - the destination comes from the table only, nothing of it from the request;
//! - a buyer is redirected whether or not the click could be recorded;
//! - whether the gonggu is open is decided by the recorded `clicked_at` and the recorded times of the
//!   link, so that answer and verdict agree to the millisecond;
//! - nothing is waited for but the sink. The database is asked only while the table may be behind.

use crate::app::{App, AppParts};
use crate::http::error::ApiError;
use crate::tracking::facts::HeaderFacts;
use crate::tracking::links::{Link, Settled};
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use gonggumoa_core::click::{ClickMethod, Endpoint};
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::gonggu::{GongguStatus, status_at};
use gonggumoa_core::ids::{ClickId, GongguId};
use gonggumoa_core::log::{AppendError, PendingClick};
use http::{HeaderName, HeaderValue, StatusCode, header};
use metrics::Counter;
use std::net::IpAddr;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

const CLICK_ID: HeaderName = HeaderName::from_static("x-click-id");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Handles made once: looking a metric up by name costs more than the redirect itself.
pub struct EdgeMetrics {
    recorded: Counter,
    unrecorded: Counter,
    not_active: Counter,
    unknown: Counter,
}

impl EdgeMetrics {
    /// Registers them with the recorder in force.
    pub fn register() -> Self {
        metrics::describe_counter!("clicks_recorded_total", "Clicks answered after they were on disk");
        metrics::describe_counter!("clicks_unrecorded_total", "Clicks that could not be recorded");
        Self {
            recorded: metrics::counter!("clicks_recorded_total"),
            unrecorded: metrics::counter!("clicks_unrecorded_total"),
            not_active: metrics::counter!("clicks_not_active_total"),
            unknown: metrics::counter!("clicks_unknown_gonggu_total"),
        }
    }
}

/// What became of a click on a known gonggu.
#[derive(Debug)]
pub struct Taken {
    /// Its id, if it was recorded.
    pub click_id: Option<ClickId>,
    /// Where the buyer goes, if the gonggu is open.
    pub destination: Option<HeaderValue>,
}

/// One request as the edge sees it.
#[derive(Clone, Copy, Debug)]
pub struct EdgeRequest<'a> {
    /// The gonggu.
    pub gonggu_id: GongguId,
    /// The door.
    pub endpoint: Endpoint,
    /// The method.
    pub method: ClickMethod,
    /// What its headers say.
    pub facts: &'a HeaderFacts<'a>,
    /// The client's address.
    pub address: IpAddr,
}

/// What is kept of the link while the click is on its way to the disk.
struct Underway {
    pending: PendingClick,
    location: HeaderValue,
    opens_at: UnixMillis,
    closes_at: UnixMillis,
}

/// Records a click and says where it leads. Errors: unknown gonggu, or not known for sure. What has to ask the
/// database does so on the runtime `aside`: connections opened there outlive the caller's own.
pub async fn take(app: &App, aside: &Handle, request: EdgeRequest<'_>) -> Result<Taken, ApiError> {
    let underway = match app.links.with(request.gonggu_id, |link| begin(app, &request, link)) {
        Some(underway) => underway,
        None => match settle(app, aside, request.gonggu_id).await {
            Settled::Known(link) => begin(app, &request, &link),
            Settled::Unknown => {
                app.edge_metrics.unknown.increment(1);
                return Err(ApiError::GongguNotFound);
            }
            Settled::NotNow => return Err(ApiError::Unavailable),
        },
    };
    let (click_id, at) = match underway.pending.await {
        Ok(receipt) => {
            app.edge_metrics.recorded.increment(1);
            (Some(receipt.id), receipt.clicked_at)
        }
        Err(AppendError::Full | AppendError::Poisoned(_) | AppendError::Closed) => {
            app.edge_metrics.unrecorded.increment(1);
            (None, app.clock.now())
        }
    };
    let active = status_at(at, underway.opens_at, underway.closes_at) == GongguStatus::Active;
    if !active {
        app.edge_metrics.not_active.increment(1);
    }
    Ok(Taken { click_id, destination: active.then_some(underway.location) })
}

async fn settle(app: &App, aside: &Handle, id: GongguId) -> Settled {
    let app = app.clone();
    let settling = aside.spawn(async move { app.links.settle(id).await });
    AbortOnDropHandle::new(settling).await.unwrap_or(Settled::NotNow)
}

/// Everything up to the first wait.
fn begin(app: &AppParts, request: &EdgeRequest<'_>, link: &Link) -> Underway {
    Underway {
        pending: request.facts.record(app, link, request.endpoint, request.method, request.address),
        location: link.location.clone(),
        opens_at: link.opens_at,
        closes_at: link.closes_at,
    }
}

/// The id in the path of a `/go` request, if the path is one.
pub fn go_path(path: &str) -> Option<&str> {
    let id = path.strip_prefix("/go/").or_else(|| path.strip_prefix("/api/v1/go/"))?;
    (!id.contains('/')).then_some(id)
}

/// Answers `GET|HEAD /go/{id}` of a client at `address`.
pub async fn go(
    app: &App,
    aside: &Handle,
    id: &str,
    method: ClickMethod,
    facts: &HeaderFacts<'_>,
    address: IpAddr,
) -> Response {
    let mut response = match parse_id(id) {
        None => ApiError::GongguNotFound.into_response(),
        Some(gonggu_id) => {
            let request = EdgeRequest { gonggu_id, endpoint: Endpoint::Go, method, facts, address };
            match take(app, aside, request).await {
                Ok(taken) => redirect(app, gonggu_id, taken),
                Err(error) => error.into_response(),
            }
        }
    };
    response.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
    response
}

/// Hyphenated, as we write it; other spellings of a UUID are not ours to share.
fn parse_id(id: &str) -> Option<GongguId> {
    (id.len() == 36).then(|| Uuid::try_parse(id).ok()).flatten().map(GongguId)
}

fn redirect(app: &App, gonggu_id: GongguId, taken: Taken) -> Response {
    let location = match (taken.destination, &app.settings.frontend_url) {
        (Some(destination), _) => Some(destination),
        (None, Some(frontend)) => {
            let page = format!("{}/gonggus/{gonggu_id}", frontend.as_str().trim_end_matches('/'));
            HeaderValue::from_str(&page).ok()
        }
        (None, None) => None,
    };
    let mut response = match location {
        Some(location) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::FOUND;
            response.headers_mut().insert(header::LOCATION, location);
            response
        }
        None => ApiError::GongguNotActive.into_response(),
    };
    mark(&mut response, taken.click_id);
    response
}

/// Adds the click's id, if there is one.
pub fn mark(response: &mut Response, click_id: Option<ClickId>) {
    let Some(ClickId(id)) = click_id else { return };
    let mut text = [0u8; 36];
    if let Ok(value) = HeaderValue::from_str(id.hyphenated().encode_lower(&mut text)) {
        response.headers_mut().insert(CLICK_ID, value);
    }
}

#[cfg(test)]
mod tests;
