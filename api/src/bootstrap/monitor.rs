//! A few times a second: how each part is, for readiness and metrics.

use super::Opened;
use super::background::{ArchiveStatus, JudgingStatus};
use crate::tracking::links::Links;
use gonggumoa_actors::PartitionStep;
use gonggumoa_core::log::{ClickSink, SinkHealth};
use sqlx::PgPool;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Often enough that a start is called ready soon after it is.
const INTERVAL: Duration = Duration::from_millis(250);
/// A database that needs longer for nothing is not ready.
const PING_TIME: Duration = Duration::from_secs(2);

pub(super) fn spawn(
    opened: &Opened,
    pool: &PgPool,
    links: Arc<Links>,
    judging: JudgingStatus,
    archive: ArchiveStatus,
) -> JoinHandle<()> {
    let journal = opened.journal.clone();
    let pool = pool.clone();
    let database_part = opened.readiness.part("database");
    let journal_part = opened.readiness.part("journal");
    let judge_part = opened.readiness.part("judge");
    let archive_part = opened.readiness.part("archive");
    let links_part = opened.readiness.part("links");
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(INTERVAL);
        loop {
            ticks.tick().await;
            match journal.health() {
                SinkHealth::Ready => journal_part.ready(),
                SinkHealth::Full => journal_part.not_ready("full"),
                SinkHealth::Poisoned(reason) => journal_part.not_ready(format!("poisoned: {reason}")),
            }
            let stats = journal.stats();
            metrics::gauge!("journal_bytes").set(stats.bytes as f64);
            metrics::gauge!("journal_segments").set(stats.segments as f64);
            metrics::gauge!("journal_durable_sequence").set(stats.durable_sequence as f64);
            let stored = stored_through(&judging);
            metrics::gauge!("judge_backlog_records")
                .set(stats.durable_sequence.saturating_sub(stored) as f64);
            match judging_problem(&judging) {
                None => judge_part.ready(),
                Some(problem) => judge_part.not_ready(problem),
            }
            match archive.failure() {
                None => archive_part.ready(),
                Some(problem) => archive_part.not_ready(problem),
            }
            metrics::gauge!("archive_through_sequence").set(archive.through() as f64);
            if links.is_synced() {
                links_part.ready();
            } else {
                links_part.not_ready("not in step with the database");
            }
            metrics::gauge!("links").set(links.len() as f64);
            let ping = tokio::time::timeout(PING_TIME, sqlx::query("SELECT 1").execute(&pool));
            match ping.await {
                Ok(Ok(_)) => database_part.ready(),
                Ok(Err(_)) | Err(_) => database_part.not_ready("does not answer"),
            }
        }
    })
}

fn stored_through(judging: &JudgingStatus) -> u64 {
    let statuses = judging.borrow();
    let stored = statuses.values().filter_map(|status| status.progress.as_ref());
    stored.map(|progress| progress.position.through.0).min().unwrap_or(0)
}

fn judging_problem(judging: &JudgingStatus) -> Option<String> {
    let statuses = judging.borrow();
    if statuses.is_empty() {
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
