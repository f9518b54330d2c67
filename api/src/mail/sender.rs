//! The task that empties the outbox.

use super::compose::compose;
use super::outbox::{self, Taken};
use super::transport::{SendError, Transport, remove_old};
use lettre::message::Mailbox;
use sqlx::PgPool;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How soon a committed mail is noticed: people wait for their code. The question is one look at an index of
/// what is due.
const POLL: Duration = Duration::from_millis(500);
/// The database is away; others wait for it too.
const DATABASE_PAUSE: Duration = Duration::from_secs(3);
/// Longer than a mail can take, so that nobody else sends it meanwhile.
const LEASE_SECONDS: f64 = 120.0;
/// 2 s, 4 s, … up to an hour: with 16 tries a server may be away for some six hours.
const TRIES_MAX: i32 = 16;
const PAUSE_MAX_SECONDS: f64 = 3_600.0;
const CLEAN_EVERY: Duration = Duration::from_secs(3_600);

/// What sending needs to know.
#[derive(Clone, Debug)]
pub struct MailSettings {
    /// Where mail leaves.
    pub transport: Transport,
    /// Whom it comes from.
    pub from: Mailbox,
    /// How long ended mails are kept, to answer "I got nothing".
    pub retention_days: u32,
}

/// The running task.
#[derive(Debug)]
pub struct MailHandle {
    task: JoinHandle<()>,
    stop: CancellationToken,
}

impl MailHandle {
    /// Takes no further mail and waits until the one in hand has ended, not longer than `time`: one that is cut
    /// off is sent again after its lease.
    pub async fn stop(mut self, time: Duration) {
        self.stop.cancel();
        if tokio::time::timeout(time, &mut self.task).await.is_err() {
            self.task.abort();
            tracing::warn!("a mail was being sent when the time to stop was over; it will be sent again");
        }
    }
}

/// Starts it.
pub fn spawn(settings: MailSettings, pool: PgPool) -> MailHandle {
    let stop = CancellationToken::new();
    let sender = Sender { settings, pool, stop: stop.clone() };
    MailHandle { task: tokio::spawn(sender.run()), stop }
}

struct Sender {
    settings: MailSettings,
    pool: PgPool,
    stop: CancellationToken,
}

impl Sender {
    async fn run(self) {
        let mut cleaned_at: Option<Instant> = None;
        let mut is_away = false;
        while !self.stop.is_cancelled() {
            let pause = match self.step(&mut cleaned_at).await {
                Ok(true) => Duration::ZERO,
                Ok(false) => POLL,
                Err(error) => {
                    // once, not every three seconds
                    if !is_away {
                        tracing::warn!(
                            error = &error as &(dyn std::error::Error + 'static),
                            "the outbox cannot be read; mail waits"
                        );
                    }
                    is_away = true;
                    DATABASE_PAUSE
                }
            };
            is_away &= pause == DATABASE_PAUSE;
            let _ = self.stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
    }

    /// One mail; `false` if none is due.
    async fn step(&self, cleaned_at: &mut Option<Instant>) -> Result<bool, sqlx::Error> {
        let Some(mail) = outbox::take(&self.pool, LEASE_SECONDS).await? else {
            if cleaned_at.is_none_or(|at| at.elapsed() > CLEAN_EVERY) {
                self.clean().await?;
                *cleaned_at = Some(Instant::now());
            }
            return Ok(false);
        };
        let message = match compose(&self.settings.from, &mail) {
            Ok(message) => message,
            Err(error) => {
                tracing::error!(mail.id = %mail.id, mail.problem = %error, "a mail cannot be written");
                outbox::mark_failed(&self.pool, mail.id, &error.to_string()).await?;
                return Ok(true);
            }
        };
        match self.settings.transport.send(mail.id, message).await {
            Ok(()) => {
                metrics::counter!("mails_sent_total").increment(1);
                outbox::mark_sent(&self.pool, mail.id).await?;
            }
            Err(error) => self.not_sent(&mail, &error).await?,
        }
        Ok(true)
    }

    async fn not_sent(&self, mail: &Taken, error: &SendError) -> Result<(), sqlx::Error> {
        let (tries, status) = (mail.tries, error.status());
        if error.retryable() && tries < TRIES_MAX {
            let pause_seconds = f64::from(tries).exp2().min(PAUSE_MAX_SECONDS);
            tracing::warn!(mail.id = %mail.id, mail.status = status, mail.tries = tries,
                mail.pause_seconds = pause_seconds, mail.problem = %error, "a mail was not sent; it is tried again");
            return outbox::try_later(&self.pool, mail.id, pause_seconds, &error.whole()).await;
        }
        metrics::counter!("mails_failed_total").increment(1);
        tracing::error!(mail.id = %mail.id, mail.status = status, mail.tries = tries, mail.problem = %error,
            "a mail was given up; its row says why");
        outbox::mark_failed(&self.pool, mail.id, &error.whole()).await
    }

    async fn clean(&self) -> Result<(), sqlx::Error> {
        let days = self.settings.retention_days;
        outbox::delete_old(&self.pool, i32::try_from(days).unwrap_or(i32::MAX)).await?;
        if let Transport::Folder(folder) = &self.settings.transport {
            let age = Duration::from_secs(u64::from(days) * 86_400);
            if let Err(error) = remove_old(folder, age).await {
                tracing::warn!(error = %error, "old files of mails were not removed");
            }
        }
        Ok(())
    }
}
