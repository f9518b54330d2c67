//! `gonggus.click_count` follows the billable totals, so that lists can sort by it.
//!
//! It is a copy for sorting, never the truth: it may lag by seconds. Rows that somebody else has locked
//! are left for the next round rather than waited for, rows are taken in key order, and a row is written
//! only when its figure changed, so neither lock storms nor needless row versions arise.

use crate::postgres::store_error;
use crate::recorded::RecordedClicks;
use gonggumoa_core::ids::GongguId;
use gonggumoa_core::store::StoreError;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// How often changed gonggus are looked at.
const ROUND: Duration = Duration::from_secs(1);
/// Rows in one statement: some milliseconds of locks.
const CHUNK_ROWS: usize = 500;
/// Gonggus in one round. Above it the rest waits: the store's own writes have priority.
const ROUND_ROWS_MAX: usize = 5_000;

/// The running follower.
#[derive(Debug)]
pub struct ClickCountHandle {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl ClickCountHandle {
    /// Stops after the current statement.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        let _ = self.task.await;
    }
}

/// Starts following: all gonggus once, then those that change.
pub fn spawn(store: Arc<dyn RecordedClicks>) -> ClickCountHandle {
    let (stop, mut stopped) = watch::channel(false);
    let task = tokio::spawn(async move {
        let mut all_done = false;
        loop {
            tokio::select! {
                () = round(&*store, &mut all_done) => {}
                _ = stopped.wait_for(|stop| *stop) => return,
            }
            tokio::select! {
                () = tokio::time::sleep(ROUND) => {}
                _ = stopped.wait_for(|stop| *stop) => return,
            }
        }
    });
    ClickCountHandle { stop, task }
}

async fn round(store: &dyn RecordedClicks, all_done: &mut bool) {
    let followed = async {
        if !*all_done {
            follow_all(store).await?;
            *all_done = true;
        }
        follow_changed(store).await
    };
    if let Err(error) = followed.await {
        tracing::warn!(error = &error as &dyn std::error::Error, "click counts could not be followed");
    }
}

/// Brings every gonggu's count up to date, in key order.
pub async fn follow_all(store: &dyn RecordedClicks) -> Result<(), StoreError> {
    let mut after = Uuid::nil();
    loop {
        let ids = sqlx::query_scalar!(
            "SELECT id FROM gonggus WHERE id > $1 ORDER BY id LIMIT $2",
            after,
            CHUNK_ROWS as i64
        )
        .fetch_all(store.catalog())
        .await
        .map_err(store_error)?;
        let Some(last) = ids.last() else { return Ok(()) };
        after = *last;
        follow(store, &ids).await?;
    }
}

/// Brings the counts of gonggus up to date whose figures changed since the last call, at most
/// 5,000 of them; the rest waits for the next call.
pub async fn follow_changed(store: &dyn RecordedClicks) -> Result<(), StoreError> {
    let mut ids: Vec<Uuid> = store.touched().take(ROUND_ROWS_MAX).into_iter().map(|id| id.0).collect();
    ids.sort_unstable();
    for (index, chunk) in ids.chunks(CHUNK_ROWS).enumerate() {
        if let Err(error) = follow(store, chunk).await {
            store.touched().add(ids[index * CHUNK_ROWS..].iter().copied().map(GongguId));
            return Err(error);
        }
    }
    Ok(())
}

async fn follow(store: &dyn RecordedClicks, ids: &[Uuid]) -> Result<(), StoreError> {
    let behind = store.follow_click_counts(ids).await?;
    store.touched().add(behind.into_iter().map(GongguId));
    Ok(())
}

#[cfg(test)]
mod tests;
