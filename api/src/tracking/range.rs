//! Which clicks a question is about: defaults, and rounding outwards to the interval, so that stats and
//! evidence speak of the same ones.

use crate::http::check::Checks;
use crate::http::error::ApiError;
use crate::tracking::figures::Interval;
use crate::tracking::types::StatsParameters;
use chrono::{DateTime, Days, NaiveTime, Offset, TimeZone, Utc};
use chrono_tz::Tz;
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::kst::{DAY_MILLIS, HOUR_MILLIS, MINUTE_MILLIS};

/// More buckets than these are refused.
pub const BUCKETS_MAX: u64 = 10_000;
/// Up to this length the default interval is an hour.
const HOURLY_MAX_MILLIS: i64 = 14 * DAY_MILLIS;
/// 2000-01-01 and 2100-01-01: no click of ours lies outside.
const EARLIEST: UnixMillis = UnixMillis(946_684_800_000);
const LATEST: UnixMillis = UnixMillis(4_102_444_800_000);

/// A checked, rounded range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// From, inclusive.
    pub from: UnixMillis,
    /// To, exclusive.
    pub to: UnixMillis,
    /// Length of a bucket.
    pub interval: Interval,
    /// Whose days.
    pub tz: Tz,
}

/// Checks what was asked of a gonggu made at `created_at`.
pub fn resolve(
    asked: &StatsParameters,
    created_at: DateTime<Utc>,
    now: UnixMillis,
) -> Result<Range, ApiError> {
    let mut checks = Checks::new();
    let tz = asked.tz.as_deref().map_or(Some(chrono_tz::Asia::Seoul), |name| name.parse::<Tz>().ok());
    checks.ensure(tz.is_some(), "tz", "알 수 없는 시간대입니다");
    let tz = tz.unwrap_or(chrono_tz::Asia::Seoul);
    let from = asked.from.map_or(UnixMillis::from(created_at), UnixMillis::from);
    // the running millisecond belongs to "up to now"
    let to = asked.to.map_or(now.plus_millis(1), UnixMillis::from);
    checks.ensure((EARLIEST..=LATEST).contains(&from), "from", "2000년부터 2100년 사이여야 합니다");
    checks.ensure((EARLIEST..=LATEST).contains(&to), "to", "2000년부터 2100년 사이여야 합니다");
    checks.ensure(from < to, "to", "종료 시각은 시작 시각보다 뒤여야 합니다");
    checks.finish()?;
    let interval = asked.interval.map_or_else(
        || if to.millis_since(from) <= HOURLY_MAX_MILLIS { Interval::Hour } else { Interval::Day },
        Interval::from,
    );
    let range = Range { from: floor(from, interval, tz), to: ceil(to, interval, tz), interval, tz };
    let buckets = range.buckets();
    if buckets > BUCKETS_MAX { Err(ApiError::RangeTooLarge { buckets }) } else { Ok(range) }
}

impl Range {
    /// How many buckets it has (days of 23 or 25 hours are days).
    pub fn buckets(&self) -> u64 {
        let millis = match self.interval {
            Interval::Minute => MINUTE_MILLIS,
            Interval::Hour => HOUR_MILLIS,
            Interval::Day => DAY_MILLIS,
        };
        let length = self.to.millis_since(self.from);
        u64::try_from((length + millis / 2) / millis).unwrap_or(0)
    }
}

/// The start of the bucket that `at` lies in.
fn floor(at: UnixMillis, interval: Interval, tz: Tz) -> UnixMillis {
    let local = at.to_utc().with_timezone(&tz);
    match interval {
        Interval::Day => midnight(local.date_naive(), tz).unwrap_or(at),
        Interval::Hour => floor_by(at, HOUR_MILLIS, i64::from(local.offset().fix().local_minus_utc())),
        Interval::Minute => floor_by(at, MINUTE_MILLIS, i64::from(local.offset().fix().local_minus_utc())),
    }
}

/// The end of the bucket before which `at` lies, or `at` itself if it is a border.
fn ceil(at: UnixMillis, interval: Interval, tz: Tz) -> UnixMillis {
    let start = floor(at, interval, tz);
    if start == at {
        return at;
    }
    match interval {
        Interval::Day => {
            let day = start.to_utc().with_timezone(&tz).date_naive();
            day.checked_add_days(Days::new(1)).and_then(|next| midnight(next, tz)).unwrap_or(at)
        }
        Interval::Hour => start.plus_millis(HOUR_MILLIS),
        Interval::Minute => start.plus_millis(MINUTE_MILLIS),
    }
}

fn floor_by(at: UnixMillis, millis: i64, offset_seconds: i64) -> UnixMillis {
    let local = at.0 + offset_seconds * 1_000;
    UnixMillis(at.0 - local.rem_euclid(millis))
}

/// The first moment of a day; where the clock skips midnight, the first that there is.
fn midnight(day: chrono::NaiveDate, tz: Tz) -> Option<UnixMillis> {
    let midnight = day.and_time(NaiveTime::MIN);
    (0..=4).find_map(|quarter_hours| {
        let time = midnight + chrono::Duration::minutes(30 * quarter_hours);
        tz.from_local_datetime(&time).earliest().map(|time| time.to_utc().into())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::tracking::types::StatsInterval;

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    fn asked(from: &str, to: &str, interval: Option<StatsInterval>, tz: Option<&str>) -> StatsParameters {
        StatsParameters { from: Some(at(from)), to: Some(at(to)), interval, tz: tz.map(str::to_owned) }
    }

    #[test]
    fn defaults_run_from_creation_through_the_running_hour() {
        let created = at("2026-11-23T01:20:00Z");
        let now = at("2026-11-23T03:00:00Z").into();
        let range = resolve(&StatsParameters::default(), created, now).unwrap();
        assert_eq!(range.interval, Interval::Hour);
        assert_eq!(range.from, at("2026-11-23T01:00:00Z").into());
        assert_eq!(range.to, at("2026-11-23T04:00:00Z").into(), "the running bucket is in");
        let later = resolve(&StatsParameters::default(), created, at("2026-12-25T00:00:00Z").into()).unwrap();
        assert_eq!(later.interval, Interval::Day);
        assert_eq!(later.from, at("2026-11-22T15:00:00Z").into(), "a Seoul day");
    }

    #[test]
    fn rounding_is_outwards_and_stays_put() {
        let day = Some(StatsInterval::Day);
        let range =
            resolve(&asked("2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z", day, None), Utc::now(), LATEST);
        let range = range.unwrap();
        assert_eq!(range.from, at("2026-10-31T15:00:00Z").into());
        assert_eq!(range.to, at("2026-11-02T15:00:00Z").into());
        assert_eq!((floor(range.from, range.interval, range.tz), range.buckets()), (range.from, 2));
        assert_eq!(ceil(range.to, range.interval, range.tz), range.to);
        // a day of 25 hours
        let autumn = asked("2026-11-01T12:00:00Z", "2026-11-01T13:00:00Z", day, Some("America/New_York"));
        let autumn = resolve(&autumn, Utc::now(), LATEST).unwrap();
        assert_eq!(autumn.to.millis_since(autumn.from), 25 * HOUR_MILLIS);
        assert_eq!(autumn.buckets(), 1);
    }

    #[test]
    fn what_is_too_large_or_senseless_is_refused() {
        let minute = Some(StatsInterval::Minute);
        let long = asked("2026-11-01T00:00:00Z", "2026-11-09T00:00:00Z", minute, None);
        assert!(matches!(
            resolve(&long, Utc::now(), LATEST),
            Err(ApiError::RangeTooLarge { buckets: 11_520 })
        ));
        let ten_thousand = asked("2026-11-01T00:00:00Z", "2026-11-07T22:40:00Z", minute, None);
        assert_eq!(resolve(&ten_thousand, Utc::now(), LATEST).unwrap().buckets(), BUCKETS_MAX);
        for bad in [
            asked("2026-11-02T00:00:00Z", "2026-11-01T00:00:00Z", None, None),
            asked("2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z", None, Some("Mars/Base")),
            asked("0001-01-01T00:00:00Z", "9999-01-01T00:00:00Z", None, None),
        ] {
            assert!(matches!(resolve(&bad, Utc::now(), LATEST), Err(ApiError::Validation(_))), "{bad:?}");
        }
    }
}
