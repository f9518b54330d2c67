//! What the rest of the program sees of the actors: a cheap handle and a status to watch.

use crate::root::{Root, RootArguments, RootMessage};
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::{PartitionId, Position, RunId};
use gonggumoa_core::judge::rules::RulesSettings;
use gonggumoa_core::judged::JudgedPublisher;
use gonggumoa_core::live::Counters;
use gonggumoa_core::log::ClickLog;
use gonggumoa_core::store::{ClickStore, PartitionProgress};
use ractor::{Actor, ActorRef};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// Bounds of the judging side; the edge never waits for any of them.
#[derive(Clone, Debug)]
pub struct TrackingConfig {
    /// Most entries of one batch. A larger one spreads a transaction's cost over more clicks; this one
    /// is judged in under 10 ms and stored in well under a second.
    pub batch_entries_max: usize,
    /// Least time between the starts of two batches that were not full. A transaction's sync makes clicks
    /// that come at the same moment wait: two a second are too few to reach the 99th percentile, and figures
    /// are still under a second old.
    pub batch_interval: Duration,
    /// A gonggu without clicks for this long keeps its state in memory, but no actor: many times the
    /// least interval of batches, so that one that is clicked steadily keeps it.
    pub rest_after: Duration,
    /// Most gonggus with an actor, besides those of the batches under way; beyond it the longest idle rest
    /// early. An actor takes some 7 KB more than its gonggu's state, and starting one anew some
    /// microseconds: with the standard number at most 0.7 GB, and no starts up to 20,000 clicks/s
    /// of which each is for another gonggu.
    pub awake_gonggus_max: usize,
    /// Clicks a second above which a partition gives way to the edge, see `partition::rhythm`.
    pub rush_clicks_per_second: u64,
    /// How long it gives way at most before it is level again. Zero: never, as is right for a judge with no
    /// edge in its process.
    pub rush_pause_max: Duration,
    /// Entries that it may fall behind by while it gives way: a part of what the log has room for.
    pub rush_backlog_max: u64,
    /// A gonggu without clicks for this long leaves memory. Longer than the usual windows, so that a
    /// gonggu rarely loads clicks that still matter.
    pub idle_after: Duration,
    /// Most gonggus in memory; beyond it the longest idle leave early. One at rest takes some 2 KB, and
    /// 31 B for each visitor inside the windows.
    pub live_gonggus_max: usize,
    /// How often idle gonggus are looked for.
    pub idle_check_interval: Duration,
    /// A call of the store that takes longer is given up and made again: its connection may be dead
    /// without a word. Far above the slowest batch seen; repeating one is safe.
    pub store_timeout: Duration,
    /// First wait after a failure of the store or of an actor; doubled up to `retry_max`.
    pub retry_min: Duration,
    /// Longest wait between two tries.
    pub retry_max: Duration,
}

impl Default for TrackingConfig {
    fn default() -> Self {
        Self {
            batch_entries_max: 32_768,
            batch_interval: Duration::from_millis(500),
            rest_after: Duration::from_secs(5),
            awake_gonggus_max: 100_000,
            rush_clicks_per_second: 30_000,
            rush_pause_max: Duration::from_secs(10),
            rush_backlog_max: 2_000_000,
            idle_after: Duration::from_secs(600),
            idle_check_interval: Duration::from_secs(1),
            live_gonggus_max: 200_000,
            store_timeout: Duration::from_secs(60),
            retry_min: Duration::from_millis(50),
            retry_max: Duration::from_secs(5),
        }
    }
}

/// What the actors work with.
#[derive(Clone)]
pub struct TrackingDeps {
    /// The log to judge.
    pub log: Arc<dyn ClickLog>,
    /// Where verdicts go.
    pub store: Arc<dyn ClickStore>,
    /// Who is told the live totals.
    pub counters: Arc<dyn Counters>,
    /// The rules as configured now; a version is made of them if they differ from the one in force.
    pub rules: RulesSettings,
    /// Who else is told each verdict, before it is stored.
    pub publisher: Option<Arc<dyn JudgedPublisher>>,
    /// Runs that an admin says are over: in a shared log they no longer hold `complete_through` back.
    pub retired: watch::Receiver<Arc<BTreeSet<RunId>>>,
    /// Called before each fold, to make it fail.
    #[cfg(test)]
    pub(crate) hook: Option<crate::gonggu::FoldHook>,
}

/// A change in what this process judges, as the engine that shares the partitions out says it.
#[derive(Debug)]
pub enum AssignmentChange {
    /// These are ours from now on.
    Assigned(Vec<PartitionId>),
    /// These go to somebody else as soon as `done` is told: what is being judged is stored first.
    Revoked {
        /// Which.
        partitions: Vec<PartitionId>,
        /// To be told when they are let go.
        done: oneshot::Sender<()>,
    },
    /// These may be somebody else's already: they are dropped at once, what was not stored is judged there.
    Lost(Vec<PartitionId>),
}

/// Which partitions this process judges.
#[derive(Debug)]
pub enum Assignments {
    /// All that the log has, for as long as it runs.
    All,
    /// Those that it is told; none at first.
    Changing(mpsc::Receiver<AssignmentChange>),
}

/// Why tracking cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TrackingError {
    /// The actor system refused.
    #[error("the tracking actors could not be started: {0}")]
    Spawn(String),
}

impl TrackingError {
    /// Whether the same call may work later.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Spawn(_) => false,
        }
    }
}

/// What a partition is doing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PartitionStep {
    /// Asking log and store where it stands.
    Opening,
    /// Judging and storing.
    Running,
    /// It can never run as things are (a store of another history, rules this binary cannot run): the
    /// process should not go on as if it could.
    Refused {
        /// Why.
        problem: String,
    },
    /// What follows in its log cannot be judged (a missing record, one of a newer version, a place that the
    /// log does not hold): all before it is stored. It rests until it is assigned anew or the process starts
    /// again; the other partitions go on.
    Stopped {
        /// Why.
        problem: String,
    },
    /// Failed; will be opened again.
    Restarting {
        /// What failed.
        problem: String,
    },
    /// Everything in the closed log is stored.
    Drained,
}

impl PartitionStep {
    /// Whether the partition ended for good: it is not opened again while it stays assigned.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::Stopped { .. } | Self::Drained => true,
            Self::Opening | Self::Running | Self::Restarting { .. } => false,
        }
    }
}

/// A partition's place and health.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionStatus {
    /// What it is doing.
    pub step: PartitionStep,
    /// How far it is stored.
    pub progress: Option<PartitionProgress>,
    /// Gonggus in memory.
    pub live_gonggus: usize,
    /// Those of them that have an actor.
    pub awake_gonggus: usize,
    /// How often it was started again.
    pub restarts: u64,
    /// Batches stored since it was last started.
    pub batches_stored: u64,
}

impl PartitionStatus {
    pub(crate) fn opening() -> Self {
        Self {
            step: PartitionStep::Opening,
            progress: None,
            live_gonggus: 0,
            awake_gonggus: 0,
            restarts: 0,
            batches_stored: 0,
        }
    }
}

pub(crate) type StatusMap = BTreeMap<PartitionId, PartitionStatus>;

/// What the statuses add up to, for metrics.
pub(crate) fn measure(statuses: &StatusMap) {
    let sum = |of: fn(&PartitionStatus) -> usize| statuses.values().map(of).sum::<usize>() as f64;
    metrics::gauge!("judge_live_gonggus").set(sum(|status| status.live_gonggus));
    metrics::gauge!("judge_awake_gonggus").set(sum(|status| status.awake_gonggus));
    let stopped = sum(|status| usize::from(matches!(status.step, PartitionStep::Stopped { .. })));
    metrics::gauge!("judge_partitions_stopped").set(stopped);
    metrics::gauge!("judge_partitions").set(statuses.len() as f64);
    let progress = statuses.values().filter_map(|status| status.progress.as_ref());
    // 0 without a partition: no old figure stays that an alarm would take for one that stands still.
    let through = progress.map(PartitionProgress::complete_through).min().unwrap_or_default();
    metrics::gauge!("judge_complete_through_seconds").set(through.0 as f64 / 1_000.0);
}

/// A cheap handle on the judging side.
#[derive(Clone)]
pub struct TrackingHandle {
    pub(crate) root: ActorRef<RootMessage>,
    status: watch::Receiver<StatusMap>,
}

/// Starts the actors on the runtime of the caller. The status shows the partitions that are ours, and no others.
///
/// # Errors
/// When the actor system itself refuses; a log or store that cannot be reached is not an error but a
/// status: it is tried again.
pub async fn spawn(
    config: TrackingConfig,
    deps: TrackingDeps,
    assignments: Assignments,
) -> Result<TrackingHandle, TrackingError> {
    let statuses = match &assignments {
        Assignments::All => {
            deps.log.partitions().into_iter().map(|id| (id, PartitionStatus::opening())).collect()
        }
        Assignments::Changing(_) => StatusMap::new(),
    };
    let (sender, status) = watch::channel(statuses);
    let arguments = RootArguments { config, deps, status: Arc::new(sender), assignments };
    let (root, _) =
        Actor::spawn(None, Root, arguments).await.map_err(|error| TrackingError::Spawn(error.to_string()))?;
    Ok(TrackingHandle { root, status })
}

impl TrackingHandle {
    /// Status of every partition, now.
    pub fn status(&self) -> BTreeMap<PartitionId, PartitionStatus> {
        self.status.borrow().clone()
    }

    /// Status of every partition, to be watched.
    pub fn watch(&self) -> watch::Receiver<BTreeMap<PartitionId, PartitionStatus>> {
        self.status.clone()
    }

    /// The time before which every click is stored, over all partitions.
    pub fn complete_through(&self) -> UnixMillis {
        self.status
            .borrow()
            .values()
            .map(|status| {
                status.progress.as_ref().map_or(UnixMillis::MIN, PartitionProgress::complete_through)
            })
            .min()
            .unwrap_or(UnixMillis::MIN)
    }

    /// Waits until the partition is stored through `position`; false at the deadline.
    pub async fn stored_through(
        &self,
        partition: PartitionId,
        position: Position,
        deadline: Duration,
    ) -> bool {
        self.wait(deadline, |statuses| {
            statuses
                .get(&partition)
                .and_then(|status| status.progress.as_ref())
                .is_some_and(|progress| progress.position.through >= position)
        })
        .await
    }

    /// Waits until all that is in the closed log is stored, then stops the actors. False when the
    /// deadline came first: what is not stored stays in the log for the next start.
    pub async fn drain(&self, deadline: Duration) -> bool {
        // A partition that refused or stopped will never drain: nothing to wait for.
        let ended = |status: &PartitionStatus| status.step.is_final();
        let drained = self.wait(deadline, |statuses| statuses.values().all(ended)).await
            && self.status.borrow().values().all(|status| status.step == PartitionStep::Drained);
        let _ = self.root.get_cell().stop_and_wait(None, Some(Duration::from_secs(1))).await;
        drained
    }

    async fn wait(&self, deadline: Duration, reached: impl FnMut(&StatusMap) -> bool) -> bool {
        let mut status = self.status.clone();
        matches!(tokio::time::timeout(deadline, status.wait_for(reached)).await, Ok(Ok(_)))
    }
}
