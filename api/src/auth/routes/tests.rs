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

/// A session ends with its access tokens, and no other session with it.
#[sqlx::test(migrations = "../migrations/postgres")]
async fn a_logout_ends_the_sessions_access_tokens(pool: PgPool) {
    let (app, _) = app_on(pool.clone(), no_database(), None);
    let id = UserId(account(&pool).await);
    let (ending, other) = (session(&app, id.0).await, session(&app, id.0).await);
    let family = async |token: &str| -> Uuid {
        let family = sqlx::query_scalar("SELECT family_id FROM refresh_tokens WHERE token_hash = $1");
        family.bind(refresh_token_hash(token)).fetch_one(&pool).await.unwrap()
    };
    let (ending_id, other_id) = (family(&ending).await, family(&other).await);
    let is_session =
        async |session_id| app.identities.get(&pool, id).await.unwrap().unwrap().is_session(0, session_id);
    assert!(is_session(ending_id).await && is_session(other_id).await);
    logout(State(app.clone()), shown(&ending)).await.unwrap();
    // the clock of this application stands in 1970, the database's does not
    sqlx::query("UPDATE refresh_tokens SET revoked_at = now() WHERE revoked_at IS NOT NULL")
        .execute(&pool)
        .await
        .unwrap();
    assert!(!is_session(ending_id).await && is_session(other_id).await);
    sqlx::query(
        "UPDATE refresh_tokens SET revoked_at = now() - interval '26 hours' WHERE revoked_at IS NOT NULL",
    )
    .execute(&pool)
    .await
    .unwrap();
    app.identities.forget(id);
    assert!(is_session(ending_id).await, "its access tokens have expired; it is remembered no longer");
}

/// A login too many ends the oldest session; also of many logins at once as many stay as may be.
#[sqlx::test(migrations = "../migrations/postgres")]
async fn sessions_of_an_account_are_bounded(pool: PgPool) {
    let (app, _) = app_on(pool.clone(), no_database(), None);
    let user_id = account(&pool).await;
    let most = i64::from(app.settings.sessions_per_account);
    let email = format!("{user_id}@gonggumoa.example");
    let proved = queries::account_by_email(&pool, &email).await.unwrap().unwrap();
    let first = body_token(start_session(&app, &proved).await.unwrap()).await;
    sqlx::query("UPDATE refresh_tokens SET family_expires_at = family_expires_at - interval '1 hour'")
        .execute(&pool)
        .await
        .unwrap();
    for _ in 1..most {
        start_session(&app, &proved).await.unwrap();
    }
    assert_eq!(alive(&pool).await, most);
    let still = body_token(refresh(State(app.clone()), shown(&first)).await.unwrap()).await;
    // rotated tokens are no sessions of their own
    let mut last = body_token(start_session(&app, &proved).await.unwrap()).await;
    let ended = refresh(State(app.clone()), shown(&still)).await;
    assert!(matches!(ended, Err(ApiError::Unauthorized)), "the oldest");
    for _ in 0..3 {
        last = body_token(refresh(State(app.clone()), shown(&last)).await.unwrap()).await;
    }
    let logins = (0..8).map(|_| start_session(&app, &proved));
    futures::future::try_join_all(logins).await.unwrap();
    let live = "SELECT count(DISTINCT family_id) FROM refresh_tokens WHERE revoked_at IS NULL AND rotated_at IS NULL";
    assert_eq!(sqlx::query_scalar::<_, i64>(live).fetch_one(&pool).await.unwrap(), most);
}
