//! Keeping the table level with PostgreSQL: notifications, full loads, the snapshot.

use super::{Links, LinksError, Row, snapshot};
use crate::users::types::UserStatus;
use futures::TryStreamExt;
use gonggumoa_core::ids::{GongguId, UserId};
use sqlx::postgres::PgListener;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const CHANNEL: &str = "link_changed";
/// A listener that heard nothing for this long asks whether its connection still lives.
const SILENCE_MAX: Duration = Duration::from_secs(5);
const PING_MAX: Duration = Duration::from_secs(3);
const READ_MAX: Duration = Duration::from_secs(10);
const LOAD_MAX: Duration = Duration::from_secs(60);
const RETRY_MIN: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// Notifications taken together: a bulk import must not become one query a row.
const TOGETHER_MAX: usize = 2_000;
const SNAPSHOT_EVERY: Duration = Duration::from_secs(30);

/// What notifications told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) gonggus: Vec<GongguId>,
    pub(super) owners: Vec<UserId>,
}

impl Changes {
    /// Takes a payload: `g:` and a gonggu, or `u:` and an account.
    pub(super) fn add(&mut self, payload: &str) {
        let id = payload.get(2..).and_then(|id| Uuid::try_parse(id).ok());
        match (payload.get(..2), id) {
            (Some("g:"), Some(id)) if !self.gonggus.contains(&GongguId(id)) => {
                self.gonggus.push(GongguId(id));
            }
            (Some("u:"), Some(id)) if !self.owners.contains(&UserId(id)) => self.owners.push(UserId(id)),
            (Some("g:" | "u:"), Some(_)) => {}
            _ => tracing::warn!(payload, "unknown notification on link_changed"),
        }
    }
}

impl Links {
    /// Loads the table: from PostgreSQL, or from the snapshot while that is down. An error means that
    /// the start must not go on (a snapshot of another address key); a missing or damaged snapshot is
    /// an empty table, whose ids are answered 503.
    pub async fn load(&self) -> Result<(), LinksError> {
        let saved = match &self.snapshot_path {
            None => None,
            Some(path) => {
                let (path, fingerprint) = (path.clone(), self.key_fingerprint.clone());
                let read = tokio::task::spawn_blocking(move || snapshot::read(&path, &fingerprint)).await;
                match read {
                    Ok(Ok(saved)) => saved,
                    Ok(Err(error @ snapshot::SnapshotError::ForeignKey { .. })) => return Err(error.into()),
                    Ok(Err(error)) => {
                        tracing::warn!(error = %error, "the link snapshot is not used");
                        None
                    }
                    Err(_) => None,
                }
            }
        };
        for link in saved.into_iter().flatten() {
            self.table.pin().insert(link.gonggu_id, Arc::new(link));
        }
        if let Err(error) = self.reload().await {
            tracing::warn!(
                error = &error as &(dyn std::error::Error + 'static),
                links.count = self.len(),
                "links are served from the snapshot until PostgreSQL is back"
            );
        }
        Ok(())
    }

    /// Follows the catalog and keeps the snapshot, until `shutdown`.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        tokio::join!(self.follow_always(&shutdown), self.save_always(&shutdown));
    }

    async fn follow_always(&self, shutdown: &CancellationToken) {
        let mut wait = RETRY_MIN;
        loop {
            let was_synced = tokio::select! {
                () = shutdown.cancelled() => return,
                error = self.follow() => {
                    let was_synced = self.synced.swap(false, Ordering::AcqRel);
                    tracing::warn!(
                        error = &error as &(dyn std::error::Error + 'static),
                        "links are not followed; trying again"
                    );
                    was_synced
                }
            };
            wait = if was_synced { RETRY_MIN } else { (wait * 2).min(RETRY_MAX) };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Listens, loads, follows; returns only with the reason why it could not go on. The load comes
    /// after the LISTEN, so a change is either in it or notified.
    async fn follow(&self) -> LinksError {
        let listening = async {
            let mut listener = PgListener::connect_with(&self.pool).await?;
            listener.eager_reconnect(false);
            listener.listen(CHANNEL).await?;
            Ok::<_, sqlx::Error>(listener)
        };
        let mut listener = match timeout(READ_MAX, listening).await {
            Ok(Ok(listener)) => listener,
            Ok(Err(error)) => return error.into(),
            Err(_) => return LinksError::TimedOut,
        };
        if let Err(error) = self.reload().await {
            return error;
        }
        self.lookups.forget_all();
        self.synced.store(true, Ordering::Release);
        tracing::info!(links.count = self.len(), "links are level with the catalog");
        loop {
            // Dropping `hear` halfway loses notifications, but then everything is read again.
            let heard = tokio::select! {
                heard = self.hear(&mut listener) => heard,
                () = self.behind.notified() => Err(LinksError::Behind),
            };
            if let Err(error) = heard {
                return error;
            }
        }
    }

    /// Waits for notifications and applies them.
    async fn hear(&self, listener: &mut PgListener) -> Result<(), LinksError> {
        let first = match timeout(SILENCE_MAX, listener.try_recv()).await {
            Ok(Ok(Some(notification))) => notification,
            Ok(Ok(None)) => return Err(LinksError::ListenerLost),
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => {
                let ping = sqlx::query("SELECT 1").execute(&mut *listener);
                timeout(PING_MAX, ping).await.map_err(|_| LinksError::TimedOut)??;
                return Ok(());
            }
        };
        let mut changes = Changes::default();
        changes.add(first.payload());
        while changes.gonggus.len() + changes.owners.len() < TOGETHER_MAX {
            let Some(next) = listener.next_buffered() else { break };
            changes.add(next.payload());
        }
        if !changes.gonggus.is_empty() {
            self.refresh_all(&changes.gonggus).await?;
        }
        for owner_id in changes.owners {
            self.refresh_owner(owner_id).await?;
        }
        Ok(())
    }

    /// Reads these gonggus and applies what is found. The caller holds `order`.
    pub(super) async fn read_and_apply(&self, ids: &[GongguId]) -> Result<(), LinksError> {
        let wanted: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let query = sqlx::query_as!(
            Row,
            r#"SELECT g.id, g.influencer_id, g.open_at, g.close_at, g.closed_at, g.external_url,
                      u.status AS "owner_status: UserStatus"
               FROM gonggus g JOIN users u ON u.id = g.influencer_id
               WHERE g.id = ANY($1) AND g.deleted_at IS NULL"#,
            &wanted
        );
        let rows =
            timeout(READ_MAX, query.fetch_all(&self.pool)).await.map_err(|_| LinksError::TimedOut)??;
        let found: HashSet<Uuid> = rows.iter().map(|row| row.id).collect();
        rows.iter().for_each(|row| self.apply(row));
        for id in ids.iter().filter(|id| !found.contains(&id.0)) {
            self.remove(*id);
        }
        Ok(())
    }

    /// Reads an account's gonggus and applies them. The caller holds `order`.
    pub(super) async fn read_owner_and_apply(&self, owner_id: UserId) -> Result<(), LinksError> {
        let query = sqlx::query_as!(
            Row,
            r#"SELECT g.id, g.influencer_id, g.open_at, g.close_at, g.closed_at, g.external_url,
                      u.status AS "owner_status: UserStatus"
               FROM gonggus g JOIN users u ON u.id = g.influencer_id
               WHERE g.influencer_id = $1 AND g.deleted_at IS NULL"#,
            owner_id.0
        );
        let rows =
            timeout(READ_MAX, query.fetch_all(&self.pool)).await.map_err(|_| LinksError::TimedOut)??;
        rows.iter().for_each(|row| self.apply(row));
        Ok(())
    }

    /// Reads the whole catalog in one query and makes the table equal to it.
    async fn reload(&self) -> Result<(), LinksError> {
        let _turn = self.order.lock().await;
        let reading = async {
            let mut rows = sqlx::query_as!(
                Row,
                r#"SELECT g.id, g.influencer_id, g.open_at, g.close_at, g.closed_at, g.external_url,
                          u.status AS "owner_status: UserStatus"
                   FROM gonggus g JOIN users u ON u.id = g.influencer_id
                   WHERE g.deleted_at IS NULL"#
            )
            .fetch(&self.pool);
            let mut found = HashSet::with_capacity(self.len());
            while let Some(row) = rows.try_next().await? {
                found.insert(GongguId(row.id));
                self.apply(&row);
            }
            Ok::<_, sqlx::Error>(found)
        };
        let found = timeout(LOAD_MAX, reading).await.map_err(|_| LinksError::TimedOut)??;
        let gone: Vec<GongguId> = {
            let table = self.table.pin();
            table.keys().filter(|id| !found.contains(*id)).copied().collect()
        };
        gone.into_iter().for_each(|id| self.remove(id));
        Ok(())
    }

    async fn save_always(&self, shutdown: &CancellationToken) {
        let Some(path) = self.snapshot_path.clone() else { return };
        loop {
            let stopping = tokio::select! {
                () = shutdown.cancelled() => true,
                () = tokio::time::sleep(SNAPSHOT_EVERY) => false,
            };
            if self.changed.swap(false, Ordering::AcqRel) {
                let links: Vec<_> = self.table.pin().values().cloned().collect();
                let (path, fingerprint) = (path.clone(), self.key_fingerprint.clone());
                let written = tokio::task::spawn_blocking(move || {
                    let bytes = snapshot::encode(links.iter().map(AsRef::as_ref), &fingerprint);
                    snapshot::write(&path, &bytes)
                })
                .await;
                if let Ok(Err(error)) = written {
                    tracing::warn!(error = %error, "the link snapshot was not written");
                    self.changed.store(true, Ordering::Release);
                }
            }
            if stopping {
                return;
            }
        }
    }
}
