#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

#[sqlx::test(migrations = "../migrations/postgres")]
async fn an_admin_is_made_once_and_nobody_is_raised(pool: PgPool) {
    let password = SecretString::from("a long sentence");
    assert_eq!(create(&pool, "Admin@b.example", &password).await.unwrap(), Created::New);
    assert_eq!(create(&pool, "admin@B.example", &password).await.unwrap(), Created::WasAdmin);
    let hash: String = sqlx::query_scalar("SELECT password_hash FROM users").fetch_one(&pool).await.unwrap();
    assert!(bcrypt::verify("a long sentence", &hash).unwrap() && hash.starts_with("$2b$12$"), "{hash}");

    sqlx::query("UPDATE users SET role = 'buyer'").execute(&pool).await.unwrap();
    assert_eq!(create(&pool, "admin@b.example", &password).await.unwrap(), Created::Taken);
}
