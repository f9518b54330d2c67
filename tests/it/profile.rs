//! An account as its owner has it: profile, devices, consents, closing; and what others take from it.

use crate::accounts::{Person, fields, post, sign_up};
use crate::harness::api::{answer, assert_error};
use crate::harness::database::{Role, make_account};
use crate::harness::deployment::PASSWORD;
use crate::harness::{GongguSpec, Visitor, eventually, shared};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

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
        assert_eq!(admin.get(&format!("/api/v1/gonggus/{gonggu}")).await.1["status"], json!("closed"));
    }
    assert_eq!(admin.stats(live).await.totals.billable, 1, "clicks stay");
    let traces: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM users WHERE id = $1 AND (email IS NOT NULL OR email_folded IS NOT NULL
            OR password_hash IS NOT NULL OR phone_number IS NOT NULL OR profile_image IS NOT NULL)",
    )
    .bind(id)
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
