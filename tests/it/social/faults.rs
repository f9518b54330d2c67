//! What providers do wrong, one at a time: each is a clear answer and no account.

use super::{PROVIDERS, World, world};
use crate::harness::api::{assert_error, json_body};
use crate::harness::process::free_port;
use crate::harness::social::{Fault, Human};
use crate::harness::{SHORT, eventually};
use reqwest::StatusCode;
use serde_json::json;

const AWAY: (u16, &str) = (503, "SOCIAL_PROVIDER_UNAVAILABLE");
const NONSENSE: (u16, &str) = (502, "SOCIAL_PROVIDER_ERROR");
const REFUSED: (u16, &str) = (401, "SOCIAL_TOKEN_INVALID");

/// One sign-in with a fault.
async fn expect(provider: &'static str, fault: Fault, (status, code): (u16, &str)) {
    let world = world().await;
    let mut browser = world.browser();
    let human = Human::new();
    let returned = browser.come_back(provider, &human, fault).await;
    let body = json!({"code": returned.code, "state": returned.state});
    let answer = browser.post(&format!("auth/social/{provider}"), &body, None).await;
    let case = format!("{provider} {fault:?}");
    assert_eq!(answer.status().as_u16(), status, "{case}: {}", answer.text().await.unwrap());
    let retry_after = answer.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(retry_after.is_some(), status == 503, "{case}");
    if fault == Fault::TooManyWithRetryAfter {
        assert_eq!(retry_after.as_deref(), Some("17"), "{case}");
    }
    assert!(!answer.headers().contains_key("set-cookie"), "{case}");
    assert_error(&json_body(answer).await, code);
    assert_eq!(world.identities_of(&human).await, 0, "{case}");
    // nothing is lost: the next try works
    let next = world.browser().sign_in(provider, &human, Fault::None).await;
    assert_eq!(next.0, StatusCode::OK, "{case}: {}", next.1);
}

#[tokio::test]
async fn a_provider_that_is_away_or_talks_nonsense() {
    let faults = [
        (Fault::Timeout, AWAY),
        (Fault::SlowBody, AWAY),
        (Fault::ServerError, AWAY),
        (Fault::TooMany, AWAY),
        (Fault::TooManyWithRetryAfter, AWAY),
        (Fault::MalformedJson, NONSENSE),
        (Fault::EmptyBody, NONSENSE),
    ];
    let cases = PROVIDERS
        .into_iter()
        .flat_map(|provider| faults.map(|(fault, expected)| expect(provider, fault, expected)));
    futures::future::join_all(cases).await;
}

#[tokio::test]
async fn an_id_token_that_is_not_right_in_every_way() {
    let faults = [
        Fault::WrongAudience,
        Fault::WrongIssuer,
        Fault::WrongNonce,
        Fault::Expired,
        Fault::ForgedSignature,
        Fault::Unsigned,
    ];
    let providers = ["kakao", "google", "apple"];
    let cases =
        providers.into_iter().flat_map(|provider| faults.map(|fault| expect(provider, fault, REFUSED)));
    futures::future::join_all(cases).await;
    // another provider's issuer is a wrong one, too
    expect("kakao", Fault::BareIssuer, REFUSED).await;
    expect("google", Fault::NoIdToken, NONSENSE).await;
    expect("apple", Fault::NoIdToken, NONSENSE).await;
}

#[tokio::test]
async fn profiles_fail_in_several_forms() {
    expect("naver", Fault::ProfileError, NONSENSE).await;
    expect("naver", Fault::GatewayError, NONSENSE).await;
    expect("kakao", Fault::ProfileError, NONSENSE).await;
    expect("kakao", Fault::GatewayError, AWAY).await;
}

#[tokio::test]
async fn kakao_without_an_id_token_is_asked_for_the_profile() {
    let world = world().await;
    let human = Human::new();
    let first = world.browser().sign_in("kakao", &human, Fault::NoIdToken).await;
    let account = world.account(&first).await;
    assert_eq!((&account["email"], &account["nickname"]), (&json!(human.email), &json!(human.name)));
    // the same person by either way
    let again = world.browser().sign_in("kakao", &human, Fault::None).await;
    assert_eq!(world.account(&again).await["id"], account["id"]);
    let doubtful = Human::new().unverified();
    let signed_in = world.browser().sign_in("kakao", &doubtful, Fault::NoIdToken).await;
    assert_eq!(world.account(&signed_in).await["email"], json!(null), "both flags or none");
}

#[tokio::test]
async fn both_forms_of_googles_issuer_are_google() {
    let world = world().await;
    let human = Human::new();
    let first = world.browser().sign_in("google", &human, Fault::BareIssuer).await;
    let again = world.browser().sign_in("google", &human, Fault::None).await;
    assert_eq!(world.account(&first).await["id"], world.account(&again).await["id"]);
}

/// Keys are kept, a new one is found at once, and forged ids do not become calls.
#[tokio::test]
async fn keys_are_kept_and_new_ones_found() {
    let world = world().await;
    for _ in 0..3 {
        let kept = world.browser().sign_in("google", &Human::new(), Fault::None).await;
        assert_eq!(kept.0, StatusCode::OK, "{}", kept.1);
    }
    let rotated = world.browser().sign_in("google", &Human::new(), Fault::RotatedKey).await;
    assert_eq!(rotated.0, StatusCode::OK, "{}", rotated.1);
    assert!(world.vendors.key_fetches("google") <= 2, "{}", world.vendors.key_fetches("google"));
    for _ in 0..5 {
        let (status, body) = world.browser().sign_in("kakao", &Human::new(), Fault::UnknownKey).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{body}");
        assert_error(&body, "SOCIAL_TOKEN_INVALID");
    }
    // the first look, and one for unknown ids a minute
    assert!(world.vendors.key_fetches("kakao") <= 3, "{}", world.vendors.key_fetches("kakao"));
    assert!(world.vendors.token_calls() >= 9);
}

/// Wrong credentials, a provider that is not there, keys that cannot be had: a deployment of its own.
#[tokio::test]
async fn a_deployment_whose_providers_do_not_work() {
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let world =
        World::start(&[("KAKAO_CLIENT_SECRET", "a wrong secret"), ("NAVER_API_URL", nobody.as_str())]).await;
    for (provider, (status, code)) in [("kakao", NONSENSE), ("naver", AWAY)] {
        let human = Human::new();
        let (answered, body) = world.browser().sign_in(provider, &human, Fault::None).await;
        assert_eq!(answered.as_u16(), status, "{provider}: {body}");
        assert_error(&body, code);
        assert_eq!(world.identities_of(&human).await, 0);
    }
    let log = world.deployment.log_text();
    assert!(log.contains("token error invalid_client") && !log.contains("a wrong secret"), "{log}");

    world.vendors.set_keys_away(true);
    let human = Human::new();
    let (answered, body) = world.browser().sign_in("google", &human, Fault::None).await;
    assert_eq!(answered.as_u16(), AWAY.0, "{body}");
    assert_error(&body, AWAY.1);
    world.vendors.set_keys_away(false);
    eventually("keys are asked for again", SHORT, async || {
        let (status, body) = world.browser().sign_in("google", &human, Fault::None).await;
        if status == StatusCode::OK { Ok(()) } else { Err(body.to_string()) }
    })
    .await;
    world.vendors.set_keys_away(true);
    let kept = world.browser().sign_in("google", &human, Fault::None).await;
    assert_eq!(kept.0, StatusCode::OK, "known keys serve on: {}", kept.1);
}
