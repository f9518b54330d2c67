//! Signing in with Kakao, Naver, Google and Apple, against a server that is as strict as theirs.

mod faults;
mod linking;

use crate::harness::api::{Api, answer, assert_error, json_body};
use crate::harness::deployment::OUR_ORIGIN;
use crate::harness::social::browser::{Browser, Returned};
use crate::harness::social::{Fault, Human, Vendors};
use crate::harness::{Deployment, shared};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

pub(crate) const PROVIDERS: [&str; 4] = ["kakao", "naver", "google", "apple"];

/// A deployment with all four providers.
pub(crate) struct World {
    pub(crate) deployment: Deployment,
    pub(crate) vendors: Vendors,
}

impl World {
    pub(crate) fn browser(&self) -> Browser {
        Browser::new(self.deployment.base_url(), &self.vendors)
    }

    pub(crate) fn api(&self) -> Api {
        Api::new(&self.deployment)
    }

    /// The account of an answer with tokens.
    pub(crate) async fn account(&self, answer: &(StatusCode, Value)) -> Value {
        assert_eq!(answer.0, StatusCode::OK, "{}", answer.1);
        let token = answer.1["access_token"].as_str().unwrap();
        let (status, me) = self.api().with_token(token).get("/api/v1/users/me").await;
        assert_eq!(status, StatusCode::OK, "{me}");
        me
    }

    pub(crate) async fn identities_of(&self, human: &Human) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM social_identities WHERE subject LIKE '%' || $1")
            .bind(&human.subject)
            .fetch_one(&mut self.deployment.database().await)
            .await
            .unwrap()
    }
}

impl World {
    /// With these settings beside the usual ones.
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Self {
        let mut deployment = Deployment::new();
        let vendors = Vendors::start(deployment.base_url());
        let key = deployment.scratch("apple.p8");
        std::fs::write(&key, vendors.apple_private_key()).unwrap();
        for (name, value) in vendors.settings(key.to_str().unwrap()) {
            deployment.set(name, &value);
        }
        deployment.set("SOCIAL_TIMEOUT_SECONDS", "2");
        for (name, value) in settings {
            deployment.set(name, value);
        }
        deployment.start().await;
        Self { deployment, vendors }
    }
}

/// Starts it for the first who asks.
pub(crate) async fn world() -> &'static World {
    static WORLD: OnceCell<World> = OnceCell::const_new();
    WORLD.get_or_init(async || World::start(&[]).await).await
}

#[tokio::test]
async fn each_provider_signs_up_and_in() {
    let world = world().await;
    for provider in PROVIDERS {
        let human = Human::new();
        let first = world.browser().sign_in(provider, &human, Fault::None).await;
        let account = world.account(&first).await;
        let proved = (provider != "naver").then(|| human.email.clone().unwrap());
        assert_eq!(account["email"], json!(proved), "{provider}");
        assert_eq!((&account["role"], &account["status"]), (&json!("buyer"), &json!("active")));
        let name = if provider == "naver" { "공구**" } else { "김가상" };
        assert_eq!(account["nickname"], name, "{provider}");
        assert!(first.1["refresh_token"].is_string() && first.1["expires_in"] == 1_800, "{}", first.1);

        let again = world.browser().sign_in(provider, &human, Fault::None).await;
        assert_eq!(world.account(&again).await["id"], account["id"], "{provider}");
        assert_eq!(world.identities_of(&human).await, 1);
    }
}

#[tokio::test]
async fn the_answer_is_that_of_a_login() {
    let world = world().await;
    let mut browser = world.browser();
    let returned = browser.come_back("google", &Human::new(), Fault::None).await;
    assert_eq!(returned.page, format!("{OUR_ORIGIN}/login/done"));
    let body = json!({"code": returned.code, "state": returned.state, "role": "admin", "email": "x@y.kr"});
    let answer = browser.post("auth/social/google", &body, None).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.starts_with("access_token=") && cookie.contains("HttpOnly"), "{cookie}");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let body = json_body(answer).await;
    let refreshed = json!({"refresh_token": body["refresh_token"]});
    assert_eq!(browser.post("auth/refresh", &refreshed, None).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_state_is_good_once_in_its_browser_for_its_provider() {
    let world = world().await;
    for provider in PROVIDERS {
        let mut browser = world.browser();
        let human = Human::new();
        let returned = browser.come_back(provider, &human, Fault::None).await;
        let mut stranger = world.browser();
        stranger.begin(provider).await;
        let mut bare = browser.clone();
        bare.cookie = None;
        let other = if provider == "kakao" { "google" } else { "kakao" };
        for (who, name) in [(&stranger, provider), (&bare, provider), (&browser, other)] {
            let (status, body) = who.finish(name, &returned).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{provider} {name}: {body}");
            assert_error(&body, "SOCIAL_STATE_INVALID");
        }
        assert_eq!(world.identities_of(&human).await, 0);
        let good = browser.finish(provider, &returned).await;
        assert_eq!(good.0, StatusCode::OK, "a stranger's try does not end it: {}", good.1);
        let (status, body) = browser.finish(provider, &returned).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{provider}: {body}");
        assert_error(&body, "SOCIAL_STATE_INVALID");
    }
}

#[tokio::test]
async fn a_state_ends_after_ten_minutes() {
    let world = world().await;
    for provider in PROVIDERS {
        let mut browser = world.browser();
        let human = Human::new();
        let returned = browser.come_back(provider, &human, Fault::None).await;
        // as if begun ten minutes ago
        let aged = sqlx::query(
            "UPDATE social_login_states SET expires_at = expires_at - interval '10 minutes'
             WHERE state_hash = sha256(convert_to($1, 'UTF8'))",
        );
        let mut database = world.deployment.database().await;
        assert_eq!(aged.bind(&returned.state).execute(&mut database).await.unwrap().rows_affected(), 1);
        let (status, body) = browser.finish(provider, &returned).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        assert_error(&body, "SOCIAL_STATE_INVALID");
        assert_eq!(world.identities_of(&human).await, 0);
    }
}

/// Two sign-ins of one browser, their codes changed over: PKCE and Naver's state do not fit. (Apple's code
/// never leaves the server, and ours fits its own state alone.)
#[tokio::test]
async fn a_code_of_another_sign_in_does_not_fit() {
    let world = world().await;
    for provider in PROVIDERS {
        let mut browser = world.browser();
        let (victim, attacker) = (Human::new(), Human::new());
        let first = browser.come_back(provider, &victim, Fault::None).await;
        let second = browser.come_back(provider, &attacker, Fault::None).await;
        let mixed = Returned { code: second.code.clone(), ..first };
        let (status, body) = browser.finish(provider, &mixed).await;
        if provider == "apple" {
            assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        } else {
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{provider}: {body}");
            assert_error(&body, "SOCIAL_CODE_INVALID");
        }
        assert_eq!(world.identities_of(&victim).await + world.identities_of(&attacker).await, 0);
    }
}

#[tokio::test]
async fn apple_posts_a_form_and_the_browser_brings_our_code() {
    let world = world().await;
    let mut browser = world.browser();
    let human = Human::new();
    let returned = browser.come_back("apple", &human, Fault::None).await;
    // a wrong code does not end it, the right one does
    let wrong = Returned { code: Some("x".repeat(43)), ..returned.clone() };
    assert_eq!(browser.finish("apple", &wrong).await.0, StatusCode::BAD_REQUEST);
    let signed_in = browser.finish("apple", &returned).await;
    let account = world.account(&signed_in).await;
    // the name of the unsigned part, not its e-mail
    assert_eq!((&account["nickname"], &account["email"]), (&json!("김가상"), &json!(human.email)));

    // ours lives for a minute
    let returned = browser.come_back("apple", &human, Fault::None).await;
    let aged = sqlx::query(
        "UPDATE social_login_states SET handover_expires_at = handover_expires_at - interval '1 minute'
         WHERE state_hash = sha256(convert_to($1, 'UTF8'))",
    );
    let mut database = world.deployment.database().await;
    assert_eq!(aged.bind(&returned.state).execute(&mut database).await.unwrap().rows_affected(), 1);
    let (status, body) = browser.finish("apple", &returned).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
}

#[tokio::test]
async fn apples_form_is_taken_once_and_only_as_a_form() {
    let world = world().await;
    let mut browser = world.browser();
    let returned = browser.come_back("apple", &Human::new(), Fault::None).await;
    let path = "/api/v1/auth/social/apple/callback";
    let post = |kind: &'static str, body: String| {
        answer(world.api().request(Method::POST, path).header("Content-Type", kind).body(body))
    };
    let form = "application/x-www-form-urlencoded";
    let again = post(form, format!("code=another&state={}", returned.state)).await;
    assert_eq!(again.0, StatusCode::BAD_REQUEST, "a second code for one state: {}", again.1);
    assert_error(&again.1, "SOCIAL_STATE_INVALID");
    for body in
        ["", "code=x", "state=&code=x", "state=%00&code=x", "user=%7B", "error=user_cancelled_authorize"]
    {
        let (status, answer) = post(form, body.to_owned()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}: {answer}");
        assert_error(&answer, "SOCIAL_STATE_INVALID");
    }
    let (status, body) = post("application/json", "{}".to_owned()).await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{body}");
    let (status, body) = post(form, format!("user={}", "x".repeat(300_000))).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{body}");
}

#[tokio::test]
async fn a_person_who_says_no_is_not_signed_in() {
    let world = world().await;
    for provider in PROVIDERS {
        let mut browser = world.browser();
        let human = Human::new();
        let returned = browser.come_back(provider, &human, Fault::Denied).await;
        assert!(returned.error.is_some() && returned.code.is_none(), "{returned:?}");
        let (status, body) = browser.finish(provider, &returned).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{provider}: {body}");
        assert_error(&body, "SOCIAL_LOGIN_DENIED");
        assert_eq!(browser.finish(provider, &returned).await.0, StatusCode::BAD_REQUEST);
        assert_eq!(world.identities_of(&human).await, 0);
    }
}

#[tokio::test]
async fn fifty_first_sign_ins_of_one_person_make_one_account() {
    let world = world().await;
    for provider in ["google", "naver"] {
        let human = Human::new();
        let mut ready = Vec::new();
        for _ in 0..50 {
            let mut browser = world.browser();
            let returned = browser.come_back(provider, &human, Fault::None).await;
            ready.push((browser, returned));
        }
        let ends = ready.iter().map(|(browser, returned)| browser.finish(provider, returned));
        let ends = futures::future::join_all(ends).await;
        let mut accounts = Vec::new();
        for end in &ends {
            accounts.push(world.account(end).await["id"].as_str().unwrap().to_owned());
        }
        accounts.dedup();
        assert_eq!(accounts.len(), 1, "{provider}");
        assert_eq!(world.identities_of(&human).await, 1);
    }
}

#[tokio::test]
async fn strange_requests_are_refused() {
    let world = world().await;
    let mut browser = world.browser();
    for page in [
        "https://evil.example/",
        "//evil.example",
        "javascript:alert(1)",
        "https://app.gonggumoa.example.evil.kr",
    ] {
        let answer = browser.ask_to_begin("google", page).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{page}");
        assert_error(&json_body(answer).await, "VALIDATION_ERROR");
    }
    let unknown = browser.ask_to_begin("myspace", OUR_ORIGIN).await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    assert_error(&json_body(unknown).await, "SOCIAL_PROVIDER_NOT_FOUND");
    let path = format!("/api/v1/auth/social/kakao/authorize?return_to={OUR_ORIGIN}");
    let (status, body) = shared().await.anyone().get(&path).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_error(&body, "SOCIAL_PROVIDER_NOT_CONFIGURED");

    browser.begin("google").await;
    for (body, field) in [
        (json!({}), "state"),
        (json!({"code": "x"}), "state"),
        (json!({"state": "x"}), "code"),
        (json!({"code": "", "state": "x"}), "code"),
        (json!({"code": "a\u{0}b", "state": "x"}), "code"),
        (json!({"code": "x".repeat(5_000), "state": "x"}), "code"),
    ] {
        let answer = browser.post("auth/social/google", &body, None).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        let answer = json_body(answer).await;
        assert_eq!(answer["errors"][0]["field"], field, "{answer}");
    }
    let (status, body) = world.api().get("/api/v1/auth/social/google/callback?code=x&state=y").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_error(&body, "SOCIAL_STATE_INVALID");
}

#[tokio::test]
async fn one_address_cannot_begin_without_end() {
    let browser = world().await.browser();
    for number in 0..400 {
        let answer = browser.ask_to_begin("naver", OUR_ORIGIN).await;
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            assert!(number >= 100 && answer.headers().contains_key("retry-after"), "after {number}");
            return;
        }
        assert_eq!(answer.status(), StatusCode::OK);
    }
    panic!("four hundred starts from one address were let through");
}
