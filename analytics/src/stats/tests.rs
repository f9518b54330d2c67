#![allow(clippy::unwrap_used, clippy::expect_used)]
//! Buckets in odd zones, and figures against a count of the clicks themselves.

use super::buckets::borders;
use super::*;
use crate::testing::{RecordedUnderTest, on_both_stores};
use chrono::{DateTime, TimeZone, Timelike};
use gonggumoa_core::click::JudgedClick;
use gonggumoa_core::judge::totals::{RollupKey, VisitorSketch};
use gonggumoa_core::store::conformance::fixture::{self, START, Writer};

fn at(text: &str) -> UnixMillis {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc().into()
}

fn hours_of(borders: &[UnixMillis]) -> Vec<f64> {
    borders.windows(2).map(|pair| (pair[1].0 - pair[0].0) as f64 / HOUR_MILLIS as f64).collect()
}

#[test]
fn days_follow_the_zone() {
    let days = |tz, from, to| borders(at(from), at(to), Interval::Day, tz).unwrap();
    let seoul = days(Tz::Asia__Seoul, "2026-11-23T01:00:00Z", "2026-11-23T15:00:00.001Z");
    assert_eq!(seoul[0], at("2026-11-22T15:00:00Z"));
    assert_eq!(hours_of(&seoul), vec![24.0, 24.0]);
    // Daylight saving starts on 8 March 2026 and ends on 1 November 2026.
    let spring = days(Tz::America__New_York, "2026-03-07T12:00:00Z", "2026-03-09T12:00:00Z");
    assert_eq!(hours_of(&spring), vec![24.0, 23.0, 24.0]);
    let autumn = days(Tz::America__New_York, "2026-10-31T12:00:00Z", "2026-11-02T12:00:00Z");
    assert_eq!(hours_of(&autumn), vec![24.0, 25.0, 24.0]);
    // Midnight of 29 March 2026 does not exist in Beirut; Samoa had no 30 December 2011.
    let beirut = days(Tz::Asia__Beirut, "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z");
    assert_eq!(hours_of(&beirut), vec![24.0, 23.0]);
    let apia = days(Tz::Pacific__Apia, "2011-12-29T20:00:00Z", "2011-12-30T20:00:00Z");
    assert_eq!(hours_of(&apia), vec![24.0, 24.0]);
    let kolkata = days(Tz::Asia__Kolkata, "2026-11-23T00:00:00Z", "2026-11-23T00:00:01Z");
    assert_eq!(kolkata, vec![at("2026-11-22T18:30:00Z"), at("2026-11-23T18:30:00Z")]);
}

#[test]
fn hours_follow_the_zone() {
    let hours = |tz, from, to| borders(at(from), at(to), Interval::Hour, tz).unwrap();
    let kolkata = hours(Tz::Asia__Kolkata, "2026-11-23T00:10:00Z", "2026-11-23T00:31:00Z");
    assert_eq!(kolkata[0], at("2026-11-22T23:30:00Z"));
    assert_eq!(hours_of(&kolkata), vec![1.0, 1.0]);
    // Lord Howe moves by half an hour: at 15:00 UTC on 4 April 2026, 02:00 becomes 01:30 again.
    let lord_howe = hours(Tz::Australia__Lord_Howe, "2026-04-04T13:10:00Z", "2026-04-04T16:20:00Z");
    assert_eq!(hours_of(&lord_howe), vec![1.0, 1.0, 0.5, 1.0]);
    for from in 0..300 {
        let from = at("2026-04-04T12:00:00Z").plus_millis(from * MINUTE_MILLIS);
        let some = borders(from, from.plus_millis(1), Interval::Hour, Tz::Australia__Lord_Howe).unwrap();
        assert!(some[0] <= from && from < some[1], "{from:?} lies in its bucket");
    }
}

#[test]
fn ranges_are_bounded() {
    let ask = |from, to, interval| borders(UnixMillis(from), UnixMillis(to), interval, Tz::Asia__Seoul);
    let ten_thousand = 10_000 * MINUTE_MILLIS;
    assert_eq!(ask(0, ten_thousand, Interval::Minute).unwrap().len(), 10_001);
    let error = ask(0, ten_thousand + 1, Interval::Minute).unwrap_err();
    assert!(matches!(error, StatsError::RangeTooLarge { buckets: 10_001 }) && !error.retryable());
    for interval in [Interval::Minute, Interval::Hour, Interval::Day] {
        assert!(ask(i64::MIN, i64::MAX, interval).is_err());
    }
    assert_eq!(ask(0, 0, Interval::Minute).unwrap(), vec![UnixMillis(0)]);
    assert_eq!(ask(1, 0, Interval::Minute).unwrap().len(), 2, "a range that ends before it starts");
}

#[test]
fn plans_read_few_rows() {
    let borders = vec![at("2026-11-01T00:30:00Z"), at("2026-11-21T18:45:00Z")];
    let plan = StatsPlan::new(&borders, Interval::Day);
    let levels: Vec<RollupLevel> = plan.totals.iter().map(|range| range.level).collect();
    use RollupLevel::{Day, Hour, Minute};
    assert_eq!(levels, vec![Minute, Hour, Day, Hour, Minute]);
    for pair in plan.totals.windows(2) {
        assert_eq!(pair[0].to, pair[1].from, "no gap, nothing twice");
    }
}

on_both_stores! {
    figures_are_the_clicks_counted,
    visitors_are_those_of_the_range,
    adjustments_are_in_every_figure,
}

/// Clicks at odd times over some days, several gonggus apart.
async fn filled(subject: &dyn RecordedUnderTest, from: UnixMillis) -> (GongguId, Vec<JudgedClick>) {
    let (mut writer, gonggu_id) = (Writer::claim(&*subject.writes(), 0).await, fixture::gonggu());
    let clicks: Vec<JudgedClick> = (0..400)
        .map(|index| writer.click(gonggu_id, from.plus_millis(index * 17 * MINUTE_MILLIS + index * 7)))
        .collect();
    let mut batch = writer.batch(clicks.clone());
    batch.to.marks[0].at = START;
    subject.writes().store(&batch).await.unwrap();
    (gonggu_id, clicks)
}

async fn figures_are_the_clicks_counted(subject: &dyn RecordedUnderTest) {
    // Over the end of daylight saving in New York and a month border.
    let first = at("2026-10-30T03:11:00Z");
    let (gonggu_id, clicks) = filled(subject, first).await;
    for tz in [Tz::Asia__Seoul, Tz::UTC, Tz::Asia__Kolkata, Tz::America__New_York, Tz::Australia__Lord_Howe] {
        for interval in [Interval::Minute, Interval::Hour, Interval::Day] {
            let (from, to) = (first.plus_millis(5 * HOUR_MILLIS), first.plus_millis(90 * HOUR_MILLIS));
            let query = StatsQuery { gonggu_id, from, to, interval, tz };
            let stats = gonggu_stats(&*subject.recorded(), &query).await.unwrap();
            assert!(stats.from <= from && stats.to >= to);
            let inside = |click: &&JudgedClick| {
                stats.from <= click.click.clicked_at && click.click.clicked_at < stats.to
            };
            let expected = clicks.iter().filter(inside).count() as u64;
            assert_eq!(stats.totals.gross(), expected, "{tz} {interval:?}");
            assert_eq!(stats.series.iter().map(|point| point.counts.billable).sum::<u64>(), expected);
            assert_eq!(stats.referrers, vec![("instagram.com".to_owned(), expected)]);
            assert_eq!(stats.devices, [expected, 0, 0, 0]);
            assert_eq!(stats.complete_through, START);
            assert_points(&stats, &clicks, tz, interval);
        }
    }
}

/// Each point holds the clicks from its start to the next, and starts where the wall clock says.
fn assert_points(stats: &GongguStats, clicks: &[JudgedClick], tz: Tz, interval: Interval) {
    for (index, point) in stats.series.iter().enumerate() {
        let end = stats.series.get(index + 1).map_or(stats.to, |next| next.at);
        let inside =
            clicks.iter().filter(|click| point.at <= click.click.clicked_at && click.click.clicked_at < end);
        assert_eq!(point.counts.billable, inside.count() as u64, "{tz} {interval:?} {:?}", point.at);
        let local = tz.from_utc_datetime(&point.at.to_utc().naive_utc());
        if interval == Interval::Day {
            assert_eq!((local.hour(), local.minute()), (0, 0), "{local}");
        }
    }
}

async fn visitors_are_those_of_the_range(subject: &dyn RecordedUnderTest) {
    let (mut writer, gonggu_id) = (Writer::claim(&*subject.writes(), 0).await, fixture::gonggu());
    let clicks: Vec<JudgedClick> = (0..600)
        .map(|index| writer.click(gonggu_id, START.plus_millis(index * 13 * MINUTE_MILLIS)))
        .collect();
    let visitor = |click: &JudgedClick| (click.position.0 / 2).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut batch = writer.batch(clicks.clone());
    for click in &clicks {
        batch.heads[0].visitors.insert(visitor(click));
        for row in &mut batch.rollups {
            if row.key == RollupKey::of(gonggu_id, row.key.level, click.click.clicked_at) {
                row.visitors.insert(visitor(click));
            }
        }
    }
    subject.writes().store(&batch).await.unwrap();

    let last = clicks[599].click.clicked_at;
    let minute = |at: UnixMillis, minutes| at.plus_millis(minutes * MINUTE_MILLIS);
    // All of it and more, without the first, without the last, from and to odd minutes, nothing.
    for (from, to) in [
        (START, minute(last, 1)),
        (minute(START, -9_000_000), minute(last, 9_000_000)),
        (minute(START, 1), minute(last, 1)),
        (START, last),
        (minute(START, 777), minute(last, -1_234)),
        (minute(last, 1), minute(last, 100)),
    ] {
        let mut expected = VisitorSketch::default();
        let inside = |click: &&JudgedClick| (from..to).contains(&click.click.clicked_at);
        for click in clicks.iter().filter(inside) {
            expected.insert(visitor(click));
        }
        let plan = StatsPlan::new(&[from, to], Interval::Day);
        let rows = subject.recorded().stats_rows(gonggu_id, &plan).await.unwrap();
        assert_eq!(rows.totals.visitors, expected, "{from:?} to {to:?}");
        assert_eq!(rows.totals.devices[0] as usize, clicks.iter().filter(inside).count());
    }
}

async fn adjustments_are_in_every_figure(subject: &dyn RecordedUnderTest) {
    let (gonggu_id, clicks) = filled(subject, START).await;
    let voided = &clicks[7].click;
    for (level, start) in [
        (1i16, gonggumoa_core::kst::minute_start(voided.clicked_at)),
        (2, gonggumoa_core::kst::hour_start(voided.clicked_at)),
        (3, gonggumoa_core::kst::day_start(voided.clicked_at)),
    ] {
        sqlx::query(
            "INSERT INTO click_rollup_adjustments (decision_id, gonggu_id, level, at, counts, referrers, devices)
             VALUES (gen_random_uuid(), $1, $2, to_timestamp($3::float8 / 1000), '{-1,0,0,0,0,0,0,0,1}',
                     '{\"instagram.com\": -1}', '{-1,0,0,0}')",
        )
        .bind(gonggu_id.0)
        .bind(level)
        .bind(start.0)
        .execute(subject.recorded().catalog())
        .await
        .unwrap();
    }
    let one =
        subject.recorded().adjustments(gonggu_id, RollupLevel::Hour, START, UnixMillis::MAX).await.unwrap();
    assert_eq!(one[0].counts, [-1, 0, 0, 0, 0, 0, 0, 0, 1]);
    for interval in [Interval::Minute, Interval::Hour, Interval::Day] {
        let to = START.plus_millis(5 * DAY_MILLIS);
        let query = StatsQuery { gonggu_id, from: START, to, interval, tz: Tz::Asia__Seoul };
        let stats = gonggu_stats(&*subject.recorded(), &query).await.unwrap();
        assert_eq!(stats.totals.gross(), 400);
        assert_eq!((stats.totals.billable, stats.totals.invalid[5]), (399, 1));
        assert_eq!(stats.referrers, vec![("instagram.com".to_owned(), 399)]);
        assert_eq!(stats.devices, [399, 0, 0, 0]);
        assert_eq!(stats.series.iter().map(|point| point.counts.invalid[5]).sum::<u64>(), 1);
    }
}
