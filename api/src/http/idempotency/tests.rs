#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use chrono::TimeZone;
use gonggumoa_analytics::postgres::begin::begin;
use serde_json::json;

const ROUTE: &str = "POST /test";

fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 24, 0, 0, 0).unwrap()
}

async fn account(pool: &PgPool) -> Uuid {
    let id = Uuid::now_v7();
    sqlx::query("INSERT INTO users (id, email, nickname) VALUES ($1, $1::text || '@b.example', 'someone')")
        .bind(id)
        .execute(pool)
        .await
        .unwrap();
    id
}

fn key(key: &str) -> IdempotencyKey {
    IdempotencyKey(Some(key.to_owned()))
}

/// Carries a request out, and answers with `answer` if nobody has before.
async fn carry_out(
    pool: &PgPool,
    user_id: Uuid,
    request: &str,
    answer: &str,
    at: DateTime<Utc>,
) -> Result<Answer, ApiError> {
    let mut transaction = begin(pool).await?;
    let carried = match claim(&mut transaction, (user_id, ROUTE), key("k"), &json!(request), at).await {
        Ok(Claim::Repeated(answer)) => Ok(answer),
        Ok(Claim::Fresh(slot)) => slot.keep(&mut transaction, StatusCode::CREATED, &json!(answer), at).await,
        Err(refusal) => Err(refusal),
    };
    // as handlers do: the key's lock has ended when the answer is given
    match &carried {
        Ok(_) => transaction.commit().await?,
        Err(_) => transaction.rollback().await?,
    }
    carried
}

#[sqlx::test(migrations = "../migrations/postgres")]
async fn a_repetition_gets_the_first_answer_for_a_day(pool: PgPool) {
    let (user, other) = (account(&pool).await, account(&pool).await);
    let first = carry_out(&pool, user, "request", "one", now()).await.unwrap();
    assert_eq!(carry_out(&pool, user, "request", "two", now()).await.unwrap(), first);
    let reused = carry_out(&pool, user, "another", "two", now()).await.unwrap_err();
    assert!(matches!(reused, ApiError::IdempotencyKeyReused));
    // another account's key of the same name is another key
    assert_ne!(carry_out(&pool, other, "another", "two", now()).await.unwrap(), first);

    let next_day = now() + Duration::hours(KEPT_HOURS);
    let renewed = carry_out(&pool, user, "another", "three", next_day).await.unwrap();
    assert_eq!(renewed.body, "\"three\"");
    assert_eq!(delete_expired(&pool, next_day, 10).await.unwrap(), 1, "the other account's");
    assert_eq!(delete_expired(&pool, next_day, 10).await.unwrap(), 0);
}

#[sqlx::test(migrations = "../migrations/postgres")]
async fn a_request_under_way_is_said_to_be(pool: PgPool) {
    let user = account(&pool).await;
    let mut first = begin(&pool).await.unwrap();
    let claimed = claim(&mut first, (user, ROUTE), key("k"), &json!("request"), now()).await.unwrap();
    assert!(matches!(claimed, Claim::Fresh(_)));
    let second = carry_out(&pool, user, "request", "two", now()).await.unwrap_err();
    assert!(matches!(second, ApiError::IdempotencyInProgress) && second.retryable());
    // it failed: nothing happened, and the next one may
    first.rollback().await.unwrap();
    assert_eq!(carry_out(&pool, user, "request", "two", now()).await.unwrap().body, "\"two\"");
}
