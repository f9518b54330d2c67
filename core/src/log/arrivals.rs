//! What a shared log holds, taken once and without a gap.
//!
//! Problem: an edge that was killed sends records again, since it cannot know which of them arrived; a broker
//! takes them again. And a record that never arrived must not be passed over: it was acknowledged. So each
//! record carries its run, its number there, and the number of the run's record before it in the same
//! partition, and a reader keeps, run by run, the last number that it took:
//!
//! ```text
//!   mark 7,  record 9 after 7   taken, mark 9
//!   mark 9,  record 8 after 7   came again, dropped
//!   mark 9,  record 12 after 11 a gap: 11 never came; nothing after it is read
//! ```
//!
//! Invariants: what is taken depends on the marks and the log only, so every reader of a partition (judge,
//! archive, a replay) takes the same entries; the marks are stored with the position. A run's mark goes
//! [`KEPT_AFTER_END_MILLIS`] of the log's time after its end: nothing is sent again that late.

use super::{Arrival, LogBatch, LogEntry, LogPosition};
use crate::clock::UnixMillis;
use crate::ids::{Position, RunId};
use crate::store::RunMark;

/// How long after its end a run's mark is kept: 30 days.
pub const KEPT_AFTER_END_MILLIS: i64 = 30 * 86_400_000;
/// A click or mark that is stamped more than this ahead of the time at which the log took it has a wrong clock;
/// it takes the log's time.
pub const AHEAD_MAX_MILLIS: i64 = 5_000;

/// A record that never came.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
#[error(
    "a gap at {position}: record {sequence} of run {run} follows record {previous}, but the last one taken is {taken}"
)]
pub struct Gap {
    /// Where the record stands that shows it.
    pub position: Position,
    /// Its run.
    pub run: RunId,
    /// Its number.
    pub sequence: u64,
    /// The number of the record that it follows.
    pub previous: u64,
    /// The last number taken.
    pub taken: u64,
}

impl Gap {
    /// Never: what is missing does not come by itself.
    pub fn retryable(&self) -> bool {
        false
    }
}

/// Drops from `batch` what `marks` say came before, and moves `marks` on. `after` is the place that the
/// batch begins after. With a gap, what stands before it is left in the batch, and the batch ends there.
pub fn admit(batch: &mut LogBatch, after: Option<LogPosition>, marks: &mut Vec<RunMark>) -> Result<(), Gap> {
    let Some(arrivals) = batch.arrivals.take() else {
        // One chain of runs: the newest run's mark takes the place of the one before.
        for (_, entry) in &batch.entries {
            if let LogEntry::TimeMark { run, at } = entry {
                *marks = vec![RunMark::new(*run, *at)];
            }
        }
        return Ok(());
    };
    let mut gap = None;
    let mut taken = 0;
    let mut read = after;
    for (index, arrival) in arrivals.iter().enumerate() {
        let place = batch.place(index);
        let (position, entry) = &mut batch.entries[index];
        bound_time(entry, arrival.appended_at);
        match take(marks, arrival, entry) {
            Taken::New => {
                batch.entries.swap(taken, index);
                taken += 1;
            }
            Taken::Again => metrics::counter!("click_log_records_again_total").increment(1),
            Taken::Gap { last } => {
                let position = *position;
                let Arrival { run, sequence, previous, .. } = *arrival;
                gap = Some(Gap { position, run, sequence, previous, taken: last });
                batch.more = true;
                // With nothing read before it the batch is empty, and ends where it began.
                batch.end = read.unwrap_or(batch.end);
                break;
            }
        }
        read = place;
    }
    batch.entries.truncate(taken);
    if let Some(newest) = arrivals.last() {
        marks.retain(|mark| {
            mark.ended_at.is_none_or(|ended| newest.appended_at.millis_since(ended) < KEPT_AFTER_END_MILLIS)
        });
    }
    gap.map_or(Ok(()), Err)
}

/// An admin says that these runs are over: an edge that will not come back, say. Their marks count no
/// longer, and go after the usual time from `now`.
pub fn retire(marks: &mut [RunMark], retired: &dyn Fn(RunId) -> bool, now: UnixMillis) {
    for mark in marks.iter_mut().filter(|mark| !mark.superseded && retired(mark.run)) {
        mark.superseded = true;
        mark.ended_at.get_or_insert(now);
    }
}

enum Taken {
    New,
    Again,
    Gap { last: u64 },
}

fn take(marks: &mut Vec<RunMark>, arrival: &Arrival, entry: &LogEntry) -> Taken {
    let index = match marks.binary_search_by_key(&arrival.run, |mark| mark.run) {
        Ok(index) => {
            let last = marks[index].sequence;
            if arrival.sequence <= last {
                return Taken::Again;
            }
            if arrival.previous != last {
                return Taken::Gap { last };
            }
            index
        }
        Err(_) if arrival.previous != 0 => return Taken::Gap { last: 0 },
        Err(index) => {
            // A run's times never descend: nothing of it is earlier than its first record.
            let at = match entry {
                LogEntry::Click(click) => click.clicked_at,
                LogEntry::TimeMark { at, .. } => *at,
                LogEntry::Closing { .. } => UnixMillis::MIN,
            };
            marks.insert(index, RunMark::new(arrival.run, at));
            index
        }
    };
    let mark = &mut marks[index];
    mark.sequence = arrival.sequence;
    match entry {
        LogEntry::Click(_) => {}
        LogEntry::TimeMark { at, .. } => mark.at = mark.at.max(*at),
        LogEntry::Closing { .. } => mark.ended_at = Some(arrival.appended_at),
    }
    if let Some(predecessor) = arrival.predecessor
        && let Ok(index) = marks.binary_search_by_key(&predecessor, |mark| mark.run)
        && !marks[index].superseded
    {
        marks[index].superseded = true;
        marks[index].ended_at.get_or_insert(arrival.appended_at);
    }
    Taken::New
}

fn bound_time(entry: &mut LogEntry, appended_at: UnixMillis) {
    let time = match entry {
        LogEntry::Click(click) => &mut click.clicked_at,
        LogEntry::TimeMark { at, .. } => at,
        LogEntry::Closing { .. } => return,
    };
    if time.millis_since(appended_at) > AHEAD_MAX_MILLIS {
        metrics::counter!("click_log_times_ahead_total").increment(1);
        *time = appended_at;
    }
}

#[cfg(test)]
mod tests;
