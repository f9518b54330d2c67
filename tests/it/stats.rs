//! Figures: ranges, buckets, referrers, devices, `complete_through`; and the evidence behind them.

use crate::harness::api::assert_error;
use crate::harness::ledger::count;
use crate::harness::stats::Stats;
use crate::harness::{CHROME, LONG, SAFARI_PHONE, Visitor, eventually, shared};
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::StatusCode;

fn parse(body: serde_json::Value) -> Stats {
    let stats: Stats = serde_json::from_value(body).unwrap();
    stats.check_sums();
    stats
}

/// As a query value: `+` and `:` would need escapes, `Z` does not.
fn at(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[tokio::test]
async fn devices_and_referrers_of_billable_clicks() {
    let admin = shared().await.admin();
    let gonggu = admin.open_gonggu().await;
    for referer in
        ["https://instagram.com/p/1", "https://instagram.com/p/2?x=1", "https://blog.naver.com/abc"]
    {
        Visitor::new().agent(SAFARI_PHONE).header("Referer", referer).go(&admin, gonggu).await.redirected();
    }
    let desktop = Visitor::new().agent(CHROME).header("Referer", "not an address");
    desktop.go(&admin, gonggu).await.redirected();
    desktop.go(&admin, gonggu).await.redirected();
    let stats = admin.settled(gonggu, 5).await;
    assert_eq!(stats.totals.verdicts(), (4, 1, 0, 0));
    assert_eq!((stats.device("mobile"), stats.device("desktop")), (3, 1), "{:?}", stats.devices);
    assert_eq!(stats.referrer("instagram.com"), 2, "{:?}", stats.referrers);
    assert_eq!(stats.referrer("blog.naver.com"), 1, "{:?}", stats.referrers);
    assert_eq!(stats.gonggu_id, gonggu.0);
    assert_eq!(stats.tz, "Asia/Seoul");
}

#[tokio::test]
async fn ranges_are_rounded_echoed_and_full_of_empty_buckets() {
    let admin = shared().await.admin();
    let gonggu = admin.open_gonggu().await;
    Visitor::new().go(&admin, gonggu).await.redirected();
    admin.settled(gonggu, 1).await;
    let now = Utc::now();
    let cases = [("minute", 60, TimeDelta::minutes(30)), ("hour", 3_600, TimeDelta::hours(30))];
    for (interval, seconds, span) in cases {
        let query =
            format!("interval={interval}&from={}&to={}", at(now - span), at(now + TimeDelta::seconds(61)));
        let (status, body) = admin.stats_of(gonggu, &query).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let stats = parse(body);
        assert_eq!(stats.interval, interval);
        assert_eq!((stats.from.timestamp() % seconds, stats.to.timestamp() % seconds), (0, 0));
        assert!(stats.from <= now - span && stats.from > now - span - TimeDelta::seconds(seconds));
        assert!(stats.to >= now);
        let buckets = (stats.to - stats.from).num_seconds() / seconds;
        assert_eq!(stats.series.len() as i64, buckets, "empty buckets are present");
        for (index, bucket) in stats.series.iter().enumerate() {
            assert_eq!(bucket.at, stats.from + TimeDelta::seconds(seconds * index as i64));
        }
        assert_eq!(stats.totals.gross, 1);
    }
    // days are Seoul's: they begin at 15:00 UTC
    let query = format!("interval=day&tz=Asia/Seoul&from={}&to={}", at(now - TimeDelta::days(3)), at(now));
    let (_, body) = admin.stats_of(gonggu, &query).await;
    let stats = parse(body);
    assert_eq!(stats.from.format("%H:%M:%S").to_string(), "15:00:00");
    assert_eq!(stats.series.len(), 4);
    // nothing before the gonggu
    let query = format!("from={}&to={}", at(now - TimeDelta::days(9)), at(now - TimeDelta::days(8)));
    let (_, body) = admin.stats_of(gonggu, &query).await;
    assert_eq!(parse(body).totals.gross, 0);
}

#[tokio::test]
async fn bad_ranges_are_named() {
    let admin = shared().await.admin();
    let gonggu = admin.open_gonggu().await;
    let now = Utc::now();
    let query = format!("interval=minute&from={}&to={}", at(now - TimeDelta::minutes(10_050)), at(now));
    let (status, body) = admin.stats_of(gonggu, &query).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
    assert_error(&body, "RANGE_TOO_LARGE");
    for query in [
        "interval=week",
        "from=yesterday",
        "tz=Mars/Olympus",
        "from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
    ] {
        let (status, body) = admin.stats_of(gonggu, query).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{query}: {body}");
        assert_error(&body, "VALIDATION_ERROR");
    }
}

/// A silent edge would hold it back; this one is the only one and says each second how far it is.
#[tokio::test]
async fn complete_through_moves_on_without_clicks() {
    let admin = shared().await.admin();
    let gonggu = admin.open_gonggu().await;
    let made = Utc::now();
    eventually("complete_through passes the present", LONG, async || {
        match admin.stats(gonggu).await.complete_through {
            Some(through) if through > made => Ok(()),
            through => Err(format!("{through:?} is not after {made}")),
        }
    })
    .await;
}

#[tokio::test]
async fn the_evidence_is_the_clicks_that_the_totals_count() {
    let admin = shared().await.admin();
    let gonggu = admin.open_gonggu().await;
    let evil = Visitor::new().header("Referer", "=HYPERLINK(\"https://evil.example\")");
    let mut given = vec![evil.go(&admin, gonggu).await.redirected()];
    let odd = Visitor::new().agent(&format!("{CHROME} \"quoted\", and more"));
    given.push(odd.go(&admin, gonggu).await.redirected());
    given.push(odd.go(&admin, gonggu).await.redirected());
    given.push(odd.head(&admin, gonggu).await.click_id().unwrap());
    let stats = admin.settled(gonggu, 4).await;
    let lines = admin.evidence(gonggu).await;
    assert_eq!(count(&lines).verdicts(), stats.totals.verdicts());
    let mut listed: Vec<_> = lines.iter().map(|line| line.click_id).collect();
    listed.sort();
    given.sort();
    assert_eq!(listed, given);
    let line = lines.iter().find(|line| line.referer.contains("HYPERLINK")).unwrap();
    assert!(!line.referer.starts_with('='), "a spreadsheet would run it: {}", line.referer);
    assert_eq!(line.ip_address, evil.address(), "an admin sees the address");
    let duplicate = lines.iter().find(|line| line.verdict == "duplicate").unwrap();
    let counted =
        lines.iter().find(|line| line.verdict == "billable" && line.user_agent.contains("quoted")).unwrap();
    assert_eq!(duplicate.visitor, counted.visitor, "one visitor, one name");
    assert!(lines.iter().all(|line| line.rules_version >= 1));
}
