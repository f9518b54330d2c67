#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use crate::test_support::{app_on, no_database};
use sqlx::PgPool;

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

/// A rotation that waits for nobody would add a row that the logout beside it does not see.
#[sqlx::test(migrations = "../migrations/postgres")]
async fn nothing_of_a_family_outlives_a_logout(pool: PgPool) {
    let (app, _) = app_on(pool.clone(), no_database(), None);
    let user_id = account(&pool).await;
    let mut rotated_first = 0;
    for _ in 0..40 {
        let token = session(&app, user_id).await;
        let (rotated, ended) = tokio::join!(
            refresh(State(app.clone()), shown(&token)),
            logout(State(app.clone()), shown(&token))
        );
        ended.unwrap();
        if let Ok(response) = rotated {
            rotated_first += 1;
            let next = body_token(response).await;
            let answer = refresh(State(app.clone()), shown(&next)).await;
            assert!(matches!(answer, Err(ApiError::Unauthorized)), "alive after the logout");
        }
    }
    assert!(rotated_first > 0, "never tried");
    let alive: i64 = sqlx::query_scalar("SELECT count(*) FROM refresh_tokens WHERE revoked_at IS NULL")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(alive, 0);
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
