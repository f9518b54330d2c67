//! The proof over all partitions of an archive.
//!
//! Problem: when a log begins a new epoch with another number of partitions (a single machine's journal has one), a
//! gonggu's clicks go on in another partition, from the state that those before it have left. So the epochs
//! are folded one after the other, in each of them every partition, with the states in common; positions of a
//! later epoch are larger, whatever the partition.
//!
//! An hour whose clicks differ is named as a whole: [`replay`](super::replay) of its partition names the clicks.
//!
//! Non-goals: stored clicks of an epoch of which nothing at all is archived yet in the partition of their gonggu.

use super::super::ArchiveError;
use super::super::read::{epoch_of, files};
use super::compare::Comparison;
use super::fold::{Fold, HourDigests};
use super::{Compared, ReplayReport};
use gonggumoa_core::ids::{GongguId, PartitionId};
use gonggumoa_core::store::{ClickQueries, ClickStore};
use object_store::ObjectStore;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Folds the archives of all these partitions and compares the store with them. The report's `through` is the
/// end of the archive that ends first.
pub async fn replay_all<S: ClickStore + ClickQueries + ?Sized>(
    objects: Arc<dyn ObjectStore>,
    store: &S,
    partitions: &[PartitionId],
) -> Result<ReplayReport, ArchiveError> {
    let mut folds: BTreeMap<PartitionId, Fold> = BTreeMap::new();
    let mut epochs = BTreeSet::new();
    for partition in partitions {
        let names = files(&*objects, *partition).await?;
        epochs.extend(names.iter().map(|name| epoch_of(name)));
        folds.insert(*partition, Fold::new(Arc::clone(&objects), *partition));
    }
    let (mut digests, mut states) = (HourDigests::default(), HashMap::new());
    // Where each gonggu's last click is.
    let mut owners: BTreeMap<GongguId, PartitionId> = BTreeMap::new();
    for epoch in epochs {
        for (partition, fold) in &mut folds {
            fold.epoch = Some(epoch);
            std::mem::swap(&mut fold.states, &mut states);
            let folded = fold.run(store, None, |judged| {
                digests.add(judged);
                owners.insert(judged.click.gonggu_id, *partition);
            });
            let folded = folded.await;
            std::mem::swap(&mut fold.states, &mut states);
            folded?;
        }
    }
    let mut report = ReplayReport {
        through: folds.values().filter_map(|fold| fold.through).min(),
        clicks: folds.values().map(|fold| fold.clicks).sum(),
        gonggus: owners.len() as u64,
        believed: folds.values().map(|fold| fold.believed).sum(),
        ..ReplayReport::default()
    };
    for (gonggu_id, partition) in owners {
        let (Some(state), Some(fold)) = (states.remove(&gonggu_id), folds.get_mut(&partition)) else {
            continue;
        };
        let expected = digests.take(gonggu_id);
        report.beginning = fold.beginning;
        let hours = Comparison::new(store, fold, &mut report, *state).run(&expected).await?;
        for (gonggu_id, at) in hours {
            report.differ(Compared::Hour { gonggu_id, at }, Some("other clicks".into()), None);
        }
    }
    // The latest: from there on everything was compared.
    report.beginning =
        folds.values().filter_map(|fold| fold.beginning).max_by_key(|beginning| beginning.from);
    Ok(report)
}

#[cfg(test)]
mod tests;
