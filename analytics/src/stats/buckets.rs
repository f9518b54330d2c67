//! Bucket borders in any time zone.
//!
//! A border is an instant at which the zone's wall clock starts a minute, an hour or a day. Daylight
//! saving makes days of 23 or 25 hours and, where the shift is half an hour, hours of 30 or 90 minutes;
//! a midnight that does not exist is the first instant after the gap. Borders fall on whole UTC minutes
//! (offsets with seconds ended in the last century and are cut), so minute rollups always suffice.

use super::{Interval, StatsError};
use chrono::{Days, NaiveDate, NaiveTime, Offset, TimeDelta, TimeZone};
use chrono_tz::Tz;
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::kst::{DAY_MILLIS, HOUR_MILLIS, MINUTE_MILLIS, minute_start};

/// More points than these no chart shows and no answer should carry.
pub(super) const BUCKETS_MAX: u64 = 10_000;
const MINUTES_A_DAY: i64 = 24 * 60;

/// The borders of all buckets that `[from, to)` touches: one more than there are buckets.
pub(super) fn borders(
    from: UnixMillis,
    to: UnixMillis,
    interval: Interval,
    tz: Tz,
) -> Result<Vec<UnixMillis>, StatsError> {
    let to = to.max(from);
    // Before anything is allocated or stepped through: an hour or day is never longer than twice itself.
    let span = (i128::from(to.0) - i128::from(from.0)) / i128::from(interval.millis());
    if span > i128::from(BUCKETS_MAX) {
        return Err(StatsError::RangeTooLarge { buckets: u64::try_from(span).unwrap_or(u64::MAX) });
    }
    let mut borders = vec![floor(from, interval, tz)];
    let mut last = borders[0];
    while last < to {
        last = next(last, interval, tz);
        borders.push(last);
    }
    match borders.len() as u64 - 1 {
        buckets if buckets > BUCKETS_MAX => Err(StatsError::RangeTooLarge { buckets }),
        _ => Ok(borders),
    }
}

/// The border at or before `at`.
fn floor(at: UnixMillis, interval: Interval, tz: Tz) -> UnixMillis {
    match interval {
        Interval::Minute => minute_start(at),
        Interval::Hour => {
            // Stepping up to `at` meets every change of offset on the way, as a series does.
            let mut start = hour_floor(at.plus_millis(-3 * HOUR_MILLIS), tz);
            loop {
                let following = next(start, interval, tz);
                if following > at {
                    return start;
                }
                start = following;
            }
        }
        Interval::Day => {
            let date = tz.from_utc_datetime(&at.to_utc().naive_utc()).date_naive();
            let start = day_start(date, tz);
            // After a midnight that came twice, the wall clock may show the day before once more.
            if start > at { day_start(date.pred_opt().unwrap_or(date), tz) } else { start }
        }
    }
}

/// The first border after `start`, itself a border.
fn next(start: UnixMillis, interval: Interval, tz: Tz) -> UnixMillis {
    match interval {
        Interval::Minute => start.plus_millis(MINUTE_MILLIS),
        Interval::Hour => {
            let into_hour = (start.0 + offset_millis(start, tz)).rem_euclid(HOUR_MILLIS);
            start.plus_millis(HOUR_MILLIS - into_hour)
        }
        Interval::Day => {
            let mut date = tz.from_utc_datetime(&start.to_utc().naive_utc()).date_naive();
            // A day that a zone skipped starts where the following one does.
            for _ in 0..3 {
                date = date.checked_add_days(Days::new(1)).unwrap_or(date);
                let following = day_start(date, tz);
                if following > start {
                    return following;
                }
            }
            start.plus_millis(DAY_MILLIS)
        }
    }
}

fn hour_floor(at: UnixMillis, tz: Tz) -> UnixMillis {
    UnixMillis(at.0 - (at.0 + offset_millis(at, tz)).rem_euclid(HOUR_MILLIS))
}

/// The zone's offset at an instant, in whole minutes.
fn offset_millis(at: UnixMillis, tz: Tz) -> i64 {
    let offset = tz.offset_from_utc_datetime(&at.to_utc().naive_utc()).fix();
    i64::from(offset.local_minus_utc()).div_euclid(60) * MINUTE_MILLIS
}

/// The first instant of a local date.
fn day_start(date: NaiveDate, tz: Tz) -> UnixMillis {
    let midnight = date.and_time(NaiveTime::MIN);
    for minutes in 0..=MINUTES_A_DAY {
        let Some(local) = midnight.checked_add_signed(TimeDelta::minutes(minutes)) else { break };
        if let Some(instant) = tz.from_local_datetime(&local).earliest() {
            return minute_start(UnixMillis::from(instant.to_utc()));
        }
    }
    UnixMillis::from(midnight.and_utc())
}
