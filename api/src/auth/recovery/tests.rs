#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use crate::test_support::{app_on, no_database};
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
        reset_password(&app, &code.unwrap(), "a new password".to_owned()).await.unwrap();
        assert_eq!(kept(&pool, id).await, expected, "{email}");
    }
}
