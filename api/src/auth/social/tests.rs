#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::link::{Decision, decide};
use super::person::{Person, clean_name};
use super::queries::LocalAccount;
use super::state::{LoginSecrets, well_formed};
use super::wire::Reply;
use super::*;
use crate::auth::identity::Identity;
use crate::test_support::{app_on, no_database};
use crate::users::types::{UserRole, UserStatus};
use gonggumoa_core::ids::UserId;
use http::{HeaderMap, StatusCode};
use sqlx::PgPool;
use uuid::Uuid;

fn person(provider: Provider, email: &str, verified: bool, private: bool) -> Person {
    let mut person = Person::new(provider, "1".to_owned()).unwrap();
    person.set_email(Some(email), verified, private);
    person
}

fn local(role: UserRole, status: UserStatus, is_email_verified: bool, has_provider: bool) -> LocalAccount {
    LocalAccount { id: Uuid::nil(), role, status, is_email_verified, has_provider }
}

#[test]
fn the_linking_policy() {
    use Provider::{Apple, Google, Kakao, Naver};
    use UserRole::{Admin, Buyer, Influencer};
    use UserStatus::{Active, Pending, Suspended};
    let id = Uuid::nil();
    let mail = "a@example.com";
    for (provider, verified, private, local, expected) in [
        (Google, true, false, None, Decision::SignUp),
        (Google, false, false, None, Decision::SignUpWithoutEmail),
        (Naver, true, false, None, Decision::SignUpWithoutEmail),
        (Google, true, false, Some(local(Buyer, Active, true, false)), Decision::Join(id)),
        (Kakao, true, false, Some(local(Influencer, Active, true, false)), Decision::Join(id)),
        (Google, true, false, Some(local(Buyer, Active, true, true)), Decision::AskToLink),
        (Google, false, false, Some(local(Buyer, Active, true, false)), Decision::AskToLink),
        (Kakao, false, false, Some(local(Buyer, Active, false, false)), Decision::AskToLink),
        (Naver, true, false, Some(local(Buyer, Active, true, false)), Decision::AskToLink),
        (Naver, true, false, Some(local(Buyer, Active, false, false)), Decision::AskToLink),
        (Google, true, false, Some(local(Buyer, Active, false, false)), Decision::Replace(id)),
        (Google, true, false, Some(local(Influencer, Pending, false, false)), Decision::Replace(id)),
        (Google, true, false, Some(local(Buyer, Pending, false, false)), Decision::Replace(id)),
        (Google, false, false, Some(local(Influencer, Pending, false, false)), Decision::AskToLink),
        (Google, true, false, Some(local(Influencer, Active, false, false)), Decision::AskToLink),
        (Google, true, false, Some(local(Admin, Active, true, false)), Decision::AskToLink),
        (Google, true, false, Some(local(Buyer, Suspended, true, false)), Decision::Suspended),
        (Apple, true, true, Some(local(Buyer, Active, true, false)), Decision::SignUpWithoutEmail),
        (Apple, true, true, None, Decision::SignUp),
    ] {
        let person = person(provider, mail, verified, private);
        let case = format!("{provider:?} {verified} {private}");
        assert_eq!(decide(&person, local.as_ref()), expected, "{case}");
    }
    assert!(person(Apple, "x@PrivateRelay.appleid.com", true, false).is_relay);
    assert!(!person(Google, "x@privaterelay.appleid.com", true, true).is_relay);
}

#[test]
fn names_and_pictures_are_cut_to_what_can_be_stored() {
    assert_eq!(clean_name("  공\u{0}구\u{1}러  ").as_deref(), Some("공구러"));
    assert_eq!(clean_name(&"가".repeat(80)).unwrap().chars().count(), 50);
    assert_eq!(clean_name(" \u{7} "), None);
    let mut person = person(Provider::Google, "no address", true, false);
    assert_eq!((person.email.as_deref(), person.email_verified), (None, false));
    for (picture, shown) in
        [("javascript:alert(1)", false), ("http://x.kr/a", false), ("https://x.kr/a", true)]
    {
        person.picture = Some(picture.to_owned());
        assert_eq!(person.shown_picture().is_some(), shown, "{picture}");
    }
    assert!(Person::new(Provider::Naver, String::new()).is_err());
    assert!(Person::new(Provider::Naver, "x".repeat(256)).is_err());
}

#[test]
fn secrets_depend_on_both_halves() {
    let first = LoginSecrets::begin(&HeaderMap::new());
    let mut headers = HeaderMap::new();
    headers.insert("cookie", format!("a=b; login_state={}", first.browser()).parse().unwrap());
    let again = LoginSecrets::resume(first.state(), &headers).unwrap();
    assert_eq!((again.nonce(), again.pkce_verifier()), (first.nonce(), first.pkce_verifier()));
    assert_ne!(first.nonce(), first.pkce_verifier());
    let second = LoginSecrets::begin(&headers);
    assert_eq!(second.browser(), first.browser(), "two tabs share the cookie");
    assert_ne!(second.state(), first.state());
    assert_ne!(second.nonce(), first.nonce());
    let other = LoginSecrets::begin(&HeaderMap::new());
    headers.insert("cookie", format!("login_state={}", other.browser()).parse().unwrap());
    assert_ne!(LoginSecrets::resume(first.state(), &headers).unwrap().nonce(), first.nonce());
    assert!(LoginSecrets::resume(first.state(), &HeaderMap::new()).is_none());
    assert!(well_formed("한글").is_none() && well_formed("").is_none());
}

#[test]
fn token_answers_are_read_leniently_and_errors_first() {
    let reply = |status: u16, body: &str| Reply {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        body: body.as_bytes().to_vec(),
    };
    let read = |status, body| reply(status, body).into_token_response();
    let good = read(200, r#"{"access_token":"a","token_type":"bearer","expires_in":"3600"}"#).unwrap();
    assert!(String::from_utf8_lossy(good.body()).contains(r#""expires_in":3600"#));
    assert_eq!(read(200, r#"{"error":"invalid_request"}"#).unwrap().status(), 400);
    assert_eq!(read(500, r#"{"error":"server_error"}"#).unwrap().status(), 400);
    assert!(matches!(read(503, "<html>"), Err(SocialError::Unavailable { .. })));
    assert!(matches!(read(200, ""), Err(SocialError::ProviderFailed(_))));
    assert!(matches!(read(200, "<html>"), Err(SocialError::ProviderFailed(_))));
    assert!(matches!(
        read(400, r#"{"error":"x","error_code":"KOE237"}"#),
        Err(SocialError::Unavailable { .. })
    ));
    assert!(matches!(read(429, r#"{"error":"quota"}"#), Err(SocialError::Unavailable { .. })));
}

#[test]
fn only_allowed_origins_are_returned_to() {
    let social = Social::new(&SocialSettings {
        return_origins: vec!["https://app.example".to_owned()],
        ..SocialSettings::default()
    });
    for (wish, allowed) in [
        (Some("https://app.example/done?x=1#y"), true),
        (Some("https://APP.example:443/"), true),
        (Some("http://app.example/"), false),
        (Some("https://app.example:8443/"), false),
        (Some("https://app.example.evil.kr/"), false),
        (Some("https://user@app.example/"), false),
        (Some("https://app.example@evil.kr/"), false),
        (Some("//evil.kr"), false),
        (Some("/relative"), false),
        (Some("javascript:alert(1)"), false),
        (Some("data:text/html,x"), false),
        (None, false),
    ] {
        assert_eq!(social.return_to(wish).is_ok(), allowed, "{wish:?}");
    }
}

/// Between the look at the token and the link lies a provider's answer, which the provider's own person may draw
/// out: long enough for a suspension, a new password or a closing.
#[sqlx::test(migrations = "../migrations/postgres")]
async fn a_session_that_ended_meanwhile_links_and_unlinks_nothing(pool: PgPool) {
    let (app, _) = app_on(pool.clone(), no_database(), None);
    let id = UserId(Uuid::now_v7());
    sqlx::query(
        "INSERT INTO users (id, email, nickname, password_hash) VALUES ($1, 'a@b.example', 'a', 'x')",
    )
    .bind(id.0)
    .execute(&pool)
    .await
    .unwrap();
    let session = app.identities.get(&pool, id).await.unwrap().unwrap();
    let (google, kakao) = (
        person(Provider::Google, "g@gmail.com", true, false),
        person(Provider::Kakao, "k@b.example", true, false),
    );
    assert!(link::link(&app, &session, &google).await.unwrap());

    for end in [
        "UPDATE users SET token_version = token_version + 1",
        "UPDATE users SET status = 'suspended'",
        "UPDATE users SET closed_at = now()",
    ] {
        sqlx::query(end).execute(&pool).await.unwrap();
        let linked = link::link(&app, &session, &kakao).await;
        assert!(matches!(linked, Err(ApiError::Unauthorized)), "{end}: {linked:?}");
        let unlinked = link::unlink(&app, &session, "google").await;
        assert!(matches!(unlinked, Err(ApiError::Unauthorized)), "{end}: {unlinked:?}");
    }
    let now = Identity { token_version: 1, ..(*session).clone() };
    assert!(link::link(&app, &now, &kakao).await.is_err(), "suspended and closed");
}

/// Somebody signed up as an influencer with another's address. Its owner signs in all the same, and nobody is left
/// among the applications.
#[sqlx::test(migrations = "../migrations/postgres")]
async fn an_unproved_application_does_not_keep_the_owner_out(pool: PgPool) {
    let (app, _) = app_on(pool.clone(), no_database(), None);
    for (role, email) in [("influencer", "a@gmail.com"), ("buyer", "b@gmail.com")] {
        let id = Uuid::now_v7();
        let insert = "INSERT INTO users (id, email, nickname, password_hash, role, status)
                      VALUES ($1, $2, 'a', 'x', $3::user_role, 'pending')";
        sqlx::query(insert).bind(id).bind(email).bind(role).execute(&pool).await.unwrap();
        let mut owner = person(Provider::Google, email, true, false);
        owner.subject = email.to_owned();
        let account = link::account(&app, &owner).await.unwrap();
        assert_ne!(account.id, id);
        assert_eq!((account.role, account.status), (UserRole::Buyer, UserStatus::Active));
        let left: (Option<String>, Option<String>, String, String, i32) = sqlx::query_as(
            "SELECT email, password_hash, role::text, status::text, token_version FROM users WHERE id = $1",
        )
        .bind(id)
        .fetch_one(&pool)
        .await
        .unwrap();
        assert_eq!(left, (None, None, "buyer".to_owned(), "active".to_owned(), 1), "{role}");
    }
}
