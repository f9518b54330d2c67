//! How a batch is begun: what came before is dropped, the rest is shared out among its gonggus.

use super::super::batch::{Folding, Group, Map, Stage, Terms, group, load_request};
use super::super::messages::ReadBatch;
use super::super::residents::Residents;
use super::{Effect, PartitionState};
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::GongguId;
use gonggumoa_core::log::{LogBatch, arrivals};
use gonggumoa_core::store::{PartitionProgress, RunMark};
use std::sync::Arc;

impl PartitionState {
    pub(super) fn begin_next(&mut self, now: UnixMillis, effects: &mut Vec<Effect>) {
        if self.folding.is_some() || self.folded.is_some() {
            return;
        }
        let Some(ReadBatch { batch, permit }) = self.queue.pop_front() else { return };
        let (mut batch, rest) = self.split_at_border(batch);
        match rest {
            Some(rest) => self.queue.push_front(ReadBatch { batch: rest, permit }),
            None => drop(permit),
        }
        let from = self.begun.as_ref().map(|progress| progress.position);
        let mut marks = self.begun.as_ref().map(|progress| progress.marks.clone()).unwrap_or_default();
        self.retire(&batch, &mut marks);
        if let Err(gap) = arrivals::admit(&mut batch, from, &mut marks) {
            self.queue.clear();
            self.stopping = Some(gap.to_string());
            effects.push(Effect::StopReading);
        }
        // All of it came before: the next batch that holds something new moves the place on.
        let Some((first, _)) = batch.entries.first() else {
            return self.begin_next(now, effects);
        };
        let rules = Arc::clone(self.history.at(*first));
        let (clicks, chains) = group(batch.entries);
        let to = PartitionProgress { position: batch.end, marks };
        self.begun = Some(to.clone());
        let terms = Terms {
            batch: self.next_batch,
            clicks: Arc::new(clicks),
            rules,
            quarantined: Arc::clone(&self.quarantined),
            stored_through: self.stored_through(),
        };
        self.next_batch += 1;
        let unfinished = chains.len();
        let groups = chains.into_iter().map(|(id, chain)| (id, Group { chain, stage: Stage::Loading }));
        let groups: Map<_, _> = groups.collect();
        let mut folding = Folding { from, to, terms: Arc::new(terms), groups, unfinished };
        self.lend_or_load(&mut folding, now, effects);
        self.folding = Some(folding);
        self.finish_if_done(now, effects);
    }

    fn lend_or_load(&mut self, folding: &mut Folding, now: UnixMillis, effects: &mut Vec<Effect>) {
        let window_millis = self.history.longest_window_millis();
        let mut requests = Vec::new();
        for (gonggu_id, group) in &mut folding.groups {
            if let Some(fold) = fold(&mut self.residents, *gonggu_id, group, &folding.terms, now) {
                effects.push(fold);
            } else if self.storing.as_ref().is_some_and(|storing| storing.touched.contains(gonggu_id)) {
                group.stage = Stage::WaitsForStore;
            } else {
                let clicks = folding.terms.clicks.of(group.chain);
                requests.push(load_request(*gonggu_id, clicks, window_millis));
            }
        }
        if !requests.is_empty() {
            effects.push(Effect::Load { batch: folding.terms.batch, requests });
        }
    }

    /// A batch never spans two rules versions.
    fn split_at_border(&self, mut batch: LogBatch) -> (LogBatch, Option<LogBatch>) {
        let Some((first, _)) = batch.entries.first() else { return (batch, None) };
        let Some(border) = self.history.next_border_after(*first) else { return (batch, None) };
        let at = batch.entries.partition_point(|(position, _)| *position < border);
        if at == batch.entries.len() {
            return (batch, None);
        }
        let arrivals = batch.arrivals.as_mut().map(|arrivals| arrivals.split_off(at));
        let rest = LogBatch { entries: batch.entries.split_off(at), arrivals, ..batch };
        batch.more = true;
        if let Some(end) = batch.place(at.saturating_sub(1)) {
            batch.end = end;
        }
        (batch, Some(rest))
    }

    /// An admin's word on runs that are over; at the log's own time, so that their marks go when all others do.
    /// A log of one machine has one chain of runs, which end each other.
    fn retire(&self, batch: &LogBatch, marks: &mut [RunMark]) {
        let Some(now) = batch.arrivals.as_ref().and_then(|arrivals| arrivals.last()) else { return };
        let retired = self.retired.borrow();
        if !retired.is_empty() {
            arrivals::retire(marks, &|run| retired.contains(&run), now.appended_at);
        }
    }
}

/// Lends out the state of a gonggu that is in memory.
pub(super) fn fold(
    residents: &mut Residents,
    gonggu_id: GongguId,
    group: &mut Group,
    terms: &Arc<Terms>,
    now: UnixMillis,
) -> Option<Effect> {
    let (generation, state) = residents.lend(gonggu_id, terms.batch, now)?;
    group.stage = Stage::Folding { generation };
    let (chain, terms) = (group.chain, Arc::clone(terms));
    Some(Effect::Fold { gonggu_id, generation, state, chain, terms })
}
