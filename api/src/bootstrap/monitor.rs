//! A few times a second: how each part is, for readiness and metrics.

use super::Opened;
use super::background::{ArchiveStatus, JudgingStatus};
use crate::health::Part;
use crate::tracking::links::Links;
use gonggumoa_actors::PartitionStep;
use gonggumoa_actors::forwarder::{ForwarderStatus, ForwarderStep};
use gonggumoa_core::log::journal::Journal;
use gonggumoa_core::log::{ClickSink, SinkHealth};
use sqlx::PgPool;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Often enough that a start is called ready soon after it is.
const INTERVAL: Duration = Duration::from_millis(250);
/// A database that needs longer for nothing is not ready.
const PING_TIME: Duration = Duration::from_secs(2);

/// What is looked at, as far as the roles have it.
pub(super) struct Watched {
    pub(super) links: Option<Arc<Links>>,
    pub(super) judging: Option<(JudgingStatus, ArchiveStatus)>,
    pub(super) forwarding: Option<watch::Receiver<Option<ForwarderStatus>>>,
}

/// The parts that readiness is made of.
struct Parts {
    pool: PgPool,
    database: Part,
    journal: Option<(Journal, Part)>,
    judging: Option<Judging>,
    links: Option<(Arc<Links>, Part)>,
    /// It waits for Kafka without harm, so that an edge is ready without it; a word of it is shown.
    forwarding: Option<(watch::Receiver<Option<ForwarderStatus>>, Part)>,
}

struct Judging {
    status: JudgingStatus,
    judge: Part,
    archive: ArchiveStatus,
    archive_part: Part,
    /// It may have no partition at the moment.
    is_shared: bool,
}

pub(super) fn spawn(opened: &Opened, pool: &PgPool, watched: Watched) -> JoinHandle<()> {
    let part = |name| opened.readiness.part(name);
    let parts = Parts {
        pool: pool.clone(),
        database: part("database"),
        journal: opened.journal.clone().map(|journal| (journal, part("journal"))),
        judging: watched.judging.map(|(status, archive)| Judging {
            status,
            judge: part("judge"),
            archive,
            archive_part: part("archive"),
            is_shared: opened.config.cluster.kafka.is_some(),
        }),
        links: watched.links.map(|links| (links, part("links"))),
        forwarding: watched.forwarding.map(|status| (status, part("forwarder"))),
    };
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(INTERVAL);
        loop {
            ticks.tick().await;
            parts.look().await;
        }
    })
}

impl Parts {
    async fn look(&self) {
        let durable = self.journal.as_ref().map(|(journal, part)| look_at_journal(journal, part));
        if let Some(judging) = &self.judging {
            judging.look(durable);
        }
        if let Some((links, part)) = &self.links {
            if links.is_synced() {
                part.ready();
            } else {
                part.not_ready("not in step with the database");
            }
            metrics::gauge!("links").set(links.len() as f64);
        }
        if let Some((status, part)) = &self.forwarding {
            match status.borrow().as_ref().map(|status| &status.step) {
                Some(ForwarderStep::Restarting { problem }) => part.works_but(problem.clone()),
                Some(_) => part.ready(),
                None => part.works_but("waits for the database and the shared log"),
            }
        }
        let ping = tokio::time::timeout(PING_TIME, sqlx::query("SELECT 1").execute(&self.pool));
        match ping.await {
            Ok(Ok(_)) => self.database.ready(),
            Ok(Err(_)) | Err(_) => self.database.not_ready("does not answer"),
        }
    }
}

/// Returns the last durable sequence.
fn look_at_journal(journal: &Journal, part: &Part) -> u64 {
    match journal.health() {
        SinkHealth::Ready => part.ready(),
        SinkHealth::Full => part.not_ready("full"),
        SinkHealth::Poisoned(reason) => part.not_ready(format!("poisoned: {reason}")),
    }
    let stats = journal.stats();
    metrics::gauge!("journal_bytes").set(stats.bytes as f64);
    metrics::gauge!("journal_segments").set(stats.segments as f64);
    metrics::gauge!("journal_durable_sequence").set(stats.durable_sequence as f64);
    stats.durable_sequence
}

impl Judging {
    fn look(&self, durable: Option<u64>) {
        match judging_problem(&self.status, self.is_shared) {
            None => self.judge.ready(),
            Some(problem) => self.judge.not_ready(problem),
        }
        match self.archive.failure() {
            None => self.archive_part.ready(),
            Some(problem) => self.archive_part.not_ready(problem),
        }
        // Of a shared log positions are no numbers to subtract; its own lag says how far it is.
        if !self.is_shared
            && let Some(durable) = durable
        {
            let stored = stored_through(&self.status);
            metrics::gauge!("judge_backlog_records").set(durable.saturating_sub(stored) as f64);
            metrics::gauge!("archive_through_sequence").set(self.archive.through() as f64);
        }
    }
}

fn stored_through(judging: &JudgingStatus) -> u64 {
    let statuses = judging.borrow();
    let stored = statuses.values().filter_map(|status| status.progress.as_ref());
    stored.map(|progress| progress.position.through.0).min().unwrap_or(0)
}

fn judging_problem(judging: &JudgingStatus, is_shared: bool) -> Option<String> {
    let statuses = judging.borrow();
    if statuses.is_empty() && !is_shared {
        return Some("starting".to_owned());
    }
    statuses.values().find_map(|status| match &status.step {
        PartitionStep::Running | PartitionStep::Drained => None,
        PartitionStep::Opening => Some("opening".to_owned()),
        PartitionStep::Restarting { problem }
        | PartitionStep::Stopped { problem }
        | PartitionStep::Refused { problem } => Some(problem.clone()),
    })
}
