//! New accounts.
//!
//! The account, its code and its mail are one transaction: whoever got an answer gets a mail, unless the address was
//! sent as many as it may be within the hour (by accounts that were closed since); then another can be asked for
//! later. That an address is taken is told here, as people need it; how often one may ask is limited by address.
//!
//! Whoever signs up has not proved the address. Until he has (`auth::verification`) its owner can take it from him.

use crate::app::App;
use crate::auth::codes::{self, Purpose};
use crate::auth::email::Email;
use crate::auth::turns::Client;
use crate::auth::types::SignupRequest;
use crate::auth::{letters, passwords};
use crate::http::check::Checks;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::extract::{ClientAddress, JsonBody};
use crate::mail;
use crate::users::check::nickname;
use crate::users::types::{UserResponse, UserRole, UserStatus};
use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use gonggumoa_analytics::postgres::begin::begin;
use http::StatusCode;
use sqlx::PgConnection;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(signup))
}

/// A new account; a mail with a code to prove its address is on its way.
#[utoipa::path(post, path = "/auth/signup", tag = "auth", request_body = SignupRequest, responses(
    (status = 201, body = UserResponse),
    (status = 409, body = ErrorBody, description = "`EMAIL_TAKEN`"),
    (status = 429, body = ErrorBody, description = "`RATE_LIMITED`"),
))]
async fn signup(
    State(app): State<App>,
    ClientAddress(address): ClientAddress,
    JsonBody(body): JsonBody<SignupRequest>,
) -> Result<(StatusCode, Json<UserResponse>), ApiError> {
    let checked = check(body)?;
    app.limits.signup(&app.address_key, address)?;
    let user = create(&app, checked, Client::of(&app.address_key, address)).await?;
    Ok((StatusCode::CREATED, Json(user)))
}

/// A sign-up that may be stored.
#[derive(Debug)]
struct CheckedSignup {
    email: Email,
    password: String,
    nickname: String,
    is_influencer: bool,
}

fn check(body: SignupRequest) -> Result<CheckedSignup, ApiError> {
    let mut checks = Checks::new();
    let email = checks.required(body.email, "email").and_then(|text| match Email::parse(&text) {
        Ok(email) => Some(email),
        Err(problem) => {
            checks.refuse("email", problem.message());
            None
        }
    });
    let password = checks.required(body.password, "password");
    if let Some(problem) = password.as_deref().and_then(passwords::refusal) {
        checks.refuse("password", problem);
    }
    let shown_name = checks.required(body.nickname, "nickname").map(|text| nickname(&text, &mut checks));
    let role = body.role.as_deref().unwrap_or("buyer");
    checks.ensure(matches!(role, "buyer" | "influencer"), "role", "buyer 또는 influencer여야 합니다");
    checks.finish()?;
    let is_influencer = role == "influencer";
    let whole = (|| {
        Some(CheckedSignup { email: email?, password: password?, nickname: shown_name?, is_influencer })
    })();
    whole.ok_or(ApiError::Malformed)
}

async fn create(app: &App, signup: CheckedSignup, client: Client) -> Result<UserResponse, ApiError> {
    // before the hash, which costs a core a quarter of a second; the insert below decides
    if is_taken(app, &signup.email).await? {
        return Err(ApiError::EmailTaken);
    }
    let hash = app.passwords.hash(signup.password, client).await?;
    let (role, status) = if signup.is_influencer {
        (UserRole::Influencer, UserStatus::Pending)
    } else {
        (UserRole::Buyer, UserStatus::Active)
    };
    let now = app.clock.now().to_utc();
    let user = UserResponse {
        id: Uuid::now_v7(),
        email: Some(signup.email.text.clone()),
        nickname: signup.nickname,
        role,
        status,
        profile_image: None,
        created_at: now,
    };
    let mut transaction = begin(&app.pool).await?;
    if !insert(&mut transaction, &user, &signup.email.folded, &hash).await? {
        return Err(ApiError::EmailTaken);
    }
    send_code(app, &mut transaction, user.id, &signup.email.text, &signup.email.folded, now).await?;
    transaction.commit().await?;
    Ok(user)
}

async fn is_taken(app: &App, email: &Email) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM users WHERE email_folded = $1) AS "is_taken!""#,
        email.folded
    )
    .fetch_one(&app.pool)
    .await
}

/// `false`: somebody has the address. Both indexes are asked, since what one calls the same is not quite what
/// the other does.
async fn insert(
    connection: &mut PgConnection,
    user: &UserResponse,
    email_folded: &str,
    password_hash: &str,
) -> Result<bool, sqlx::Error> {
    let inserted = sqlx::query!(
        "INSERT INTO users (id, email, email_folded, password_hash, nickname, role, status, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) ON CONFLICT DO NOTHING",
        user.id,
        user.email,
        email_folded,
        password_hash,
        user.nickname,
        user.role as UserRole,
        user.status as UserStatus,
        user.created_at
    )
    .execute(&mut *connection)
    .await?;
    if inserted.rows_affected() == 1 && user.role == UserRole::Influencer {
        sqlx::query!(
            "INSERT INTO influencer_profiles (id, user_id, is_verified) VALUES ($1, $2, false)",
            Uuid::now_v7(),
            user.id
        )
        .execute(connection)
        .await?;
    }
    Ok(inserted.rows_affected() == 1)
}

/// Sends a code that proves the address, unless it was sent too many within the hour. The caller holds the account's
/// row.
pub(crate) async fn send_code(
    app: &App,
    connection: &mut PgConnection,
    user_id: Uuid,
    email: &str,
    email_folded: &str,
    now: DateTime<Utc>,
) -> Result<(), ApiError> {
    let most = app.settings.mails_per_mailbox_per_hour;
    let code = codes::issue(connection, user_id, email_folded, Purpose::VerifyEmail, now, most).await?;
    if let Some(code) = code {
        let letter = letters::verification(email, &code, app.settings.frontend_url.as_ref());
        mail::queue(connection, &letter).await?;
    }
    Ok(())
}
