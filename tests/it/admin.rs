//! Admins: who is let in, what a suspension ends at once, and the log of it all.

use crate::harness::api::{answer, assert_error};
use crate::harness::database::Role;
use crate::harness::deployment::{ADMIN_EMAIL, PASSWORD};
use crate::harness::people::{Person, ask, audited, call, only_for_admins};
use crate::harness::{Api, Deployment, GongguSpec, Visitor, shared};
use chrono::{TimeDelta, Utc};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

fn suspension() -> Value {
    json!({"status": "suspended", "reason": "허위 공구 등록"})
}

fn reactivation() -> Value {
    json!({"status": "active"})
}

async fn patch(admin: &Api, user: Uuid, body: &Value) -> (StatusCode, Value) {
    call(admin, Method::PATCH, &format!("/admin/users/{user}"), body).await
}

async fn refresh(api: &Api, token: &str) -> StatusCode {
    call(&api.signed_out(), Method::POST, "/auth/refresh", &json!({"refresh_token": token})).await.0
}

#[tokio::test]
async fn a_suspension_ends_everything_at_once() {
    let shared = shared().await;
    let (admin, anyone) = (shared.admin(), shared.anyone());
    let person = Person::new(&shared.deployment, Role::Influencer).await;
    let (_, tokens) = anyone.login(&person.email, PASSWORD).await;
    let token = tokens["refresh_token"].as_str().unwrap();
    let gonggu = person.api.gonggu(&GongguSpec::default()).await;
    Visitor::new().go(&anyone, gonggu).await.redirected();

    let (status, user) = patch(&admin, person.id, &suspension()).await;
    assert_eq!(status, StatusCode::OK, "{user}");
    assert_eq!((&user["status"], &user["suspended_reason"]), (&json!("suspended"), &json!("허위 공구 등록")));
    // the very next request of each kind
    let go = Visitor::new().go(&anyone, gonggu).await;
    assert_eq!(go.status, StatusCode::CONFLICT, "{}", go.body);
    let status = ask(&person.api, Method::GET, "/users/me").await.0;
    assert!(matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN), "{status}");
    assert_ne!(refresh(&anyone, token).await, StatusCode::OK);
    assert_eq!(anyone.login(&person.email, PASSWORD).await.0, StatusCode::FORBIDDEN);
    // the same again is no other act
    assert_eq!(patch(&admin, person.id, &suspension()).await.0, StatusCode::OK);

    let (status, user) = patch(&admin, person.id, &reactivation()).await;
    assert_eq!((status, &user["status"]), (StatusCode::OK, &json!("active")));
    assert_eq!(user["suspended_at"], Value::Null);
    Visitor::new().go(&anyone, gonggu).await.redirected();
    // old sessions stay ended, new ones begin
    assert_eq!(ask(&person.api, Method::GET, "/users/me").await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(refresh(&anyone, token).await, StatusCode::UNAUTHORIZED);
    let again = anyone.signed_in(&person.email).await;
    assert_eq!(ask(&again, Method::GET, "/users/me").await.0, StatusCode::OK);
    let mut database = shared.deployment.database().await;
    let target = person.id.to_string();
    for action in ["user.suspend", "user.reactivate"] {
        assert_eq!(audited(&mut database, action, &target).await, 1, "{action}");
    }
}

/// Rotations that run into a suspension leave no session that lives on after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_session_slips_through_a_suspension() {
    let shared = shared().await;
    let (admin, anyone) = (shared.admin(), shared.anyone());
    let person = Person::new(&shared.deployment, Role::Buyer).await;
    let mut tasks = Vec::new();
    for _ in 0..6 {
        let (_, tokens) = anyone.login(&person.email, PASSWORD).await;
        let (anyone, mut token) = (anyone.clone(), tokens["refresh_token"].as_str().unwrap().to_owned());
        tasks.push(tokio::spawn(async move {
            loop {
                let body = json!({"refresh_token": token});
                let (status, next) = call(&anyone, Method::POST, "/auth/refresh", &body).await;
                if status != StatusCode::OK {
                    return token;
                }
                token = next["refresh_token"].as_str().unwrap().to_owned();
            }
        }));
    }
    assert_eq!(patch(&admin, person.id, &suspension()).await.0, StatusCode::OK);
    let mut last = Vec::new();
    for task in tasks {
        last.push(task.await.unwrap());
    }
    assert_eq!(patch(&admin, person.id, &reactivation()).await.0, StatusCode::OK);
    for token in last {
        assert_eq!(refresh(&anyone, &token).await, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_admin_always_remains() {
    let mut deployment = Deployment::new();
    deployment.start().await;
    let first = Api::new(&deployment).admin().await;
    let (_, me) = ask(&first, Method::GET, "/users/me").await;
    let first_id: Uuid = me["id"].as_str().unwrap().parse().unwrap();
    let (status, body) = patch(&first, first_id, &suspension()).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_error(&body, "OWN_ACCOUNT");

    let second = Person::admin(&deployment).await;
    for _ in 0..5 {
        let one = Api::new(&deployment).signed_in(ADMIN_EMAIL).await;
        let two = Api::new(&deployment).signed_in(&second.email).await;
        let (one_too, two_too, second_id) = (one.clone(), two.clone(), second.id);
        let at_second = tokio::spawn(async move { patch(&one_too, second_id, &suspension()).await.0 });
        let at_first = tokio::spawn(async move { patch(&two_too, first_id, &suspension()).await.0 });
        let done = [at_second.await.unwrap(), at_first.await.unwrap()];
        let (winner, loser_id) = match done.map(|status| status == StatusCode::OK) {
            [true, false] => (one, second_id),
            [false, true] => (two, first_id),
            _ => panic!("both or neither: {done:?}"),
        };
        assert_eq!(patch(&winner, loser_id, &reactivation()).await.0, StatusCode::OK);
    }
    deployment.stop().await;
}

#[tokio::test]
async fn people_are_found() {
    let shared = shared().await;
    let admin = shared.admin();
    let mut database = shared.deployment.database().await;
    let name = format!("찾을사람{}", &Uuid::new_v4().simple().to_string()[..12]);
    let mut people = Vec::new();
    for role in [Role::Buyer, Role::Influencer, Role::Buyer] {
        let person = Person::new(&shared.deployment, role).await;
        sqlx::query("UPDATE users SET nickname = $2 WHERE id = $1")
            .bind(person.id)
            .bind(format!("{name}-{}", people.len()))
            .execute(&mut database)
            .await
            .unwrap();
        people.push(person);
    }
    let find = async |query: String| {
        let (status, body) = ask(&admin, Method::GET, &format!("/admin/users?{query}")).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let items = body["items"].as_array().unwrap();
        (
            body["total"].as_i64().unwrap(),
            items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>(),
        )
    };
    let ids: Vec<String> = people.iter().map(|person| person.id.to_string()).collect();
    assert_eq!(find(format!("q={name}&sort=nickname&order=asc")).await, (3, ids.clone()));
    assert_eq!(
        find(format!("q={name}&sort=nickname&order=desc&size=1&page=2")).await,
        (3, vec![ids[1].clone()])
    );
    assert_eq!(find(format!("q={name}&role=influencer")).await, (1, vec![ids[1].clone()]));
    assert_eq!(find(format!("q={}", people[0].email.to_uppercase())).await, (1, vec![ids[0].clone()]));
    patch(&admin, people[2].id, &suspension()).await;
    assert_eq!(find(format!("q={name}&status=suspended")).await, (1, vec![ids[2].clone()]));
    // a wildcard is a letter like others
    assert_eq!(find("q=%25".to_owned()).await.0, 0);
}

/// An account that waits to become an influencer.
async fn applicant(deployment: &Deployment) -> Person {
    let person = Person::new(deployment, Role::Buyer).await;
    sqlx::query("UPDATE users SET status = 'pending' WHERE id = $1")
        .bind(person.id)
        .execute(&mut deployment.database().await)
        .await
        .unwrap();
    person
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_is_decided_once() {
    let shared = shared().await;
    let admin = shared.admin();
    let (yes, no) = (applicant(&shared.deployment).await, applicant(&shared.deployment).await);
    let (_, waiting) = ask(&admin, Method::GET, "/admin/influencers?status=pending&size=100").await;
    let ids: Vec<&Value> = waiting["items"].as_array().unwrap().iter().map(|item| &item["id"]).collect();
    assert!(ids.contains(&&json!(yes.id)) && ids.contains(&&json!(no.id)), "{waiting}");

    // ten admins decide at once
    let tries = (0..10).map(|_| {
        let (admin, path) = (admin.clone(), format!("/admin/influencers/{}/approve", yes.id));
        // there need be no reason, and then no body
        tokio::spawn(async move { ask(&admin, Method::POST, &path).await })
    });
    let mut approved = 0;
    for task in tries.collect::<Vec<_>>() {
        match task.await.unwrap() {
            (StatusCode::OK, body) => {
                assert_eq!((&body["role"], &body["is_verified"]), (&json!("influencer"), &json!(true)));
                approved += 1;
            }
            (_, body) => assert_error(&body, "APPLICATION_NOT_PENDING"),
        }
    }
    assert_eq!(approved, 1);
    yes.api.gonggu(&GongguSpec::default()).await;

    let path = format!("/admin/influencers/{}/reject", no.id);
    let unnamed = admin.request(Method::POST, &format!("/api/v1{path}")).body("reason=none");
    assert_eq!(answer(unnamed).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let body = json!({"reason": "SNS 계정을 확인할 수 없습니다", "role": "admin"});
    let (status, rejected) = call(&admin, Method::POST, &path, &body).await;
    assert_eq!(
        (status, &rejected["role"], &rejected["status"]),
        (StatusCode::OK, &json!("buyer"), &json!("active"))
    );
    let refused = call(&no.api, Method::POST, "/gonggus", &GongguSpec::default().body()).await;
    assert_eq!(refused.0, StatusCode::FORBIDDEN);
    let mut database = shared.deployment.database().await;
    assert_eq!(audited(&mut database, "influencer.approve", &yes.id.to_string()).await, 1);
    assert_eq!(audited(&mut database, "influencer.reject", &no.id.to_string()).await, 1);
    let (status, body) = call(&admin, Method::POST, "/admin/influencers/x/approve", &json!({})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_error(&body, "INFLUENCER_NOT_FOUND");
}

/// Who waited for approval before a suspension waits again after it.
#[tokio::test]
async fn a_suspension_is_no_approval() {
    let shared = shared().await;
    let admin = shared.admin();
    let person = applicant(&shared.deployment).await;
    assert_eq!(patch(&admin, person.id, &reactivation()).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(patch(&admin, person.id, &suspension()).await.1["status"], "suspended");
    let path = format!("/admin/influencers/{}/approve", person.id);
    let (status, body) = call(&admin, Method::POST, &path, &json!({})).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_error(&body, "APPLICATION_NOT_PENDING");
    assert_eq!(patch(&admin, person.id, &reactivation()).await.1["status"], "pending");
}

#[tokio::test]
async fn the_log_is_asked_by_whom_what_and_when() {
    let shared = shared().await;
    let other = Person::admin(&shared.deployment).await;
    let person = Person::new(&shared.deployment, Role::Buyer).await;
    let before = Utc::now() - TimeDelta::seconds(1);
    patch(&other.api, person.id, &suspension()).await;
    patch(&other.api, person.id, &reactivation()).await;
    let log = async |query: String| {
        let (status, body) = ask(&shared.admin(), Method::GET, &format!("/admin/audit-log?{query}")).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body
    };
    let all = log(format!("actor={}", other.id)).await;
    assert_eq!(all["total"], 2);
    let (newest, oldest) = (&all["items"][0], &all["items"][1]);
    assert_eq!((&newest["action"], &oldest["action"]), (&json!("user.reactivate"), &json!("user.suspend")));
    assert_eq!((&oldest["target_type"], &oldest["target_id"]), (&json!("user"), &json!(person.id)));
    assert_eq!(
        (&oldest["details"]["reason"], &oldest["actor_nickname"]),
        (&json!("허위 공구 등록"), &json!("someone"))
    );
    assert_eq!(log(format!("actor={}&action=user.suspend", other.id)).await["total"], 1);
    let time = |at: chrono::DateTime<Utc>| at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    assert_eq!(log(format!("actor={}&from={}", other.id, time(before))).await["total"], 2);
    assert_eq!(log(format!("actor={}&to={}", other.id, time(before))).await["total"], 0);
    // no address stands in it
    assert!(!all.to_string().contains("127.0.0.1"));
    let rewriting =
        sqlx::query("DELETE FROM audit_log").execute(&mut shared.deployment.database().await).await;
    assert!(rewriting.unwrap_err().to_string().contains("only added to"));
}

#[tokio::test]
async fn these_calls_are_for_admins() {
    let shared = shared().await;
    let id = Uuid::now_v7();
    let calls = [
        (Method::GET, "/admin/users".to_owned()),
        (Method::PATCH, format!("/admin/users/{id}")),
        (Method::GET, "/admin/influencers".to_owned()),
        (Method::POST, format!("/admin/influencers/{id}/approve")),
        (Method::POST, format!("/admin/influencers/{id}/reject")),
        (Method::GET, "/admin/audit-log".to_owned()),
    ];
    only_for_admins(shared, &calls).await;
    // a cookie reads, and does not write
    let cookie = format!("access_token={}", shared.admin().token());
    let person = Person::new(&shared.deployment, Role::Buyer).await;
    let request = shared.anyone().request(Method::PATCH, &format!("/api/v1/admin/users/{}", person.id));
    assert_eq!(
        answer(request.header("Cookie", cookie).json(&suspension())).await.0,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn bad_questions_and_changes_are_refused() {
    let shared = shared().await;
    let admin = shared.admin();
    let person = Person::new(&shared.deployment, Role::Buyer).await;
    let long = "가".repeat(501);
    let bodies = [
        json!({}),
        json!({"status": "suspended"}),
        json!({"status": "suspended", "reason": "  "}),
        json!({"status": "suspended", "reason": "a\u{0}"}),
        json!({"status": "suspended", "reason": long}),
        json!({"status": "pending"}),
        json!({"status": "deleted", "reason": "a"}),
        json!({"role": "admin"}),
    ];
    for body in bodies {
        assert_eq!(patch(&admin, person.id, &body).await.0, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
    }
    // mass assignment
    let mut more = suspension();
    more["role"] = json!("admin");
    more["is_verified"] = json!(true);
    let (_, user) = patch(&admin, person.id, &more).await;
    assert_eq!((&user["role"], &user["is_verified"]), (&json!("buyer"), &json!(false)));
    for id in ["x", "%00", "00000000-0000-0000-0000-000000000000"] {
        let (status, body) = call(&admin, Method::PATCH, &format!("/admin/users/{id}"), &suspension()).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert_error(&body, "USER_NOT_FOUND");
    }
    let queries = [
        "users?sort=password_hash",
        "users?sort=email%3B%20DROP%20TABLE%20users",
        "users?size=1000000",
        "users?page=99999999999999999999",
        "users?role=root",
        "users?q=%00",
        "influencers?status=rejected%27",
        "influencers?sort=bio",
        "audit-log?actor=me",
        "audit-log?from=10000-01-01T00:00:00Z",
        "audit-log?from=9999-01-01T00:00:00Z",
        "audit-log?from=2026-11-02T00:00:00Z&to=2026-11-01T00:00:00Z",
        "audit-log?action=%00",
        "audit-log?sort=details",
    ];
    for query in queries {
        let (status, body) = ask(&admin, Method::GET, &format!("/admin/{query}")).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{query}: {body}");
        assert_error(&body, "VALIDATION_ERROR");
    }
}
