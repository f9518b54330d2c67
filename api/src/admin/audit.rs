//! Who did what, when, to what.
//!
//! Invariant: an entry is written in the transaction of the change that it speaks of, so there is neither a
//! change without an entry nor an entry without its change. Entries are never changed (a trigger refuses
//! it) and hold no addresses and no tokens.

use sqlx::PgConnection;
use uuid::Uuid;

/// One act of an admin.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEntry {
    /// Who did it.
    pub actor_id: Uuid,
    /// What was done, as `thing.verb`; never changes its meaning.
    pub action: &'static str,
    /// What kind of thing it was done to.
    pub target_type: &'static str,
    /// Which one; most things have a UUID, a month of settlements has its name.
    pub target_id: String,
    /// What else is worth knowing a year later: reasons, and values before and after.
    pub details: serde_json::Value,
}

impl AuditEntry {
    /// What was done to a thing that has a UUID.
    pub fn new(
        actor_id: Uuid,
        action: &'static str,
        (target_type, target_id): (&'static str, Uuid),
        details: serde_json::Value,
    ) -> Self {
        Self { actor_id, action, target_type, target_id: target_id.to_string(), details }
    }
}

/// Writes an entry; the caller's transaction carries it, and its time is when that transaction began.
pub async fn record(connection: &mut PgConnection, entry: &AuditEntry) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO audit_log (id, at, actor_id, action, target_type, target_id, details)
         VALUES ($1, now(), $2, $3, $4, $5, $6)",
        Uuid::now_v7(),
        entry.actor_id,
        entry.action,
        entry.target_type,
        entry.target_id,
        entry.details
    )
    .execute(connection)
    .await?;
    Ok(())
}
