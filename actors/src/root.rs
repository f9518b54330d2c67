//! The root supervisor: one child for each partition that is ours, started again with backoff whenever it ends
//! early.
//!
//! ```text
//!   Assigned ──▶ open, judge ──Revoked──▶ store what was read ──▶ gone, `done` told
//!                     └─────────Lost────▶ gone at once
//! ```
//!
//! It gives up only on a partition that refuses (`PartitionStep::Refused`); then the process should end, and
//! on one that stops (`PartitionStep::Stopped`), which rests. Any other failure (the store is down, a row is
//! damaged, somebody else stored the partition) harms nothing but the age of the figures, since the log keeps
//! what comes; the alarm is its status and its log line.
//!
//! Invariants: a partition has one actor at a time, so one that is assigned again while it still leaves is opened
//! only after it has left; the status shows a partition exactly while it is ours; `done` is told once all its
//! partitions have left, also when they failed at it, since then the next one judges what they did not store.

use crate::handle::{
    AssignmentChange, Assignments, PartitionStatus, PartitionStep, StatusMap, TrackingConfig, TrackingDeps,
    measure,
};
use crate::partition::{Partition, PartitionArguments, PartitionMessage};
use gonggumoa_core::ids::PartitionId;
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

pub(crate) struct Root;

pub(crate) struct RootArguments {
    pub(crate) config: TrackingConfig,
    pub(crate) deps: TrackingDeps,
    pub(crate) status: Arc<watch::Sender<StatusMap>>,
    pub(crate) assignments: Assignments,
}

pub(crate) enum RootMessage {
    /// (Re)starts a partition, if it still is assigned as it was when this was sent.
    Start(PartitionId, u64),
    /// What is ours changes.
    Change(AssignmentChange),
    /// Nobody tells us any more what is ours.
    Unassigned,
}

/// A partition that is ours, or was until its actor has left.
#[derive(Default)]
struct Slot {
    actor: Option<ActorRef<PartitionMessage>>,
    is_ours: bool,
    /// The actor was told to go; its end is no failure.
    is_leaving: bool,
    /// Which assignment this is: a start that was meant for an earlier one is void.
    assignment: u64,
    /// Failures in a row, from which the backoff is made.
    failures: u32,
}

/// Partitions on their way out, and who waits for them.
struct Revocation {
    leaving: BTreeSet<PartitionId>,
    done: oneshot::Sender<()>,
}

pub(crate) struct RootState {
    config: TrackingConfig,
    deps: TrackingDeps,
    status: Arc<watch::Sender<StatusMap>>,
    is_shared: bool,
    slots: BTreeMap<PartitionId, Slot>,
    children: HashMap<ActorId, PartitionId>,
    revocations: Vec<Revocation>,
    next_assignment: u64,
    /// Carries the changes here; ends with the root.
    _changes: JoinSet<()>,
}

impl Actor for Root {
    type Msg = RootMessage;
    type State = RootState;
    type Arguments = RootArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<RootMessage>,
        arguments: RootArguments,
    ) -> Result<RootState, ActorProcessingErr> {
        let RootArguments { config, deps, status, assignments } = arguments;
        let mut changes = JoinSet::new();
        let is_shared = match assignments {
            Assignments::All => {
                let all = AssignmentChange::Assigned(deps.log.partitions());
                myself.send_message(RootMessage::Change(all))?;
                false
            }
            Assignments::Changing(receiver) => {
                changes.spawn(carry(receiver, myself));
                true
            }
        };
        Ok(RootState {
            config,
            deps,
            status,
            is_shared,
            slots: BTreeMap::new(),
            children: HashMap::new(),
            revocations: Vec::new(),
            next_assignment: 1,
            _changes: changes,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<RootMessage>,
        message: RootMessage,
        root: &mut RootState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            RootMessage::Start(id, assignment) => {
                let is_due = root.slots.get(&id).is_some_and(|slot| {
                    slot.is_ours && slot.actor.is_none() && slot.assignment == assignment
                });
                if is_due {
                    root.start(&myself, id).await;
                }
            }
            RootMessage::Change(AssignmentChange::Assigned(partitions)) => {
                for id in partitions {
                    root.assign(&myself, id).await;
                }
            }
            RootMessage::Change(AssignmentChange::Revoked { partitions, done }) => {
                root.revoke(partitions, done);
            }
            RootMessage::Change(AssignmentChange::Lost(partitions)) => {
                partitions.into_iter().for_each(|id| root.lose(id));
            }
            RootMessage::Unassigned => {
                let ours: Vec<_> = root.slots.keys().copied().collect();
                ours.into_iter().for_each(|id| root.lose(id));
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<RootMessage>,
        event: SupervisionEvent,
        root: &mut RootState,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
            SupervisionEvent::ActorTerminated(child, state, reason) => {
                // What it was still doing ends with its state.
                drop(state);
                root.ended(&myself, child.get_id(), reason.as_deref().unwrap_or("stopped")).await;
            }
            SupervisionEvent::ActorFailed(child, error) => {
                root.ended(&myself, child.get_id(), &error.to_string()).await;
            }
        }
        Ok(())
    }
}

/// Hands on what is told of assignments. Changes are rare, so the mailbox needs no bound.
async fn carry(mut changes: mpsc::Receiver<AssignmentChange>, root: ActorRef<RootMessage>) {
    while let Some(change) = changes.recv().await {
        if root.send_message(RootMessage::Change(change)).is_err() {
            return;
        }
    }
    let _ = root.send_message(RootMessage::Unassigned);
}

impl RootState {
    async fn assign(&mut self, myself: &ActorRef<RootMessage>, id: PartitionId) {
        let assignment = self.next_assignment;
        let slot = self.slots.entry(id).or_default();
        if slot.is_ours {
            return;
        }
        self.next_assignment += 1;
        *slot = Slot { is_ours: true, assignment, failures: 0, ..std::mem::take(slot) };
        if slot.actor.is_none() {
            self.start(myself, id).await;
        }
    }

    async fn start(&mut self, myself: &ActorRef<RootMessage>, id: PartitionId) {
        self.status.send_if_modified(|statuses| {
            let is_new = !statuses.contains_key(&id);
            statuses.entry(id).or_insert_with(PartitionStatus::opening);
            is_new
        });
        let arguments = PartitionArguments {
            id,
            config: self.config.clone(),
            deps: self.deps.clone(),
            status: Arc::clone(&self.status),
            is_shared: self.is_shared,
        };
        match Actor::spawn_linked(None, Partition, arguments, myself.get_cell()).await {
            Ok((child, _)) => {
                self.children.insert(child.get_id(), id);
                if let Some(slot) = self.slots.get_mut(&id) {
                    slot.actor = Some(child);
                }
            }
            Err(error) => self.restart_later(myself, id, &error.to_string()),
        }
    }

    fn revoke(&mut self, partitions: Vec<PartitionId>, done: oneshot::Sender<()>) {
        let mut leaving = BTreeSet::new();
        for id in partitions {
            let Some(slot) = self.slots.get_mut(&id) else { continue };
            slot.is_ours = false;
            match &slot.actor {
                Some(actor) => {
                    slot.is_leaving = true;
                    let _ = actor.send_message(PartitionMessage::Leave);
                    leaving.insert(id);
                }
                None => self.forget(id),
            }
        }
        self.revocations.push(Revocation { leaving, done });
        self.tell_done();
    }

    fn lose(&mut self, id: PartitionId) {
        let Some(slot) = self.slots.get_mut(&id) else { return };
        slot.is_ours = false;
        slot.is_leaving = true;
        if let Some(actor) = &slot.actor {
            actor.kill();
            // From now on nothing that it still does is shown.
            self.remove_status(id);
        } else {
            self.forget(id);
        }
    }

    /// A partition's actor is gone.
    async fn ended(&mut self, myself: &ActorRef<RootMessage>, child: ActorId, problem: &str) {
        let Some(id) = self.children.remove(&child) else { return };
        let Some(slot) = self.slots.get_mut(&id) else { return };
        slot.actor = None;
        let was_leaving = std::mem::take(&mut slot.is_leaving);
        let is_ours = slot.is_ours;
        for revocation in &mut self.revocations {
            revocation.leaving.remove(&id);
        }
        if was_leaving {
            self.remove_status(id);
        }
        match (is_ours, was_leaving) {
            (false, _) => self.forget(id),
            // Assigned again while it left.
            (true, true) => self.start(myself, id).await,
            (true, false) => {
                let is_final = self.status.borrow().get(&id).is_some_and(|status| status.step.is_final());
                if !is_final {
                    self.restart_later(myself, id, problem);
                }
            }
        }
        self.tell_done();
    }

    fn tell_done(&mut self) {
        let (done, waiting) =
            std::mem::take(&mut self.revocations).into_iter().partition(|one| one.leaving.is_empty());
        self.revocations = waiting;
        let done: Vec<Revocation> = done;
        for revocation in done {
            let _ = revocation.done.send(());
        }
    }

    fn forget(&mut self, id: PartitionId) {
        self.slots.remove(&id);
        self.remove_status(id);
    }

    fn remove_status(&self, id: PartitionId) {
        self.status.send_if_modified(|statuses| statuses.remove(&id).is_some());
        measure(&self.status.borrow());
    }

    /// Tries again after a doubling wait; a partition that stored something meanwhile starts from the shortest.
    fn restart_later(&mut self, myself: &ActorRef<RootMessage>, id: PartitionId, problem: &str) {
        let Some(slot) = self.slots.get_mut(&id) else { return };
        let ran = self.status.borrow().get(&id).is_some_and(|status| status.batches_stored > 0);
        slot.failures = if ran { 1 } else { slot.failures.saturating_add(1) };
        let wait = backoff(&self.config, slot.failures);
        tracing::error!(partition.id = %id, partition.problem = problem, retry.millis = wait.as_millis() as u64,
            "a partition ended and will be opened again");
        metrics::counter!("judge_partition_restarts_total").increment(1);
        self.status.send_modify(|statuses| {
            if let Some(status) = statuses.get_mut(&id) {
                status.step = PartitionStep::Restarting { problem: problem.to_owned() };
                status.restarts += 1;
                status.live_gonggus = 0;
                status.awake_gonggus = 0;
                status.batches_stored = 0;
            }
        });
        let assignment = slot.assignment;
        myself.send_after(wait, move || RootMessage::Start(id, assignment));
    }
}

/// The wait before try number `failures`.
pub(crate) fn backoff(config: &TrackingConfig, failures: u32) -> Duration {
    config.retry_min.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(config.retry_max)
}
