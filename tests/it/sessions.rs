//! Sessions: rotation under a crowd, reuse, ends, and guessing that cannot lock anybody out.

use crate::accounts::{Person, futures_join, post, sign_up};
use crate::harness::api::{answer, assert_error};
use crate::harness::database::{Role, make_account};
use crate::harness::deployment::PASSWORD;
use crate::harness::{Api, Deployment, shared};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::PgConnection;
use std::time::{Duration, Instant};
use uuid::Uuid;

async fn refresh(api: &Api, token: &Value) -> (StatusCode, Value) {
    post(api, "/auth/refresh", &json!({ "refresh_token": token })).await
}

/// A session of a new account: whose, and both tokens.
async fn session(api: &Api, database: &mut PgConnection) -> (Uuid, Value) {
    let (id, email) = make_account(database, Role::Buyer).await;
    let (status, body) = api.login(&email, PASSWORD).await;
    assert_eq!(status, StatusCode::OK);
    (id, body)
}

#[tokio::test]
async fn a_hundred_rotations_of_one_token_make_one_pair_and_end_nothing() {
    let shared = shared().await;
    let api = shared.anyone();
    let mut database = shared.deployment.database().await;
    let (_, first) = session(&api, &mut database).await;
    let rotations = (0..100).map(|_| refresh(&api, &first["refresh_token"]));
    let answers = futures_join(rotations.collect()).await;
    let (good, others): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|(status, _)| *status == StatusCode::OK);
    assert_eq!(good.len(), 1, "{others:?}");
    for (status, body) in &others {
        assert_eq!(*status, StatusCode::CONFLICT);
        assert_error(body, "TOKEN_ROTATED");
    }
    // the family is alive: both new tokens work
    let me = api.with_token(good[0].1["access_token"].as_str().unwrap());
    assert_eq!(me.get("/api/v1/users/me").await.0, StatusCode::OK);
    assert_eq!(refresh(&api, &good[0].1["refresh_token"]).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_token_used_again_later_ends_its_family_and_no_other() {
    let shared = shared().await;
    let api = shared.anyone();
    let mut database = shared.deployment.database().await;
    let (id, first) = session(&api, &mut database).await;
    let email: String = sqlx::query_scalar("SELECT email FROM users WHERE id = $1")
        .bind(id)
        .fetch_one(&mut database)
        .await
        .unwrap();
    let (_, other_device) = api.login(&email, PASSWORD).await;
    let (_, second) = refresh(&api, &first["refresh_token"]).await;
    // eleven seconds pass
    sqlx::query(
        "UPDATE refresh_tokens SET rotated_at = rotated_at - interval '11 seconds' WHERE user_id = $1",
    )
    .bind(id)
    .execute(&mut database)
    .await
    .unwrap();
    let (status, body) = refresh(&api, &first["refresh_token"]).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_error(&body, "TOKEN_REUSED");
    let (status, body) = refresh(&api, &second["refresh_token"]).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "the thief's or the owner's, it is over: {body}");
    assert_eq!(
        refresh(&api, &other_device["refresh_token"]).await.0,
        StatusCode::OK,
        "another login lives on"
    );
}

#[tokio::test]
async fn a_session_ends_thirty_days_after_its_login_whatever_is_rotated() {
    let shared = shared().await;
    let api = shared.anyone();
    let mut database = shared.deployment.database().await;
    let (id, first) = session(&api, &mut database).await;
    let aged =
        "UPDATE refresh_tokens SET family_expires_at = now() + interval '2 seconds' WHERE user_id = $1";
    sqlx::query(aged).bind(id).execute(&mut database).await.unwrap();
    let (status, second) = refresh(&api, &first["refresh_token"]).await;
    assert_eq!(status, StatusCode::OK);
    let beyond: bool = sqlx::query_scalar(
        "SELECT bool_or(expires_at > family_expires_at) FROM refresh_tokens WHERE user_id = $1 AND rotated_at IS NULL",
    )
    .bind(id)
    .fetch_one(&mut database)
    .await
    .unwrap();
    assert!(!beyond, "a rotation does not prolong the family");
    let over = "UPDATE refresh_tokens SET family_expires_at = now() - interval '1 second' WHERE user_id = $1";
    sqlx::query(over).bind(id).execute(&mut database).await.unwrap();
    assert_eq!(refresh(&api, &second["refresh_token"]).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_logout_ends_the_session_and_clears_the_cookie() {
    let shared = shared().await;
    let api = shared.anyone();
    let mut database = shared.deployment.database().await;
    let (id, first) = session(&api, &mut database).await;
    let email: String = sqlx::query_scalar("SELECT email FROM users WHERE id = $1")
        .bind(id)
        .fetch_one(&mut database)
        .await
        .unwrap();
    let me = api.with_token(first["access_token"].as_str().unwrap());
    let elsewhere = api.signed_in(&email).await;
    assert_eq!(me.get("/api/v1/users/me").await.0, StatusCode::OK);
    let body = json!({"refresh_token": first["refresh_token"]});
    for _ in 0..2 {
        let out = api.request(Method::POST, "/api/v1/auth/logout").json(&body).send().await.unwrap();
        assert_eq!(out.status(), StatusCode::NO_CONTENT);
        let cookie = out.headers()["set-cookie"].to_str().unwrap().to_owned();
        assert!(cookie.starts_with("access_token=;") && cookie.contains("Max-Age=0"), "{cookie}");
    }
    assert_eq!(refresh(&api, &first["refresh_token"]).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(me.get("/api/v1/users/me").await.0, StatusCode::UNAUTHORIZED, "its access token ended too");
    assert_eq!(elsewhere.get("/api/v1/users/me").await.0, StatusCode::OK, "another session lives on");
    // an access token is no refresh token, and the other way round
    assert_eq!(refresh(&api, &first["access_token"]).await.0, StatusCode::UNAUTHORIZED);
    let turned = api.with_token(first["refresh_token"].as_str().unwrap());
    assert_eq!(turned.get("/api/v1/users/me").await.0, StatusCode::UNAUTHORIZED);
}

/// A login attempt from an address.
async fn attempt(api: &Api, address: &str, email: &str, password: &str) -> StatusCode {
    let request = api.request(Method::POST, "/api/v1/auth/login").header("X-Forwarded-For", address);
    answer(request.json(&json!({"email": email, "password": password}))).await.0
}

#[tokio::test]
async fn guesses_from_everywhere_do_not_keep_the_owner_out() {
    // a deployment of its own: its hundred guesses take all cores that password checks get
    let mut deployment = Deployment::new();
    deployment.start().await;
    let api = Api::new(&deployment);
    let person = Person::new("attacked");
    sign_up(&api, &person).await;
    let home = "203.0.113.10";
    assert_eq!(attempt(&api, home, &person.email, PASSWORD).await, StatusCode::OK);

    let mut refused = 0;
    // four at once: what waits for a core for long is another matter (503)
    for round in 0..35 {
        let guesses = (0..4).map(|number| {
            let address = format!("198.18.{}.1", round * 4 + number);
            let (api, email) = (api.clone(), person.email.clone());
            async move { attempt(&api, &address, &email, "a wrong password 1!").await }
        });
        let statuses = futures_join(guesses.collect()).await;
        refused += statuses.iter().filter(|status| **status == StatusCode::TOO_MANY_REQUESTS).count();
        let known = [StatusCode::TOO_MANY_REQUESTS, StatusCode::UNAUTHORIZED];
        assert!(statuses.iter().all(|status| known.contains(status)), "{statuses:?}");
    }
    assert!((30..=41).contains(&refused), "{refused} of 140 were refused");
    // strangers are refused even with the right password, and learn nothing by it
    assert_eq!(attempt(&api, "198.19.1.1", &person.email, PASSWORD).await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(attempt(&api, home, &person.email, PASSWORD).await, StatusCode::OK, "at home");
    assert_eq!(attempt(&api, "203.0.113.77", &person.email, PASSWORD).await, StatusCode::OK, "next door");

    // on the road: the mail of a new password opens the network it is set from
    let road = "192.0.2.5";
    assert_eq!(attempt(&api, road, &person.email, PASSWORD).await, StatusCode::TOO_MANY_REQUESTS);
    crate::accounts::forgot(&api, &person.email).await;
    let code = deployment.letter(&person.email, 2).await.code();
    let reset = api.request(Method::POST, "/api/v1/auth/password/reset").header("X-Forwarded-For", road);
    let reset = reset.json(&json!({"code": code, "password": "another password 2!"}));
    assert_eq!(answer(reset).await.0, StatusCode::NO_CONTENT);
    assert_eq!(attempt(&api, road, &person.email, "another password 2!").await, StatusCode::OK);
    deployment.stop().await;
}

/// Eight addresses ask for all the password checks they may; somebody else signs in meanwhile, several times.
#[tokio::test]
async fn a_few_addresses_do_not_keep_everybody_from_signing_in() {
    // a deployment of its own: all its cores for password checks are taken
    let mut deployment = Deployment::new();
    deployment.start().await;
    let api = Api::new(&deployment);
    let person = Person::new("patient");
    sign_up(&api, &person).await;
    let guesses = (0..8 * 55).map(|number| {
        let (api, address) = (api.clone(), format!("198.18.{}.1", number % 8));
        let email = format!("nobody-{number}@gonggumoa.example");
        tokio::spawn(async move { attempt(&api, &address, &email, "a wrong password 1!").await })
    });
    let guesses: Vec<_> = guesses.collect();
    let mut worst = Duration::ZERO;
    for number in 0..4 {
        let asked = Instant::now();
        let address = format!("203.0.{number}.5");
        assert_eq!(attempt(&api, &address, &person.email, PASSWORD).await, StatusCode::OK, "login {number}");
        worst = worst.max(asked.elapsed());
    }
    let still_waiting = guesses.iter().filter(|guess| !guess.is_finished()).count();
    let mut refused = 0;
    for guess in guesses {
        match guess.await.unwrap() {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => refused += 1,
            status => assert_eq!(status, StatusCode::UNAUTHORIZED),
        }
    }
    eprintln!("worst login {worst:?}, {still_waiting} guesses waiting then, {refused} of 440 refused");
    assert!(refused > 100, "{refused} of 440 were refused");
    assert!(worst < Duration::from_secs(8), "{worst:?}");
    deployment.stop().await;
}
