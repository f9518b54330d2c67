//! A wall clock that jumps.

use super::super::time::RecordClock;
use super::*;

const NOON: UnixMillis = UnixMillis(1_800_000_000_000);

/// A wall clock and a monotonic clock that a test moves, together or apart.
struct Clocks {
    wall: Arc<ManualClock>,
    monotonic: Arc<ManualClock>,
}

impl Clocks {
    fn new() -> Self {
        Self { wall: Arc::new(ManualClock::new(NOON)), monotonic: Arc::new(ManualClock::new(UnixMillis(0))) }
    }

    fn record_clock(&self, floor: Option<UnixMillis>) -> RecordClock {
        RecordClock::new(self.wall.clone(), self.monotonic.clone(), floor)
    }

    fn pass(&self, millis: i64) {
        self.wall.advance(millis);
        self.monotonic.advance(millis);
    }
}

#[test]
fn small_steps_are_followed_and_never_backwards() {
    let clocks = Clocks::new();
    let mut clock = clocks.record_clock(None);
    assert_eq!(clock.now(), NOON);
    clocks.pass(250);
    assert_eq!(clock.now(), NOON.plus_millis(250));
    clocks.wall.advance(900);
    assert_eq!(clock.now(), NOON.plus_millis(1_150));
    clocks.wall.advance(-900);
    assert_eq!(clock.now(), NOON.plus_millis(1_150), "it stands still");
    clocks.pass(1_000);
    assert_eq!(clock.now(), NOON.plus_millis(1_250));
}

#[test]
fn jumps_are_slewed_in_both_ways() {
    for jump in [3_600_000, -3_600_000] {
        let clocks = Clocks::new();
        let mut clock = clocks.record_clock(None);
        clocks.wall.advance(jump);
        assert_eq!(clock.now(), NOON);
        let mut before = NOON;
        for second in 1..=36_000 {
            clocks.pass(1_000);
            let now = clock.now();
            let step = now.millis_since(before);
            assert!((900..=1_100).contains(&step), "{step} in second {second}");
            before = now;
        }
        assert_eq!(before, clocks.wall.now(), "level after ten times the jump");
        clocks.pass(10);
        assert_eq!(clock.now(), clocks.wall.now());
    }
}

#[test]
fn a_wall_clock_behind_the_record_is_waited_for() {
    let clocks = Clocks::new();
    let floor = NOON.plus_millis(60_000);
    let mut clock = clocks.record_clock(Some(floor));
    assert_eq!(clock.now(), floor);
    clocks.pass(10_000);
    assert_eq!(clock.now(), floor.plus_millis(9_000));
    clocks.pass(590_000);
    assert_eq!(clock.now(), clocks.wall.now());
    let mut slightly = clocks.record_clock(Some(clocks.wall.now().plus_millis(500)));
    assert_eq!(slightly.now(), clocks.wall.now().plus_millis(500));
    clocks.pass(700);
    assert_eq!(slightly.now(), clocks.wall.now());
}

#[tokio::test]
async fn records_stay_in_order_over_jumps_and_starts() {
    let clocks = Clocks::new();
    let mut io = FaultyIo::new();
    let mut before = UnixMillis::MIN;
    for jump in [0, 7_200_000, -86_400_000, 500, -500, 0] {
        let journal = Journal::open_with_monotonic(
            config(Path::new(FOLDER)),
            clocks.wall.clone(),
            clocks.monotonic.clone(),
            Arc::new(io.clone()),
        )
        .unwrap();
        for _ in 0..3 {
            let receipt = record(&journal, "click").await.unwrap();
            assert!(receipt.clicked_at >= before);
            let (seconds, _) = receipt.id.0.get_timestamp().unwrap().to_unix();
            assert_eq!(seconds, u64::try_from(receipt.clicked_at.0).unwrap() / 1_000);
            before = receipt.clicked_at;
            clocks.wall.advance(jump);
            clocks.pass(400);
        }
        io = io.kill();
    }
}

#[tokio::test]
async fn a_mark_is_true_of_all_that_follows() {
    let io = FaultyIo::new();
    let journal =
        open_with(&io, JournalConfig { mark_interval_millis: 1, ..config(Path::new(FOLDER)) }).unwrap();
    for number in 0..200 {
        record(&journal, &number.to_string()).await.unwrap();
    }
    journal.close().await.unwrap();
    let mut reader = journal.reader(PARTITION, None).await.unwrap();
    let (mut marked, mut marks, mut closed) = (UnixMillis::MIN, 0, false);
    while let Ok(batch) = reader.next(64).await {
        for (_, entry) in batch.entries {
            match entry {
                LogEntry::Click(click) => assert!(click.clicked_at > marked),
                LogEntry::TimeMark { at, run } => {
                    assert!(at >= marked && run == journal.run());
                    (marked, marks) = (at, marks + 1);
                }
                LogEntry::Closing { run } => closed = run == journal.run(),
            }
        }
    }
    assert!(marks > 1 && closed);
}
