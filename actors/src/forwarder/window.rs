//! What was read from the journal and is not yet acknowledged: the forwarder as a pure state.
//!
//! ```text
//!   journal   … ───────┬───────────────┬──────────────┬─────────▶
//!                   acked           in flight       waiting
//! ```
//!
//! Invariants: `acked` moves over an entry when all of its records, and those of all entries before it, were
//! acknowledged, so it is a place from which everything that follows is sent again exactly as before; what is
//! in flight is bounded in records and bytes, and no more is read while something waits.

use super::chain::{Chain, Target};
use super::producer::{Fault, RawProducer, RawRecord, SendError};
use crate::kafka::record::{self, Outgoing};
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::{PartitionId, Position, RunId};
use gonggumoa_core::log::partitioning::Partitioning;
use gonggumoa_core::log::{LogEntry, LogPosition};
use std::collections::VecDeque;

/// Everything up to `through` has arrived, and `chain` is what ties on to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Reached {
    pub(super) through: Position,
    pub(super) chain: Chain,
}

impl Reached {
    /// As a place in the journal; `None` before its first entry.
    pub(super) fn place(&self) -> Option<LogPosition> {
        self.chain.run.map(|run| LogPosition { through: self.through, run })
    }
}

/// What may be under way at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) records: usize,
    pub(super) bytes: usize,
}

/// An entry whose records were handed over, or some of them.
struct InFlight {
    position: Position,
    run: RunId,
    target: Target,
    /// When it was recorded, if it says so.
    at: Option<UnixMillis>,
    /// Records without an acknowledgement, those not yet handed over included.
    unacknowledged: u32,
    record_bytes: usize,
}

/// See the module.
pub(super) struct Window {
    partitioning: Partitioning,
    limits: Limits,
    acked: Reached,
    /// When the last acknowledged entry was recorded.
    acked_at: Option<UnixMillis>,
    /// After what was handed over last.
    sent: Chain,
    waiting: VecDeque<(Position, LogEntry)>,
    /// The first partition that the entry in front still has to go to, when it goes to all.
    next_partition: u32,
    in_flight: VecDeque<InFlight>,
    /// The ticket of the oldest in flight.
    first_ticket: u64,
    records: usize,
    bytes: usize,
    /// Of all records handed over, for their mean size.
    sent_records: u64,
    sent_bytes: u64,
    buffer: Vec<u8>,
}

impl Window {
    pub(super) fn new(partitioning: Partitioning, limits: Limits, reached: Reached) -> Self {
        Self {
            partitioning,
            limits,
            sent: reached.chain.clone(),
            acked: reached,
            acked_at: None,
            waiting: VecDeque::new(),
            next_partition: 0,
            in_flight: VecDeque::new(),
            first_ticket: 0,
            records: 0,
            bytes: 0,
            sent_records: 0,
            sent_bytes: 0,
            buffer: Vec::new(),
        }
    }

    /// Forgets what was not acknowledged: a new producer is to send it, read from `reached` on. Tickets of the
    /// old one mean nothing any more.
    pub(super) fn restart(&mut self) {
        self.sent = self.acked.chain.clone();
        self.waiting.clear();
        self.next_partition = 0;
        self.first_ticket += self.in_flight.len() as u64;
        self.in_flight.clear();
        (self.records, self.bytes) = (0, 0);
    }

    /// What has arrived for certain.
    pub(super) fn reached(&self) -> &Reached {
        &self.acked
    }

    /// Whether everything that was read has arrived.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.in_flight.is_empty()
    }

    /// Whether more may be read.
    pub(super) fn wants_more(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Records under way.
    pub(super) fn in_flight_records(&self) -> usize {
        self.records
    }

    /// What a record takes on average; `None` before the first one.
    pub(super) fn mean_record_bytes(&self) -> Option<u64> {
        self.sent_bytes.checked_div(self.sent_records)
    }

    /// No entry that is still to arrive was recorded before; `None`: unknown.
    pub(super) fn oldest_at(&self) -> Option<UnixMillis> {
        self.in_flight.iter().find_map(|entry| entry.at).or(self.acked_at)
    }

    /// Takes entries that follow those taken before.
    pub(super) fn accept(&mut self, entries: Vec<(Position, LogEntry)>) -> Result<(), Fault> {
        for (position, entry) in &entries {
            if let LogEntry::Click(click) = entry
                && click.sequence != position.0
            {
                return Err(Fault(format!(
                    "the journal holds click {} at {position}: its numbers are not its positions",
                    click.sequence
                )));
            }
        }
        self.waiting.extend(entries);
        Ok(())
    }

    /// Hands over what fits.
    pub(super) fn pump(&mut self, producer: &mut dyn RawProducer) -> Result<(), Fault> {
        while let Some((position, entry)) = self.waiting.front() {
            let under_way = self.records > 0 && self.next_partition == 0;
            if under_way && (self.records >= self.limits.records || self.bytes >= self.limits.bytes) {
                return Ok(());
            }
            let (position, run) = (*position, entry.run());
            let target = match entry {
                LogEntry::Click(click) => Target::One(self.partitioning.of(click.gonggu_id)),
                LogEntry::TimeMark { .. } | LogEntry::Closing { .. } => Target::All,
            };
            if self.next_partition == 0 {
                self.sent.enter(run, self.partitioning.count());
                self.check_layout(position, run)?;
            }
            match self.hand_over(position, run, target, producer) {
                Ok(()) => {}
                Err(SendError::Full) => return Ok(()),
                Err(SendError::Fault(fault)) => return Err(fault),
            }
            self.next_partition = 0;
            self.waiting.pop_front();
        }
        Ok(())
    }

    /// The number of partitions may change with the log's epoch, but not under a run: its records in the old
    /// partitions and those in the new ones would not follow each other.
    fn check_layout(&self, position: Position, run: RunId) -> Result<(), Fault> {
        let (before, now) = (self.sent.lasts.len(), self.partitioning.count() as usize);
        if before == now {
            return Ok(());
        }
        Err(Fault(format!(
            "the journal's record {position} belongs to run {run}, of which records went to a log of {before} \
             partitions, and the log has {now} now: forward the rest with the settings of that log first"
        )))
    }

    /// Hands over the records of the entry in front, from `next_partition` on.
    fn hand_over(
        &mut self,
        position: Position,
        run: RunId,
        target: Target,
        producer: &mut dyn RawProducer,
    ) -> Result<(), SendError> {
        let Some((_, entry)) = self.waiting.front() else { return Ok(()) };
        let (first, last) = match target {
            Target::One(partition) => (partition.0, partition.0),
            Target::All => (self.next_partition, self.partitioning.count() - 1),
        };
        for number in first..=last {
            let partition = PartitionId(number);
            let predecessor = match entry {
                LogEntry::TimeMark { .. } => self.sent.predecessor,
                LogEntry::Click(_) | LogEntry::Closing { .. } => None,
            };
            let outgoing =
                Outgoing { run, sequence: position.0, previous: self.sent.previous(partition), predecessor };
            self.buffer.clear();
            record::encode(entry, &outgoing, &mut self.buffer);
            let begun = target == Target::All && number > 0;
            let index = self.in_flight.len() - usize::from(begun);
            let key = match entry {
                LogEntry::Click(click) => Some(click.gonggu_id.0.as_bytes().as_slice()),
                LogEntry::TimeMark { .. } | LogEntry::Closing { .. } => None,
            };
            let ticket = self.first_ticket + index as u64;
            producer.send(RawRecord { partition, key, value: &self.buffer, ticket })?;
            if !begun {
                let unacknowledged = last - first + 1;
                let at = recorded_at(entry);
                let record_bytes = self.buffer.len();
                self.in_flight.push_back(InFlight {
                    position,
                    run,
                    target,
                    at,
                    unacknowledged,
                    record_bytes,
                });
            }
            self.sent.advance(Target::One(partition), position.0);
            self.records += 1;
            self.bytes += self.buffer.len();
            self.sent_records += 1;
            self.sent_bytes += self.buffer.len() as u64;
            self.next_partition = number + 1;
        }
        Ok(())
    }

    /// A record of `ticket` has arrived. Returns how many entries have arrived with it, all before them
    /// included.
    pub(super) fn acknowledge(&mut self, ticket: u64) -> u64 {
        let index = ticket.checked_sub(self.first_ticket).and_then(|index| usize::try_from(index).ok());
        let Some(entry) = index.and_then(|index| self.in_flight.get_mut(index)) else { return 0 };
        entry.unacknowledged = entry.unacknowledged.saturating_sub(1);
        self.records = self.records.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(entry.record_bytes);
        let mut arrived = 0;
        while self.in_flight.front().is_some_and(|entry| entry.unacknowledged == 0) {
            let Some(entry) = self.in_flight.pop_front() else { break };
            self.first_ticket += 1;
            self.acked.chain.enter(entry.run, self.partitioning.count());
            self.acked.chain.advance(entry.target, entry.position.0);
            self.acked.through = entry.position;
            self.acked_at = entry.at.or(self.acked_at);
            arrived += 1;
        }
        arrived
    }
}

fn recorded_at(entry: &LogEntry) -> Option<UnixMillis> {
    match entry {
        LogEntry::Click(click) => Some(click.clicked_at),
        LogEntry::TimeMark { at, .. } => Some(*at),
        LogEntry::Closing { .. } => None,
    }
}
