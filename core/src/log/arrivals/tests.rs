//! A shared log that repeats, tears and mixes what several edges sent: every record is taken once.

use super::*;
use crate::click::testing::ClickBuilder;
use proptest::prelude::*;
use uuid::Uuid;

const APPENDED_AT: UnixMillis = UnixMillis(1_000_000);

fn run(number: u128) -> RunId {
    RunId(Uuid::from_u128(number))
}

fn arrival(run_number: u128, sequence: u64, previous: u64) -> Arrival {
    Arrival { run: run(run_number), sequence, previous, predecessor: None, appended_at: APPENDED_AT }
}

fn mark(arrival: &Arrival, at: i64) -> LogEntry {
    LogEntry::TimeMark { run: arrival.run, at: UnixMillis(at) }
}

fn batch(records: Vec<(Arrival, LogEntry)>) -> LogBatch {
    let (arrivals, entries): (Vec<_>, Vec<_>) = records.into_iter().unzip();
    let entries: Vec<_> = (1..).map(Position).zip(entries).collect();
    let end = LogPosition { through: Position(entries.len() as u64), run: run(99) };
    LogBatch { entries, arrivals: Some(arrivals), history: Some(run(99)), end, more: false }
}

fn of_marks(arrivals: Vec<Arrival>) -> LogBatch {
    batch(arrivals.into_iter().map(|arrival| (arrival, mark(&arrival, 5))).collect())
}

fn admitted(mut batch: LogBatch, marks: &mut Vec<RunMark>) -> (Vec<u64>, Result<(), Gap>, LogPosition) {
    let result = admit(&mut batch, None, marks);
    (batch.entries.iter().map(|(position, _)| position.0).collect(), result, batch.end)
}

#[test]
fn a_gap_is_never_passed() {
    let mut marks = Vec::new();
    let batch = of_marks(vec![arrival(1, 3, 0), arrival(2, 8, 0), arrival(1, 9, 7), arrival(2, 9, 8)]);
    let (taken, result, end) = admitted(batch, &mut marks);
    assert_eq!(taken, [1, 2], "what stands before the gap is taken");
    assert_eq!(end.through, Position(2), "and the batch ends there");
    let gap = result.unwrap_err();
    assert_eq!((gap.position, gap.sequence, gap.previous, gap.taken), (Position(3), 9, 7, 3));
    assert_eq!(marks.iter().map(|mark| mark.sequence).collect::<Vec<_>>(), [3, 8]);
}

#[test]
fn an_unknown_run_begins_at_its_first_record() {
    let (taken, result, _) = admitted(of_marks(vec![arrival(1, 9, 7)]), &mut Vec::new());
    assert!(taken.is_empty() && result.is_err());
}

#[test]
fn a_run_takes_the_place_of_the_one_before() {
    let mut marks = Vec::new();
    let successor = Arrival { predecessor: Some(run(1)), ..arrival(2, 9, 0) };
    let old = arrival(1, 3, 0);
    let records = vec![(old, mark(&old, 100)), (successor, mark(&successor, 700))];
    let (taken, ..) = admitted(batch(records), &mut marks);
    assert_eq!(taken, [1, 2]);
    assert_eq!((marks[0].superseded, marks[0].ended_at), (true, Some(APPENDED_AT)));
    assert_eq!((marks[1].superseded, marks[1].at), (false, UnixMillis(700)));
    // What the old run's edge sent again is still known.
    assert!(admitted(of_marks(vec![arrival(1, 3, 0)]), &mut marks).0.is_empty());
}

#[test]
fn marks_go_thirty_days_after_the_end() {
    let mut marks = Vec::new();
    let closing = arrival(1, 4, 0);
    let closed = batch(vec![(closing, LogEntry::Closing { run: closing.run })]);
    admitted(closed, &mut marks).1.unwrap();
    let later = |millis: i64, sequence, previous| Arrival {
        appended_at: APPENDED_AT.plus_millis(millis),
        ..arrival(2, sequence, previous)
    };
    admitted(of_marks(vec![later(KEPT_AFTER_END_MILLIS - 1, 1, 0)]), &mut marks).1.unwrap();
    assert_eq!(marks.len(), 2);
    admitted(of_marks(vec![later(KEPT_AFTER_END_MILLIS, 2, 1)]), &mut marks).1.unwrap();
    assert_eq!(marks.iter().map(|mark| mark.run).collect::<Vec<_>>(), [run(2)]);
}

#[test]
fn a_time_ahead_of_the_log_takes_the_logs() {
    let stamped = |ahead: i64| {
        let mut click = ClickBuilder::new(1).build();
        click.clicked_at = APPENDED_AT.plus_millis(ahead);
        let mut batch = batch(vec![(arrival(1, 1, 0), LogEntry::Click(click))]);
        admit(&mut batch, None, &mut Vec::new()).unwrap();
        let LogEntry::Click(click) = &batch.entries[0].1 else { panic!("a click") };
        click.clicked_at.millis_since(APPENDED_AT)
    };
    assert_eq!(stamped(AHEAD_MAX_MILLIS), AHEAD_MAX_MILLIS);
    assert_eq!(stamped(AHEAD_MAX_MILLIS + 1), 0);
    assert_eq!(stamped(-86_400_000), -86_400_000);
}

#[test]
fn a_retired_run_holds_nothing_back() {
    let mut marks = Vec::new();
    let (old, new) = (arrival(1, 3, 0), arrival(2, 3, 0));
    let _ = admitted(batch(vec![(old, mark(&old, 100)), (new, mark(&new, 900))]), &mut marks);
    retire(&mut marks, &|of| of == run(1), UnixMillis(1_000));
    assert_eq!((marks[0].superseded, marks[1].superseded), (true, false));
    assert!(admitted(of_marks(vec![arrival(1, 3, 0)]), &mut marks).0.is_empty(), "and is still known");
}

proptest! {
    /// Edges send their records in order, each going back to any earlier record any number of times; the
    /// log mixes them; batches end anywhere. Each record is taken once, in its run's order.
    #[test]
    fn each_record_is_taken_once(
        sends in prop::collection::vec((0u128..3, 0usize..6, 1usize..12), 1..60),
        cuts in prop::collection::vec(1usize..9, 1..60),
    ) {
        let mut log = Vec::new();
        let mut sent = [0usize; 3];
        for (edge, back, forward) in sends {
            let from = sent[edge as usize].saturating_sub(back);
            let to = sent[edge as usize] + forward;
            for number in from..to {
                // Numbers of a run skip what went to other partitions.
                log.push(arrival(edge + 1, number as u64 * 3 + 1, (number as u64 * 3).saturating_sub(2)));
            }
            sent[edge as usize] = to;
        }
        let (mut marks, mut taken, mut cuts) = (Vec::new(), Vec::new(), cuts.into_iter().cycle());
        let mut rest = log.as_slice();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(cuts.next().unwrap().min(rest.len()));
            let mut batch = of_marks(now.to_vec());
            admit(&mut batch, None, &mut marks).unwrap();
            taken.extend(batch.entries.iter().map(|(position, _)| now[position.0 as usize - 1]));
            rest = later;
        }
        for (edge, sent) in sent.into_iter().enumerate() {
            let of_edge: Vec<u64> =
                taken.iter().filter(|a| a.run == run(edge as u128 + 1)).map(|a| a.sequence).collect();
            prop_assert_eq!(of_edge, (0..sent).map(|number| number as u64 * 3 + 1).collect::<Vec<_>>());
        }
    }
}
