//! A new password, by a code from a mail, for who has forgotten the old one.
//!
//! Asking for it never tells whether there is an account: the answer is always the same and waits for nothing, the
//! work is done behind it ([`ResetMails`]). What limits apply is not told either, nor that too many ask at once. Setting the
//! password ends every session (whoever knew the old one is out), and proves the address as well. If it was not
//! proved before, the account may have been made by somebody who waited for its owner: what could let him in again
//! or tell him of the owner (social identities, devices, the phone) goes too.

use crate::app::App;
use crate::auth::codes::{self, Purpose};
use crate::auth::turns::Client;
use crate::auth::types::{ForgotRequest, ResetRequest};
use crate::auth::{email, letters, passwords, queries, sessions};
use crate::http::error::{ApiError, ErrorBody};
use crate::http::extract::{ClientAddress, JsonBody};
use crate::mail;
use axum::extract::State;
use gonggumoa_analytics::postgres::begin::begin;
use gonggumoa_core::ids::UserId;
use http::StatusCode;
use sqlx::PgConnection;
use std::sync::Arc;
use tokio::sync::Semaphore;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// No code of ours is longer.
const CODE_BYTES_MAX: usize = 200;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(forgot)).routes(routes!(reset))
}

/// Sends a code for a new password, if there is such an account. The answer does not tell.
#[utoipa::path(post, path = "/auth/password/forgot", tag = "auth", request_body = ForgotRequest, responses(
    (status = 202, description = "whether or not there is such an account"),
))]
async fn forgot(
    State(app): State<App>,
    ClientAddress(address): ClientAddress,
    JsonBody(body): JsonBody<ForgotRequest>,
) -> Result<StatusCode, ApiError> {
    let email =
        email::Email::parse(&body.email).map_err(|problem| ApiError::field("email", problem.message()))?;
    // not one await: whatever the load, this takes as long as it takes
    if app.limits.mail(&app.address_key, address).is_ok() {
        app.reset_mails.write(app.clone(), email.folded);
    }
    Ok(StatusCode::ACCEPTED)
}

/// Mails with new passwords, written behind the answers that promised them: a few at a time, since each takes a
/// connection of the catalog's; some wait; when even those are too many the newest is dropped, which nobody is told
/// but the log. Its reader will ask again.
#[derive(Debug)]
pub struct ResetMails {
    waiting: Arc<Semaphore>,
    at_once: Arc<Semaphore>,
}

impl ResetMails {
    /// So many written at once, and so many more waiting.
    pub fn new(at_once: usize, waiting_max: usize) -> Self {
        let places = at_once.saturating_add(waiting_max).min(Semaphore::MAX_PERMITS);
        Self { waiting: Arc::new(Semaphore::new(places)), at_once: Arc::new(Semaphore::new(at_once.max(1))) }
    }

    /// Returns at once.
    fn write(&self, app: App, email_folded: String) {
        let Ok(place) = Arc::clone(&self.waiting).try_acquire_owned() else {
            tracing::warn!("too many ask for new passwords at once; one mail was not written");
            return;
        };
        let at_once = Arc::clone(&self.at_once);
        tokio::spawn(async move {
            let turn = at_once.acquire_owned().await;
            if let Err(error) = send_reset_code(&app, &email_folded).await {
                tracing::error!(
                    error = &error as &(dyn std::error::Error + 'static),
                    "no code for a new password"
                );
            }
            drop((turn, place));
        });
    }
}

/// Sets a new password by a code, and ends all sessions.
#[utoipa::path(post, path = "/auth/password/reset", tag = "auth", request_body = ResetRequest, responses(
    (status = 204),
    (status = 422, body = ErrorBody, description = "`INVALID_CODE`, `VALIDATION_ERROR`"),
    (status = 429, body = ErrorBody, description = "`RATE_LIMITED`"),
))]
async fn reset(
    State(app): State<App>,
    ClientAddress(address): ClientAddress,
    JsonBody(body): JsonBody<ResetRequest>,
) -> Result<StatusCode, ApiError> {
    if let Some(problem) = passwords::refusal(&body.password) {
        return Err(ApiError::field("password", problem));
    }
    app.limits.code(&app.address_key, address)?;
    let client = Client::of(&app.address_key, address);
    let user_id = reset_password(&app, bounded(&body.code)?, body.password, client).await?;
    queries::remember_network(&app, user_id, &app.address_key.network_hash(address).0).await;
    Ok(StatusCode::NO_CONTENT)
}

/// A code that could be one.
pub(super) fn bounded(code: &str) -> Result<&str, ApiError> {
    let code = code.trim();
    if code.len() > CODE_BYTES_MAX { Err(ApiError::InvalidCode) } else { Ok(code) }
}

/// Whose row is taken before the code itself, by the lock order of `codes`.
async fn lock_owner(
    app: &App,
    connection: &mut PgConnection,
    code: &str,
    purpose: Purpose,
) -> Result<Uuid, ApiError> {
    let now = app.clock.now().to_utc();
    let user_id = codes::owner(connection, code, purpose, now).await?.ok_or(ApiError::InvalidCode)?;
    sqlx::query!("SELECT id FROM users WHERE id = $1 FOR NO KEY UPDATE", user_id)
        .fetch_optional(connection)
        .await?;
    Ok(user_id)
}

/// A suspended account is sent none: a new password would not open it.
async fn send_reset_code(app: &App, email_folded: &str) -> Result<(), ApiError> {
    let now = app.clock.now().to_utc();
    let mut transaction = begin(&app.pool).await?;
    let account = sqlx::query!(
        "SELECT id, email FROM users
         WHERE email_folded = $1 AND closed_at IS NULL AND status <> 'suspended' FOR NO KEY UPDATE",
        email_folded
    )
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(account) = account else { return Ok(()) };
    let most = app.settings.mails_per_mailbox_per_hour;
    let purpose = Purpose::ResetPassword;
    let code = codes::issue(&mut transaction, account.id, email_folded, purpose, now, most).await?;
    if let Some(code) = code {
        // to the address that is stored, never to the one that was typed
        let to = account.email.as_deref().unwrap_or(email_folded);
        let letter = letters::password_reset(to, &code, app.settings.frontend_url.as_ref());
        mail::queue(&mut transaction, &letter).await?;
    }
    transaction.commit().await?;
    Ok(())
}

async fn reset_password(app: &App, code: &str, password: String, client: Client) -> Result<Uuid, ApiError> {
    let purpose = Purpose::ResetPassword;
    let mut connection = app.pool.acquire().await?;
    // Only a good code is worth a hash. It is looked at again when it is taken.
    let owner = codes::owner(&mut connection, code, purpose, app.clock.now().to_utc()).await?;
    drop(connection);
    owner.ok_or(ApiError::InvalidCode)?;
    let hash = app.passwords.hash(password, client).await?;

    let now = app.clock.now().to_utc();
    let mut transaction = begin(&app.pool).await?;
    let user_id = lock_owner(app, &mut transaction, code, purpose).await?;
    if !codes::take(&mut transaction, code, purpose, now).await? {
        return Err(ApiError::InvalidCode);
    }
    codes::end_all(&mut transaction, user_id, purpose, now).await?;
    drop_unproved(&mut transaction, user_id).await?;
    sqlx::query!(
        "UPDATE users SET password_hash = $2, email_verified_at = COALESCE(email_verified_at, $3) WHERE id = $1",
        user_id,
        hash,
        now
    )
    .execute(&mut *transaction)
    .await?;
    sessions::end_all(&mut transaction, user_id, now).await?;
    transaction.commit().await?;
    app.identities.forget(UserId(user_id));
    Ok(user_id)
}

/// Takes from an account whose address nobody has proved yet what somebody else may have put there. The caller
/// holds its row.
async fn drop_unproved(connection: &mut PgConnection, user_id: Uuid) -> Result<(), sqlx::Error> {
    let unproved = sqlx::query!(
        "UPDATE users SET social_provider = NULL, social_id = NULL, phone_number = NULL
         WHERE id = $1 AND email_verified_at IS NULL",
        user_id
    )
    .execute(&mut *connection)
    .await?;
    if unproved.rows_affected() == 1 {
        sqlx::query!("DELETE FROM social_identities WHERE user_id = $1", user_id)
            .execute(&mut *connection)
            .await?;
        sqlx::query!("DELETE FROM user_devices WHERE user_id = $1", user_id)
            .execute(&mut *connection)
            .await?;
        // from where nobody but the other has signed in
        sqlx::query!("DELETE FROM login_networks WHERE user_id = $1", user_id).execute(connection).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
