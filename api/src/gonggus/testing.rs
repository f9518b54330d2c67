#![allow(clippy::unwrap_used, clippy::expect_used)]
//! The catalog's routes on a database of the test's own, people to call them, a count of the statements that a call
//! makes, and the plans that they tell.

use crate::app::App;
use crate::auth::tokens::TokenSubject;
use crate::http::openapi;
use crate::test_support::{app_on, tokens};
use crate::users::types::UserRole;
use axum::Router;
use axum::body::Body;
use chrono::{DateTime, Utc};
use gonggumoa_core::clock::{Clock, SystemClock, UnixMillis};
use gonggumoa_core::ids::UserId;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::Value;
use sqlx::PgPool;
use std::cell::{Cell, RefCell};
use std::fmt::Debug;
use std::sync::Once;
use tower::ServiceExt;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use uuid::Uuid;

/// Somebody with an account.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) id: Uuid,
    pub(crate) token: String,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

/// See the module's head.
#[derive(Clone)]
pub(crate) struct Catalog {
    pub(crate) app: App,
    pub(crate) pool: PgPool,
    router: Router,
}

impl Catalog {
    pub(crate) fn new(pool: PgPool) -> Self {
        let (app, _) = app_on(pool.clone(), pool.clone(), None);
        let router = openapi::router(&app, Router::new());
        Self { app, pool, router }
    }

    /// A buyer, a verified influencer or an admin.
    pub(crate) async fn person(&self, role: UserRole) -> Person {
        let id = Uuid::now_v7();
        sqlx::query("INSERT INTO users (id, email, nickname, role) VALUES ($1, $2, $3, $4)")
            .bind(id)
            .bind(format!("{}@gonggumoa.example", id.simple()))
            .bind(format!("person {}", id.simple()))
            .bind(role)
            .execute(&self.pool)
            .await
            .unwrap();
        if role == UserRole::Influencer {
            let profile = "INSERT INTO influencer_profiles (id, user_id, is_verified) VALUES ($1, $1, true)";
            sqlx::query(profile).bind(id).execute(&self.pool).await.unwrap();
        }
        Self::signed_in(id, role)
    }

    /// Somebody who has an account already.
    pub(crate) fn signed_in(id: Uuid, role: UserRole) -> Person {
        let created_at = UnixMillis(0);
        let subject = TokenSubject { id: UserId(id), role, token_version: 0, created_at, session_id: id };
        Person { id, token: tokens().issue(&subject, SystemClock.now()).unwrap() }
    }

    /// A gonggu with these times, put into the database by hand.
    pub(crate) async fn gonggu(
        &self,
        owner_id: Uuid,
        (open_at, close_at, closed_at): (i64, i64, Option<i64>),
    ) -> Uuid {
        let id = Uuid::now_v7();
        sqlx::query(
            "INSERT INTO gonggus (id, influencer_id, title, original_price, gonggu_price, open_at, close_at,
                                  closed_at, external_url, created_at)
             VALUES ($1, $2, 'gonggu', 1000, 900, $3, $4, $5, 'https://shop.example.com/p', $3)",
        )
        .bind(id)
        .bind(owner_id)
        .bind(at(open_at))
        .bind(at(close_at))
        .bind(closed_at.map(at))
        .execute(&self.pool)
        .await
        .unwrap();
        self.written_by_hand();
        id
    }

    /// What was written by hand is seen: nobody told this process.
    pub(crate) fn written_by_hand(&self) {
        self.app.catalog.changed();
    }

    /// A call; `path` under the base.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        person: Option<&Person>,
        body: Option<Value>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("/api/v1{path}"));
        if let Some(person) = person {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", person.token));
        }
        let body = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn get(&self, path: &str, person: Option<&Person>) -> Answer {
        self.call(Method::GET, path, person, None).await
    }

    /// A POST that has to make something.
    pub(crate) async fn make(&self, path: &str, person: &Person, body: Option<Value>) -> Value {
        let answer = self.call(Method::POST, path, Some(person), body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{path}: {}", answer.body);
        answer.body
    }

    /// How many statements a GET makes. Whoever asks is remembered before: who he is, is not counted.
    pub(crate) async fn statements_of(&self, path: &str, person: Option<&Person>) -> usize {
        assert!(self.get(path, person).await.status.is_success(), "{path}");
        Statements::count();
        STATEMENTS.set(0);
        self.app.catalog.changed();
        let answer = self.get(path, person).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
        STATEMENTS.get()
    }
}

/// The plans of the statements of a GET, on a database whose statements tell them (`auto_explain`, as notices).
pub(crate) async fn plans_of(catalog: &Catalog, path: &str, person: Option<&Person>) -> Vec<String> {
    Statements::count();
    catalog.app.catalog.changed();
    PLANS.take();
    let answer = catalog.get(path, person).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
    PLANS.take()
}

/// Milliseconds since 1970.
pub(crate) fn at(millis: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(millis).unwrap()
}

thread_local! {
    /// Statements run by this thread: a test's runtime has no other.
    static STATEMENTS: Cell<usize> = const { Cell::new(0) };
    /// What the server has told of them.
    static PLANS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// The driver tells of each statement it has run.
struct Statements;

impl Statements {
    /// Begins to count, for all tests of this process: a subscriber of one thread alone would not be asked
    /// about what another thread has met first.
    fn count() {
        static BEGUN: Once = Once::new();
        BEGUN.call_once(|| {
            tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Self)).unwrap();
            tracing::callsite::rebuild_interest_cache();
        });
    }
}

impl<S: tracing::Subscriber> Layer<S> for Statements {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        ["sqlx::query", "sqlx::postgres::notice"].contains(&metadata.target())
    }

    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "sqlx::query" {
            STATEMENTS.set(STATEMENTS.get() + 1);
        } else {
            let mut text = String::new();
            event.record(&mut |_: &tracing::field::Field, value: &dyn Debug| text += &format!("{value:?}"));
            PLANS.with_borrow_mut(|plans| plans.push(text));
        }
    }
}
