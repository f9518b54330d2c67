//! The calendar over HTTP: days of Seoul, and bounds.

use crate::harness::api::assert_error;
use crate::harness::catalog::person;
use crate::harness::database::Role;
use crate::harness::{GongguSpec, shared};
use chrono::{DateTime, Utc};
use reqwest::Method;
use serde_json::{Value, json};

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

/// Whether a gonggu stands on a day as opening, and as closing.
fn stands(calendar: &Value, date: &str, id: &Value) -> (bool, bool) {
    let day = calendar["days"].as_array().unwrap().iter().find(|day| day["date"] == date).unwrap();
    let has = |kind: &str| day[kind].as_array().unwrap().iter().any(|gonggu| gonggu["id"] == *id);
    (has("opening"), has("closing"))
}

#[tokio::test]
async fn a_gonggu_stands_on_its_days_in_seoul() {
    let shared = shared().await;
    let owner = person(shared, Role::Influencer).await;
    // 23:59:59.999 on the 2nd and 00:00 on the 5th in Seoul
    let spec = GongguSpec {
        open_at: at("2031-03-02T14:59:59.999Z"),
        close_at: at("2031-03-04T15:00:00Z"),
        ..GongguSpec::default()
    };
    let gonggu = owner.api.gonggu(&spec).await;
    let id = json!(gonggu.0);
    let calendar = shared.anyone().read("/calendar?from=2031-03-01&to=2031-03-06").await;
    assert_eq!(calendar["days"].as_array().unwrap().len(), 6);
    let days = ["2031-03-01", "2031-03-02", "2031-03-03", "2031-03-04", "2031-03-05", "2031-03-06"];
    let none = (false, false);
    assert_eq!(
        days.map(|day| stands(&calendar, day, &id)),
        [none, (true, false), none, none, (false, true), none]
    );
    owner.api.expect(Method::DELETE, &format!("/gonggus/{gonggu}"), &Value::Null, 204).await;
    let calendar = shared.anyone().read("/calendar?from=2031-03-01&to=2031-03-06").await;
    assert!(days.iter().all(|day| stands(&calendar, day, &id) == none));
}

#[tokio::test]
async fn ranges_are_bounded() {
    let anyone = shared().await.anyone();
    assert_eq!(anyone.read("/calendar").await["days"].as_array().unwrap().len(), 31);
    assert_eq!(
        anyone.read("/calendar?from=2026-01-01&to=2026-03-03").await["days"].as_array().unwrap().len(),
        62
    );
    for (query, code) in [
        ("from=2026-01-01&to=2026-03-04", "RANGE_TOO_LARGE"),
        ("from=2000-01-01&to=2099-12-31", "RANGE_TOO_LARGE"),
        ("from=2026-02-01&to=2026-01-01", "VALIDATION_ERROR"),
        ("from=10000-01-01", "VALIDATION_ERROR"),
        ("from=-001-01-01", "VALIDATION_ERROR"),
        ("to=today", "VALIDATION_ERROR"),
        ("from=2026-01-01'--", "VALIDATION_ERROR"),
    ] {
        let answer = anyone.expect(Method::GET, &format!("/calendar?{query}"), &Value::Null, 422).await;
        assert_error(&answer, code);
    }
}
