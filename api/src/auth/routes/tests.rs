#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use crate::auth::sessions;
use crate::test_support::{app_on, no_database};
use sqlx::PgPool;
use uuid::Uuid;

fn shown(refresh_token: &str) -> JsonBody<RefreshRequest> {
    JsonBody(RefreshRequest { refresh_token: refresh_token.to_owned() })
}

async fn body_token(response: Response) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
    let body: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    body["refresh_token"].as_str().unwrap().to_owned()
}

async fn account(pool: &PgPool) -> Uuid {
    let id = Uuid::now_v7();
    sqlx::query("INSERT INTO users (id, email, nickname) VALUES ($1, $2, 'buyer')")
        .bind(id)
        .bind(format!("{id}@gonggumoa.example"))
        .execute(pool)
        .await
        .unwrap();
    id
}

async fn session(app: &App, user_id: Uuid) -> String {
    let (token, now) = (new_refresh_token(), app.clock.now().to_utc());
    let hash = refresh_token_hash(&token);
    let kept = kept_token(app, &hash, Uuid::now_v7(), user_id, now, now + Duration::days(30));
    queries::insert_refresh_token(&app.pool, &kept).await.unwrap();
    token
}

async fn alive(pool: &PgPool) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM refresh_tokens WHERE revoked_at IS NULL")
        .fetch_one(pool)
        .await
        .unwrap()
}

/// The logout shows a token other than the one being rotated, so that no row makes them wait: its end of
/// the family would not see the row that the rotation is about to add.
#[sqlx::test(migrations = "../migrations/postgres")]
async fn nothing_of_a_family_outlives_a_logout_beside_a_rotation(pool: PgPool) {
    let (app, _) = app_on(pool.clone(), no_database(), None);
    let user_id = account(&pool).await;
    let first = session(&app, user_id).await;
    let second = body_token(refresh(State(app.clone()), shown(&first)).await.unwrap()).await;
    let hash = refresh_token_hash(&second);

    // a rotation, stopped just before its commit
    let mut rotation = pool.begin().await.unwrap();
    let stored = locked(&mut rotation, &hash).await.unwrap().unwrap();
    let third = new_refresh_token();
    let kept = refresh_token_hash(&third);
    let now = app.clock.now().to_utc();
    let kept = kept_token(&app, &kept, stored.family_id, user_id, now, stored.family_expires_at);
    queries::mark_rotated(&mut rotation, &hash, now).await.unwrap();
    queries::insert_refresh_token(&mut *rotation, &kept).await.unwrap();

    let ending = tokio::spawn(logout(State(app.clone()), shown(&first)));
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let waits = "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while sqlx::query_scalar::<_, i64>(waits).fetch_one(&pool).await.unwrap() == 0 {
        assert!(std::time::Instant::now() < deadline, "the logout does not wait");
    }
    rotation.commit().await.unwrap();
    ending.await.unwrap().unwrap();
    assert_eq!(alive(&pool).await, 0);
    let answer = refresh(State(app.clone()), shown(&third)).await;
    assert!(matches!(answer, Err(ApiError::Unauthorized)), "alive after the logout");
}

#[sqlx::test(migrations = "../migrations/postgres")]
async fn a_rotation_and_a_logout_of_one_token_take_turns(pool: PgPool) {
    let (app, _) = app_on(pool.clone(), no_database(), None);
    let user_id = account(&pool).await;
    for _ in 0..10 {
        let token = session(&app, user_id).await;
        let (_, ended) = tokio::join!(
            refresh(State(app.clone()), shown(&token)),
            logout(State(app.clone()), shown(&token))
        );
        ended.unwrap();
    }
    assert_eq!(alive(&pool).await, 0);
}

#[sqlx::test(migrations = "../migrations/postgres")]
async fn expired_tokens_of_the_account_are_deleted_and_no_others(pool: PgPool) {
    let (app, _) = app_on(pool.clone(), no_database(), None);
    let (user_id, other_id) = (account(&pool).await, account(&pool).await);
    for owner_id in [user_id, user_id, other_id] {
        session(&app, owner_id).await;
    }
    let now = app.clock.now().to_utc();
    assert_eq!(queries::delete_expired(&pool, user_id, now).await.unwrap(), 0);
    let later = now + Duration::days(8);
    assert_eq!(queries::delete_expired(&pool, user_id, later).await.unwrap(), 2);
    let left: Vec<Uuid> =
        sqlx::query_scalar("SELECT user_id FROM refresh_tokens").fetch_all(&pool).await.unwrap();
    assert_eq!(left, [other_id]);
}

async fn until_somebody_waits(pool: &PgPool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let waits = "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while sqlx::query_scalar::<_, i64>(waits).fetch_one(pool).await.unwrap() == 0 {
        assert!(std::time::Instant::now() < deadline, "nobody waits");
    }
}

/// A new password ends all sessions: also the pair that a rotation, begun before, is about to add.
#[sqlx::test(migrations = "../migrations/postgres")]
async fn nothing_of_an_account_outlives_the_end_of_all_beside_a_rotation(pool: PgPool) {
    let (app, _) = app_on(pool.clone(), no_database(), None);
    let user_id = account(&pool).await;
    let first = session(&app, user_id).await;
    let hash = refresh_token_hash(&first);
    let mut rotation = pool.begin().await.unwrap();
    let stored = locked(&mut rotation, &hash).await.unwrap().unwrap();
    let second = new_refresh_token();
    let kept = refresh_token_hash(&second);
    let now = app.clock.now().to_utc();
    let kept = kept_token(&app, &kept, stored.family_id, user_id, now, stored.family_expires_at);
    queries::mark_rotated(&mut rotation, &hash, now).await.unwrap();
    queries::insert_refresh_token(&mut *rotation, &kept).await.unwrap();

    let others = pool.clone();
    let ending = tokio::spawn(async move {
        let mut transaction = others.begin().await.unwrap();
        sessions::end_all(&mut transaction, user_id, now).await.unwrap();
        transaction.commit().await.unwrap();
    });
    until_somebody_waits(&pool).await;
    rotation.commit().await.unwrap();
    ending.await.unwrap();
    assert_eq!(alive(&pool).await, 0);
    let answer = refresh(State(app.clone()), shown(&second)).await;
    assert!(matches!(answer, Err(ApiError::Unauthorized)), "alive after the end of all");
}

/// A login that proved the old password just before it was replaced gets no session.
#[sqlx::test(migrations = "../migrations/postgres")]
async fn a_login_of_the_old_password_gets_no_session(pool: PgPool) {
    let (app, _) = app_on(pool.clone(), no_database(), None);
    let user_id = account(&pool).await;
    let email = format!("{user_id}@gonggumoa.example");
    let proved = queries::account_by_email(&pool, &email).await.unwrap().unwrap();
    let mut transaction = pool.begin().await.unwrap();
    sessions::end_all(&mut transaction, user_id, app.clock.now().to_utc()).await.unwrap();
    transaction.commit().await.unwrap();
    let answer = start_session(&app, &proved).await;
    assert!(matches!(answer, Err(ApiError::InvalidCredentials)));
    assert_eq!(alive(&pool).await, 0);
    let now = queries::account_by_email(&pool, &email.to_uppercase()).await.unwrap().unwrap();
    assert!(start_session(&app, &now).await.is_ok());
}

/// The networks of an account are bounded, and age.
#[sqlx::test(migrations = "../migrations/postgres")]
async fn networks_are_known_for_a_while(pool: PgPool) {
    let (app, _) = app_on(pool.clone(), no_database(), None);
    let user_id = account(&pool).await;
    let email = format!("{user_id}@gonggumoa.example");
    for number in 0..25u8 {
        queries::remember_network(&app, user_id, &[number; 16]).await;
    }
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM login_networks").fetch_one(&pool).await.unwrap();
    assert_eq!(kept, 20);
    let known: Vec<u8> =
        sqlx::query_scalar("SELECT network_hash FROM login_networks LIMIT 1").fetch_one(&pool).await.unwrap();
    let now = app.clock.now().to_utc();
    assert!(queries::is_known_network(&pool, &email, &known, now).await.unwrap());
    assert!(!queries::is_known_network(&pool, &email, &known, now + Duration::days(91)).await.unwrap());
    assert!(!queries::is_known_network(&pool, "nobody@b.example", &known, now).await.unwrap());
}
