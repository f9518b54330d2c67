//! Deleting archive files after their time.
//!
//! Invariants: a partition's files go oldest first, one by one, so that whatever moment a crash chooses, what stays is
//! an unbroken end of the chain, whose verification begins at the oldest file left. The newest file of a partition
//! always stays: the archive goes on from it. Rules stay: newer files name them.

use super::ArchiveError;
use super::file::{FileReader, PARTITIONS};
use super::read::{failed, open};
use futures::TryStreamExt;
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::log::LogEntry;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use std::collections::BTreeMap;

/// Deletes the files that hold nothing from `keep_from` on; their names.
pub async fn delete_before(
    objects: &dyn ObjectStore,
    keep_from: UnixMillis,
) -> Result<Vec<String>, ArchiveError> {
    let mut partitions: BTreeMap<String, Vec<ObjectMeta>> = BTreeMap::new();
    let folder = Path::from(PARTITIONS);
    let mut listed = objects.list(Some(&folder));
    while let Some(meta) = listed.try_next().await.map_err(failed(folder.as_ref()))? {
        let name = meta.location.to_string();
        if let (Some((partition, _)), true) = (name.rsplit_once('/'), name.ends_with(".gmz")) {
            partitions.entry(partition.to_owned()).or_default().push(meta);
        }
    }
    drop(listed);
    let mut deleted = Vec::new();
    for mut files in partitions.into_values() {
        // Fixed-width numbers: the order of names is the order of positions.
        files.sort_unstable_by(|one, other| one.location.cmp(&other.location));
        files.pop();
        for file in files {
            let name = file.location.to_string();
            if !is_over(objects, &name, &file, keep_from).await? {
                break;
            }
            objects.delete(&file.location).await.map_err(failed(&name))?;
            tracing::info!(archive.file = %name, "an archive file was deleted after its time");
            deleted.push(name);
        }
    }
    Ok(deleted)
}

/// Whether all of a file is from before `keep_from`: it was written before, or its entries say so. The clock of
/// the one may have been wrong, a copy of the archive may have renewed the other.
async fn is_over(
    objects: &dyn ObjectStore,
    name: &str,
    file: &ObjectMeta,
    keep_from: UnixMillis,
) -> Result<bool, ArchiveError> {
    if UnixMillis::from(file.last_modified) < keep_from {
        return Ok(true);
    }
    Ok(newest(open(objects, name).await?)?.is_some_and(|newest| newest < keep_from))
}

/// The latest time of a file's entries; `None` when none of them has one.
fn newest(mut file: FileReader) -> Result<Option<UnixMillis>, ArchiveError> {
    let mut newest = None;
    while let Some((_, entry)) = file.next()? {
        newest = newest.max(match entry {
            LogEntry::Click(click) => Some(click.clicked_at),
            LogEntry::TimeMark { at, .. } => Some(at),
            LogEntry::Closing { .. } => None,
        });
    }
    Ok(newest)
}
