#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use crate::auth::email::fold;
use chrono::TimeZone;

/// Somebody signs up with another's address, closes the account and signs up again.
#[sqlx::test(migrations = "../migrations/postgres")]
async fn an_address_gets_no_more_mails_from_a_new_account(pool: PgPool) {
    let start = Utc.with_ymd_and_hms(2026, 11, 24, 0, 0, 0).unwrap();
    let mut connection = pool.acquire().await.unwrap();
    let mut sent = Vec::new();
    for (minute, email) in ["a@b.example", "A@b.example", "a@B.EXAMPLE", "a@b.example"].iter().enumerate() {
        let id = Uuid::now_v7();
        let folded = fold(email);
        let insert = "INSERT INTO users (id, email, email_folded, nickname) VALUES ($1, $2, $3, 'a')";
        sqlx::query(insert).bind(id).bind(email).bind(&folded).execute(&pool).await.unwrap();
        let now = start + Duration::minutes(i64::try_from(minute).unwrap());
        let code = issue(&mut connection, id, &folded, Purpose::VerifyEmail, now, 2).await.unwrap();
        sent.push(code.is_some());
        // the other kind has a count of its own, and so has another address
        assert!(
            issue(&mut connection, id, "c@b.example", Purpose::ResetPassword, now, 9)
                .await
                .unwrap()
                .is_some()
        );
        for close in [
            "DELETE FROM email_codes WHERE user_id = $1",
            "UPDATE users SET email = NULL, closed_at = now(), status = 'suspended' WHERE id = $1",
        ] {
            sqlx::query(close).bind(id).execute(&pool).await.unwrap();
        }
    }
    assert_eq!(sent, [true, true, false, false]);
    let id = Uuid::now_v7();
    let insert = "INSERT INTO users (id, email, nickname) VALUES ($1, 'a@b.example', 'a')";
    sqlx::query(insert).bind(id).execute(&pool).await.unwrap();
    let later = start + Duration::minutes(60);
    let code = issue(&mut connection, id, "a@b.example", Purpose::VerifyEmail, later, 2).await.unwrap();
    assert!(code.is_some(), "an hour after the first");
}
