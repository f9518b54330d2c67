//! Tokens that somebody else made, or that were made for something else, even with the right key.

use crate::harness::api::assert_error;
use crate::harness::{Api, Deployment};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::StatusCode;
use serde_json::{Value, json};

const KEY: &str = "a signing key of more than sixty-four bytes, so that it fits each algorithm there is";

fn signed(algorithm: Algorithm, key: &str, claims: &Value) -> String {
    encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(key.as_bytes())).unwrap()
}

/// The claims of a real token, as they stand in it.
fn claims_of(token: &str) -> Value {
    use base64::Engine;
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn with(claims: &Value, key: &str, value: Value) -> Value {
    let mut changed = claims.clone();
    changed[key] = value;
    changed
}

fn without(claims: &Value, key: &str) -> Value {
    let mut changed = claims.clone();
    changed.as_object_mut().unwrap().remove(key);
    changed
}

#[tokio::test]
async fn a_token_is_good_only_as_we_made_it() {
    let mut deployment = Deployment::new();
    deployment.set("JWT_SECRET_KEY", KEY);
    deployment.start().await;
    let api = Api::new(&deployment);
    let admin = api.admin().await;
    let real = claims_of(admin.token());
    let again = api.with_token(&signed(Algorithm::HS256, KEY, &real));
    assert_eq!(again.get("/api/v1/users/me").await.0, StatusCode::OK, "the test makes good tokens too");

    let now = real["iat"].as_i64().unwrap();
    let bad = [
        ("another key", signed(Algorithm::HS256, &KEY.to_uppercase(), &real)),
        ("another algorithm of the same key", signed(Algorithm::HS384, KEY, &real)),
        ("aud", signed(Algorithm::HS256, KEY, &with(&real, "aud", json!("somebody-else")))),
        ("aud missing", signed(Algorithm::HS256, KEY, &without(&real, "aud"))),
        ("iss", signed(Algorithm::HS256, KEY, &with(&real, "iss", json!("somebody-else")))),
        ("iss missing", signed(Algorithm::HS256, KEY, &without(&real, "iss"))),
        ("exp over", signed(Algorithm::HS256, KEY, &with(&real, "exp", json!(now - 60)))),
        ("exp as text", signed(Algorithm::HS256, KEY, &with(&real, "exp", json!((now + 600).to_string())))),
        ("exp missing", signed(Algorithm::HS256, KEY, &without(&real, "exp"))),
        ("nbf to come", signed(Algorithm::HS256, KEY, &with(&real, "nbf", json!(now + 600)))),
        ("nbf as text", signed(Algorithm::HS256, KEY, &with(&real, "nbf", json!((now + 600).to_string())))),
        ("nbf missing", signed(Algorithm::HS256, KEY, &without(&real, "nbf"))),
        ("sub of nobody", signed(Algorithm::HS256, KEY, &with(&real, "sub", json!(uuid::Uuid::now_v7())))),
        ("sub as text", signed(Algorithm::HS256, KEY, &with(&real, "sub", json!("admin")))),
        ("an old version", signed(Algorithm::HS256, KEY, &with(&real, "ver", json!(-1)))),
        ("a role that there is not", signed(Algorithm::HS256, KEY, &with(&real, "role", json!("root")))),
    ];
    for (what, token) in bad {
        let (status, body) = api.with_token(&token).get("/api/v1/users/me").await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{what}: {body}");
        assert_error(&body, "UNAUTHORIZED");
        // as a cookie it is the same as none
        let cookie = format!("access_token={token}");
        let by_cookie = api.request(reqwest::Method::GET, "/api/v1/users/me").header("Cookie", cookie);
        assert_eq!(by_cookie.send().await.unwrap().status(), StatusCode::UNAUTHORIZED, "{what}");
    }
    // a role in the token is no right: the account's own is asked
    let (_, person) = {
        let mut database = deployment.database().await;
        crate::harness::database::make_account(&mut database, crate::harness::database::Role::Buyer).await
    };
    let buyer = claims_of(api.signed_in(&person).await.token());
    let raised = api.with_token(&signed(Algorithm::HS256, KEY, &with(&buyer, "role", json!("admin"))));
    assert_eq!(raised.get("/api/v1/users/me").await.1["role"], json!("buyer"));
    deployment.stop().await;
}
