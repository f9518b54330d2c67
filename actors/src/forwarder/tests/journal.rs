//! A real journal on a disk of its own, and what was recorded in it.

use super::*;
use gonggumoa_core::click::ClickFacts;
use gonggumoa_core::clock::SystemClock;
use gonggumoa_core::log::ClickSink;
use gonggumoa_core::log::conformance::facts;
use gonggumoa_core::log::journal::io::RealIo;
use gonggumoa_core::log::journal::{Journal, JournalConfig, JournalOpenError, PARTITION};
use gonggumoa_core::log::{ClickLog, LogError};
use std::sync::Arc;
use tempfile::TempDir;

/// An edge's disk: it stays when the edge is killed.
pub(super) struct Edge {
    pub(super) folder: TempDir,
    pub(super) journal: Journal,
    clicks: u64,
}

fn open(folder: &Path) -> Result<Journal, JournalOpenError> {
    let config = JournalConfig {
        segment_bytes: 64 << 10,
        disk_reserve_bytes: 0,
        mark_interval_millis: 20,
        required_readers: vec!["forwarder"],
        ..JournalConfig::new(folder.join("journal"))
    };
    Journal::open(config, Arc::new(SystemClock), Arc::new(RealIo))
}

impl Edge {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let journal = open(folder.path()).unwrap();
        Self { folder, journal, clicks: 0 }
    }

    pub(super) fn log(&self) -> Arc<dyn ClickLog> {
        Arc::new(self.journal.clone())
    }

    /// Clicks on ten gonggus, durable.
    pub(super) async fn click(&mut self, count: u64) {
        let mut pending = Vec::new();
        for _ in 0..count {
            self.clicks += 1;
            let name = format!("click {}", self.clicks);
            let gonggu_id = GongguId(Uuid::from_u128(u128::from(self.clicks % 10)));
            pending.push(self.journal.append(&ClickFacts { gonggu_id, ..facts(&name) }));
        }
        for click in pending {
            click.await.unwrap();
        }
    }

    /// Starts again; the folder is free as soon as nobody holds the old journal.
    pub(super) async fn restart(self) -> Self {
        let Self { folder, journal, clicks } = self;
        drop(journal);
        let opened = tokio::time::timeout(DEADLINE, async {
            loop {
                match open(folder.path()) {
                    Ok(journal) => return journal,
                    Err(JournalOpenError::InUse(_)) => tokio::task::yield_now().await,
                    Err(error) => panic!("{error}"),
                }
            }
        });
        let journal = opened.await.expect("the old journal ends");
        Self { folder, journal, clicks }
    }

    /// Everything in it, from `after` on; it must be closed.
    pub(super) async fn entries(&self, after: Option<LogPosition>) -> Vec<(Position, LogEntry)> {
        let mut reader = self.journal.reader(PARTITION, after).await.unwrap();
        let mut entries = Vec::new();
        loop {
            match reader.next(1_000).await {
                Ok(batch) => entries.extend(batch.entries),
                Err(LogError::Closed) => return entries,
                Err(error) => panic!("{error}"),
            }
        }
    }
}
