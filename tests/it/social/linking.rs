//! Which account somebody signs in to, and what an owner may link and unlink.

use super::{World, world};
use crate::harness::api::{answer, assert_error};
use crate::harness::database::{Role, make_account};
use crate::harness::deployment::{ADMIN_EMAIL, PASSWORD};
use crate::harness::social::{Fault, Human};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

/// An account with a password, its e-mail proved or not.
async fn local(world: &World, is_verified: bool) -> (Uuid, String) {
    let mut database = world.deployment.database().await;
    let (id, email) = make_account(&mut database, Role::Buyer).await;
    if is_verified {
        let verified = sqlx::query("UPDATE users SET email_verified_at = now() WHERE id = $1");
        verified.bind(id).execute(&mut database).await.unwrap();
    }
    (id, email)
}

async fn sign_in(world: &World, provider: &str, human: &Human) -> (StatusCode, Value) {
    world.browser().sign_in(provider, human, Fault::None).await
}

#[tokio::test]
async fn a_proved_address_on_both_sides_is_one_person() {
    let world = world().await;
    for provider in ["kakao", "google", "apple"] {
        let (id, email) = local(world, true).await;
        let human = Human::with_email(&email.to_uppercase());
        let account = world.account(&sign_in(world, provider, &human).await).await;
        assert_eq!(account["id"], json!(id), "{provider}");
        assert_eq!(account["email"], json!(email), "the address stays as it was typed");
        assert_eq!(world.api().login(&email, PASSWORD).await.0, StatusCode::OK, "the password stays");
        // another identity of the same provider with the same address: recycled, not claimed
        let (status, body) = sign_in(world, provider, &Human::with_email(&email)).await;
        assert_eq!(status, StatusCode::CONFLICT, "{body}");
        assert_error(&body, "SOCIAL_LINK_REQUIRED");
    }
}

#[tokio::test]
async fn an_address_that_is_not_proved_links_nothing() {
    let world = world().await;
    for is_verified in [true, false] {
        for (provider, fault) in
            [("naver", Fault::None), ("google", Fault::None), ("kakao", Fault::NoIdToken)]
        {
            let (id, email) = local(world, is_verified).await;
            let human = Human::with_email(&email).unverified();
            let (status, body) = world.browser().sign_in(provider, &human, fault).await;
            assert_eq!(status, StatusCode::CONFLICT, "{provider}: {body}");
            assert_error(&body, "SOCIAL_LINK_REQUIRED");
            assert_eq!(world.identities_of(&human).await, 0);
            assert_eq!(world.api().login(&email, PASSWORD).await.0, StatusCode::OK);

            // what the answer says: sign in as before, then link
            let owner = world.api().signed_in(&email).await;
            let mut browser = world.browser();
            let returned = browser.come_back(provider, &human, fault).await;
            let (status, list) = browser.link(provider, &returned, owner.token()).await;
            assert_eq!(status, StatusCode::CREATED, "{list}");
            assert_eq!(
                (&list["items"][0]["provider"], &list["has_password"]),
                (&json!(provider), &json!(true))
            );
            let again = world.browser().sign_in(provider, &human, fault).await;
            assert_eq!(world.account(&again).await["id"], json!(id));
        }
    }
}

/// Google saw the address proved once; whose it is now it knows only of mailboxes that it runs.
#[tokio::test]
async fn google_proves_no_address_of_anothers_mailbox() {
    let world = world().await;
    for is_verified in [true, false] {
        let (_, email) = local(world, is_verified).await;
        let human = Human { is_hosted: false, ..Human::with_email(&email) };
        let (status, body) = sign_in(world, "google", &human).await;
        assert_eq!(status, StatusCode::CONFLICT, "{body}");
        assert_error(&body, "SOCIAL_LINK_REQUIRED");
        assert_eq!(world.api().login(&email, PASSWORD).await.0, StatusCode::OK);
    }
    let human = Human { is_hosted: false, ..Human::new() };
    let account = world.account(&sign_in(world, "google", &human).await).await;
    assert_eq!(account["email"], json!(null));
}

/// Somebody made an account with another's address and waits for its owner.
#[tokio::test]
async fn an_account_made_in_waiting_is_not_inherited() {
    let world = world().await;
    for provider in ["kakao", "google", "apple"] {
        let (id, email) = local(world, false).await;
        let (_, waiting) = world.api().login(&email, PASSWORD).await;
        let attacker = world.api().with_token(waiting["access_token"].as_str().unwrap());
        assert_eq!(attacker.get("/api/v1/users/me").await.0, StatusCode::OK);

        let owner = sign_in(world, provider, &Human::with_email(&email)).await;
        let account = world.account(&owner).await;
        assert_ne!(account["id"], json!(id), "{provider}");
        assert_eq!(account["email"], json!(email));
        assert_eq!(world.api().login(&email, PASSWORD).await.0, StatusCode::UNAUTHORIZED);
        assert_eq!(attacker.get("/api/v1/users/me").await.0, StatusCode::UNAUTHORIZED, "the session ended");
        let refresh = json!({"refresh_token": waiting["refresh_token"]});
        let refreshed = world.browser().post("auth/refresh", &refresh, None).await;
        assert_eq!(refreshed.status(), StatusCode::UNAUTHORIZED);
    }
}

/// The same, by a sign-up as an influencer, which waits for an admin's decision.
#[tokio::test]
async fn an_application_made_in_waiting_does_not_keep_the_owner_out() {
    let world = world().await;
    let (id, email) = local(world, false).await;
    let mut database = world.deployment.database().await;
    let waits = "UPDATE users SET role = 'influencer', status = 'pending' WHERE id = $1";
    sqlx::query(waits).bind(id).execute(&mut database).await.unwrap();
    let account = world.account(&sign_in(world, "google", &Human::with_email(&email)).await).await;
    assert_ne!(account["id"], json!(id));
    assert_eq!((&account["email"], &account["role"]), (&json!(email), &json!("buyer")));
    let waiting = "SELECT status = 'pending' FROM users WHERE id = $1";
    assert!(!sqlx::query_scalar::<_, bool>(waiting).bind(id).fetch_one(&mut database).await.unwrap());
}

#[tokio::test]
async fn administrators_and_relays_are_never_linked_by_address() {
    let world = world().await;
    let (status, body) = sign_in(world, "google", &Human::with_email(ADMIN_EMAIL)).await;
    assert_eq!(status, StatusCode::CONFLICT, "{body}");
    assert_error(&body, "SOCIAL_LINK_REQUIRED");

    let (id, email) = local(world, true).await;
    let relayed = Human { is_private_email: true, ..Human::with_email(&email) };
    let account = world.account(&sign_in(world, "apple", &relayed).await).await;
    assert_ne!(account["id"], json!(id));
    assert_eq!(account["email"], json!(null));
    let relay = format!("{}@privaterelay.appleid.com", Uuid::now_v7().simple());
    let hidden = sign_in(world, "apple", &Human::with_email(&relay)).await;
    assert_eq!(world.account(&hidden).await["email"], json!(relay));
}

#[tokio::test]
async fn a_changed_address_changes_nothing() {
    let world = world().await;
    let human = Human::new();
    let first = world.account(&sign_in(world, "google", &human).await).await;
    let (other_id, other_email) = local(world, true).await;
    let moved = Human { email: Some(other_email), ..human };
    let again = world.account(&sign_in(world, "google", &moved).await).await;
    assert_eq!((&again["id"], &again["email"]), (&first["id"], &first["email"]));
    assert_ne!(again["id"], json!(other_id));
}

#[tokio::test]
async fn the_suspended_stay_out() {
    let world = world().await;
    let (id, email) = local(world, true).await;
    let known = Human::with_email(&email);
    assert_eq!(sign_in(world, "kakao", &known).await.0, StatusCode::OK);
    let suspend = sqlx::query("UPDATE users SET status = 'suspended' WHERE id = $1").bind(id);
    suspend.execute(&mut world.deployment.database().await).await.unwrap();
    for (provider, human) in [("kakao", &known), ("google", &Human::with_email(&email))] {
        let (status, body) = sign_in(world, provider, human).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{provider}: {body}");
        assert_error(&body, "ACCOUNT_SUSPENDED");
    }
}

#[tokio::test]
async fn the_last_way_in_stays() {
    let world = world().await;
    let human = Human::new();
    let first = sign_in(world, "naver", &human).await;
    let member = world.api().with_token(first.1["access_token"].as_str().unwrap());
    let unlink = |provider: &str| {
        answer(member.request(Method::DELETE, &format!("/api/v1/users/me/social/{provider}")))
    };
    let (status, body) = unlink("naver").await;
    assert_eq!(status, StatusCode::CONFLICT, "{body}");
    assert_error(&body, "LAST_LOGIN_METHOD");
    assert_eq!(unlink("google").await.0, StatusCode::NO_CONTENT, "what is not linked is unlinked");
    assert_eq!(unlink("myspace").await.0, StatusCode::NOT_FOUND);

    let mut browser = world.browser();
    let second = Human::new();
    for expected in [StatusCode::CREATED, StatusCode::OK] {
        let returned = browser.come_back("google", &second, Fault::None).await;
        let (status, list) = browser.link("google", &returned, member.token()).await;
        assert_eq!(status, expected, "{list}");
        let linked: Vec<&str> =
            list["items"].as_array().unwrap().iter().map(|item| item["provider"].as_str().unwrap()).collect();
        assert_eq!(linked, ["naver", "google"]);
        assert_eq!(list["has_password"], json!(false));
    }
    // both at once: one stays
    let both = futures::future::join(unlink("naver"), unlink("google")).await;
    let mut statuses = [both.0.0.as_u16(), both.1.0.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 409], "{} {}", both.0.1, both.1.1);
    let (_, list) = member.get("/api/v1/users/me/social").await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    // users names the one that is left
    let (_, me) = member.get("/api/v1/users/me").await;
    let named: String = sqlx::query_scalar("SELECT social_provider FROM users WHERE id = $1::uuid")
        .bind(me["id"].as_str().unwrap())
        .fetch_one(&mut world.deployment.database().await)
        .await
        .unwrap();
    assert_eq!(list["items"][0]["provider"], json!(named));
}

#[tokio::test]
async fn an_identity_belongs_to_one_account() {
    let world = world().await;
    let human = Human::new();
    assert_eq!(sign_in(world, "google", &human).await.0, StatusCode::OK);
    let (_, email) = local(world, true).await;
    let other = world.api().signed_in(&email).await;
    let mut browser = world.browser();
    let returned = browser.come_back("google", &human, Fault::None).await;
    let (status, body) = browser.link("google", &returned, other.token()).await;
    assert_eq!(status, StatusCode::CONFLICT, "{body}");
    assert_error(&body, "SOCIAL_ALREADY_LINKED");
    // nobody's token links nothing, and does not use up the state
    let returned = browser.come_back("google", &Human::new(), Fault::None).await;
    assert_eq!(browser.link("google", &returned, "nonsense").await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(browser.finish("google", &returned).await.0, StatusCode::OK);
}
