//! The side that may lag: judging, archive, click counts, retention, on threads that step back for the
//! edge.

use super::{Opened, Stop};
use crate::http::idempotency;
use crate::{admin_account, migrate, priority, secrets};
use anyhow::Context;
use gonggumoa_actors::{PartitionStatus, PartitionStep, TrackingConfig, TrackingDeps, TrackingHandle};
use gonggumoa_analytics::archive::{self, ArchiveConfig, ArchiveHandle};
use gonggumoa_analytics::click_count::{self, ClickCountHandle};
use gonggumoa_analytics::postgres::PostgresClickStore;
use gonggumoa_analytics::retention::{self, RetentionConfig, RetentionHandle};
use gonggumoa_core::clock::SystemClock;
use gonggumoa_core::ids::PartitionId;
use gonggumoa_core::judge::rules::RulesSettings;
use gonggumoa_core::live::MemoryCounters;
use parking_lot::Mutex;
use sqlx::PgPool;
use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// How far the judging threads step back: with 10 the edge gets nine tenths of a contended core.
const JUDGING_NICE: i32 = 10;
/// Store, archive, click counts and retention each use one connection at a time; loading uses a few.
const JUDGING_CONNECTIONS_MAX: u32 = 8;
/// Long records take a kilobyte: of the journal's room a rush gets a quarter before the store catches up.
const JOURNAL_BYTES_PER_RUSHED_CLICK: u64 = 4 * 1_024;
/// Pause between two tries to reach an operator's database.
const RETRY_PAUSE: Duration = Duration::from_secs(2);

/// Schema, key and admin are as they must be.
pub(super) struct Prepared(());

/// Migrates and checks the database. `None`: an operator's database that does not answer now, while a
/// snapshot of the links lets redirects go on; [`prepare_when_reachable`] prepares it later.
pub(super) async fn prepare_now(
    opened: &Opened,
    pool: &PgPool,
    stop: &CancellationToken,
) -> anyhow::Result<Option<Prepared>> {
    match prepare(opened, pool).await {
        Ok(prepared) => Ok(Some(prepared)),
        Err(error) if is_unreachable(&error) => {
            let has_snapshot = opened.links_snapshot().exists();
            tracing::error!(
                database.problem = format!("{error:#}"),
                links.snapshot = has_snapshot,
                "the database does not answer; with a snapshot of the links redirects go on without it"
            );
            if has_snapshot { Ok(None) } else { prepare_when_reachable(opened, pool, stop).await }
        }
        Err(error) => Err(error),
    }
}

/// The same, tried until it answers; `None` when the process stops first.
pub(super) async fn prepare_when_reachable(
    opened: &Opened,
    pool: &PgPool,
    stop: &CancellationToken,
) -> anyhow::Result<Option<Prepared>> {
    loop {
        if stop.run_until_cancelled(tokio::time::sleep(RETRY_PAUSE)).await.is_none() {
            return Ok(None);
        }
        match prepare(opened, pool).await {
            Ok(prepared) => return Ok(Some(prepared)),
            Err(error) if is_unreachable(&error) => {
                tracing::warn!(database.problem = format!("{error:#}"), "the database still does not answer");
            }
            Err(error) => return Err(error),
        }
    }
}

async fn prepare(opened: &Opened, pool: &PgPool) -> anyhow::Result<Prepared> {
    migrate::run(&opened.database.options()).await?;
    secrets::check_address_key(pool, &opened.secrets.address_key).await?;
    if let Some(admin) = &opened.config.admin {
        admin_account::create(pool, &admin.email, &admin.password).await?;
    }
    Ok(Prepared(()))
}

fn is_unreachable(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<migrate::SchemaError>().is_some_and(migrate::SchemaError::retryable)
            || cause.downcast_ref::<sqlx::Error>().is_some_and(migrate::may_pass)
    })
}

/// Status of the partitions, empty until the judging side has started.
pub(super) type JudgingStatus = watch::Receiver<BTreeMap<PartitionId, PartitionStatus>>;

struct Parts {
    tracking: TrackingHandle,
    archive: ArchiveHandle,
    click_count: ClickCountHandle,
    retention: RetentionHandle,
    idempotency: AbortOnDropHandle<()>,
    pool: PgPool,
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
        counters: Arc<MemoryCounters>,
        prepared: oneshot::Receiver<Prepared>,
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
        let starting = Starting::new(opened, counters);
        let (parts_slot, failure_slot) = (Arc::clone(&parts), Arc::clone(&failure));
        runtime.spawn(async move {
            // A sender that is dropped unused says that the database will never be ready.
            let Some(Ok(Prepared(()))) = stop.token.run_until_cancelled(prepared).await else { return };
            match starting.run().await {
                Ok(started) => {
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
        if let Some(parts) = parts {
            if !parts.tracking.drain(time).await {
                tracing::warn!("not everything could be stored in time; the rest stays in the journal");
            }
            let ending = async {
                drop(parts.idempotency);
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
        | PartitionStep::Restarting { .. }
        | PartitionStep::Drained => None,
    })
}

/// What starting needs, owned, since it may happen later.
struct Starting {
    config: crate::config::Config,
    database: Arc<crate::database::Database>,
    address_key: gonggumoa_core::visitor::AddressKey,
    archive_dir: std::path::PathBuf,
    journal: gonggumoa_core::log::journal::Journal,
    counters: Arc<MemoryCounters>,
}

impl Starting {
    fn new(opened: &Opened, counters: Arc<MemoryCounters>) -> Self {
        Self {
            config: opened.config.clone(),
            database: Arc::clone(&opened.database),
            address_key: opened.secrets.address_key.clone(),
            archive_dir: opened.data_dir.join("archive"),
            journal: opened.journal.clone(),
            counters,
        }
    }

    async fn run(self) -> anyhow::Result<Parts> {
        let pool = self.database.pool(JUDGING_CONNECTIONS_MAX);
        let store = Arc::new(PostgresClickStore::new(pool.clone()));
        let deps = TrackingDeps {
            log: Arc::new(self.journal.clone()),
            store: Arc::<PostgresClickStore>::clone(&store),
            counters: self.counters,
            rules: rules(&self.config, self.address_key.fingerprint()),
        };
        // It holds masked addresses, agents and account ids: nobody else's to read.
        DirBuilder::new().recursive(true).mode(0o700).create(&self.archive_dir)?;
        let objects = archive::local_folder(&self.archive_dir)?;
        let archive = archive::spawn(
            ArchiveConfig::default(),
            Arc::new(self.journal.clone()),
            Arc::<PostgresClickStore>::clone(&store),
            Arc::clone(&objects),
        );
        let config = TrackingConfig {
            rush_clicks_per_second: self.config.rush.clicks_per_second,
            rush_pause_max: self.config.rush.pause_max,
            rush_backlog_max: self.config.journal.max_bytes / JOURNAL_BYTES_PER_RUSHED_CLICK,
            ..TrackingConfig::default()
        };
        let tracking = gonggumoa_actors::spawn(config, deps).await?;
        let retention = RetentionConfig {
            ip_retention_days: self.config.retention.ip_days,
            click_retention_months: self.config.retention.click_months,
        };
        let retention = retention::spawn(
            retention,
            Arc::<PostgresClickStore>::clone(&store),
            objects,
            Arc::new(SystemClock),
        );
        let idempotency = idempotency::spawn_cleanup(pool.clone(), Arc::new(SystemClock));
        Ok(Parts { tracking, archive, click_count: click_count::spawn(store), retention, idempotency, pool })
    }
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
