//! Accounts: signing up, proving an address, a new password, the profile, closing.

use crate::harness::api::{answer, assert_error};
use crate::harness::database::{Role, make_account};
use crate::harness::deployment::PASSWORD;
use crate::harness::{Api, GongguSpec, Visitor, eventually, shared};
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

fn fields(body: &Value) -> Vec<&str> {
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
    assert_eq!(post(&api, "/auth/email/verify", &verify).await.0, StatusCode::NO_CONTENT);
    assert_eq!(me.get("/api/v1/users/me").await.1["email_verified"], json!(true));
    let (status, body) = post(&api, "/auth/email/verify", &verify).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "used twice");
    assert_error(&body, "INVALID_CODE");
    // a code of one purpose does nothing for another
    let reset = json!({"code": code, "password": "another password 2!"});
    assert_error(&post(&api, "/auth/password/reset", &reset).await.1, "INVALID_CODE");
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

#[tokio::test]
async fn a_profile_is_changed_and_cleared_by_its_owner() {
    let shared = shared().await;
    let api = shared.anyone();
    let person = Person::new("profile");
    let user = sign_up(&api, &person).await;
    let me = api.signed_in(&person.email).await;
    let patch = async |body: Value| answer(me.request(Method::PATCH, "/api/v1/users/me").json(&body)).await;
    let (status, body) = patch(json!({
        "nickname": " e\u{301} ", "profile_image": "https://cdn.example/me.webp", "phone_number": "+821012345678",
        "role": "admin", "status": "active", "email": "other@gonggumoa.example", "id": Uuid::nil()
    }))
    .await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(body["nickname"], json!("é"));
    assert_eq!((&body["role"], &body["email"], &body["id"]), (&json!("buyer"), &user["email"], &user["id"]));
    let (_, body) = patch(json!({"phone_number": null})).await;
    assert_eq!(
        (&body["phone_number"], &body["profile_image"]),
        (&Value::Null, &json!("https://cdn.example/me.webp"))
    );
    let (status, body) =
        patch(json!({"nickname": null, "profile_image": "javascript:x", "phone_number": "010"})).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(fields(&body), ["nickname", "profile_image", "phone_number"]);
    assert_eq!(patch(json!([])).await.0, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_device_belongs_to_who_registered_it_last() {
    let shared = shared().await;
    let api = shared.anyone();
    let mut database = shared.deployment.database().await;
    let (first_id, first_email) = make_account(&mut database, Role::Buyer).await;
    let (second_id, second_email) = make_account(&mut database, Role::Buyer).await;
    let (first, second) = (api.signed_in(&first_email).await, api.signed_in(&second_email).await);
    let token = format!("token-{}", Uuid::now_v7());
    let device = json!({"token": token, "platform": "ios"});
    let path = "/api/v1/users/me/devices";
    for who in [&first, &first, &second] {
        assert_eq!(answer(who.request(Method::POST, path).json(&device)).await.0, StatusCode::CREATED);
    }
    let owner: Uuid = sqlx::query_scalar("SELECT user_id FROM user_devices WHERE token = $1")
        .bind(&token)
        .fetch_one(&mut database)
        .await
        .unwrap();
    assert_eq!(owner, second_id);
    // not the first one's to forget any more; the second one's, twice
    for who in [&first, &second, &second] {
        let gone = who.request(Method::DELETE, path).json(&json!({ "token": token }));
        assert_eq!(answer(gone).await.0, StatusCode::NO_CONTENT);
    }
    for number in 0..25 {
        let device = json!({"token": format!("{token}-{number}"), "platform": "android"});
        assert_eq!(answer(first.request(Method::POST, path).json(&device)).await.0, StatusCode::CREATED);
    }
    let kept: Vec<String> = sqlx::query_scalar("SELECT token FROM user_devices WHERE user_id = $1")
        .bind(first_id)
        .fetch_all(&mut database)
        .await
        .unwrap();
    assert_eq!(kept.len(), 20);
    assert!(kept.contains(&format!("{token}-24")) && !kept.contains(&format!("{token}-0")));
    for bad in [
        json!({"token": "", "platform": "ios"}),
        json!({"token": "a\0", "platform": "ios"}),
        json!({"token": "x".repeat(1_025), "platform": "ios"}),
        json!({"token": "x", "platform": "fax"}),
    ] {
        assert_eq!(
            answer(first.request(Method::POST, path).json(&bad)).await.0,
            StatusCode::UNPROCESSABLE_ENTITY
        );
    }
}

#[tokio::test]
async fn advertising_needs_a_consent_whose_time_is_kept() {
    let shared = shared().await;
    let person = Person::new("consent");
    sign_up(&shared.anyone(), &person).await;
    let me = shared.anyone().signed_in(&person.email).await;
    let path = "/api/v1/users/me/notification-settings";
    let (_, before) = me.get(path).await;
    for channel in ["push", "alimtalk", "email"] {
        assert_eq!(before[channel]["service"], json!(true));
        assert_eq!((&before[channel]["ad"], &before[channel]["ad_night"]), (&json!(false), &json!(false)));
    }
    let put = async |body: Value| answer(me.request(Method::PUT, path).json(&body)).await;
    let (status, body) = put(json!({"push": {"ad_night": true}})).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(fields(&body), ["push.ad_night"]);
    let (_, first) = put(json!({"push": {"ad": true, "service": false}})).await;
    assert!(first["push"]["ad_consented_at"].is_string(), "{first}");
    let (_, second) = put(json!({"push": {"ad": true, "ad_night": true}})).await;
    let (_, read) = me.get(path).await;
    assert_eq!(read["push"]["service"], json!(false));
    assert_eq!(read["email"], before["email"]);
    assert_eq!(second["push"]["ad_night"], json!(true));
    let millis = |value: &Value| value.as_str().unwrap().get(..23).unwrap().to_owned();
    assert_eq!(millis(&read["push"]["ad_consented_at"]), millis(&first["push"]["ad_consented_at"]));
}

#[tokio::test]
async fn a_closed_account_leaves_clicks_and_frees_its_address() {
    let shared = shared().await;
    let (anyone, admin) = (shared.anyone(), shared.admin());
    let mut database = shared.deployment.database().await;
    let (id, email) = make_account(&mut database, Role::Influencer).await;
    let owner = anyone.signed_in(&email).await;
    let (_, session) = anyone.login(&email, PASSWORD).await;
    let live = owner.gonggu(&GongguSpec::default()).await;
    let planned = owner.gonggu(&GongguSpec::not_open()).await;
    Visitor::new().go(&anyone, live).await.redirected();
    admin.settled(live, 1).await;

    let closed = answer(owner.request(Method::DELETE, "/api/v1/users/me")).await;
    assert_eq!(closed.0, StatusCode::NO_CONTENT, "{}", closed.1);
    // at once: the token, the link, the refresh token, the login
    assert_eq!(owner.get("/api/v1/users/me").await.0, StatusCode::UNAUTHORIZED);
    let go = anyone.request(Method::GET, &format!("/go/{live}")).send().await.unwrap();
    assert_eq!(go.status(), StatusCode::CONFLICT, "the shop is not reached any more");
    let refresh = json!({"refresh_token": session["refresh_token"]});
    assert_eq!(post(&anyone, "/auth/refresh", &refresh).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(anyone.login(&email, PASSWORD).await.0, StatusCode::UNAUTHORIZED);
    for gonggu in [live, planned] {
        assert_eq!(anyone.get(&format!("/api/v1/gonggus/{gonggu}")).await.1["status"], json!("closed"));
    }
    assert_eq!(admin.stats(live).await.totals.billable, 1, "clicks stay");
    let traces: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM users WHERE id = $1 AND (email LIKE '%' || $2 || '%' AND email NOT LIKE '%closed.invalid'
            OR password_hash IS NOT NULL OR phone_number IS NOT NULL OR profile_image IS NOT NULL)",
    )
    .bind(id)
    .bind(email.split('@').next().unwrap())
    .fetch_one(&mut database)
    .await
    .unwrap();
    assert_eq!(traces, 0);
    let again = Person { email: email.clone() };
    let user = sign_up(&anyone, &again).await;
    assert_ne!(user["id"], json!(id), "another account");
    assert_eq!(anyone.signed_in(&email).await.get("/api/v1/users/me").await.1["role"], json!("buyer"));
}

/// As another process would do it: the row changes, and this one is only notified.
#[tokio::test]
async fn a_suspension_elsewhere_is_in_force_within_two_seconds() {
    let shared = shared().await;
    let api = shared.anyone();
    let mut database = shared.deployment.database().await;
    let (id, email) = make_account(&mut database, Role::Influencer).await;
    let me = api.signed_in(&email).await;
    let (_, session) = api.login(&email, PASSWORD).await;
    assert_eq!(me.get("/api/v1/users/me").await.0, StatusCode::OK);
    let change = |statement: &'static str| sqlx::query(statement).bind(id);
    let demoted = "UPDATE influencer_profiles SET is_verified = false WHERE user_id = $1";
    change(demoted).execute(&mut database).await.unwrap();
    let make = async || {
        answer(me.request(Method::POST, "/api/v1/gonggus").json(&GongguSpec::default().body())).await.0
    };
    let two_seconds = std::time::Duration::from_secs(2);
    eventually("a demotion is in force", two_seconds, async || match make().await {
        StatusCode::FORBIDDEN => Ok(()),
        other => Err(other.to_string()),
    })
    .await;
    change("UPDATE users SET status = 'suspended' WHERE id = $1").execute(&mut database).await.unwrap();
    eventually("a suspension is in force", two_seconds, async || match me.get("/api/v1/users/me").await {
        (StatusCode::FORBIDDEN, body) if body["code"] == "ACCOUNT_SUSPENDED" => Ok(()),
        (other, _) => Err(other.to_string()),
    })
    .await;
    let refresh = json!({"refresh_token": session["refresh_token"]});
    assert_error(&post(&api, "/auth/refresh", &refresh).await.1, "ACCOUNT_SUSPENDED");
    change("UPDATE users SET status = 'active', token_version = token_version + 1 WHERE id = $1")
        .execute(&mut database)
        .await
        .unwrap();
    eventually("the token is of an old version", two_seconds, async || {
        match me.get("/api/v1/users/me").await.0 {
            StatusCode::UNAUTHORIZED => Ok(()),
            other => Err(other.to_string()),
        }
    })
    .await;
}
