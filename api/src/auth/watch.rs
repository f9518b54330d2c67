//! Hears which accounts changed, in whichever process, and forgets what is remembered of them.
//!
//! A trigger on `users` (token version, role, status, closing) and on `influencer_profiles` notifies
//! `users_changed` when the change commits, so a suspension is in force everywhere a moment later. While this
//! listener has no connection a remembered identity still ages within two seconds ([`super::identity`]), and a new
//! connection begins by forgetting all: what was notified in between was not heard.

use super::identity::Identities;
use gonggumoa_core::ids::UserId;
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use std::time::Duration;
use tokio::task::JoinHandle;
use uuid::Uuid;

const CHANNEL: &str = "users_changed";
/// A listener that heard nothing for this long asks whether its connection still lives.
const SILENCE_MAX: Duration = Duration::from_secs(5);
const PING_MAX: Duration = Duration::from_secs(3);
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The running task.
#[derive(Debug)]
pub struct WatchHandle(JoinHandle<()>);

impl WatchHandle {
    /// Ends it; it holds nothing that could be lost.
    pub fn stop(self) {
        self.0.abort();
    }
}

/// Starts it.
pub fn spawn(pool: PgPool, identities: Identities) -> WatchHandle {
    WatchHandle(tokio::spawn(async move {
        loop {
            if let Err(error) = listen(&pool, &identities).await {
                tracing::debug!(error = %error, "changes of accounts are not heard; trying again");
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }))
}

/// Returns only with the reason why it could not go on.
async fn listen(pool: &PgPool, identities: &Identities) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    identities.forget_all();
    loop {
        match tokio::time::timeout(SILENCE_MAX, listener.try_recv()).await {
            Ok(Ok(Some(heard))) => match Uuid::try_parse(heard.payload()) {
                Ok(id) => identities.forget(UserId(id)),
                Err(_) => identities.forget_all(),
            },
            Ok(Ok(None)) => return Ok(()),
            Ok(Err(error)) => return Err(error),
            Err(_) => {
                let ping = sqlx::query("SELECT 1").execute(&mut listener);
                tokio::time::timeout(PING_MAX, ping).await.map_err(|_| sqlx::Error::PoolTimedOut)??;
            }
        }
    }
}
