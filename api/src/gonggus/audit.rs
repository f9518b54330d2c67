//! What admins do to gonggus of others stands in the log. What owners do to their own does not.

use crate::admin::audit::{self, AuditEntry};
use crate::gonggus::types::GongguResponse;
use gonggumoa_core::ids::UserId;
use serde_json::{Value, json};
use sqlx::PgConnection;

/// Writes an entry of what a gonggu was and became, unless its owner did it.
pub(super) async fn record(
    connection: &mut PgConnection,
    actor_id: UserId,
    action: &'static str,
    (before, after): (Option<&GongguResponse>, Option<&GongguResponse>),
) -> Result<(), sqlx::Error> {
    let Some(gonggu) = after.or(before).filter(|gonggu| gonggu.influencer_id != actor_id.0) else {
        return Ok(());
    };
    let details = json!({
        "influencer_id": gonggu.influencer_id,
        "before": before.map(facts),
        "after": after.map(facts),
    });
    let entry = AuditEntry::new(actor_id.0, action, ("gonggu", gonggu.id), details);
    audit::record(connection, &entry).await
}

/// All but the description, which is long, and what is computed.
fn facts(gonggu: &GongguResponse) -> Value {
    json!({
        "title": gonggu.title,
        "original_price": gonggu.original_price,
        "gonggu_price": gonggu.gonggu_price,
        "open_at": gonggu.open_at,
        "close_at": gonggu.close_at,
        "closed_at": gonggu.closed_at,
        "external_url": gonggu.external_url,
        "thumbnail": gonggu.thumbnail,
        "category_ids": gonggu.categories.iter().map(|category| category.id).collect::<Vec<_>>(),
    })
}
