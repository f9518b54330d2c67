//! Is the process alive, and is it of use? Each part that must work has a name and says so itself.
//!
//! Invariants: a part that has registered is not ready until it says so; `live` answers as long as anything
//! answers at all, so that a lost database does not get the process killed.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What whoever asks should wait before asking again.
const RETRY_AFTER_SECONDS: &str = "1";

/// How a part is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PartHealth {
    /// Does it work?
    pub ready: bool,
    /// What keeps it from working, or something worth knowing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// All parts of the process. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    parts: Arc<Mutex<BTreeMap<&'static str, PartHealth>>>,
}

/// One part's own entry. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Part {
    name: &'static str,
    readiness: Readiness,
}

impl Readiness {
    /// Registers a part (`database`, `journal`, `judge`, `links`), not ready yet.
    pub fn part(&self, name: &'static str) -> Part {
        let part = Part { name, readiness: self.clone() };
        part.not_ready("starting");
        part
    }

    /// Are all parts ready?
    pub fn is_ready(&self) -> bool {
        self.parts.lock().values().all(|part| part.ready)
    }

    /// How each part is.
    pub fn parts(&self) -> BTreeMap<&'static str, PartHealth> {
        self.parts.lock().clone()
    }
}

impl Part {
    /// It works.
    pub fn ready(&self) {
        self.set(PartHealth { ready: true, detail: None });
    }

    /// It works, or harms nobody by not working; `detail` is worth knowing.
    pub fn works_but(&self, detail: impl Into<String>) {
        self.set(PartHealth { ready: true, detail: Some(detail.into()) });
    }

    /// It does not, because of `detail`: words for an operator, without addresses or secrets.
    pub fn not_ready(&self, detail: impl Into<String>) {
        self.set(PartHealth { ready: false, detail: Some(detail.into()) });
    }

    fn set(&self, health: PartHealth) {
        let PartHealth { ready, detail } = health.clone();
        metrics::gauge!("part_ready", "part" => self.name).set(if ready { 1.0 } else { 0.0 });
        let before = self.readiness.parts.lock().insert(self.name, health);
        // Only changes are news: a part may repeat itself every second.
        if before.is_some_and(|before| before.ready != ready) {
            if ready {
                tracing::info!(part = self.name, "ready");
            } else {
                tracing::warn!(part = self.name, detail, "not ready");
            }
        }
    }
}

#[derive(Serialize)]
struct ReadyBody {
    status: &'static str,
    parts: BTreeMap<&'static str, PartHealth>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
}

/// `GET /health/live` and `GET /health/ready`, for the root.
pub fn router<S>(readiness: Readiness) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    Router::new()
        .route("/health/live", get(async || Json(serde_json::json!({ "status": "live" }))))
        .route("/health/ready", get(ready))
        .with_state(readiness)
}

async fn ready(State(readiness): State<Readiness>) -> Response {
    let parts = readiness.parts();
    let no_store = (header::CACHE_CONTROL, "no-store");
    if parts.values().all(|part| part.ready) {
        let body = ReadyBody { status: "ready", parts, detail: None, code: None };
        return ([no_store], Json(body)).into_response();
    }
    let body = ReadyBody {
        status: "not_ready",
        parts,
        detail: Some("아직 요청을 처리할 준비가 되지 않았습니다"),
        code: Some("NOT_READY"),
    };
    let headers = [no_store, (header::RETRY_AFTER, RETRY_AFTER_SECONDS)];
    (StatusCode::SERVICE_UNAVAILABLE, headers, Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    async fn ask(readiness: &Readiness, path: &str) -> (StatusCode, serde_json::Value) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router::<()>(readiness.clone()).oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn ready_only_when_every_part_is() {
        let readiness = Readiness::default();
        let (database, journal) = (readiness.part("database"), readiness.part("journal"));
        database.ready();
        let (status, body) = ask(&readiness, "/health/ready").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(body["parts"]["journal"]["detail"], "starting");
        assert_eq!((&body["parts"]["database"]["ready"], &body["code"]), (&true.into(), &"NOT_READY".into()));

        journal.ready();
        let (status, body) = ask(&readiness, "/health/ready").await;
        assert_eq!((status, &body["status"]), (StatusCode::OK, &"ready".into()));

        journal.not_ready("poisoned");
        let (status, _) = ask(&readiness, "/health/live").await;
        assert_eq!((status, readiness.is_ready()), (StatusCode::OK, false));
    }
}
