//! The database as a process needs it: its schema at this version, of the same key, with its admin.

use super::{Opened, Stop};
use crate::{admin_account, migrate, secrets};
use anyhow::Context;
use sqlx::PgPool;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Pause between two tries to reach an operator's database.
const RETRY_PAUSE: Duration = Duration::from_secs(2);

/// Tells when schema, key and admin are as they must be. Cheap to clone.
#[derive(Clone)]
pub(super) struct Prepared(watch::Receiver<bool>);

impl Prepared {
    /// What says so, and what hears it.
    pub(super) fn channel() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// Waits for it; false when the process stops, or will never be prepared.
    pub(super) async fn wait(mut self, stop: &Stop) -> bool {
        matches!(stop.token.run_until_cancelled(self.0.wait_for(|prepared| *prepared)).await, Some(Ok(_)))
    }
}

/// Migrates and checks the database. False: an operator's database that does not answer now, while a
/// snapshot of the links lets redirects go on; [`prepare_when_reachable`] prepares it later.
pub(super) async fn prepare_now(
    opened: &Opened,
    pool: &PgPool,
    stop: &CancellationToken,
) -> anyhow::Result<bool> {
    match prepare(opened, pool).await {
        Ok(()) => Ok(true),
        Err(error) if is_unreachable(&error) => {
            let has_snapshot = opened.links_snapshot().exists();
            tracing::error!(
                database.problem = format!("{error:#}"),
                links.snapshot = has_snapshot,
                "the database does not answer; with a snapshot of the links redirects go on without it"
            );
            let may_wait = has_snapshot && opened.config.cluster.roles.edge;
            if may_wait { Ok(false) } else { prepare_when_reachable(opened, pool, stop).await }
        }
        Err(error) => Err(error),
    }
}

/// The same, tried until it answers; false when the process stops first.
pub(super) async fn prepare_when_reachable(
    opened: &Opened,
    pool: &PgPool,
    stop: &CancellationToken,
) -> anyhow::Result<bool> {
    loop {
        if stop.run_until_cancelled(tokio::time::sleep(RETRY_PAUSE)).await.is_none() {
            return Ok(false);
        }
        match prepare(opened, pool).await {
            Ok(()) => return Ok(true),
            Err(error) if is_unreachable(&error) => {
                tracing::warn!(database.problem = format!("{error:#}"), "the database still does not answer");
            }
            Err(error) => return Err(error),
        }
    }
}

async fn prepare(opened: &Opened, pool: &PgPool) -> anyhow::Result<()> {
    let migrated = migrate::run(&opened.database.options()).await;
    if opened.database.is_embedded() {
        migrated?;
    } else {
        migrated.context("DATABASE_URL")?;
    }
    secrets::check_address_key(pool, &opened.secrets.address_key).await?;
    if let Some(admin) = &opened.config.admin {
        admin_account::create(pool, &admin.email, &admin.password).await?;
    }
    Ok(())
}

fn is_unreachable(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<migrate::SchemaError>().is_some_and(migrate::SchemaError::retryable)
            || cause.downcast_ref::<sqlx::Error>().is_some_and(migrate::may_pass)
    })
}
