//! Accounts: signing up, proving an address, a new password.

use crate::harness::api::{answer, assert_error};
use crate::harness::deployment::PASSWORD;
use crate::harness::{Api, GongguSpec, Visitor, shared};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

/// Somebody who is not there yet.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) email: String,
}

impl Person {
    pub(crate) fn new(kind: &str) -> Self {
        Self { email: format!("{kind}-{}@gonggumoa.example", Uuid::now_v7().simple()) }
    }

    pub(crate) fn body(&self) -> Value {
        json!({"email": self.email, "password": PASSWORD, "nickname": "공구러버"})
    }
}

/// A POST from an address of its own: what makes accounts and mails is limited by address.
pub(crate) async fn post(api: &Api, path: &str, body: &Value) -> (StatusCode, Value) {
    let request = api.request(Method::POST, &format!("/api/v1{path}"));
    answer(request.header("X-Forwarded-For", Visitor::new().address()).json(body)).await
}

pub(crate) async fn sign_up(api: &Api, person: &Person) -> Value {
    let (status, body) = post(api, "/auth/signup", &person.body()).await;
    assert_eq!(status, StatusCode::CREATED, "{body}");
    body
}

pub(crate) async fn forgot(api: &Api, email: &str) {
    let (status, body) = post(api, "/auth/password/forgot", &json!({"email": email})).await;
    assert_eq!((status, body), (StatusCode::ACCEPTED, Value::Null));
}

/// The fields that a 422 names.
pub(crate) fn fields(body: &Value) -> Vec<&str> {
    assert_error(body, "VALIDATION_ERROR");
    body["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn somebody_signs_up_and_proves_the_address() {
    let shared = shared().await;
    let api = shared.anyone();
    let person = Person::new("New.Person");
    let mut asked = person.body();
    // not his to say
    for (key, value) in
        [("status", json!("suspended")), ("id", json!(Uuid::nil())), ("is_verified", json!(true))]
    {
        asked[key] = value;
    }
    let (status, user) = post(&api, "/auth/signup", &asked).await;
    assert_eq!(status, StatusCode::CREATED, "{user}");
    let keys: Vec<&String> = user.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["created_at", "email", "id", "nickname", "profile_image", "role", "status"]);
    assert_eq!(
        (&user["role"], &user["status"], &user["email"]),
        (&json!("buyer"), &json!("active"), &json!(person.email))
    );
    assert_ne!(user["id"], json!(Uuid::nil()));

    let me = api.signed_in(&person.email.to_uppercase()).await;
    assert_eq!(me.get("/api/v1/users/me").await.1["email_verified"], json!(false));
    let code = shared.deployment.letter(&person.email, 1).await.code();
    let verify = json!({ "code": code });
    assert_eq!(post(&me, "/auth/email/verify", &verify).await.0, StatusCode::NO_CONTENT);
    assert_eq!(me.get("/api/v1/users/me").await.1["email_verified"], json!(true));
    let (status, body) = post(&api, "/auth/email/verify", &verify).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "used twice");
    assert_error(&body, "INVALID_CODE");
    // a code of one purpose does nothing for another
    let reset = json!({"code": code, "password": "another password 2!"});
    assert_error(&post(&api, "/auth/password/reset", &reset).await.1, "INVALID_CODE");
}

/// Somebody signs up with another's address and waits for its owner to click.
#[tokio::test]
async fn a_click_in_a_mail_arms_no_account_of_anothers() {
    let shared = shared().await;
    let api = shared.anyone();
    let victim = Person::new("victim");
    sign_up(&api, &victim).await;
    let (_, session) = api.login(&victim.email, PASSWORD).await;
    let maker = api.with_token(session["access_token"].as_str().unwrap());
    let code = shared.deployment.letter(&victim.email, 1).await.code();
    // the owner's browser: signed in as nobody, or as himself with another account
    let owner = Person::new("owner");
    sign_up(&api, &owner).await;
    let clicked = json!({ "code": code });
    for browser in [api.clone(), api.signed_in(&owner.email).await] {
        let (status, body) = post(&browser, "/auth/email/verify", &clicked).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert_eq!(fields(&body), ["password"]);
        let guessed = json!({"code": code, "password": "not the password 1!"});
        let (status, body) = post(&browser, "/auth/email/verify", &guessed).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert_error(&body, "INVALID_CREDENTIALS");
    }
    assert_eq!(maker.get("/api/v1/users/me").await.1["email_verified"], json!(false));

    // the owner takes the address: whoever waited is out, and the old code is worth nothing to him
    forgot(&api, &victim.email).await;
    let reset = shared.deployment.letter(&victim.email, 2).await.code();
    let reset = json!({"code": reset, "password": "the owner's password 1!"});
    assert_eq!(post(&api, "/auth/password/reset", &reset).await.0, StatusCode::NO_CONTENT);
    assert_eq!(maker.get("/api/v1/users/me").await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(api.login(&victim.email, PASSWORD).await.0, StatusCode::UNAUTHORIZED);
}

/// Who signed up on the phone opens the mail elsewhere.
#[tokio::test]
async fn an_address_is_proved_on_another_device_with_the_password() {
    let shared = shared().await;
    let api = shared.anyone();
    let person = Person::new("elsewhere");
    sign_up(&api, &person).await;
    let code = shared.deployment.letter(&person.email, 1).await.code();
    let verify = json!({"code": code, "password": PASSWORD});
    assert_eq!(post(&api, "/auth/email/verify", &verify).await.0, StatusCode::NO_CONTENT);
    let me = api.signed_in(&person.email).await;
    assert_eq!(me.get("/api/v1/users/me").await.1["email_verified"], json!(true));
}

/// Signing up, closing, signing up again with the same address.
#[tokio::test]
async fn a_new_account_begins_no_new_hour_of_mails() {
    let shared = shared().await;
    let api = shared.anyone();
    let person = Person::new("again");
    for round in 0..8 {
        sign_up(&api, &person).await;
        let me = api.signed_in(&person.email).await;
        let closed = me.request(Method::DELETE, "/api/v1/users/me").send().await.unwrap();
        assert_eq!(closed.status(), StatusCode::NO_CONTENT, "round {round}");
    }
    let mails: i64 = sqlx::query_scalar("SELECT count(*) FROM mails WHERE recipient = $1")
        .bind(&person.email)
        .fetch_one(&mut shared.deployment.database().await)
        .await
        .unwrap();
    assert_eq!(mails, 5);
}

#[tokio::test]
async fn a_code_is_bound_to_its_address_and_ends() {
    let shared = shared().await;
    let api = shared.anyone();
    let mut database = shared.deployment.database().await;
    let moved = Person::new("moved");
    let late = Person::new("late");
    for person in [&moved, &late] {
        sign_up(&api, person).await;
    }
    let (moved_code, late_code) = (
        shared.deployment.letter(&moved.email, 1).await.code(),
        shared.deployment.letter(&late.email, 1).await.code(),
    );
    sqlx::query("UPDATE users SET email = 'other-' || email WHERE email = $1")
        .bind(&moved.email)
        .execute(&mut database)
        .await
        .unwrap();
    sqlx::query(
        "UPDATE email_codes SET expires_at = now() - interval '1 second'
         WHERE user_id = (SELECT id FROM users WHERE email = $1)",
    )
    .bind(&late.email)
    .execute(&mut database)
    .await
    .unwrap();
    for code in [moved_code, late_code, "x".repeat(43), String::new(), "x".repeat(5_000), "a\0b".to_owned()] {
        let (status, body) = post(&api, "/auth/email/verify", &json!({ "code": code })).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{code:?}");
        assert_error(&body, "INVALID_CODE");
    }
}

#[tokio::test]
async fn a_signup_names_all_that_is_wrong_and_takes_an_address_once() {
    let api = shared().await.anyone();
    let (status, body) = post(&api, "/auth/signup", &json!({})).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(fields(&body), ["email", "password", "nickname"]);
    let bad = json!({"email": "a@b", "password": "1234567", "nickname": " ", "role": "admin"});
    assert_eq!(fields(&post(&api, "/auth/signup", &bad).await.1), ["email", "password", "nickname", "role"]);
    let person = Person::new("Édouard");
    for (field, value) in [
        ("password", "x".repeat(73)),
        ("password", "가".repeat(25)),
        ("password", "abcdefgh\0".to_owned()),
        ("nickname", "가".repeat(51)),
        ("nickname", "a\0b".to_owned()),
        ("email", format!("{}@b.example", "a".repeat(250))),
        ("email", "a@b.example\r\nBcc: c@d.example".to_owned()),
        ("role", "owner".to_owned()),
    ] {
        let mut asked = person.body();
        asked[field] = json!(value);
        let (status, body) = post(&api, "/auth/signup", &asked).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{field} {value:?}: {body}");
        assert_eq!(fields(&body), [field]);
    }
    // 72 bytes are a password, and all of them count
    let mut longest = person.body();
    longest["password"] = json!("가".repeat(24));
    let signups = (0..8).map(|_| post(&api, "/auth/signup", &longest));
    let answers = futures_join(signups.collect()).await;
    let made = answers.iter().filter(|(status, _)| *status == StatusCode::CREATED).count();
    assert_eq!(made, 1, "{answers:?}");
    for (status, body) in answers.iter().filter(|(status, _)| *status != StatusCode::CREATED) {
        assert_eq!(*status, StatusCode::CONFLICT);
        assert_error(body, "EMAIL_TAKEN");
    }
    assert_eq!(api.login(&person.email, &"가".repeat(24)).await.0, StatusCode::OK);
    assert_eq!(api.login(&person.email, &format!("{}나", "가".repeat(23))).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(api.login(&person.email, &format!("{}a", "가".repeat(24))).await.0, StatusCode::UNAUTHORIZED);
    // the same address: other case, decomposed
    for same in
        [person.email.to_uppercase(), person.email.replace('É', "E\u{301}"), person.email.replace('É', "é")]
    {
        let mut asked = person.body();
        asked["email"] = json!(same);
        assert_eq!(post(&api, "/auth/signup", &asked).await.0, StatusCode::CONFLICT, "{same}");
    }
}

/// All at once.
pub(crate) async fn futures_join<F>(futures: Vec<F>) -> Vec<F::Output>
where
    F: Future,
{
    futures::future::join_all(futures).await
}

#[tokio::test]
async fn who_signs_up_as_an_influencer_waits_with_a_buyers_rights() {
    let api = shared().await.anyone();
    let person = Person::new("influencer");
    let mut asked = person.body();
    asked["role"] = json!("influencer");
    let (status, user) = post(&api, "/auth/signup", &asked).await;
    assert_eq!(status, StatusCode::CREATED, "{user}");
    assert_eq!((&user["role"], &user["status"]), (&json!("influencer"), &json!("pending")));
    let me = api.signed_in(&person.email).await;
    assert_eq!(me.get("/api/v1/users/me").await.0, StatusCode::OK);
    let make = me.request(Method::POST, "/api/v1/gonggus").json(&GongguSpec::default().body());
    assert_eq!(answer(make).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn signing_up_is_limited_by_address() {
    let api = shared().await.anyone();
    let visitor = Visitor::new();
    for number in 0..200 {
        let mut body = Person::new("many").body();
        // refused without a hash, after the limit
        body["email"] = json!(crate::harness::deployment::ADMIN_EMAIL);
        let request = api.request(Method::POST, "/api/v1/auth/signup").json(&body);
        let answer = request.header("X-Forwarded-For", visitor.address()).send().await.unwrap();
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            assert!(number >= 10 && answer.headers().contains_key("retry-after"));
            return;
        }
        assert_eq!(answer.status(), StatusCode::CONFLICT);
    }
    panic!("two hundred sign-ups from one address were let through");
}

#[tokio::test]
async fn a_new_password_ends_what_the_old_one_opened() {
    let shared = shared().await;
    let api = shared.anyone();
    let person = Person::new("forgetful");
    sign_up(&api, &person).await;
    let (_, session) = api.login(&person.email, PASSWORD).await;
    let old = api.with_token(session["access_token"].as_str().unwrap());
    assert_eq!(old.get("/api/v1/users/me").await.0, StatusCode::OK);

    forgot(&api, "nobody-at-all@gonggumoa.example").await;
    forgot(&api, &person.email).await;
    let code = shared.deployment.letter(&person.email, 2).await.code();
    let refused = json!({"code": code, "password": "short"});
    assert_eq!(fields(&post(&api, "/auth/password/reset", &refused).await.1), ["password"]);

    // one code, many hands: one of them sets it
    let resets = (0..6).map(|number| {
        let body = json!({"code": code, "password": format!("new password {number}!")});
        let api = api.clone();
        async move { post(&api, "/auth/password/reset", &body).await.0 }
    });
    let statuses = futures_join(resets.collect()).await;
    let winner = statuses.iter().position(|status| *status == StatusCode::NO_CONTENT).expect("one of them");
    assert_eq!(
        statuses.iter().filter(|status| **status == StatusCode::UNPROCESSABLE_ENTITY).count(),
        5,
        "{statuses:?}"
    );

    // at once, on the process that did it
    assert_eq!(old.get("/api/v1/users/me").await.0, StatusCode::UNAUTHORIZED);
    let (status, body) =
        post(&api, "/auth/refresh", &json!({"refresh_token": session["refresh_token"]})).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{body}");
    assert_eq!(api.login(&person.email, PASSWORD).await.0, StatusCode::UNAUTHORIZED);
    let (status, session) = api.login(&person.email, &format!("new password {winner}!")).await;
    assert_eq!(status, StatusCode::OK);
    let me = api.with_token(session["access_token"].as_str().unwrap());
    assert_eq!(
        me.get("/api/v1/users/me").await.1["email_verified"],
        json!(true),
        "who reads the mail has the address"
    );
}

#[tokio::test]
async fn nobody_is_pestered_with_mails() {
    let shared = shared().await;
    let api = shared.anyone();
    let person = Person::new("pestered");
    sign_up(&api, &person).await;
    for _ in 0..12 {
        forgot(&api, &person.email).await;
    }
    let mut database = shared.deployment.database().await;
    // the answers came before the work: a later, other person's mail shows that the work is done
    let marker = Person::new("marker");
    sign_up(&api, &marker).await;
    shared.deployment.letter(&marker.email, 1).await;
    shared.deployment.letter(&person.email, 6).await;
    let codes: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM email_codes c JOIN users u ON u.id = c.user_id
         WHERE u.email = $1 AND c.purpose = 'reset_password'",
    )
    .bind(&person.email)
    .fetch_one(&mut database)
    .await
    .unwrap();
    assert_eq!(codes, 5);
    // the first of them is still good: nobody spoils a mail by asking for another
    let code = shared.deployment.letter(&person.email, 2).await.code();
    let reset = json!({"code": code, "password": "another password 2!"});
    assert_eq!(post(&api, "/auth/password/reset", &reset).await.0, StatusCode::NO_CONTENT);
}
