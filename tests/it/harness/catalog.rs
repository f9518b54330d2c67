//! The catalog's calls, and people to make them.

use super::api::{Api, answer};
use super::database::{Role, make_account};
use super::shared::Shared;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use uuid::Uuid;

/// Somebody signed in.
pub(crate) struct Person {
    pub(crate) id: Uuid,
    pub(crate) api: Api,
}

/// A new account of this role, signed in.
pub(crate) async fn person(shared: &Shared, role: Role) -> Person {
    let mut database = shared.deployment.database().await;
    let (id, email) = make_account(&mut database, role).await;
    Person { id, api: shared.anyone().signed_in(&email).await }
}

impl Api {
    /// A call with a JSON body (null: none); `path` under the base.
    pub(crate) async fn call(&self, method: Method, path: &str, body: &Value) -> (StatusCode, Value) {
        let request = self.request(method, &format!("/api/v1{path}"));
        answer(if body.is_null() { request } else { request.json(body) }).await
    }

    /// A call with a body as it is.
    pub(crate) async fn call_raw(&self, method: Method, path: &str, body: &str) -> (StatusCode, Value) {
        let request = self.request(method, &format!("/api/v1{path}"));
        answer(request.header("Content-Type", "application/json").body(body.to_owned())).await
    }

    /// A GET that has to be answered.
    pub(crate) async fn read(&self, path: &str) -> Value {
        let (status, body) = self.get(&format!("/api/v1{path}")).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    /// A call that has to end with this status.
    pub(crate) async fn expect(&self, method: Method, path: &str, body: &Value, status: u16) -> Value {
        let (found, answer) = self.call(method.clone(), path, body).await;
        assert_eq!(found, status, "{method} {path} {body}: {answer}");
        answer
    }
}
