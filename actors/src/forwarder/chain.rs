//! What ties a run's records together in each partition of the shared log.
//!
//! A journal is one sequence, the shared log has many: a record that went to partition 3 is followed there by
//! one whose number is not the next. So each record names the number before it *in its partition*, and this
//! keeps the last ones. The same journal entries after the same chain give the same records, whoever sends
//! them: that is what makes a record that is sent again equal to the first.

use gonggumoa_core::ids::{PartitionId, RunId};

/// Where a journal entry goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Target {
    /// A click: to its gonggu's partition.
    One(PartitionId),
    /// A time mark or closing: all partitions wait for it.
    All,
}

/// How far the run under way has come in each partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Chain {
    /// The run of the last entry.
    pub(super) run: Option<RunId>,
    /// The run before it in the journal.
    pub(super) predecessor: Option<RunId>,
    /// By partition, the number of the run's last record there; 0: none yet.
    pub(super) lasts: Vec<u64>,
}

impl Chain {
    /// After everything of `run` that was judged elsewhere (none: at the beginning): its next record is its first
    /// one in this log.
    pub(super) fn new(run: Option<RunId>, partitions: u32) -> Self {
        Self { run, predecessor: None, lasts: vec![0; partitions as usize] }
    }

    /// The next entry is of `run`. A run that begins, begins anew in every partition.
    pub(super) fn enter(&mut self, run: RunId, partitions: u32) {
        if self.run != Some(run) {
            self.predecessor = self.run.replace(run);
            self.lasts.clear();
            self.lasts.resize(partitions as usize, 0);
        }
    }

    /// The number before the next record of this partition.
    pub(super) fn previous(&self, partition: PartitionId) -> u64 {
        self.lasts.get(partition.0 as usize).copied().unwrap_or(0)
    }

    /// `sequence` went to `target`.
    pub(super) fn advance(&mut self, target: Target, sequence: u64) {
        match target {
            Target::One(partition) => {
                if let Some(last) = self.lasts.get_mut(partition.0 as usize) {
                    *last = sequence;
                }
            }
            Target::All => self.lasts.fill(sequence),
        }
    }
}
