//! A journal against a model, with everything that may go wrong in between.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Action {
    /// Clicks whose answers are awaited together.
    Append(usize),
    /// Clicks whose client went away.
    AppendUnwatched(usize),
    FailWrite(u64, usize),
    FailSync(u64, u64),
    Capacity(bool),
    Kill,
    PowerLoss(u64),
    CloseAndOpen,
    DropAndOpen,
    ReleaseAll,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => (1usize..60).prop_map(Action::Append),
        2 => (1usize..40).prop_map(Action::AppendUnwatched),
        1 => (0u64..6, 0usize..3_000).prop_map(|(after, arriving)| Action::FailWrite(after, arriving)),
        1 => (0u64..6, any::<u64>()).prop_map(|(after, seed)| Action::FailSync(after, seed)),
        1 => any::<bool>().prop_map(Action::Capacity),
        1 => Just(Action::Kill),
        3 => any::<u64>().prop_map(Action::PowerLoss),
        1 => Just(Action::CloseAndOpen),
        1 => Just(Action::DropAndOpen),
        1 => Just(Action::ReleaseAll),
    ]
}

/// What we know of the journal from outside.
#[derive(Default)]
struct Model {
    /// Clicks offered so far; a click's name is its number, so names must ascend as sequences do.
    offered: usize,
    /// Sequence to name of what was acknowledged or seen by a reader.
    known: BTreeMap<u64, usize>,
    /// Everything up to here may have been deleted.
    released: u64,
    /// A place that a store would hold.
    stored: Option<LogPosition>,
}

impl Model {
    async fn append(&mut self, journal: &Journal, count: usize, watched: bool) {
        let mut pending = Vec::new();
        for number in self.offered..self.offered + count {
            pending.push((number, journal.append(&facts(&bulky(number)))));
        }
        self.offered += count;
        if !watched {
            return;
        }
        for (number, pending) in pending {
            if let Ok(receipt) = tokio::time::timeout(DEADLINE, pending).await.unwrap() {
                assert!(self.known.insert(receipt.sequence, number).is_none(), "a sequence given twice");
            }
        }
    }

    /// Everything known is there, once, in order, and nothing that was never offered.
    async fn check(&mut self, journal: &Journal) {
        let oldest = journal.0.shared.segments.lock().oldest().unwrap_or(1);
        assert!(oldest <= self.released + 1, "deleted before it was released");
        let after =
            LogPosition { through: Position(oldest - 1), run: journal.0.shared.run_holding(oldest - 1) };
        let read = read_from(journal, Some(after)).await;
        let mut before = None;
        let mut found = BTreeMap::new();
        for (sequence, name) in read {
            let number: usize = name.parse().unwrap();
            assert!(number < self.offered && before < Some(number), "made up, twice or out of order");
            before = Some(number);
            found.insert(sequence, number);
        }
        for (sequence, number) in self.known.range(oldest..) {
            assert_eq!(found.get(sequence), Some(number), "an acknowledged or seen click is lost");
        }
        self.known.extend(found);
        if let Some(stored) = self.stored {
            journal.reader(PARTITION, Some(stored)).await.expect("a stored place stays good");
        }
        self.stored = Some(journal.durable_position());
    }

    async fn run(&mut self, actions: Vec<Action>) {
        let mut io = FaultyIo::new();
        let mut journal = open(&io).unwrap();
        for action in actions {
            match action {
                Action::Append(count) => self.append(&journal, count, true).await,
                Action::AppendUnwatched(count) => self.append(&journal, count, false).await,
                Action::FailWrite(after, arriving) => io.fail_write_after(after, arriving),
                Action::FailSync(after, seed) => {
                    io.set_seed(seed);
                    io.fail_sync_after(after);
                }
                Action::Capacity(enough) => {
                    io.set_capacity_bytes(if enough { 1 << 30 } else { 3 * SMALL_SEGMENT_BYTES });
                }
                Action::Kill => (io, journal) = reopen(io.kill(), journal),
                Action::PowerLoss(seed) => (io, journal) = reopen(io.lose_power(seed), journal),
                Action::CloseAndOpen => {
                    let _ = journal.close().await;
                    (io, journal) = reopen(io.kill(), journal);
                }
                Action::DropAndOpen => {
                    drop(journal);
                    io = io.kill();
                    journal = open(&io).unwrap();
                }
                Action::ReleaseAll => {
                    self.check(&journal).await;
                    let through = journal.durable_position();
                    self.released = through.through.0;
                    journal.release(PARTITION, "judge", through).await;
                    journal.release(PARTITION, "archive", through).await;
                }
            }
            self.check(&journal).await;
        }
    }
}

/// The next process; the old one's thread may still be running against a machine that is off.
fn reopen(io: FaultyIo, old: Journal) -> (FaultyIo, Journal) {
    let journal = open(&io).unwrap();
    drop(old);
    (io, journal)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_acknowledged_is_lost_or_doubled(actions in prop::collection::vec(action(), 1..25)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(Model::default().run(actions));
    }
}
