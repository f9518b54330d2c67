#![allow(clippy::unwrap_used, clippy::expect_used)]
//! One person, many people, one coupon: at once.

use super::check::code_key;
use super::queries;
use crate::http::error::ApiError;
use crate::points::queries::{NewPointEntry, add};
use chrono::{DateTime, TimeZone, Utc};
use gonggumoa_analytics::postgres::begin::begin;
use sqlx::PgPool;
use uuid::Uuid;

fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 24, 0, 0, 0).unwrap()
}

async fn accounts(pool: &PgPool, count: usize) -> Vec<Uuid> {
    let ids: Vec<Uuid> = (0..count).map(|_| Uuid::now_v7()).collect();
    sqlx::query(
        "INSERT INTO users (id, email, nickname) SELECT id, id || '@b.example', 'someone' FROM unnest($1) AS t (id)",
    )
    .bind(&ids)
    .execute(pool)
    .await
    .unwrap();
    ids
}

async fn coupon(pool: &PgPool, code: &str, total_limit: Option<i64>) {
    let body = serde_json::json!({"code": code, "name": "환영", "points": 700, "total_limit": total_limit,
        "starts_at": "2026-11-01T00:00:00Z", "ends_at": "2026-12-01T00:00:00Z"});
    let checked = super::check::check(serde_json::from_value(body).unwrap()).unwrap();
    let mut connection = pool.acquire().await.unwrap();
    queries::insert(&mut connection, &checked, now()).await.unwrap();
}

async fn redeem(pool: PgPool, user: Uuid) -> Result<(), ApiError> {
    let mut transaction = begin(&pool).await?;
    queries::redeem(&mut transaction, user, "open-2026", now()).await?;
    transaction.commit().await?;
    Ok(())
}

/// Balances, entries and redemptions agree, and none is below zero.
async fn assert_exact(pool: &PgPool, redemptions: i64, points: i64) {
    let figures: (i64, i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM coupon_redemptions), (SELECT sum(redeemed_count) FROM coupons)::bigint,
                (SELECT COALESCE(sum(amount), 0) FROM point_entries)::bigint,
                (SELECT COALESCE(sum(balance), 0) FROM point_balances)::bigint",
    )
    .fetch_one(pool)
    .await
    .unwrap();
    assert_eq!(figures, (redemptions, redemptions, points, points));
}

#[sqlx::test(migrations = "../migrations/postgres")]
async fn a_hundred_times_at_once_by_one_is_once(pool: PgPool) {
    let user = accounts(&pool, 1).await[0];
    coupon(&pool, "OPEN-2026", None).await;
    let tries = (0..100).map(|_| tokio::spawn(redeem(pool.clone(), user)));
    let mut done = 0;
    for result in futures::future::join_all(tries).await {
        match result.unwrap() {
            Ok(()) => done += 1,
            Err(error) => assert!(matches!(error, ApiError::CouponAlreadyRedeemed), "{error:?}"),
        }
    }
    assert_eq!(done, 1);
    assert_exact(&pool, 1, 700).await;
}

#[sqlx::test(migrations = "../migrations/postgres")]
async fn ten_of_a_hundred_at_once_get_one_of_ten(pool: PgPool) {
    let users = accounts(&pool, 100).await;
    coupon(&pool, "Open-2026", Some(10)).await;
    let tries = users.into_iter().map(|user| tokio::spawn(redeem(pool.clone(), user)));
    let mut done = 0;
    for result in futures::future::join_all(tries).await {
        match result.unwrap() {
            Ok(()) => done += 1,
            Err(error) => assert!(matches!(error, ApiError::CouponExhausted), "{error:?}"),
        }
    }
    assert_eq!(done, 10);
    assert_exact(&pool, 10, 7_000).await;
}

/// Giving and taking at once, with redeeming between: no deadlock, no sum that does not hold, and nobody
/// below zero although more is asked for than there is.
#[sqlx::test(migrations = "../migrations/postgres")]
async fn a_balance_is_the_sum_of_its_entries_however_they_come(pool: PgPool) {
    let user = accounts(&pool, 1).await[0];
    coupon(&pool, "OPEN-2026", None).await;
    let changes = (0..100_i64).map(|number| {
        let pool = pool.clone();
        tokio::spawn(async move {
            if number == 50 {
                return redeem(pool, user).await;
            }
            let amount = if number % 2 == 0 { 100 } else { -130 };
            let source = ("admin", Uuid::now_v7());
            let entry = NewPointEntry { user_id: user, amount, reason: "시험", source, created_by: user };
            let mut transaction = begin(&pool).await?;
            add(&mut transaction, &entry, now()).await?;
            transaction.commit().await?;
            Ok(())
        })
    });
    for result in futures::future::join_all(changes).await {
        match result.unwrap() {
            Ok(()) | Err(ApiError::PointsInsufficient) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    let wrong: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM (
             SELECT number, balance_after, sum(amount) OVER ledger AS running, row_number() OVER ledger AS place
             FROM point_entries WINDOW ledger AS (PARTITION BY user_id ORDER BY number)) AS entries
         WHERE balance_after <> running OR number <> place OR balance_after < 0",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(wrong, 0);
    let (balance, sum): (i64, i64) =
        sqlx::query_as("SELECT balance, (SELECT sum(amount) FROM point_entries)::bigint FROM point_balances")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(balance, sum);
}

#[sqlx::test(migrations = "../migrations/postgres")]
async fn a_ledger_is_only_added_to(pool: PgPool) {
    let user = accounts(&pool, 1).await[0];
    coupon(&pool, "OPEN-2026", None).await;
    redeem(pool.clone(), user).await.unwrap();
    for change in ["UPDATE point_entries SET amount = 1", "DELETE FROM point_entries"] {
        let refused = sqlx::query(change).execute(&pool).await.unwrap_err();
        assert!(refused.to_string().contains("only added to"), "{refused}");
    }
    let below = sqlx::query("UPDATE point_balances SET balance = -1").execute(&pool).await.unwrap_err();
    assert!(below.to_string().contains("point_balances_not_negative"), "{below}");
}

#[test]
fn codes_are_the_same_in_any_case_and_composition() {
    let composed = code_key("가나다라-Vip").unwrap();
    // the same letters, decomposed
    let apart: String = unicode_normalization::UnicodeNormalization::nfd("가나다라-VIP").collect();
    assert_ne!(apart, "가나다라-VIP");
    assert_eq!(code_key(&apart).unwrap(), composed);
    for bad in ["", "abc", " ", "a b c d", "abcd\0", "abcd'--", "../../..", &"a".repeat(41)] {
        assert_eq!(code_key(bad), None, "{bad:?}");
    }
}
