//! Any course of things: every entry arrives at the judge once, in order, in its partition, without a gap.

use super::super::chain::Chain;
use super::super::place::{PlaceFile, StoredPlace};
use super::super::producer::RawProducer;
use super::super::window::{Limits, Reached, Window};
use super::broker::Broker;
use super::*;
use proptest::prelude::*;
use std::sync::LazyLock;

#[derive(Clone, Debug)]
enum Action {
    /// The journal gets entries (0: a time mark, else a click on that gonggu).
    Record(Vec<u8>),
    /// The edge ends, cleanly or not, and starts again: another run.
    NewRun { clean: bool },
    /// The forwarder reads on and sends.
    Move,
    /// Records of a producer arrive, the newest one's or an older one's.
    Deliver { producers_back: usize, partition: usize, count: usize, with_answer: bool },
    /// The forwarder sees what was acknowledged.
    Listen,
    /// It writes its place.
    KeepPlace,
    /// Its producer fails; it takes another.
    Fault,
    /// It is killed and starts again from its file.
    Kill,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        3 => prop::collection::vec(0u8..6, 1..12).prop_map(Action::Record),
        1 => any::<bool>().prop_map(|clean| Action::NewRun { clean }),
        6 => Just(Action::Move),
        8 => (prop_oneof![3 => Just(0usize), 1 => 1usize..4], 0..PARTITIONS as usize, 1usize..9, any::<bool>())
            .prop_map(|(producers_back, partition, count, with_answer)| Action::Deliver {
                producers_back, partition, count, with_answer
            }),
        4 => Just(Action::Listen),
        3 => Just(Action::KeepPlace),
        1 => Just(Action::Fault),
        2 => Just(Action::Kill),
    ]
}

/// A forwarder without its shell, so that every step is the test's.
struct Machine {
    broker: Broker,
    journal: Vec<(Position, LogEntry)>,
    runs: u128,
    window: Window,
    producer: Box<dyn RawProducer>,
    read: usize,
    stored: StoredPlace,
}

fn window(reached: Reached) -> Window {
    Window::new(three(), Limits { records: 20, bytes: 8_000 }, reached)
}

impl Machine {
    fn new() -> Self {
        let broker = Broker::new(PARTITIONS, 15);
        let reached = Reached { through: Position(0), chain: Chain::new(None, PARTITIONS) };
        let log = LogEpoch { number: 1, history: HISTORY };
        Self {
            producer: broker.producer(),
            broker,
            journal: Vec::new(),
            runs: 1,
            window: window(reached.clone()),
            read: 0,
            stored: StoredPlace { log, reached },
        }
    }

    fn record(&mut self, kind: u8) {
        let position = self.journal.len() as u64 + 1;
        self.journal.push((Position(position), entry(run(self.runs), position, kind)));
    }

    fn begin_again(&mut self) {
        self.producer = self.broker.producer();
        self.read = self.window.reached().through.0 as usize;
    }

    fn listen(&mut self) {
        let mut tickets = Vec::new();
        let waiting = self.producer.acknowledged(&mut tickets);
        // Polled once: what is there is taken, nothing is waited for.
        let _ = futures_once(waiting);
        for ticket in tickets {
            self.window.acknowledge(ticket);
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Record(kinds) => kinds.into_iter().for_each(|kind| self.record(kind)),
            Action::NewRun { clean } => {
                if clean {
                    let position = Position(self.journal.len() as u64 + 1);
                    self.journal.push((position, LogEntry::Closing { run: run(self.runs) }));
                }
                self.runs += 1;
            }
            Action::Move => {
                if self.window.wants_more() {
                    let until = (self.read + 5).min(self.journal.len());
                    self.window.accept(self.journal[self.read..until].to_vec()).unwrap();
                    self.read = until;
                }
                self.window.pump(self.producer.as_mut()).unwrap();
            }
            Action::Deliver { producers_back, partition, count, with_answer } => {
                self.broker.deliver(producers_back, partition, count, with_answer);
            }
            Action::Listen => self.listen(),
            Action::KeepPlace => self.stored.reached = self.window.reached().clone(),
            Action::Fault => {
                self.window.restart();
                self.begin_again();
            }
            Action::Kill => {
                self.window = window(self.stored.reached.clone());
                self.begin_again();
            }
        }
    }

    /// Without trouble, to the end.
    fn finish(&mut self) {
        // Acknowledgements that were lost come only from a new producer.
        self.act(Action::Kill);
        while self.read < self.journal.len() || !self.window.is_empty() {
            self.act(Action::Move);
            (0..PARTITIONS as usize)
                .for_each(|partition| self.broker.deliver(0, partition, usize::MAX, true));
            self.listen();
        }
    }
}

fn futures_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    }
}

/// Different sizes of batches; each case reads in one of them.
static BATCHES: LazyLock<[usize; 4]> = LazyLock::new(|| [1, 2, 7, 1_000]);

proptest! {
    #[test]
    fn every_entry_arrives_once_in_order(
        actions in prop::collection::vec(action(), 1..120),
        batches in 0usize..4,
    ) {
        let mut machine = Machine::new();
        for action in actions {
            machine.act(action);
        }
        machine.finish();
        for (partition, records) in (0..).map(PartitionId).zip(machine.broker.partitions()) {
            let taken = judged(&records, BATCHES[batches]);
            prop_assert_eq!(taken, of_partition(&machine.journal, partition));
        }
        prop_assert_eq!(machine.window.reached().through.0, machine.journal.len() as u64);
    }

    /// What the file says is read as it was written; changed in any one byte, it is refused.
    #[test]
    fn a_place_is_read_as_written_or_not_at_all(
        through in any::<u64>(),
        runs in any::<(Option<u128>, Option<u128>)>(),
        lasts in prop::collection::vec(any::<u64>(), 0..30),
        at in any::<prop::sample::Index>(),
        change in 1u8..,
    ) {
        let chain = Chain { run: runs.0.map(run), predecessor: runs.1.map(run), lasts };
        let place = StoredPlace {
            log: LogEpoch { number: 3, history: HISTORY },
            reached: Reached { through: Position(through), chain },
        };
        let folder = tempfile::tempdir().unwrap();
        let file = PlaceFile::new(folder.path().to_owned());
        prop_assert!(file.read().unwrap().is_none());
        file.write(&place).unwrap();
        prop_assert_eq!(file.read().unwrap(), Some(place));
        let mut bytes = std::fs::read(file.path()).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        std::fs::write(file.path(), &bytes).unwrap();
        prop_assert!(file.read().is_err());
        std::fs::write(file.path(), &bytes[..at]).unwrap();
        prop_assert!(file.read().is_err());
    }
}
