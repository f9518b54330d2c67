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

/// What the API takes for one address is one here too, whatever the database's own `lower()` thinks of it.
#[sqlx::test(migrations = "../migrations/postgres")]
async fn an_admins_address_is_compared_as_everybodys(pool: PgPool) {
    let password = SecretString::from("a long sentence");
    let decomposed = "STRASSE.E\u{301}cole@한국.kr";
    assert_eq!(create(&pool, decomposed, &password).await.unwrap(), Created::New);
    for same in ["straße.école@xn--3e0b707e.kr", "Straẞe.École@한국.KR"] {
        assert_eq!(create(&pool, same, &password).await.unwrap(), Created::WasAdmin, "{same}");
    }
    let found = crate::auth::queries::account_by_email(&pool, "straße.École@한국.kr").await.unwrap();
    assert!(found.is_some(), "the login finds it");
}
