//! The side that may lag: judging, archive, click counts, retention, on threads that step back for the
//! edge.

use super::preparing::Prepared;
use super::{Opened, Stop, engines, objects};
use crate::{priority, shared_log};
use anyhow::Context;
use gonggumoa_actors::kafka::membership::{self, Membership};
use gonggumoa_actors::kafka::publisher::KafkaJudgedPublisher;
use gonggumoa_actors::{
    Assignments, PartitionStatus, PartitionStep, TrackingConfig, TrackingDeps, TrackingHandle,
};
use gonggumoa_analytics::archive::{self, ArchiveConfig, ArchiveHandle};
use gonggumoa_analytics::click_count::{self, ClickCountHandle};
use gonggumoa_analytics::retention::{self, RetentionConfig, RetentionHandle};
use gonggumoa_core::clock::SystemClock;
use gonggumoa_core::ids::{PartitionId, RunId};
use gonggumoa_core::judge::rules::RulesSettings;
use gonggumoa_core::judged::JudgedPublisher;
use gonggumoa_core::live::Counters;
use gonggumoa_core::log::ClickLog;
use parking_lot::Mutex;
use sqlx::PgPool;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// How far the judging threads step back: with 10 the edge gets nine tenths of a contended core.
const JUDGING_NICE: i32 = 10;
/// Store, archive, click counts and retention each use one connection at a time; loading uses a few.
const JUDGING_CONNECTIONS_MAX: u32 = 8;
/// Long records take a kilobyte: of the journal's room a rush gets a quarter before the store catches up.
const JOURNAL_BYTES_PER_RUSHED_CLICK: u64 = 4 * 1_024;

/// Status of the partitions, empty until the judging side has started.
pub(super) type JudgingStatus = watch::Receiver<BTreeMap<PartitionId, PartitionStatus>>;

struct Parts {
    tracking: TrackingHandle,
    archive: ArchiveHandle,
    click_count: ClickCountHandle,
    retention: RetentionHandle,
    shared: Option<SharedParts>,
    /// Which partitions are judged here, for the archive.
    assigned: AbortOnDropHandle<()>,
    pool: PgPool,
}

/// What only a judge of a shared log has.
struct SharedParts {
    membership: Membership,
    lag: AbortOnDropHandle<()>,
    retired: AbortOnDropHandle<()>,
}

/// How the archive is doing. Cheap to clone.
#[derive(Clone)]
pub(super) struct ArchiveStatus(Arc<Mutex<Option<Parts>>>);

impl ArchiveStatus {
    /// What keeps it from writing.
    pub(super) fn failure(&self) -> Option<String> {
        self.0.lock().as_ref().and_then(|parts| parts.archive.failure())
    }

    /// The last archived position; 0 before the first.
    pub(super) fn through(&self) -> u64 {
        let parts = self.0.lock();
        let through = parts.iter().flat_map(|parts| parts.archive.through());
        through.map(|(_, position)| position.0).min().unwrap_or(0)
    }
}

/// The judging side while it runs.
pub(super) struct Judging {
    runtime: tokio::runtime::Runtime,
    parts: Arc<Mutex<Option<Parts>>>,
    status: JudgingStatus,
    /// Why it can never start, if so.
    failure: Arc<Mutex<Option<anyhow::Error>>>,
}

impl Judging {
    /// Starts it on threads of its own, as soon as the database is prepared.
    pub(super) fn start(
        opened: &Opened,
        counters: Arc<dyn Counters>,
        prepared: Prepared,
        stop: Stop,
    ) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .thread_name("judging")
            .on_thread_start(|| priority::lower_this_thread_priority(JUDGING_NICE))
            .enable_all()
            .build()
            .context("cannot start the judging threads")?;
        let (sender, status) = watch::channel(BTreeMap::new());
        let parts = Arc::new(Mutex::new(None));
        let failure = Arc::new(Mutex::new(None));
        let starting = Starting::new(opened, counters, &stop);
        let (parts_slot, failure_slot) = (Arc::clone(&parts), Arc::clone(&failure));
        runtime.spawn(async move {
            if !prepared.wait(&stop).await {
                return;
            }
            match Box::pin(starting.run()).await {
                Ok(None) => {}
                Ok(Some(started)) => {
                    let mut inner = started.tracking.watch();
                    *parts_slot.lock() = Some(started);
                    loop {
                        let statuses = inner.borrow_and_update().clone();
                        if let Some(problem) = refusal(&statuses) {
                            *failure_slot.lock() = Some(anyhow::anyhow!("{problem}"));
                            stop.now();
                        }
                        sender.send_replace(statuses);
                        if inner.changed().await.is_err() {
                            return;
                        }
                    }
                }
                Err(error) => {
                    *failure_slot.lock() = Some(error);
                    stop.now();
                }
            }
        });
        Ok(Self { runtime, parts, status, failure })
    }

    pub(super) fn status(&self) -> JudgingStatus {
        self.status.clone()
    }

    pub(super) fn archive(&self) -> ArchiveStatus {
        ArchiveStatus(Arc::clone(&self.parts))
    }

    /// Waits until every partition reads its log, or has said why it cannot; not longer than `time`.
    pub(super) async fn settled(&self, time: Duration) {
        let mut status = self.status();
        let settled = status.wait_for(|statuses| {
            !statuses.is_empty() && statuses.values().all(|status| status.step != PartitionStep::Opening)
        });
        let _ = tokio::time::timeout(time, settled).await;
    }

    /// Stores what the closed journal holds, as far as `time` allows, and ends.
    pub(super) async fn stop(self, time: Duration) -> anyhow::Result<()> {
        let parts = self.parts.lock().take();
        let deadline = tokio::time::Instant::now() + time;
        if let Some(mut parts) = parts {
            if let Some(shared) = parts.shared.take() {
                // Each partition is stored before it is let go.
                if tokio::time::timeout_at(deadline, shared.membership.leave()).await.is_err() {
                    tracing::warn!(
                        "the group of judges was not left in time; others take over after a while"
                    );
                }
                drop((shared.lag, shared.retired));
            }
            if !parts.tracking.drain(deadline - tokio::time::Instant::now()).await {
                tracing::warn!("not everything could be stored in time; the rest stays in the journal");
            }
            let ending = async {
                drop(parts.assigned);
                parts.retention.stop().await;
                parts.archive.stop().await;
                parts.click_count.stop().await;
                parts.pool.close().await;
            };
            if tokio::time::timeout(Duration::from_secs(2), ending).await.is_err() {
                tracing::warn!("a background task did not end in time");
            }
        }
        self.runtime.shutdown_background();
        match self.failure.lock().take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

fn refusal(statuses: &BTreeMap<PartitionId, PartitionStatus>) -> Option<String> {
    statuses.iter().find_map(|(id, status)| match &status.step {
        PartitionStep::Refused { problem } => Some(format!("partition {id} cannot be judged: {problem}")),
        PartitionStep::Opening
        | PartitionStep::Running
        | PartitionStep::Stopped { .. }
        | PartitionStep::Restarting { .. }
        | PartitionStep::Drained => None,
    })
}

/// What starting needs, owned, since it may happen later.
struct Starting {
    config: crate::config::Config,
    database: Arc<crate::database::Database>,
    address_key: gonggumoa_core::visitor::AddressKey,
    data_dir: std::path::PathBuf,
    journal: Option<gonggumoa_core::log::journal::Journal>,
    counters: Arc<dyn Counters>,
    stop: Stop,
}

/// The log that is judged, and how its partitions come here.
struct Judged {
    log: Arc<dyn ClickLog>,
    assignments: Assignments,
    publisher: Option<Arc<dyn JudgedPublisher>>,
    retired: watch::Receiver<Arc<BTreeSet<RunId>>>,
    shared: Option<SharedParts>,
}

impl Starting {
    fn new(opened: &Opened, counters: Arc<dyn Counters>, stop: &Stop) -> Self {
        Self {
            config: opened.config.clone(),
            database: Arc::clone(&opened.database),
            address_key: opened.secrets.address_key.clone(),
            data_dir: opened.data_dir.clone(),
            journal: opened.journal.clone(),
            counters,
            stop: stop.clone(),
        }
    }

    async fn run(self) -> anyhow::Result<Option<Parts>> {
        let pool = self.database.pool(JUDGING_CONNECTIONS_MAX);
        let Some(stores) = engines::stores(&self.config, &pool, &self.stop).await? else { return Ok(None) };
        let objects = objects::objects(&self.config, &self.data_dir).await?;
        let Some(judged) = self.judged(&pool).await? else { return Ok(None) };
        let deps = TrackingDeps {
            log: Arc::clone(&judged.log),
            store: Arc::clone(&stores.clicks),
            counters: Arc::clone(&self.counters),
            rules: rules(&self.config, self.address_key.fingerprint()),
            publisher: judged.publisher,
            retired: judged.retired,
        };
        let config = self.tracking_config();
        let tracking = gonggumoa_actors::spawn(config, deps, judged.assignments).await?;
        let (ours, assigned) = ours(tracking.watch());
        let archive = archive::spawn_assigned(
            ArchiveConfig::default(),
            judged.log,
            stores.clicks,
            Arc::clone(&objects),
            ours,
        );
        let retention = RetentionConfig {
            ip_retention_days: self.config.retention.ip_days,
            click_retention_months: self.config.retention.click_months,
        };
        let retention =
            retention::spawn(retention, Arc::clone(&stores.recorded), objects, Arc::new(SystemClock));
        let click_count = click_count::spawn(stores.recorded);
        Ok(Some(Parts { tracking, archive, click_count, retention, shared: judged.shared, assigned, pool }))
    }

    fn tracking_config(&self) -> TrackingConfig {
        // Without an edge in this process there is nobody to give way to.
        let pause_max = if self.journal.is_some() { self.config.rush.pause_max } else { Duration::ZERO };
        TrackingConfig {
            rush_clicks_per_second: self.config.rush.clicks_per_second,
            rush_pause_max: pause_max,
            rush_backlog_max: self.config.journal.max_bytes / JOURNAL_BYTES_PER_RUSHED_CLICK,
            ..TrackingConfig::default()
        }
    }

    /// The shared log, or this process's own. `None`: the process stops first.
    async fn judged(&self, pool: &PgPool) -> anyhow::Result<Option<Judged>> {
        let Some(settings) = &self.config.cluster.kafka else {
            let journal = self.journal.clone().context("a judge without Kafka needs a journal of its own")?;
            return Ok(Some(Judged {
                log: Arc::new(journal),
                assignments: Assignments::All,
                publisher: None,
                retired: watch::channel(Arc::default()).1,
                shared: None,
            }));
        };
        let Some(epoch) = engines::shared_log(settings, pool, &self.stop).await? else { return Ok(None) };
        let Some(log) = engines::kafka_log(settings, epoch, &self.stop).await? else { return Ok(None) };
        let log = Arc::new(log);
        let (retired, retired_task) = shared_log::watch_retired(pool.clone());
        let (changes, membership) = membership::join(&settings.config)?;
        let lag = AbortOnDropHandle::new(log.watch_lag(membership.assigned()));
        Ok(Some(Judged {
            log,
            assignments: Assignments::Changing(changes),
            publisher: Some(Arc::new(KafkaJudgedPublisher::new(&settings.config)?)),
            retired,
            shared: Some(SharedParts { membership, lag, retired: retired_task }),
        }))
    }
}

/// The partitions that are judged here, as they change.
fn ours(mut statuses: JudgingStatus) -> (watch::Receiver<BTreeSet<PartitionId>>, AbortOnDropHandle<()>) {
    let ids = |statuses: &JudgingStatus| statuses.borrow().keys().copied().collect::<BTreeSet<_>>();
    let (sender, ours) = watch::channel(ids(&statuses));
    let task = tokio::spawn(async move {
        while statuses.changed().await.is_ok() {
            statuses.mark_unchanged();
            let now = ids(&statuses);
            sender.send_if_modified(|held| {
                let changed = *held != now;
                *held = now;
                changed
            });
        }
        // The actors ended; the archive takes in what was stored before it is stopped.
        std::future::pending::<()>().await;
    });
    (ours, AbortOnDropHandle::new(task))
}

/// The rules as configured: the shipped patterns with this start's thresholds.
fn rules(config: &crate::config::Config, key_fingerprint: String) -> RulesSettings {
    let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    RulesSettings {
        dedup_window_millis: millis(config.rules.dedup_window),
        limits: config.rules.limits.clone(),
        member_age_millis: millis(config.rules.member_age),
        ..RulesSettings::standard(key_fingerprint)
    }
}
