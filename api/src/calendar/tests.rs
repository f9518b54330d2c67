#![allow(clippy::unwrap_used, clippy::expect_used)]
use crate::calendar::routes::{DAYS_MAX, GONGGUS_A_DAY_MAX};
use crate::gonggus::testing::Catalog;
use crate::users::types::UserRole;
use chrono::DateTime;
use http::StatusCode;
use serde_json::{Value, json};
use sqlx::PgPool;

fn millis(text: &str) -> i64 {
    DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis()
}

fn on(answer: &Value, date: &str) -> (i64, i64) {
    let day = answer["days"].as_array().unwrap().iter().find(|day| day["date"] == date).unwrap();
    (day["opening_count"].as_i64().unwrap(), day["closing_count"].as_i64().unwrap())
}

#[sqlx::test(migrations = "../migrations/postgres")]
async fn days_are_those_of_seoul(pool: PgPool) {
    let catalog = Catalog::new(pool);
    let owner = catalog.person(UserRole::Influencer).await;
    let midnight = millis("2026-11-24T00:00:00+09:00");
    for (open_at, close_at, closed_at) in [
        // opens in the last millisecond of the 23rd, closes at the first of the 25th
        (midnight - 1, midnight + 86_400_000, None),
        // opens at midnight of the 24th, closed early in its last millisecond
        (midnight, midnight + 10 * 86_400_000, Some(midnight + 86_399_999)),
        // closed on the 24th before it would have opened on the 26th
        (midnight + 2 * 86_400_000, midnight + 3 * 86_400_000, Some(midnight + 1)),
    ] {
        catalog.gonggu(owner.id, (open_at, close_at, closed_at)).await;
    }
    let answer = catalog.get("/calendar?from=2026-11-22&to=2026-11-27", None).await;
    assert_eq!(answer.status, StatusCode::OK);
    let body = answer.body;
    assert_eq!(body["days"].as_array().unwrap().len(), 6, "every day is there");
    let days = ["2026-11-22", "2026-11-23", "2026-11-24", "2026-11-25", "2026-11-26", "2026-11-27"];
    assert_eq!(days.map(|day| on(&body, day)), [(0, 0), (1, 0), (1, 2), (0, 1), (0, 0), (0, 0)]);
    // one day alone is the same day
    let alone = catalog.get("/calendar?from=2026-11-24&to=2026-11-24", None).await;
    assert_eq!(alone.body["days"][0], body["days"][2]);
}

#[sqlx::test(migrations = "../migrations/postgres")]
async fn an_answer_is_bounded(pool: PgPool) {
    let catalog = Catalog::new(pool);
    let owner = catalog.person(UserRole::Influencer).await;
    let noon = millis("2026-11-24T12:00:00+09:00");
    for number in 0..GONGGUS_A_DAY_MAX + 3 {
        catalog.gonggu(owner.id, (noon + number, noon + 86_400_000 * 30, None)).await;
    }
    let answer = catalog.get("/calendar?from=2026-11-24&to=2026-11-24", None).await;
    let day = &answer.body["days"][0];
    assert_eq!(day["opening_count"], GONGGUS_A_DAY_MAX + 3);
    assert_eq!(day["opening"].as_array().unwrap().len() as i64, GONGGUS_A_DAY_MAX);
    for (query, status, code) in [
        ("from=2026-01-01&to=2026-03-03", 200, ""),
        ("from=2026-01-01&to=2026-03-04", 422, "RANGE_TOO_LARGE"),
        ("from=2000-01-01&to=2099-12-31", 422, "RANGE_TOO_LARGE"),
        ("from=2026-01-02&to=2026-01-01", 422, "VALIDATION_ERROR"),
        ("from=10000-01-01", 422, "VALIDATION_ERROR"),
        ("from=1999-12-31", 422, "VALIDATION_ERROR"),
        ("from=2026-1-1", 422, "VALIDATION_ERROR"),
        ("from=2026-02-30", 422, "VALIDATION_ERROR"),
        ("from=2026-11-24T00:00:00Z", 422, "VALIDATION_ERROR"),
        ("from=%00&to='--", 422, "VALIDATION_ERROR"),
        ("from=2099-12-31&to=2099-12-31", 200, ""),
        ("from=2099-12-31", 200, ""),
    ] {
        let answer = catalog.get(&format!("/calendar?{query}"), None).await;
        assert_eq!(answer.status, status, "{query}: {}", answer.body);
        assert_eq!(answer.body.get("code").cloned().unwrap_or(json!("")), code, "{query}");
    }
    let answer = catalog.get("/calendar?from=2026-01-01&to=2026-03-04", None).await;
    let detail = answer.body["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains(&DAYS_MAX.to_string()) && !detail.contains("간격"), "{detail}");
}
