#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use secrecy::ExposeSecret;

async fn counts(pool: &PgPool) -> Vec<(String, i64)> {
    sqlx::query_as(
        "SELECT 'users', count(*) FROM users UNION ALL SELECT 'profiles', count(*) FROM influencer_profiles
         UNION ALL SELECT 'categories', count(*) FROM categories
         UNION ALL SELECT 'links', count(*) FROM gonggu_categories
         UNION ALL SELECT gonggu_status_at(open_at, close_at, closed_at, now())::text, count(*)
         FROM gonggus GROUP BY 1 ORDER BY 1",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

#[sqlx::test(migrations = "../migrations/postgres")]
async fn sowing_again_changes_nothing_and_puts_times_right(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let secrets = SecretsFolder::open(folder.path()).unwrap();
    let bar = ProgressBar::hidden();
    let first = sow(&pool, &secrets, 25, &bar).await.unwrap();
    assert_eq!(bar.position(), steps(25));
    let before = counts(&pool).await;
    let expected = [
        ("active", 31),
        ("categories", 16),
        ("closed", 3),
        ("links", 15),
        ("profiles", 3),
        ("scheduled", 3),
        ("users", 9),
    ];
    assert_eq!(before, expected.map(|(name, count)| (name.to_owned(), count)));

    sqlx::query("UPDATE gonggus SET closed_at = now() WHERE id = $1")
        .bind(first.gonggus[0].id)
        .execute(&pool)
        .await
        .unwrap();
    let second = sow(&pool, &secrets, 25, &bar).await.unwrap();
    assert_eq!(counts(&pool).await, before);
    for (one, other) in first.accounts.iter().zip(&second.accounts) {
        assert_eq!((one.id, one.password.expose_secret()), (other.id, other.password.expose_secret()));
    }

    // Another folder knows no passwords: they are set anew, and those that are told fit.
    let other = tempfile::tempdir().unwrap();
    let third = sow(&pool, &SecretsFolder::open(other.path()).unwrap(), 0, &bar).await.unwrap();
    let admin = &third.accounts[0];
    assert_ne!(admin.password.expose_secret(), first.accounts[0].password.expose_secret());
    let hash: String = sqlx::query_scalar("SELECT password_hash FROM users WHERE id = $1")
        .bind(admin.id)
        .fetch_one(&pool)
        .await
        .unwrap();
    assert!(bcrypt::verify(admin.password.expose_secret(), &hash).unwrap());
}
