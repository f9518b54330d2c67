//! People of each role, and calls that tests of the catalog's write side repeat.

use super::api::{Api, answer, assert_error};
use super::database::{Role, make_account};
use super::deployment::Deployment;
use super::shared::Shared;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

/// Somebody who is signed in.
pub(crate) struct Person {
    pub(crate) id: Uuid,
    pub(crate) email: String,
    pub(crate) api: Api,
}

impl Person {
    pub(crate) async fn new(deployment: &Deployment, role: Role) -> Self {
        let (id, email) = make_account(&mut deployment.database().await, role).await;
        let api = Api::new(deployment).signed_in(&email).await;
        Self { id, email, api }
    }

    /// Another admin.
    pub(crate) async fn admin(deployment: &Deployment) -> Self {
        let mut database = deployment.database().await;
        let (id, email) = make_account(&mut database, Role::Buyer).await;
        sqlx::query("UPDATE users SET role = 'admin' WHERE id = $1")
            .bind(id)
            .execute(&mut database)
            .await
            .unwrap();
        let api = Api::new(deployment).signed_in(&email).await;
        Self { id, email, api }
    }
}

/// A call with a JSON body.
pub(crate) async fn call(api: &Api, method: Method, path: &str, body: &Value) -> (StatusCode, Value) {
    answer(api.request(method, &format!("/api/v1{path}")).json(body)).await
}

/// A call without a body.
pub(crate) async fn ask(api: &Api, method: Method, path: &str) -> (StatusCode, Value) {
    answer(api.request(method, &format!("/api/v1{path}"))).await
}

/// A call that must make something: what it made.
pub(crate) async fn make(api: &Api, path: &str, body: &Value) -> Value {
    let (status, made) = call(api, Method::POST, path, body).await;
    assert_eq!(status, StatusCode::CREATED, "POST {path}: {made}");
    made
}

/// Nobody, a buyer and an influencer are refused each of these calls.
pub(crate) async fn only_for_admins(shared: &Shared, calls: &[(Method, String)]) {
    let buyer = Person::new(&shared.deployment, Role::Buyer).await;
    let influencer = Person::new(&shared.deployment, Role::Influencer).await;
    let people = [
        (shared.anyone(), 401, "UNAUTHORIZED"),
        (buyer.api, 403, "FORBIDDEN"),
        (influencer.api, 403, "FORBIDDEN"),
    ];
    for (method, path) in calls {
        for (api, expected, code) in &people {
            let (status, body) = call(api, method.clone(), path, &serde_json::json!({})).await;
            assert_eq!(status.as_u16(), *expected, "{method} {path}: {body}");
            assert_error(&body, code);
        }
    }
}

/// How many entries the audit log has on something.
pub(crate) async fn audited(database: &mut PgConnection, action: &str, target_id: &str) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM audit_log WHERE action = $1 AND target_id = $2")
        .bind(action)
        .bind(target_id)
        .fetch_one(database)
        .await
        .unwrap()
}
