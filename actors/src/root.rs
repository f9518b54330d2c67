//! The root supervisor: one child a partition, started again with backoff whenever it ends early.
//!
//! It gives up only on a partition that refuses (`PartitionStep::Refused`); then the process should end.
//! Any other failure (the store is down, a row is damaged) harms nothing
//! but the age of the figures, since the log keeps what comes; the alarm is its status and its log line.

use crate::handle::{PartitionStep, StatusMap, TrackingConfig, TrackingDeps};
use crate::partition::{Partition, PartitionArguments};
use gonggumoa_core::ids::PartitionId;
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

pub(crate) struct Root;

pub(crate) struct RootArguments {
    pub(crate) config: TrackingConfig,
    pub(crate) deps: TrackingDeps,
    pub(crate) status: Arc<watch::Sender<StatusMap>>,
}

/// The root's only message.
pub(crate) enum RootMessage {
    /// (Re)starts a partition.
    Start(PartitionId),
}

pub(crate) struct RootState {
    arguments: RootArguments,
    children: HashMap<ActorId, PartitionId>,
    /// Failures in a row, from which the backoff is made.
    failures: HashMap<PartitionId, u32>,
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
        for partition in arguments.deps.log.partitions() {
            myself.send_message(RootMessage::Start(partition))?;
        }
        Ok(RootState { arguments, children: HashMap::new(), failures: HashMap::new() })
    }

    async fn handle(
        &self,
        myself: ActorRef<RootMessage>,
        message: RootMessage,
        state: &mut RootState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            RootMessage::Start(id) => {
                let arguments = PartitionArguments {
                    id,
                    config: state.arguments.config.clone(),
                    deps: state.arguments.deps.clone(),
                    status: Arc::clone(&state.arguments.status),
                };
                match Actor::spawn_linked(None, Partition, arguments, myself.get_cell()).await {
                    Ok((child, _)) => {
                        state.children.insert(child.get_id(), id);
                    }
                    Err(error) => restart_later(&myself, state, id, &error.to_string()),
                }
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<RootMessage>,
        event: SupervisionEvent,
        state: &mut RootState,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
            SupervisionEvent::ActorTerminated(child, _, reason) => {
                let ended = |id: &PartitionId| {
                    let statuses = state.arguments.status.borrow();
                    statuses.get(id).is_some_and(|status| {
                        matches!(status.step, PartitionStep::Drained | PartitionStep::Refused { .. })
                    })
                };
                if let Some(id) = state.children.remove(&child.get_id())
                    && !ended(&id)
                {
                    restart_later(&myself, state, id, reason.as_deref().unwrap_or("stopped"));
                }
            }
            SupervisionEvent::ActorFailed(child, error) => {
                if let Some(id) = state.children.remove(&child.get_id()) {
                    restart_later(&myself, state, id, &error.to_string());
                }
            }
        }
        Ok(())
    }
}

/// Tries again after a doubling wait; a partition that stored something meanwhile starts from the shortest.
fn restart_later(myself: &ActorRef<RootMessage>, state: &mut RootState, id: PartitionId, problem: &str) {
    let config = &state.arguments.config;
    let ran = state.arguments.status.borrow().get(&id).is_some_and(|status| status.batches_stored > 0);
    let failures = state.failures.entry(id).or_default();
    *failures = if ran { 1 } else { failures.saturating_add(1) };
    let wait = backoff(config, *failures);
    tracing::error!(partition.id = %id, partition.problem = problem, retry.millis = wait.as_millis() as u64,
        "a partition ended and will be opened again");
    metrics::counter!("judge_partition_restarts_total").increment(1);
    state.arguments.status.send_modify(|statuses| {
        if let Some(status) = statuses.get_mut(&id) {
            status.step = PartitionStep::Restarting { problem: problem.to_owned() };
            status.restarts += 1;
            status.live_gonggus = 0;
            status.awake_gonggus = 0;
            status.batches_stored = 0;
        }
    });
    myself.send_after(wait, move || RootMessage::Start(id));
}

/// The wait before try number `failures`.
pub(crate) fn backoff(config: &TrackingConfig, failures: u32) -> Duration {
    config.retry_min.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(config.retry_max)
}
