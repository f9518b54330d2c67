use super::*;
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug)]
struct Numbered {
    hash: u64,
    stamp: u64,
}

impl Slot for Numbered {
    fn hash(self, _: WindowClock) -> u64 {
        self.hash
    }

    fn stamp(self, _: WindowClock) -> u64 {
        self.stamp
    }
}

fn hash_of(number: u64) -> u64 {
    let mixed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// A rush, steady traffic that moves through many windows, an ebb, and silence.
#[test]
fn a_table_says_what_a_map_says_as_time_moves() {
    const WINDOW_MILLIS: i64 = 1_000;
    let mut table = Table::<Numbered>::new(WINDOW_MILLIS);
    let clock = table.clock();
    let mut map: BTreeMap<u64, i64> = BTreeMap::new();
    let mut now = 1_795_392_000_000;
    let mut most = 0;
    for step in 0..120_000u64 {
        now += match step {
            0..40_000 => i64::from(step % 64 == 0),
            40_000..100_000 => i64::from(step % 8 == 0),
            _ => (step % 3).cast_signed() + if step % 10_000 == 9_999 { 700_000 } else { 0 },
        };
        let at = UnixMillis(now);
        table.expire(at);
        map.retain(|_, entered| step % 1_000 != 0 || now - *entered < WINDOW_MILLIS);
        let hash = hash_of(step * step % 50_021);
        let said = table.get(hash).first().filter(|slot| clock.is_live(slot.stamp, at));
        let expected = map.get(&hash).filter(|entered| now - **entered < WINDOW_MILLIS);
        assert_eq!(said.map(|slot| clock.at(slot.stamp, at).0), expected.copied(), "step {step}");
        if step % 3 != 0 {
            table.set(Numbered { hash, stamp: clock.stamp(at) }, at);
            map.insert(hash, now);
        }
        most = most.max(table.others.len());
    }
    map.retain(|_, entered| now - *entered < WINDOW_MILLIS);
    assert_eq!(table.live(UnixMillis(now)).count(), map.len());
    assert!(most > 4 && table.others.len() < most, "{most} shards, then {}", table.others.len());
    table.expire(UnixMillis(now + WINDOW_MILLIS));
    assert!(table.is_empty() && table.memory_bytes() == 0);
}

#[test]
fn stamps_tell_times_of_two_windows_apart() {
    for window_millis in [1, 7, 60_000, 300_000, crate::kst::DAY_MILLIS] {
        let clock = WindowClock::new(window_millis);
        let now = UnixMillis(1_795_392_123_456);
        for age in [0, 1, window_millis - 1, window_millis, 2 * window_millis + window_millis / 8 + 1] {
            let at = now.plus_millis(-age);
            assert_eq!(clock.at(clock.stamp(at), now), at);
            assert_eq!(clock.is_live(clock.stamp(at), now), age < window_millis);
        }
    }
    assert_eq!(WindowClock::new(60_000).bits(), 17);
    assert_eq!(WindowClock::new(crate::kst::DAY_MILLIS).bits(), 28);
}
