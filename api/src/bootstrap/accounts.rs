//! What runs beside the HTTP side for accounts: mail goes out, changed accounts are forgotten, what has expired is
//! deleted.

use super::preparing::Prepared;
use super::{Opened, Stop};
use crate::auth::identity::Identities;
use crate::auth::watch::{self, WatchHandle};
use crate::cleanup;
use crate::config::Config;
use crate::mail::{self, MailHandle, MailSettings, Transport};
use anyhow::Context;
use gonggumoa_core::clock::SystemClock;
use secrecy::ExposeSecret;
use sqlx::PgPool;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;

/// The running tasks.
pub(super) struct AccountTasks {
    mail: MailHandle,
    watch: WatchHandle,
    cleanup: AbortOnDropHandle<()>,
}

impl AccountTasks {
    /// Starts them; they wait for the database by themselves.
    pub(super) fn start(
        opened: &Opened,
        pool: &PgPool,
        identities: &Identities,
        prepared: Prepared,
        stop: &Stop,
    ) -> anyhow::Result<Self> {
        let settings = mail_settings(&opened.config, &opened.data_dir)?;
        let (clean, stop) = (pool.clone(), stop.clone());
        let cleanup = async move {
            if prepared.wait(&stop).await {
                cleanup::run(clean, Arc::new(SystemClock)).await;
            }
        };
        Ok(Self {
            mail: mail::spawn(settings, pool.clone()),
            watch: watch::spawn(pool.clone(), identities.clone()),
            cleanup: AbortOnDropHandle::new(tokio::spawn(cleanup)),
        })
    }

    /// Ends them.
    pub(super) async fn stop(self, time: Duration) {
        drop(self.cleanup);
        self.watch.stop();
        self.mail.stop(time).await;
    }
}

fn mail_settings(config: &Config, data_dir: &Path) -> anyhow::Result<MailSettings> {
    let transport = match &config.mail.smtp_url {
        Some(url) => Transport::smtp(url.expose_secret()).map_err(anyhow::Error::msg).context("SMTP_URL")?,
        None => Transport::Folder(data_dir.join("mails")),
    };
    Ok(MailSettings { transport, from: config.mail.from.clone(), retention_days: config.mail.retention_days })
}
