//! Signing in, and who may see or change what.

use crate::harness::api::{answer, assert_error};
use crate::harness::database::{Role, make_account};
use crate::harness::deployment::{ADMIN_EMAIL, PASSWORD};
use crate::harness::{GongguSpec, Visitor, shared};
use reqwest::{Method, StatusCode};
use serde_json::json;

#[tokio::test]
async fn a_login_gives_tokens_and_a_cookie() {
    let api = shared().await.anyone();
    let request =
        api.request(Method::POST, "/api/v1/auth/login").header("X-Forwarded-For", Visitor::new().address());
    let answer = request.json(&json!({"email": ADMIN_EMAIL, "password": PASSWORD})).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.starts_with("access_token="), "{cookie}");
    for attribute in ["HttpOnly", "SameSite=Lax"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    let body: serde_json::Value = answer.json().await.unwrap();
    assert_eq!((body["token_type"].as_str(), body["expires_in"].as_u64()), (Some("bearer"), Some(1_800)));
    assert!(body["refresh_token"].as_str().is_some_and(|token| !token.is_empty()));
    let token = body["access_token"].as_str().unwrap();
    assert_eq!(token.split('.').count(), 3);
}

#[tokio::test]
async fn a_failed_login_does_not_tell_whether_the_account_exists() {
    let api = shared().await.anyone();
    let wrong = api.login(ADMIN_EMAIL, "wrong password 1!").await;
    let unknown = api.login("nobody@gonggumoa.example", "wrong password 1!").await;
    assert_eq!(wrong.0, StatusCode::UNAUTHORIZED);
    assert_eq!(wrong, unknown);
    let upper = api.login(&ADMIN_EMAIL.to_uppercase(), PASSWORD).await;
    assert_eq!(upper.0, StatusCode::OK, "an e-mail's case does not matter");
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let shared = shared().await;
    let admin = shared.admin();
    let gonggu = admin.open_gonggu().await;
    let token = admin.token();
    let parts: Vec<&str> = token.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    // {"alg":"none","typ":"JWT"}, {"alg":"None","typ":"JWT"}, {"alg":"HS512","typ":"JWT"}
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    let none_again = "eyJhbGciOiJOb25lIiwidHlwIjoiSldUIn0";
    let other_algorithm = "eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9";
    let turned = signature.chars().rev().collect::<String>();
    let longer = format!("{payload}A");
    let forged = [
        format!("{none}.{payload}."),
        format!("{none}.{payload}.{signature}"),
        format!("{none_again}.{payload}."),
        format!("{other_algorithm}.{payload}.{signature}"),
        format!("{header}.{payload}."),
        format!("{header}.{payload}"),
        format!("{header}.{payload}.{turned}"),
        format!("{header}.{longer}.{signature}"),
        "a".repeat(9_000),
        String::new(),
    ];
    for forged in forged {
        let (status, body) = admin.with_token(&forged).stats_of(gonggu, "").await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{forged}: {body}");
        assert_error(&body, "UNAUTHORIZED");
    }
    assert_eq!(admin.stats_of(gonggu, "").await.0, StatusCode::OK, "the real one still works");
}

#[tokio::test]
async fn figures_and_changes_are_the_owners_and_the_admins() {
    let shared = shared().await;
    let (anyone, admin) = (shared.anyone(), shared.admin());
    let mut database = shared.deployment.database().await;
    let (owner_id, owner_email) = make_account(&mut database, Role::Influencer).await;
    let (_, rival_email) = make_account(&mut database, Role::Influencer).await;
    let (_, buyer_email) = make_account(&mut database, Role::Buyer).await;
    let owner = anyone.signed_in(&owner_email).await;
    let rival = anyone.signed_in(&rival_email).await;
    let buyer = anyone.signed_in(&buyer_email).await;
    let gonggu = owner.gonggu(&GongguSpec::default()).await;
    let visitor = Visitor::new();
    visitor.go(&anyone, gonggu).await.redirected();
    admin.settled(gonggu, 1).await;

    let stats = format!("/api/v1/tracking/stats/{gonggu}");
    let cases = [
        (&anyone, StatusCode::UNAUTHORIZED),
        (&buyer, StatusCode::FORBIDDEN),
        (&rival, StatusCode::FORBIDDEN),
        (&owner, StatusCode::OK),
        (&admin, StatusCode::OK),
    ];
    for (index, (who, expected)) in cases.into_iter().enumerate() {
        for path in [stats.clone(), format!("{stats}/live"), format!("{stats}/clicks.csv")] {
            let status = who.request(Method::GET, &path).send().await.unwrap().status();
            assert_eq!(status, expected, "case {index}: {path}");
        }
        let changed = who.replace_gonggu(gonggu, &GongguSpec::default()).await;
        assert_eq!(changed.0, expected, "case {index}: {}", changed.1);
    }
    // the owner's evidence is masked
    let line = &owner.evidence(gonggu).await[0];
    let network = visitor.address().rsplit_once('.').unwrap().0;
    assert_eq!(line.ip_address, format!("{network}.*"));
    assert_eq!(admin.evidence(gonggu).await[0].ip_address, visitor.address());
    assert_eq!(owner.stats(gonggu).await.totals.gross, 1);

    // who may make one, and in whose name
    assert_eq!(
        answer(buyer.request(Method::POST, "/api/v1/gonggus").json(&GongguSpec::default().body())).await.0,
        403
    );
    assert_eq!(
        answer(anyone.request(Method::POST, "/api/v1/gonggus").json(&GongguSpec::default().body())).await.0,
        401
    );
    let in_anothers_name =
        rival.request(Method::POST, "/api/v1/gonggus").json(&GongguSpec::owned_by(owner_id).body());
    let (status, body) = answer(in_anothers_name).await;
    assert!(status != StatusCode::CREATED || body["influencer_id"] != json!(owner_id), "{body}");
}

#[tokio::test]
async fn figures_of_an_unknown_gonggu_are_not_found() {
    let admin = shared().await.admin();
    let id = uuid::Uuid::now_v7();
    for path in ["", "/live", "/clicks.csv"] {
        let (status, body) = admin.get(&format!("/api/v1/tracking/stats/{id}{path}")).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert_error(&body, "GONGGU_NOT_FOUND");
    }
}

/// A token in a cookie reads, and clicks from our own pages; it does not write.
#[tokio::test]
async fn a_cookie_does_not_write() {
    let shared = shared().await;
    let admin = shared.admin();
    let gonggu = admin.open_gonggu().await;
    let cookie = format!("access_token={}", admin.token());
    let anyone = shared.anyone();
    let stats = format!("/api/v1/tracking/stats/{gonggu}");
    assert_eq!(answer(anyone.request(Method::GET, &stats).header("Cookie", &cookie)).await.0, StatusCode::OK);
    let change = anyone.request(Method::PUT, &format!("/api/v1/gonggus/{gonggu}")).header("Cookie", &cookie);
    let (status, body) = answer(change.json(&GongguSpec::default().body())).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{body}");
}

#[tokio::test]
async fn guessing_a_password_is_limited() {
    let api = shared().await.anyone();
    let address = Visitor::new().address().to_owned();
    let email = format!("{}@gonggumoa.example", uuid::Uuid::now_v7().simple());
    let mut limited = None;
    for number in 0..100 {
        let body = json!({"email": email, "password": format!("wrong password {number}!")});
        let request = api.request(Method::POST, "/api/v1/auth/login").header("X-Forwarded-For", &address);
        let answer = request.json(&body).send().await.unwrap();
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            assert!(answer.headers().contains_key("retry-after"));
            limited = Some(number);
            break;
        }
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    }
    assert!(limited.is_some(), "a hundred guesses from one place were let through");
}
