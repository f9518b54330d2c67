//! The proof: the archive folded again from nothing, against what the click store holds.
//!
//! Problem: a finance team asks a year later whether the figures are those of the log. So every archived
//! click is judged again, from an empty state, by the archived rules, and the store's clicks, heads and
//! rollup rows must be the same; any that differs is named.
//!
//! Invariants: nothing of the store's is used to judge an archived click; a file that is damaged or out of
//! order is an error, never a difference. Where the first files were deleted after their time, the verdicts of the
//! first two days that are left cannot be judged and are taken over ([`beginning`]); the report says from when on what
//! is compared and judged. The store may be ahead of the
//! archive by the file that is being gathered: heads and rollups are absolute values, so clicks stored
//! beyond the archive's end are folded on top, from their rows, and their verdicts are compared as well.
//! Of those only the verdict is proved, not that the row is the log's.
//!
//! Memory: one file, the state and the rollup rows of every gonggu of the partition, 48 bytes for each hour
//! in which a gonggu was clicked, and a page of stored clicks. Clicks are not kept: those of an hour are
//! compared by number and sum of hashes, and only for hours that differ the archive is folded a second time
//! to name them ([`HOURS_NAMED_MAX`] of them at once).
//!
//! Non-goals: gonggus that are in the store and not in the archive; flags and adjustments; clicks that
//! retention has dropped (they are named as missing).

mod all;
mod beginning;
mod compare;
mod fold;
mod report;
#[cfg(test)]
mod tests;

pub use all::replay_all;
pub use beginning::Beginning;
pub use report::{Compared, Difference, ReplayReport};

use super::ArchiveError;
use compare::Comparison;
use fold::{Fold, HourDigests};
use gonggumoa_core::click::JudgedClick;
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::{GongguId, PartitionId, Position};
use gonggumoa_core::kst::{HOUR_MILLIS, hour_start};
use gonggumoa_core::store::{ClickQueries, ClickStore};
use object_store::ObjectStore;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Hours whose clicks are named one by one; further ones are named as a whole.
const HOURS_NAMED_MAX: usize = 64;
/// Clicks read from the store at once.
const PAGE_CLICKS: usize = 5_000;

/// Folds the archive of a partition and compares the store with it.
pub async fn replay<S: ClickStore + ClickQueries + ?Sized>(
    objects: Arc<dyn ObjectStore>,
    store: &S,
    partition: PartitionId,
) -> Result<ReplayReport, ArchiveError> {
    let mut digests = HourDigests::default();
    let mut folded = Fold::new(objects.clone(), partition);
    folded.run(store, None, |judged| digests.add(judged)).await?;
    let mut report = ReplayReport {
        through: folded.through,
        clicks: folded.clicks,
        beginning: folded.beginning,
        ..Default::default()
    };

    let mut gonggus: Vec<GongguId> = folded.states.keys().copied().collect();
    gonggus.sort_unstable();
    report.gonggus = gonggus.len() as u64;
    let mut hours = BTreeSet::new();
    for gonggu_id in gonggus {
        let Some(state) = folded.states.remove(&gonggu_id) else { continue };
        let expected = digests.take(gonggu_id);
        let mut comparison = Comparison::new(store, &mut folded, &mut report, *state);
        hours.extend(comparison.run(&expected).await?);
    }
    report.believed = folded.believed;
    name_clicks(objects, store, partition, &mut report, hours).await?;
    Ok(report)
}

/// Folds the gonggus of these hours once more and names every click that differs.
async fn name_clicks<S: ClickQueries + ?Sized>(
    objects: Arc<dyn ObjectStore>,
    store: &S,
    partition: PartitionId,
    report: &mut ReplayReport,
    hours: BTreeSet<(GongguId, UnixMillis)>,
) -> Result<(), ArchiveError> {
    let mut named: BTreeMap<(GongguId, UnixMillis), BTreeMap<Position, JudgedClick>> = BTreeMap::new();
    for (index, (gonggu_id, at)) in hours.into_iter().enumerate() {
        if index < HOURS_NAMED_MAX {
            named.insert((gonggu_id, at), BTreeMap::new());
        } else {
            report.differ(Compared::Hour { gonggu_id, at }, Some("other clicks".into()), None);
        }
    }
    if named.is_empty() {
        return Ok(());
    }
    let gonggus: BTreeSet<GongguId> = named.keys().map(|(gonggu_id, _)| *gonggu_id).collect();
    let mut again = Fold::new(objects, partition);
    let gather = |judged: &JudgedClick| {
        let hour = (judged.click.gonggu_id, hour_start(judged.click.clicked_at));
        if let Some(clicks) = named.get_mut(&hour) {
            clicks.insert(judged.position, judged.clone());
        }
    };
    again.run(store, Some(&gonggus), gather).await?;
    // The archive may have grown meanwhile; what is beyond the first fold was not compared.
    let through = report.through.unwrap_or_default();
    let begin = report.beginning.map_or(Position(0), |beginning| beginning.position);
    for ((gonggu_id, at), mut expected) in named {
        expected.retain(|position, _| *position <= through);
        let mut after = None;
        loop {
            let page = store.clicks(gonggu_id, at, at.plus_millis(HOUR_MILLIS), after, PAGE_CLICKS).await?;
            after = page.last().map(|judged| (judged.click.clicked_at, judged.position));
            let full = page.len() == PAGE_CLICKS;
            for found in page.into_iter().filter(|judged| (begin..=through).contains(&judged.position)) {
                report.compare_click(gonggu_id, expected.remove(&found.position).as_ref(), Some(&found));
            }
            if !full {
                break;
            }
        }
        for missing in expected.values() {
            report.compare_click(gonggu_id, Some(missing), None);
        }
    }
    Ok(())
}
