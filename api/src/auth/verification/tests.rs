#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use crate::auth::sessions;
use crate::test_support::{app_on, no_database};
use gonggumoa_core::visitor::AddressKey;
use sqlx::PgPool;

const PASSWORD: &str = "the maker's password";

fn client() -> Client {
    Client::of(&AddressKey::new([1; 32]), "203.0.113.1".parse().unwrap())
}

/// An account whose address is not proved, and a code that was sent there.
async fn signed_up(app: &App, pool: &PgPool, email: &str) -> (UserId, String) {
    let id = Uuid::now_v7();
    let insert = "INSERT INTO users (id, email, nickname, password_hash) VALUES ($1, $2, 'a', $3)";
    let hash = bcrypt::hash(PASSWORD, 4).unwrap();
    sqlx::query(insert).bind(id).bind(email).bind(hash).execute(pool).await.unwrap();
    let mut connection = pool.acquire().await.unwrap();
    let now = app.clock.now().to_utc();
    let code = codes::issue(&mut connection, id, email, Purpose::VerifyEmail, now, 5).await.unwrap();
    (UserId(id), code.unwrap())
}

async fn is_proved(pool: &PgPool, id: UserId) -> bool {
    let proved = "SELECT email_verified_at IS NOT NULL FROM users WHERE id = $1";
    sqlx::query_scalar(proved).bind(id.0).fetch_one(pool).await.unwrap()
}

/// The owner of an address clicks the link of somebody else's sign-up: nothing is proved, and nothing is spoilt.
#[sqlx::test(migrations = "../migrations/postgres")]
async fn a_code_alone_proves_nothing(pool: PgPool) {
    let (app, _) = app_on(pool.clone(), no_database(), None);
    let (id, code) = signed_up(&app, &pool, "a@b.example").await;
    let (other, _) = signed_up(&app, &pool, "other@b.example").await;
    for session in [None, Some((other, 0))] {
        let asked = maker(&app, &code, session, None, client()).await.unwrap_err();
        assert!(
            matches!(asked, ApiError::Validation(ref fields) if fields[0].field == "password"),
            "{asked}"
        );
        let wrong = maker(&app, &code, session, Some("a guess".to_owned()), client()).await.unwrap_err();
        assert!(matches!(wrong, ApiError::InvalidCredentials), "{wrong}");
    }
    assert!(!is_proved(&pool, id).await);
    // who signed up, on another device
    let known = maker(&app, &code, None, Some(PASSWORD.to_owned()), client()).await.unwrap();
    prove(&app, &code, &known).await.unwrap();
    assert!(is_proved(&pool, id).await && !is_proved(&pool, other).await);
    let again = maker(&app, &code, Some((id, 0)), None, client()).await.unwrap_err();
    assert!(matches!(again, ApiError::InvalidCode), "used twice: {again}");
}

/// Between the look at the session and the taking of the code the owner of the address set a password.
#[sqlx::test(migrations = "../migrations/postgres")]
async fn a_session_that_has_ended_proves_nothing(pool: PgPool) {
    let (app, _) = app_on(pool.clone(), no_database(), None);
    let (id, code) = signed_up(&app, &pool, "a@b.example").await;
    let known = maker(&app, &code, Some((id, 0)), None, client()).await.unwrap();
    let mut transaction = pool.begin().await.unwrap();
    sessions::end_all(&mut transaction, id.0, app.clock.now().to_utc()).await.unwrap();
    transaction.commit().await.unwrap();
    assert!(matches!(prove(&app, &code, &known).await.unwrap_err(), ApiError::InvalidCode));
    assert!(!is_proved(&pool, id).await);
}
