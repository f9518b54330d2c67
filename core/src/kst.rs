//! Korean standard time. Day and month borders of every figure are Seoul's: UTC+9, no summer time
//! (none since 1988), so a fixed offset is exact for every date this product can hold.

use crate::clock::UnixMillis;

/// Seoul's offset from UTC.
pub const KST_OFFSET_MILLIS: i64 = 9 * HOUR_MILLIS;
/// One minute.
pub const MINUTE_MILLIS: i64 = 60_000;
/// One hour.
pub const HOUR_MILLIS: i64 = 60 * MINUTE_MILLIS;
/// One day.
pub const DAY_MILLIS: i64 = 24 * HOUR_MILLIS;

/// The start of the minute that `at` lies in.
pub fn minute_start(at: UnixMillis) -> UnixMillis {
    UnixMillis(at.0.saturating_sub(at.0.rem_euclid(MINUTE_MILLIS)))
}

/// The start of the hour that `at` lies in (the same in UTC and Seoul).
pub fn hour_start(at: UnixMillis) -> UnixMillis {
    UnixMillis(at.0.saturating_sub(at.0.rem_euclid(HOUR_MILLIS)))
}

/// The Seoul midnight at or before `at`.
pub fn day_start(at: UnixMillis) -> UnixMillis {
    UnixMillis(at.0.saturating_sub(at.0.saturating_add(KST_OFFSET_MILLIS).rem_euclid(DAY_MILLIS)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    fn at(text: &str) -> UnixMillis {
        DateTime::parse_from_rfc3339(text).expect("a time").to_utc().into()
    }

    #[test]
    fn a_seoul_day_starts_at_fifteen_utc() {
        assert_eq!(day_start(at("2026-11-23T14:59:59.999Z")), at("2026-11-22T15:00:00Z"));
        assert_eq!(day_start(at("2026-11-23T15:00:00Z")), at("2026-11-23T15:00:00Z"));
    }

    #[test]
    fn the_ends_of_time_do_not_overflow() {
        for at in [UnixMillis::MIN, UnixMillis::MAX] {
            assert!(minute_start(at) <= at && hour_start(at) <= at && day_start(at) <= at);
        }
    }

    #[test]
    fn starts_hold_before_1970() {
        assert_eq!(minute_start(UnixMillis(-1)), UnixMillis(-60_000));
        assert_eq!(hour_start(UnixMillis(-1)), UnixMillis(-HOUR_MILLIS));
    }
}
