//! Closing an account.
//!
//! What tells who somebody was goes: address, name, picture, phone, password, social identity, devices,
//! consents, networks, codes, sessions. What others need stays: the row itself, which clicks, gonggus, reviews and
//! money name. The address is free again at once. An influencer's gonggus that have not ended close now.
//!
//! Lock order: the account's row with those of all admins by id, its profile with those of the influencers whose counts
//! it leaves by id, its gonggus, then what hangs on the account alone.

use crate::app::App;
use crate::http::error::ApiError;
use chrono::{DateTime, Utc};
use gonggumoa_analytics::postgres::begin::begin;
use gonggumoa_core::ids::UserId;
use sqlx::PgConnection;
use uuid::Uuid;

/// Closes it; when this returns no token of it is good in this process and its links lead nowhere.
pub(super) async fn close(app: &App, id: UserId) -> Result<(), ApiError> {
    let now = app.clock.now().to_utc();
    let mut transaction = begin(&app.pool).await?;
    if is_last_admin(&mut transaction, id.0).await? {
        return Err(ApiError::LastAdmin);
    }
    if !blank(&mut transaction, id.0, now).await? {
        return Err(ApiError::Unauthorized);
    }
    lock_profiles(&mut transaction, id.0).await?;
    end_influencer(&mut transaction, id.0, now).await?;
    delete_belongings(&mut transaction, id.0).await?;
    transaction.commit().await?;
    app.identities.forget(id);
    app.catalog.changed();
    if let Err(error) = app.links.refresh_owner(id).await {
        // the notification of the same commit does it
        tracing::warn!(
            error = &error as &(dyn std::error::Error + 'static),
            "links of a closed account could not be read again at once"
        );
    }
    Ok(())
}

/// Whether nobody but this account could administer. Admins' rows are held, in the order in which a suspension takes
/// them: of two who close at once, or one who closes and one who is suspended, one stays.
async fn is_last_admin(connection: &mut PgConnection, id: Uuid) -> Result<bool, sqlx::Error> {
    let admins = sqlx::query_scalar!(
        "SELECT id FROM users WHERE (id = $1 OR role = 'admin') AND status = 'active' ORDER BY id FOR NO KEY UPDATE",
        id
    )
    .fetch_all(&mut *connection)
    .await?;
    let is_admin = sqlx::query_scalar!(
        r#"SELECT role = 'admin' AND status = 'active' AS "is!" FROM users WHERE id = $1"#,
        id
    )
    .fetch_optional(connection)
    .await?;
    Ok(is_admin == Some(true) && admins.len() <= 1)
}

/// `false`: it is closed already. No address is put in place of the old one: whoever signed up with that one
/// first could keep the account from being closed.
async fn blank(connection: &mut PgConnection, id: Uuid, now: DateTime<Utc>) -> Result<bool, sqlx::Error> {
    let closed = sqlx::query!(
        "UPDATE users SET email = NULL, email_folded = NULL, email_verified_at = NULL, password_hash = NULL,
             nickname = '탈퇴한 회원', social_provider = NULL, social_id = NULL, profile_image = NULL,
             phone_number = NULL, status = 'suspended', closed_at = $2, updated_at = $2,
             token_version = token_version + 1
         WHERE id = $1 AND closed_at IS NULL",
        id,
        now
    )
    .execute(connection)
    .await?;
    Ok(closed.rows_affected() == 1)
}

/// Its own profile, and those that lose a subscriber when its subscriptions go (a trigger counts them): in one order, or
/// two influencers who subscribe to each other and close at once would wait for each other.
async fn lock_profiles(connection: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "SELECT id FROM influencer_profiles
         WHERE user_id = $1 OR user_id IN (SELECT influencer_id FROM subscriptions WHERE buyer_id = $1)
         ORDER BY user_id FOR NO KEY UPDATE",
        id
    )
    .fetch_all(connection)
    .await?;
    Ok(())
}

async fn end_influencer(
    connection: &mut PgConnection,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE influencer_profiles SET bio = '', banner_image = NULL, instagram_url = NULL, tiktok_url = NULL,
             is_verified = false
         WHERE user_id = $1",
        id
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "UPDATE gonggus SET closed_at = $2, updated_at = $2
         WHERE influencer_id = $1 AND deleted_at IS NULL AND closed_at IS NULL AND close_at > $2",
        id,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn delete_belongings(connection: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM refresh_tokens WHERE user_id = $1", id).execute(&mut *connection).await?;
    sqlx::query!("DELETE FROM email_codes WHERE user_id = $1", id).execute(&mut *connection).await?;
    sqlx::query!("DELETE FROM login_networks WHERE user_id = $1", id).execute(&mut *connection).await?;
    sqlx::query!("DELETE FROM user_devices WHERE user_id = $1", id).execute(&mut *connection).await?;
    sqlx::query!("DELETE FROM notification_settings WHERE user_id = $1", id)
        .execute(&mut *connection)
        .await?;
    sqlx::query!("DELETE FROM bookmarks WHERE user_id = $1", id).execute(&mut *connection).await?;
    sqlx::query!("DELETE FROM gonggu_alarms WHERE user_id = $1", id).execute(&mut *connection).await?;
    // takes itself off the counts of those it was subscribed to
    sqlx::query!("DELETE FROM subscriptions WHERE buyer_id = $1", id).execute(connection).await?;
    Ok(())
}

#[cfg(test)]
mod tests;
