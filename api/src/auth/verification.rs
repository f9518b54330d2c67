//! Proving an e-mail address.
//!
//! Two people must be one before an address counts as an account's: who made the account, and who reads the mail.
//! The code alone proves only the second, and anybody may sign up with another's address and wait for its owner to
//! click. So besides the code the request brings the account's own session or its password; without either it
//! changes nothing, the code stays good, and the answer asks for the password. An owner who never signed up has
//! nothing to give, so a click arms nobody. If he wants the address he sets a password by mail ([`super::recovery`])
//! or signs in with a provider who vouches for it ([`super::social::link`]): either takes the address from whoever
//! came before.
//!
//! Lock order: the account's row, then its codes.

use crate::app::App;
use crate::auth::codes::{self, Purpose};
use crate::auth::recovery::bounded;
use crate::auth::turns::Client;
use crate::auth::types::VerifyRequest;
use crate::http::auth::MaybeUser;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::extract::{ClientAddress, JsonBody};
use axum::extract::State;
use gonggumoa_analytics::postgres::begin::begin;
use gonggumoa_core::ids::UserId;
use http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

const NOT_PROVED: &str = "가입한 계정으로 로그인한 상태에서 인증하거나 비밀번호를 함께 보내 주세요";

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(verify))
}

/// Proves an e-mail address by the code that was sent to it, together with the account's own session (`Authorization`)
/// or its password. The code alone is not enough: whoever reads the mail need not be who signed up.
#[utoipa::path(post, path = "/auth/email/verify", tag = "auth", request_body = VerifyRequest,
    responses(
    (status = 204),
    (status = 401, body = ErrorBody, description = "`INVALID_CREDENTIALS`: the code is good, the password is not; \
        `UNAUTHORIZED`: the token is not good"),
    (status = 422, body = ErrorBody, description = "`INVALID_CODE`; `VALIDATION_ERROR` for `password`: the code is \
        good, and neither the account's session nor its password came with it"),
    (status = 429, body = ErrorBody, description = "`RATE_LIMITED`"),
))]
async fn verify(
    State(app): State<App>,
    MaybeUser(user): MaybeUser,
    ClientAddress(address): ClientAddress,
    JsonBody(body): JsonBody<VerifyRequest>,
) -> Result<StatusCode, ApiError> {
    app.limits.code(&app.address_key, address)?;
    let code = bounded(&body.code)?;
    let session = user.map(|user| (user.id, user.token_version));
    let maker = maker(&app, code, session, body.password, Client::of(&app.address_key, address)).await?;
    prove(&app, code, &maker).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How the maker of the account was known; it must be so still when the code is taken.
#[derive(Debug)]
struct Maker {
    user_id: Uuid,
    token_version: i32,
}

/// Whose code it is, if the request is his.
async fn maker(
    app: &App,
    code: &str,
    session: Option<(UserId, i32)>,
    password: Option<String>,
    client: Client,
) -> Result<Maker, ApiError> {
    let now = app.clock.now().to_utc();
    let mut connection = app.pool.acquire().await?;
    // only a good code is worth a hash, and a word about passwords
    let owner = codes::owner(&mut connection, code, Purpose::VerifyEmail, now).await?;
    let user_id = owner.ok_or(ApiError::InvalidCode)?;
    if let Some((_, token_version)) = session.filter(|(id, _)| id.0 == user_id) {
        return Ok(Maker { user_id, token_version });
    }
    let password = password.ok_or_else(|| ApiError::field("password", NOT_PROVED))?;
    let account = sqlx::query!("SELECT password_hash, token_version FROM users WHERE id = $1", user_id)
        .fetch_optional(&mut *connection)
        .await?
        .ok_or(ApiError::InvalidCode)?;
    drop(connection);
    if app.passwords.verify(password, account.password_hash, client).await? {
        Ok(Maker { user_id, token_version: account.token_version })
    } else {
        Err(ApiError::InvalidCredentials)
    }
}

/// A new password, a suspension or a closing meanwhile raised the token version: then it is no longer the maker's.
async fn prove(app: &App, code: &str, maker: &Maker) -> Result<(), ApiError> {
    let now = app.clock.now().to_utc();
    let mut transaction = begin(&app.pool).await?;
    let held = sqlx::query!(
        "SELECT id FROM users WHERE id = $1 AND token_version = $2 AND closed_at IS NULL FOR NO KEY UPDATE",
        maker.user_id,
        maker.token_version
    );
    held.fetch_optional(&mut *transaction).await?.ok_or(ApiError::InvalidCode)?;
    if !codes::take(&mut transaction, code, Purpose::VerifyEmail, now).await? {
        return Err(ApiError::InvalidCode);
    }
    sqlx::query!(
        "UPDATE users SET email_verified_at = COALESCE(email_verified_at, $2), updated_at = $2 WHERE id = $1",
        maker.user_id,
        now
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests;
