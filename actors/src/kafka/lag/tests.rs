use super::*;

const PARTITION: PartitionId = PartitionId(2);

fn lag_of(lag: &Lag, end: u64) -> (u64, Option<i64>) {
    let found = lag.of(PARTITION, end).unwrap();
    (found.records(), found.oldest_unstored_at.map(|at| at.0))
}

#[test]
fn the_oldest_record_that_is_not_stored_tells_the_age() {
    let lag = Lag::default();
    assert!(lag.of(PARTITION, 5).is_none(), "nobody reads it here");
    lag.opened(PARTITION, 10);
    assert_eq!(lag_of(&lag, 10), (0, None));
    assert_eq!(lag_of(&lag, 14), (4, None), "not read yet");
    lag.read(PARTITION, 10, UnixMillis(1_000));
    lag.read(PARTITION, 20, UnixMillis(2_000));
    lag.read(PARTITION, 30, UnixMillis(3_000));
    assert_eq!(lag_of(&lag, 40), (30, Some(1_000)));
    lag.stored(PARTITION, "archive", 35);
    assert_eq!(lag_of(&lag, 40), (30, Some(1_000)), "the archive is not the judge");
    lag.stored(PARTITION, JUDGE, 20);
    assert_eq!(lag_of(&lag, 40), (20, Some(2_000)));
    lag.stored(PARTITION, JUDGE, 25);
    assert_eq!(lag_of(&lag, 40), (15, Some(2_000)), "never younger than it is");
    lag.stored(PARTITION, JUDGE, 20);
    assert_eq!(lag_of(&lag, 40).0, 15, "never back");
    lag.stored(PARTITION, JUDGE, 40);
    assert_eq!(lag_of(&lag, 40), (0, None));
    assert_eq!(lag.forget(&BTreeSet::new()), [PARTITION]);
    assert!(lag.of(PARTITION, 5).is_none());
}

#[test]
fn times_are_bounded_and_keep_the_oldest() {
    let lag = Lag::default();
    lag.opened(PARTITION, 0);
    for number in 0..5_000_u32 {
        lag.read(PARTITION, u64::from(number), UnixMillis(i64::from(number) + 1));
    }
    assert!(lag.partitions.lock()[&PARTITION].times.len() <= TIMES_MAX + 1);
    assert_eq!(lag_of(&lag, 5_000), (5_000, Some(1)));
}

#[test]
fn the_alarm_is_at_half_of_the_retention() {
    let at = |millis| PartitionLag {
        partition: PARTITION,
        end: 9,
        stored: 4,
        oldest_unstored_at: Some(UnixMillis(millis)),
    };
    let retention = Some(Duration::from_millis(1_000));
    let now = UnixMillis(10_000);
    assert_eq!(tell(&[at(9_500), at(9_499), at(0)], retention, now), 2);
    assert_eq!(tell(&[at(0)], None, now), 0, "kept for ever");
    let level = PartitionLag { stored: 9, ..at(0) };
    assert_eq!(tell(&[level], retention, now), 0, "nothing is left");
}
