//! What runs beside the HTTP side for accounts: mail goes out, and changed accounts are forgotten.

use super::Opened;
use crate::auth::identity::Identities;
use crate::auth::watch::{self, WatchHandle};
use crate::config::Config;
use crate::mail::{self, MailHandle, MailSettings, Transport};
use anyhow::Context;
use secrecy::ExposeSecret;
use sqlx::PgPool;
use std::path::Path;
use std::time::Duration;

/// The running tasks.
pub(super) struct AccountTasks {
    mail: MailHandle,
    watch: WatchHandle,
}

impl AccountTasks {
    /// Starts both; they wait for the database by themselves.
    pub(super) fn start(opened: &Opened, pool: &PgPool, identities: &Identities) -> anyhow::Result<Self> {
        let settings = mail_settings(&opened.config, &opened.data_dir)?;
        Ok(Self {
            mail: mail::spawn(settings, pool.clone()),
            watch: watch::spawn(pool.clone(), identities.clone()),
        })
    }

    /// Ends both.
    pub(super) async fn stop(self, time: Duration) {
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
