//! The evidence: every stored click of a gonggu, as the figures count it.
//!
//! Invariants: rows come by (`clicked_at`, position), a page at a time, so that memory stays flat however
//! many there are; an admin's last decision on a click replaces the judge's verdict, as it does in the
//! figures; the same `[from, to)` as in stats gives the same clicks. The caller decides who may see
//! `ip_address` and who only `ip_masked`.

#[cfg(test)]
mod tests;

use crate::postgres::codes;
use crate::postgres::store_error;
use crate::recorded::RecordedClicks;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use gonggumoa_core::click::{JudgedClick, Verdict};
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::{ClickId, GongguId, Position};
use gonggumoa_core::store::StoreError;
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

/// Rows read at once: some 500 KB.
const PAGE_ROWS: usize = 1_000;

/// One line of `clicks.csv`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EvidenceRow {
    /// The id that the client was given.
    pub click_id: ClickId,
    /// When it was written down.
    pub clicked_at: UnixMillis,
    /// `billable`, `duplicate`, `held` or `invalid`, after decisions.
    pub verdict: &'static str,
    /// Why, for held and invalid clicks.
    pub reason: Option<&'static str>,
    /// The user's id if signed in, else the visitor's hash in hex.
    pub visitor: String,
    /// The raw address, or its masked form once it went.
    pub ip_address: String,
    /// The form of it that may be shown.
    pub ip_masked: String,
    /// As sent, cut.
    pub user_agent: String,
    /// As sent, cut.
    pub referer: String,
    /// The rules version that judged it.
    pub rules_version: u32,
}

/// All clicks of a gonggu with `from <= clicked_at < to`.
pub fn evidence(
    store: Arc<dyn RecordedClicks>,
    gonggu_id: GongguId,
    from: UnixMillis,
    to: UnixMillis,
) -> impl Stream<Item = Result<EvidenceRow, StoreError>> + Send + 'static {
    let pages = stream::try_unfold(Some(None), move |after: Option<Option<(UnixMillis, Position)>>| {
        let store = store.clone();
        async move {
            let Some(after) = after else { return Ok(None) };
            let page = store.clicks(gonggu_id, from, to, after, PAGE_ROWS).await?;
            let next = match page.last() {
                Some(last) if page.len() == PAGE_ROWS => Some(Some((last.click.clicked_at, last.position))),
                _ => None,
            };
            let decided = decisions(&*store, &page).await?;
            let rows: Vec<EvidenceRow> = page.iter().map(|click| row(click, &decided)).collect();
            Ok::<_, StoreError>(Some((rows, next)))
        }
    });
    pages.map_ok(|rows| stream::iter(rows.into_iter().map(Ok))).try_flatten().boxed()
}

/// The last decision on each of these clicks that has one.
async fn decisions(
    store: &dyn RecordedClicks,
    page: &[JudgedClick],
) -> Result<HashMap<Uuid, Verdict>, StoreError> {
    let ids: Vec<Uuid> = page.iter().map(|click| click.click.id.0).collect();
    let rows = sqlx::query!(
        "SELECT DISTINCT ON (click_id) click_id, to_verdict, to_reason FROM click_adjustments
         WHERE click_id = ANY ($1) ORDER BY click_id, decided_at DESC, decision_id DESC",
        &ids
    )
    .fetch_all(store.catalog())
    .await
    .map_err(store_error)?;
    rows.into_iter()
        .map(|row| {
            let verdict = codes::verdict_of(row.to_verdict, row.to_reason).ok_or_else(|| {
                StoreError::Damaged { what: "adjustment", problem: format!("verdict on {}", row.click_id) }
            })?;
            Ok((row.click_id, verdict))
        })
        .collect()
}

fn row(judged: &JudgedClick, decided: &HashMap<Uuid, Verdict>) -> EvidenceRow {
    let (click, judgement) = (&judged.click, &judged.judgement);
    let verdict = decided.get(&click.id.0).copied().unwrap_or(judgement.verdict);
    EvidenceRow {
        click_id: click.id,
        clicked_at: click.clicked_at,
        verdict: verdict.as_str(),
        reason: verdict.reason(),
        visitor: match click.member {
            Some(member) => member.id.to_string(),
            None => format!("{:016x}", judgement.visitor),
        },
        ip_address: click.address.map_or_else(|| click.address_masked.to_string(), |at| at.to_string()),
        ip_masked: click.address_masked.to_string(),
        user_agent: click.user_agent.to_string(),
        referer: click.referer.to_string(),
        rules_version: judgement.rules_version,
    }
}
