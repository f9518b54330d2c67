//! Devices that push messages go to.
//!
//! A token names one installed app, so it belongs to one account: the last that registered it there. Who signs
//! in on another's phone takes its token along, and the other's messages stop arriving there. The tokens of one
//! account are bounded; the one not seen for longest makes room.

use crate::app::App;
use crate::http::auth::Buyer;
use crate::http::check::Checks;
use crate::http::error::ApiError;
use crate::http::extract::JsonBody;
use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use gonggumoa_analytics::postgres::begin::begin;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// Tokens of the services are some 200 bytes; none is longer than this.
pub(crate) const TOKEN_BYTES_MAX: usize = 1_024;
/// More devices of one person are old ones.
const DEVICES_MAX: i64 = 20;

/// A device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DevicePlatform {
    /// Android.
    Android,
    /// iOS.
    Ios,
    /// A browser.
    Web,
}

impl DevicePlatform {
    fn name(self) -> &'static str {
        match self {
            Self::Android => "android",
            Self::Ios => "ios",
            Self::Web => "web",
        }
    }
}

/// A device to register.
#[derive(Debug, Deserialize, ToSchema)]
pub struct DeviceCreate {
    /// Its push token, 1 to 1,024 printable ASCII characters.
    #[schema(example = "fcm-token", pattern = "^[!-~]+$")]
    pub token: String,
    /// What it is.
    pub platform: DevicePlatform,
}

/// A device to forget.
#[derive(Debug, Deserialize, ToSchema)]
pub struct DeviceDelete {
    /// Its push token.
    #[schema(example = "fcm-token", pattern = "^[!-~]+$")]
    pub token: String,
}

/// A registered device.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DeviceResponse {
    /// Its push token.
    pub token: String,
    /// What it is.
    pub platform: DevicePlatform,
    /// Since when it is registered.
    pub created_at: DateTime<Utc>,
}

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(register, forget))
}

/// Registers this device for push messages. A token that another account had registered is this one's now.
#[utoipa::path(post, path = "/users/me/devices", tag = "users", security(("bearer" = [])),
    extensions(("x-required-role" = json!("user"))), request_body = DeviceCreate, responses(
    (status = 201, body = DeviceResponse),
))]
async fn register(
    State(app): State<App>,
    Buyer(user): Buyer,
    JsonBody(body): JsonBody<DeviceCreate>,
) -> Result<(StatusCode, Json<DeviceResponse>), ApiError> {
    let token = checked(body.token)?;
    let mut transaction = begin(&app.pool).await?;
    let now = app.clock.now().to_utc();
    let created_at = insert(&mut transaction, user.id.0, &token, body.platform, now).await?;
    let created_at = created_at.ok_or(ApiError::Unauthorized)?;
    transaction.commit().await?;
    Ok((StatusCode::CREATED, Json(DeviceResponse { token, platform: body.platform, created_at })))
}

/// Forgets a device of one's own; one that is not registered is as good as forgotten.
#[utoipa::path(delete, path = "/users/me/devices", tag = "users", security(("bearer" = [])),
    extensions(("x-required-role" = json!("user"))), request_body = DeviceDelete, responses((status = 204)))]
async fn forget(
    State(app): State<App>,
    Buyer(user): Buyer,
    JsonBody(body): JsonBody<DeviceDelete>,
) -> Result<StatusCode, ApiError> {
    let token = checked(body.token)?;
    sqlx::query!("DELETE FROM user_devices WHERE token = $1 AND user_id = $2", token, user.id.0)
        .execute(&app.pool)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

fn checked(token: String) -> Result<String, ApiError> {
    let mut checks = Checks::new();
    let fits =
        (1..=TOKEN_BYTES_MAX).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
    checks.ensure(fits, "token", "1자 이상 1024자 이하의 영문·숫자·기호여야 합니다");
    checks.finish()?;
    Ok(token)
}

/// Under the account's row, so that it cannot be closed meanwhile and its devices are counted one at a time.
async fn insert(
    connection: &mut PgConnection,
    user_id: Uuid,
    token: &str,
    platform: DevicePlatform,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    let account =
        sqlx::query!("SELECT id FROM users WHERE id = $1 AND closed_at IS NULL FOR NO KEY UPDATE", user_id);
    if account.fetch_optional(&mut *connection).await?.is_none() {
        return Ok(None);
    }
    let created_at = sqlx::query_scalar!(
        "INSERT INTO user_devices (token, user_id, platform, created_at, last_seen_at) VALUES ($1, $2, $3, $4, $4)
         ON CONFLICT (token) DO UPDATE SET user_id = EXCLUDED.user_id, platform = EXCLUDED.platform,
             last_seen_at = EXCLUDED.last_seen_at,
             created_at = CASE WHEN user_devices.user_id = EXCLUDED.user_id THEN user_devices.created_at
                               ELSE EXCLUDED.created_at END
         RETURNING created_at",
        token,
        user_id,
        platform.name(),
        now
    )
    .fetch_one(&mut *connection)
    .await?;
    sqlx::query!(
        "DELETE FROM user_devices WHERE user_id = $1 AND token IN (
             SELECT token FROM user_devices WHERE user_id = $1
             ORDER BY last_seen_at DESC, token = $2 DESC OFFSET $3)",
        user_id,
        token,
        DEVICES_MAX
    )
    .execute(connection)
    .await?;
    Ok(Some(created_at))
}
