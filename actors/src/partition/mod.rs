//! The actor of one partition: it carries out what [`state::PartitionState`] decides.
//!
//! It supervises its gonggus: one that panics is loaded again after everything before is stored, and
//! the click on which it panics twice is quarantined. When a task of its own fails for good, the
//! partition ends; the root opens it again from what is stored.

mod batch;
mod messages;
mod residents;
mod rhythm;
mod state;
mod tasks;

pub(crate) use batch::{Chain, Terms};
pub(crate) use messages::PartitionMessage;
pub(crate) use tasks::{error_chain, retrying};

use crate::gonggu::{Fold, Gonggu, GongguArguments, GongguContext};
use crate::handle::{PartitionStatus, PartitionStep, StatusMap, TrackingConfig, TrackingDeps, measure};
use batch::Map;
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::{GongguId, PartitionId, Position};
use gonggumoa_core::live::LiveTotals;
use gonggumoa_core::log::LogPosition;
use gonggumoa_core::store::{LoadRequest, PartitionProgress};
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use state::{Effect, PartitionState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

pub(crate) struct Partition;

pub(crate) struct PartitionArguments {
    pub(crate) id: PartitionId,
    pub(crate) config: TrackingConfig,
    pub(crate) deps: TrackingDeps,
    pub(crate) status: Arc<watch::Sender<StatusMap>>,
    /// Whether this is one of a log's partitions that several processes share out.
    pub(crate) is_shared: bool,
}

struct Child {
    actor: ActorRef<Fold>,
    generation: u64,
    folding_position: Arc<AtomicU64>,
}

pub(crate) struct PartitionShell {
    arguments: PartitionArguments,
    context: Arc<GongguContext>,
    /// `None` until opened.
    state: Option<PartitionState>,
    /// The actors of gonggus that are awake.
    children: Map<GongguId, Child>,
    gonggus: Map<ActorId, GongguId>,
    /// Aborted when the shell is dropped.
    tasks: JoinSet<()>,
    /// The one of them that reads the log.
    reader: Option<AbortHandle>,
    started: tokio::time::Instant,
}

impl Actor for Partition {
    type Msg = PartitionMessage;
    type State = PartitionShell;
    type Arguments = PartitionArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<PartitionMessage>,
        arguments: PartitionArguments,
    ) -> Result<PartitionShell, ActorProcessingErr> {
        let context = Arc::new(GongguContext {
            partition: myself.clone(),
            store: Arc::clone(&arguments.deps.store),
            config: arguments.config.clone(),
            #[cfg(test)]
            hook: arguments.deps.hook.clone(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(tasks::open(
            myself.clone(),
            arguments.id,
            arguments.deps.clone(),
            arguments.config.clone(),
        ));
        myself.send_interval(arguments.config.idle_check_interval, || PartitionMessage::IdleCheck);
        Ok(PartitionShell {
            arguments,
            context,
            state: None,
            children: Map::default(),
            gonggus: Map::default(),
            tasks,
            reader: None,
            started: tokio::time::Instant::now(),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<PartitionMessage>,
        message: PartitionMessage,
        shell: &mut PartitionShell,
    ) -> Result<(), ActorProcessingErr> {
        while shell.tasks.try_join_next().is_some() {}
        let now = shell.now();
        let effects = match (message, shell.state.as_mut()) {
            (PartitionMessage::Opened { owner, progress, history, quarantined }, None) => {
                let after = progress.as_ref().map(|progress| progress.position);
                shell.update_status(|status| {
                    status.progress.clone_from(&progress);
                });
                shell.release(after).await;
                let arguments = &shell.arguments;
                let (id, config) = (arguments.id, &arguments.config);
                let retired = arguments.deps.retired.clone();
                let opened = PartitionState::new(id, owner, config, progress, *history, quarantined, retired);
                shell.state = Some(opened);
                let read = tasks::read(
                    myself.clone(),
                    arguments.id,
                    arguments.deps.clone(),
                    after,
                    arguments.config.clone(),
                    arguments.is_shared,
                );
                shell.reader = Some(shell.tasks.spawn(read));
                Vec::new()
            }
            (PartitionMessage::Failed(problem), _) => return Err(problem.into()),
            (PartitionMessage::Refused(problem), _) => {
                tracing::error!(partition.id = %shell.arguments.id, partition.problem = problem,
                    "a partition cannot be judged as things are");
                shell.update_status(|status| status.step = PartitionStep::Refused { problem });
                myself.stop(None);
                Vec::new()
            }
            (PartitionMessage::Stopped(problem), _) => {
                shell.stop(&myself, problem);
                Vec::new()
            }
            (PartitionMessage::NoMore(problem), Some(state)) => state.no_more(problem),
            (PartitionMessage::Leave, Some(state)) => state.leave(),
            (PartitionMessage::Leave, None) => {
                myself.stop(None);
                Vec::new()
            }
            (PartitionMessage::ReaderOpened, _) => {
                shell.update_status(|status| status.step = PartitionStep::Running);
                Vec::new()
            }
            (PartitionMessage::Read(batch), Some(state)) => state.read(*batch, now),
            (PartitionMessage::EndOfLog, Some(state)) => state.end_of_log(),
            (PartitionMessage::Loaded { batch, states }, Some(state)) => state.loaded(batch, states, now),
            (PartitionMessage::Folded(folded), Some(state)) => state.folded(*folded, now),
            (PartitionMessage::Stored, Some(state)) => state.stored(now),
            (PartitionMessage::IdleCheck, Some(state)) => {
                let leaving = state.idle(now);
                shell.update_gonggus();
                leaving
            }
            (_, _) => Vec::new(),
        };
        shell.carry_out(&myself, effects).await
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<PartitionMessage>,
        event: SupervisionEvent,
        shell: &mut PartitionShell,
    ) -> Result<(), ActorProcessingErr> {
        let (actor, problem) = match event {
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => return Ok(()),
            SupervisionEvent::ActorTerminated(actor, _, _) => (actor, "stopped".to_owned()),
            SupervisionEvent::ActorFailed(actor, error) => (actor, error.to_string()),
        };
        let Some(gonggu_id) = shell.gonggus.remove(&actor.get_id()) else { return Ok(()) };
        let Some(child) = shell.children.remove(&gonggu_id) else { return Ok(()) };
        let position = Position(child.folding_position.load(Ordering::Relaxed));
        tracing::error!(gonggu.id = %gonggu_id, log.position = %position, gonggu.problem = problem,
            "a gonggu's actor failed and will be loaded again");
        metrics::counter!("judge_gonggu_failures_total").increment(1);
        let Some(state) = shell.state.as_mut() else { return Ok(()) };
        let effects = state.failed(gonggu_id, child.generation, position)?;
        shell.carry_out(&myself, effects).await
    }
}

impl PartitionShell {
    /// A monotonic time for idleness; never compared with anything outside this shell.
    fn now(&self) -> UnixMillis {
        UnixMillis(self.started.elapsed().as_millis() as i64)
    }

    async fn carry_out(
        &mut self,
        myself: &ActorRef<PartitionMessage>,
        effects: Vec<Effect>,
    ) -> Result<(), ActorProcessingErr> {
        for effect in effects {
            match effect {
                Effect::Load { batch, requests } => self.load(myself, batch, requests),
                Effect::Fold { gonggu_id, generation, state, chain, terms } => {
                    let fold = Fold { state, chain, terms };
                    self.fold(myself, gonggu_id, generation, fold).await?;
                }
                Effect::Store(batch) => {
                    let (deps, config) = (self.arguments.deps.clone(), self.arguments.config.clone());
                    self.tasks.spawn(tasks::store(myself.clone(), batch, deps, config));
                }
                Effect::Announce { progress, totals } => self.announce(progress, &totals).await,
                Effect::Stop(gonggu_id) => {
                    if let Some(child) = self.children.remove(&gonggu_id) {
                        self.gonggus.remove(&child.actor.get_id());
                        child.actor.stop(None);
                    }
                }
                Effect::StopReading => {
                    if let Some(reader) = self.reader.take() {
                        reader.abort();
                    }
                }
                Effect::Stopped(problem) => self.stop(myself, problem),
                Effect::Drained => {
                    self.update_status(|status| status.step = PartitionStep::Drained);
                    myself.stop(None);
                }
            }
        }
        Ok(())
    }

    fn load(&mut self, myself: &ActorRef<PartitionMessage>, batch: u64, requests: Vec<LoadRequest>) {
        let Some(state) = &self.state else { return };
        let history = state.history().clone();
        let store = Arc::clone(&self.arguments.deps.store);
        let config = self.arguments.config.clone();
        self.tasks.spawn(tasks::load(myself.clone(), batch, requests, history, store, config));
    }

    /// Hands a gonggu's share to its actor, which is started first if there is none. There never is one of
    /// another generation: a gonggu is loaded again only after its actor has left or failed.
    async fn fold(
        &mut self,
        myself: &ActorRef<PartitionMessage>,
        gonggu_id: GongguId,
        generation: u64,
        fold: Fold,
    ) -> Result<(), ActorProcessingErr> {
        if let Some(child) = self.children.get(&gonggu_id) {
            // An actor that is gone has sent its supervisor an event, which mends it.
            let _ = child.actor.send_message(fold);
            return Ok(());
        }
        let folding_position = Arc::new(AtomicU64::new(0));
        let arguments = GongguArguments {
            id: gonggu_id,
            generation,
            folding_position: Arc::clone(&folding_position),
            context: Arc::clone(&self.context),
        };
        // Nothing is waited for: its start does nothing, and runs here rather than in a task of its own.
        let (actor, _) = Actor::spawn_linked(None, Gonggu, arguments, myself.get_cell()).await?;
        let _ = actor.send_message(fold);
        self.gonggus.insert(actor.get_id(), gonggu_id);
        self.children.insert(gonggu_id, Child { actor, generation, folding_position });
        Ok(())
    }

    async fn announce(&self, progress: PartitionProgress, totals: &[(GongguId, LiveTotals)]) {
        self.release(Some(progress.position)).await;
        self.arguments.deps.counters.publish(totals).await;
        self.update_gonggus();
        self.update_status(|status| {
            status.progress = Some(progress);
            status.batches_stored += 1;
        });
        measure(&self.arguments.status.borrow());
    }

    fn update_gonggus(&self) {
        let (live, awake) = self.state.as_ref().map_or((0, 0), PartitionState::gonggus);
        let changed = self.arguments.status.send_if_modified(|statuses| {
            let Some(status) = statuses.get_mut(&self.arguments.id) else { return false };
            let is_new = (status.live_gonggus, status.awake_gonggus) != (live, awake);
            (status.live_gonggus, status.awake_gonggus) = (live, awake);
            is_new
        });
        if changed {
            measure(&self.arguments.status.borrow());
        }
    }

    /// The alarm: this partition ends, and the others go on.
    fn stop(&mut self, myself: &ActorRef<PartitionMessage>, problem: String) {
        tracing::error!(partition.id = %self.arguments.id, partition.problem = problem,
            "a partition stopped: what follows in its log cannot be judged as things are");
        self.tasks.abort_all();
        self.update_status(|status| {
            status.step = PartitionStep::Stopped { problem };
            status.live_gonggus = 0;
            status.awake_gonggus = 0;
        });
        measure(&self.arguments.status.borrow());
        myself.stop(None);
    }

    async fn release(&self, position: Option<LogPosition>) {
        if let Some(position) = position {
            self.arguments.deps.log.release(self.arguments.id, "judge", position).await;
        }
    }

    fn update_status(&self, update: impl FnOnce(&mut PartitionStatus)) {
        self.arguments.status.send_modify(|statuses| {
            if let Some(status) = statuses.get_mut(&self.arguments.id) {
                update(status);
            }
        });
    }
}
