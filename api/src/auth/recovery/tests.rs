#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use crate::test_support::{app_on, no_database};
use futures::FutureExt;
use sqlx::PgPool;

/// An account to which a provider's identity, a device and a phone were added.
async fn furnished(pool: &PgPool, email: &str, is_verified: bool) -> Uuid {
    let id = Uuid::now_v7();
    let insert = "INSERT INTO users (id, email, nickname, password_hash, email_verified_at, phone_number,
                                     social_provider, social_id)
                  VALUES ($1, $2, 'a', 'x', CASE WHEN $3 THEN now() END, '+821012345678', 'google', $2)";
    sqlx::query(insert).bind(id).bind(email).bind(is_verified).execute(pool).await.unwrap();
    for insert in [
        "INSERT INTO social_identities (provider, subject, user_id, linked_at, last_used_at)
         VALUES ('google', $1::text, $1, now(), now())",
        "INSERT INTO user_devices (token, user_id, platform, last_seen_at) VALUES ($1::text, $1, 'ios', now())",
    ] {
        sqlx::query(insert).bind(id).execute(pool).await.unwrap();
    }
    id
}

async fn kept(pool: &PgPool, id: Uuid) -> (i64, i64, i64) {
    sqlx::query_as(
        "SELECT (SELECT count(*) FROM social_identities WHERE user_id = $1),
                (SELECT count(*) FROM user_devices WHERE user_id = $1),
                (SELECT count(*) FROM users WHERE id = $1 AND phone_number IS NOT NULL AND social_id IS NOT NULL)",
    )
    .bind(id)
    .fetch_one(pool)
    .await
    .unwrap()
}

/// Somebody made the account with another's address, linked an identity of his own and waited: the owner of the
/// address takes the account over by a new password, and the other must not come in by what he linked.
#[sqlx::test(migrations = "../migrations/postgres")]
async fn a_reset_that_proves_the_address_takes_out_what_a_stranger_put_in(pool: PgPool) {
    let (app, _) = app_on(pool.clone(), no_database(), None);
    for (email, is_verified, expected) in
        [("proved@b.example", true, (1, 1, 1)), ("waiting@b.example", false, (0, 0, 0))]
    {
        let id = furnished(&pool, email, is_verified).await;
        let now = app.clock.now().to_utc();
        let mut connection = pool.acquire().await.unwrap();
        let code = codes::issue(&mut connection, id, email, Purpose::ResetPassword, now, 5).await.unwrap();
        drop(connection);
        let client = Client::of(&app.address_key, "203.0.113.1".parse().unwrap());
        reset_password(&app, &code.unwrap(), "a new password".to_owned(), client).await.unwrap();
        assert_eq!(kept(&pool, id).await, expected, "{email}");
    }
}

/// Whether there is an account, how many ask and whether the database answers: nothing makes the answer wait.
#[tokio::test]
async fn who_forgot_is_answered_at_once_whatever_the_load() {
    let (app, _) = app_on(no_database(), no_database(), None);
    // nothing is written while this is held
    let busy = app.reset_mails.at_once.clone();
    let busy = busy.acquire_many(u32::try_from(app.settings.reset_mails_max).unwrap()).await.unwrap();
    let places = app.reset_mails.waiting.available_permits();
    for number in 0..places + 10 {
        let address = format!("198.18.{}.{}", number / 256, number % 256).parse().unwrap();
        let body = ForgotRequest { email: format!("{number}@b.example") };
        let answer = forgot(State(app.clone()), ClientAddress(address), JsonBody(body)).now_or_never();
        assert_eq!(answer.expect("it waits").unwrap(), StatusCode::ACCEPTED, "{number}");
    }
    assert_eq!(app.reset_mails.waiting.available_permits(), 0, "bounded");
    drop(busy);
}
