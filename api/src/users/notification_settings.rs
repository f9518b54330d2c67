//! What somebody wants to hear, by channel and purpose.
//!
//! Service messages are on until they are turned off. Advertising is off until it is asked for, and advertising
//! at night (21 to 8 o'clock) needs a consent of its own on top of that, as the law wants it. The time of a
//! consent is kept with it and stays while it stands; so does the time when one was taken back.

use crate::app::App;
use crate::http::auth::Buyer;
use crate::http::check::Checks;
use crate::http::error::ApiError;
use crate::http::extract::JsonBody;
use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use gonggumoa_analytics::postgres::begin::begin;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// One channel's settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ChannelSettings {
    /// What concerns one's own orders, subscriptions and account.
    pub service: bool,
    /// Advertising by day.
    pub ad: bool,
    /// Advertising at night.
    pub ad_night: bool,
    /// When advertising was agreed to, if it is.
    pub ad_consented_at: Option<DateTime<Utc>>,
    /// When advertising at night was agreed to, if it is.
    pub ad_night_consented_at: Option<DateTime<Utc>>,
}

impl Default for ChannelSettings {
    fn default() -> Self {
        Self { service: true, ad: false, ad_night: false, ad_consented_at: None, ad_night_consented_at: None }
    }
}

/// All settings of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct NotificationSettingsResponse {
    /// Push messages.
    pub push: ChannelSettings,
    /// KakaoTalk 알림톡.
    pub alimtalk: ChannelSettings,
    /// E-mail.
    pub email: ChannelSettings,
}

/// One channel's new settings; what is absent stays.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
pub struct ChannelSettingsUpdate {
    /// What concerns one's own orders, subscriptions and account.
    pub service: Option<bool>,
    /// Advertising by day.
    pub ad: Option<bool>,
    /// Advertising at night; needs `ad`.
    pub ad_night: Option<bool>,
}

/// New settings; a channel that is absent stays.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
pub struct NotificationSettingsUpdate {
    /// Push messages.
    pub push: Option<ChannelSettingsUpdate>,
    /// KakaoTalk 알림톡.
    pub alimtalk: Option<ChannelSettingsUpdate>,
    /// E-mail.
    pub email: Option<ChannelSettingsUpdate>,
}

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(read, replace))
}

/// What one wants to hear.
#[utoipa::path(get, path = "/users/me/notification-settings", tag = "users", security(("bearer" = [])),
    extensions(("x-required-role" = json!("user"))), responses(
    (status = 200, body = NotificationSettingsResponse),
))]
async fn read(
    State(app): State<App>,
    Buyer(user): Buyer,
) -> Result<Json<NotificationSettingsResponse>, ApiError> {
    let mut connection = app.pool.acquire().await?;
    Ok(Json(of_user(&mut connection, user.id.0).await?))
}

/// Says what one wants to hear. Advertising is an express consent, whose time is kept.
#[utoipa::path(put, path = "/users/me/notification-settings", tag = "users", security(("bearer" = [])),
    extensions(("x-required-role" = json!("user"))), request_body = NotificationSettingsUpdate, responses(
    (status = 200, body = NotificationSettingsResponse),
))]
async fn replace(
    State(app): State<App>,
    Buyer(user): Buyer,
    JsonBody(body): JsonBody<NotificationSettingsUpdate>,
) -> Result<Json<NotificationSettingsResponse>, ApiError> {
    let now = app.clock.now().to_utc();
    let mut transaction = begin(&app.pool).await?;
    let account =
        sqlx::query!("SELECT id FROM users WHERE id = $1 AND closed_at IS NULL FOR NO KEY UPDATE", user.id.0);
    account.fetch_optional(&mut *transaction).await?.ok_or(ApiError::Unauthorized)?;
    let before = of_user(&mut transaction, user.id.0).await?;
    let after = changed(&before, body, now)?;
    for (channel, before, after) in [
        ("push", &before.push, &after.push),
        ("alimtalk", &before.alimtalk, &after.alimtalk),
        ("email", &before.email, &after.email),
    ] {
        for ((purpose, was), (_, is)) in purposes(before).into_iter().zip(purposes(after)) {
            if was != is {
                write(&mut transaction, user.id.0, (channel, purpose), is, now).await?;
            }
        }
    }
    transaction.commit().await?;
    Ok(Json(after))
}

/// Whether it is on, and since which consent.
type Setting = (bool, Option<DateTime<Utc>>);

fn purposes(settings: &ChannelSettings) -> [(&'static str, Setting); 3] {
    [
        ("service", (settings.service, None)),
        ("ad", (settings.ad, settings.ad_consented_at)),
        ("ad_night", (settings.ad_night, settings.ad_night_consented_at)),
    ]
}

fn changed(
    before: &NotificationSettingsResponse,
    change: NotificationSettingsUpdate,
    now: DateTime<Utc>,
) -> Result<NotificationSettingsResponse, ApiError> {
    let mut checks = Checks::new();
    let after = NotificationSettingsResponse {
        push: channel(&before.push, change.push, "push.ad_night", now, &mut checks),
        alimtalk: channel(&before.alimtalk, change.alimtalk, "alimtalk.ad_night", now, &mut checks),
        email: channel(&before.email, change.email, "email.ad_night", now, &mut checks),
    };
    checks.finish()?;
    Ok(after)
}

/// Taking back `ad` takes `ad_night` back with it.
fn channel(
    before: &ChannelSettings,
    change: Option<ChannelSettingsUpdate>,
    night_field: &'static str,
    now: DateTime<Utc>,
    checks: &mut Checks,
) -> ChannelSettings {
    let change = change.unwrap_or_default();
    let ad = change.ad.unwrap_or(before.ad);
    checks.ensure(ad || change.ad_night != Some(true), night_field, "광고 수신에 먼저 동의해야 합니다");
    let ad_night = ad && change.ad_night.unwrap_or(before.ad_night);
    ChannelSettings {
        service: change.service.unwrap_or(before.service),
        ad,
        ad_night,
        ad_consented_at: ad.then(|| before.ad_consented_at.unwrap_or(now)),
        ad_night_consented_at: ad_night.then(|| before.ad_night_consented_at.unwrap_or(now)),
    }
}

async fn of_user(
    connection: &mut PgConnection,
    user_id: Uuid,
) -> Result<NotificationSettingsResponse, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT channel, purpose, enabled, consented_at FROM notification_settings WHERE user_id = $1",
        user_id
    )
    .fetch_all(connection)
    .await?;
    let mut settings = NotificationSettingsResponse::default();
    for row in rows {
        let channel = match row.channel.as_str() {
            "push" => &mut settings.push,
            "alimtalk" => &mut settings.alimtalk,
            _ => &mut settings.email,
        };
        match row.purpose.as_str() {
            "service" => channel.service = row.enabled,
            "ad" => (channel.ad, channel.ad_consented_at) = (row.enabled, row.consented_at),
            _ => (channel.ad_night, channel.ad_night_consented_at) = (row.enabled, row.consented_at),
        }
    }
    Ok(settings)
}

async fn write(
    connection: &mut PgConnection,
    user_id: Uuid,
    (channel, purpose): (&str, &str),
    (enabled, consented_at): Setting,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO notification_settings (user_id, channel, purpose, enabled, changed_at, consented_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (user_id, channel, purpose) DO UPDATE SET enabled = EXCLUDED.enabled,
             changed_at = EXCLUDED.changed_at, consented_at = EXCLUDED.consented_at",
        user_id,
        channel,
        purpose,
        enabled,
        now,
        consented_at
    )
    .execute(connection)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests;
