//! The outbox's rows. Times are the database's own, so that several processes agree on them.

use super::Mail;
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// A mail that this process has taken to send.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    pub(super) id: Uuid,
    pub(super) recipient: String,
    pub(super) subject: String,
    pub(super) text_body: String,
    pub(super) html_body: Option<String>,
    pub(super) created_at: DateTime<Utc>,
    /// This one included.
    pub(super) tries: i32,
}

pub(super) async fn insert(connection: &mut PgConnection, id: Uuid, mail: &Mail) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO mails (id, recipient, subject, text_body, html_body) VALUES ($1, $2, $3, $4, $5)",
        id,
        mail.to,
        mail.subject,
        mail.text,
        mail.html
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Takes the mail that waits longest. Until the lease ends it is nobody else's; a process that dies with it
/// leaves it to whoever comes then.
pub(super) async fn take(pool: &PgPool, lease_seconds: f64) -> Result<Option<Taken>, sqlx::Error> {
    sqlx::query_as!(
        Taken,
        "UPDATE mails SET tries = tries + 1, next_try_at = now() + make_interval(secs => $1)
         WHERE id = (SELECT id FROM mails
                     WHERE sent_at IS NULL AND failed_at IS NULL AND next_try_at <= now()
                     ORDER BY next_try_at LIMIT 1 FOR UPDATE SKIP LOCKED)
         RETURNING id, recipient, subject, text_body, html_body, created_at, tries",
        lease_seconds
    )
    .fetch_optional(pool)
    .await
}

pub(super) async fn mark_sent(pool: &PgPool, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE mails SET sent_at = now(), text_body = '', html_body = NULL, last_problem = NULL WHERE id = $1",
        id
    )
    .execute(pool)
    .await?;
    Ok(())
}

pub(super) async fn mark_failed(pool: &PgPool, id: Uuid, problem: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE mails SET failed_at = now(), text_body = '', html_body = NULL, last_problem = $2 WHERE id = $1",
        id,
        problem
    )
    .execute(pool)
    .await?;
    Ok(())
}

pub(super) async fn try_later(
    pool: &PgPool,
    id: Uuid,
    pause_seconds: f64,
    problem: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE mails SET next_try_at = now() + make_interval(secs => $2), last_problem = $3 WHERE id = $1",
        id,
        pause_seconds,
        problem
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Deletes mails that ended so many days ago.
pub(super) async fn delete_old(pool: &PgPool, days: i32) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query!(
        "DELETE FROM mails WHERE (sent_at IS NOT NULL OR failed_at IS NOT NULL)
            AND COALESCE(sent_at, failed_at) < now() - make_interval(days => $1)",
        days
    )
    .execute(pool)
    .await?;
    Ok(deleted.rows_affected())
}
