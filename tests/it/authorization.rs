//! Nobody reads or changes what is not theirs: every operation of the running server's own description is asked
//! without a sign-in, with a bad one, and by everybody whose role is too small.
//!
//! A new route is tested by being there. Only a path parameter that is not known here must be given a real
//! thing of somebody else's: the test fails until it is.

use crate::harness::api::{answer, assert_error};
use crate::harness::database::{Role, make_account};
use crate::harness::{Api, Gonggu, GongguSpec, shared};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

const BASE: &str = "/api/v1";

/// One operation as it is described.
struct Operation {
    method: Method,
    path: String,
    /// `None`: public.
    role: Option<String>,
}

/// Things of somebody else's, for the paths.
struct Fixtures {
    gonggu: Gonggu,
    influencer: Uuid,
}

impl Fixtures {
    /// By the parameter's name and, where one name stands for several things, by the path.
    fn of(&self, parameter: &str, path: &str) -> String {
        match (parameter, path.split('/').nth(1).unwrap_or_default()) {
            ("gonggu_id", _) | ("id", "gonggus") => self.gonggu.to_string(),
            ("influencer_id" | "user_id", _) | ("id", "influencers") => self.influencer.to_string(),
            // what there is none of is asked for all the same: who may not ask is not told that there is none
            (
                "id",
                "reviews" | "categories" | "banners" | "coupons" | "notifications" | "settlements" | "admin",
            ) => Uuid::now_v7().to_string(),
            ("code", "coupons") => "WELCOME".to_owned(),
            ("provider", _) => "kakao".to_owned(),
            _ => panic!("{path}: give {{{parameter}}} something of somebody else's in {}", file!()),
        }
    }

    fn fill(&self, path: &str) -> String {
        let segments = path.split('/').map(|segment| {
            match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
                Some(parameter) => self.of(parameter, path),
                None => segment.to_owned(),
            }
        });
        segments.collect::<Vec<_>>().join("/")
    }
}

async fn operations(api: &Api) -> Vec<Operation> {
    let (status, document) = api.get("/api/v1/openapi.json").await;
    assert_eq!(status, StatusCode::OK);
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let Ok(method) = method.to_uppercase().parse::<Method>() else { continue };
            if !operation.is_object() || method.as_str().len() > 7 || !operation["responses"].is_object() {
                continue;
            }
            let path = path.strip_prefix(BASE).expect("all below the base").to_owned();
            let role = operation["x-required-role"].as_str().map(str::to_owned);
            found.push(Operation { method, path, role });
        }
    }
    assert!(found.len() > 20, "only {} operations are described", found.len());
    found
}

/// Everybody who may ask.
struct People {
    anyone: Api,
    buyer: Api,
    rival: Api,
}

async fn people() -> (People, Fixtures) {
    let shared = shared().await;
    let anyone = shared.anyone();
    let mut database = shared.deployment.database().await;
    let (owner_id, owner_email) = make_account(&mut database, Role::Influencer).await;
    let (_, rival_email) = make_account(&mut database, Role::Influencer).await;
    let (_, buyer_email) = make_account(&mut database, Role::Buyer).await;
    let gonggu = anyone.signed_in(&owner_email).await.gonggu(&GongguSpec::default()).await;
    let people = People {
        buyer: anyone.signed_in(&buyer_email).await,
        rival: anyone.signed_in(&rival_email).await,
        anyone,
    };
    (people, Fixtures { gonggu, influencer: owner_id })
}

/// With a body where one is read: who may ask is decided before what is asked.
fn ask(api: &Api, operation: &Operation, path: &str) -> RequestBuilder {
    let request = api.request(operation.method.clone(), &format!("{BASE}{path}"));
    if [Method::GET, Method::HEAD].contains(&operation.method) { request } else { request.json(&json!({})) }
}

async fn expect(what: &str, operation: &Operation, request: RequestBuilder, status: StatusCode, code: &str) {
    let (found, body): (StatusCode, Value) = answer(request).await;
    let name = format!("{what}: {} {}", operation.method, operation.path);
    assert_eq!(found, status, "{name}: {body}");
    assert_eq!(body["code"], json!(code), "{name}");
    assert_error(&body, code);
}

#[tokio::test]
async fn every_operation_that_is_not_public_needs_a_good_sign_in() {
    let (people, fixtures) = people().await;
    let mut asked = 0;
    for operation in operations(&people.anyone).await.iter().filter(|operation| operation.role.is_some()) {
        let path = fixtures.fill(&operation.path);
        let refused = StatusCode::UNAUTHORIZED;
        let nobody = ask(&people.anyone, operation, &path);
        expect("no token", operation, nobody, refused, "UNAUTHORIZED").await;
        for garbage in ["garbage", "a.b.c", "eyJhbGciOiJub25lIn0.e30."] {
            let bad = ask(&people.anyone.with_token(garbage), operation, &path);
            expect("garbage", operation, bad, refused, "UNAUTHORIZED").await;
        }
        let basic = ask(&people.anyone, operation, &path).header("Authorization", "Basic YTpi");
        expect("another scheme", operation, basic, refused, "UNAUTHORIZED").await;
        // a cookie alone writes nothing, whoever's it is
        if ![Method::GET, Method::HEAD].contains(&operation.method) {
            let cookie = format!("access_token={}", shared().await.admin().token());
            let by_cookie = ask(&people.anyone, operation, &path).header("Cookie", cookie);
            expect("a cookie alone", operation, by_cookie, refused, "UNAUTHORIZED").await;
        }
        asked += 1;
    }
    assert!(asked > 10, "only {asked} operations need a sign-in");
}

#[tokio::test]
async fn every_operation_is_refused_to_a_smaller_role() {
    let (people, fixtures) = people().await;
    for operation in operations(&people.anyone).await {
        let Some(role) = operation.role.as_deref() else { continue };
        let path = fixtures.fill(&operation.path);
        let smaller: &[(&str, &Api)] = match role {
            "user" | "buyer" => &[],
            "influencer" => &[("a buyer", &people.buyer)],
            "owner" => &[("a buyer", &people.buyer), ("another owner", &people.rival)],
            "admin" => &[("a buyer", &people.buyer), ("an influencer", &people.rival)],
            other => panic!("{}: what is {other}?", operation.path),
        };
        for (who, api) in smaller {
            let (status, body) = answer(ask(api, &operation, &path)).await;
            let name = format!("{who}: {} {}", operation.method, operation.path);
            // of what is private, not even that there is such a thing is told
            let hidden = role == "owner" && status == StatusCode::NOT_FOUND;
            assert!(status == StatusCode::FORBIDDEN || hidden, "{name}: {status} {body}");
            if !hidden {
                assert_error(&body, "FORBIDDEN");
            }
        }
    }
}

/// The other way round: the public ones answer somebody who is not signed in, with anything but a refusal.
#[tokio::test]
async fn every_public_operation_answers_anybody() {
    let (people, fixtures) = people().await;
    for operation in operations(&people.anyone).await.iter().filter(|operation| operation.role.is_none()) {
        let path = fixtures.fill(&operation.path);
        let request = ask(&people.anyone, operation, &path);
        let answer =
            request.header("X-Forwarded-For", crate::harness::Visitor::new().address()).send().await.unwrap();
        let status = answer.status();
        let refused = [StatusCode::FORBIDDEN, StatusCode::METHOD_NOT_ALLOWED].contains(&status);
        let asks_to_sign_in = status == StatusCode::UNAUTHORIZED;
        let name = format!("{} {}", operation.method, operation.path);
        assert!(!refused && !asks_to_sign_in && !status.is_server_error(), "{name}: {status}");
    }
}
