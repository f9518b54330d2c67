//! Reading an archive back, with its chain verified.

use super::ArchiveError;
use super::file::{FileReader, folder};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use gonggumoa_core::ids::{PartitionId, Position};
use gonggumoa_core::log::{LogEntry, LogPosition};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use std::collections::VecDeque;
use std::sync::Arc;

/// A partition's file names, in the order of the log.
pub async fn files(objects: &dyn ObjectStore, partition: PartitionId) -> Result<Vec<String>, ArchiveError> {
    let mut names: Vec<String> = objects
        .list(Some(&folder(partition)))
        .map_ok(|meta| meta.location.to_string())
        .try_collect()
        .await
        .map_err(|source| ArchiveError::Objects { file: folder(partition).to_string(), source })?;
    names.retain(|name| name.ends_with(".gmz"));
    // Fixed-width numbers: the order of names is the order of positions.
    names.sort_unstable();
    Ok(names)
}

/// The epoch of the log that a file of this name holds a part of. All its entries are of one: a log of a new epoch
/// begins with a new start.
pub(super) fn epoch_of(name: &str) -> u16 {
    let first = name.rsplit('/').next().and_then(|file| file.get(..20));
    first.and_then(|digits| digits.parse().ok()).map_or(0, |first| Position(first).epoch())
}

/// The error of an object that could not be had.
pub(super) fn failed(file: &str) -> impl Fn(object_store::Error) -> ArchiveError {
    move |source| ArchiveError::Objects { file: file.to_owned(), source }
}

pub(super) async fn open(objects: &dyn ObjectStore, file: &str) -> Result<FileReader, ArchiveError> {
    let object = objects.get(&Path::from(file)).await.map_err(failed(file))?;
    let bytes = object.bytes().await.map_err(failed(file))?;
    FileReader::open(file, &bytes)
}

/// The files of a partition one after the other, each verified and following the one before.
pub(super) struct Files {
    objects: Arc<dyn ObjectStore>,
    partition: PartitionId,
    names: Option<VecDeque<String>>,
    /// End and hash of the file before.
    previous: Option<(LogPosition, String)>,
}

impl Files {
    pub(super) fn new(objects: Arc<dyn ObjectStore>, partition: PartitionId) -> Self {
        Self { objects, partition, names: None, previous: None }
    }

    /// The next file; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<FileReader>, ArchiveError> {
        if self.names.is_none() {
            self.names = Some(files(&*self.objects, self.partition).await?.into());
        }
        let Some(file) = self.names.as_mut().and_then(VecDeque::pop_front) else { return Ok(None) };
        let opened = open(&*self.objects, &file).await?;
        self.check_chain(&file, &opened)?;
        self.previous = Some((opened.header.end.into(), opened.sha256.clone()));
        Ok(Some(opened))
    }

    fn check_chain(&self, file: &str, opened: &FileReader) -> Result<(), ArchiveError> {
        let header = &opened.header;
        let expected = self.previous.as_ref();
        let follows = header.partition == self.partition
            && header.after.map(LogPosition::from) == expected.map(|(end, _)| *end)
            && header.previous_sha256.as_ref() == expected.map(|(_, hash)| hash);
        // The oldest files may have been deleted after their time: the first one there starts anywhere.
        if follows || (expected.is_none() && header.partition == self.partition) {
            return Ok(());
        }
        Err(ArchiveError::Chain { file: file.to_owned() })
    }
}

struct Reading {
    files: Files,
    current: Option<FileReader>,
}

/// All entries of a partition in the order of the log. Ends with an error at the first file that is
/// damaged, or that does not follow the one before.
pub fn read(
    objects: Arc<dyn ObjectStore>,
    partition: PartitionId,
) -> impl Stream<Item = Result<(Position, LogEntry), ArchiveError>> + Send {
    let reading = Reading { files: Files::new(objects, partition), current: None };
    stream::try_unfold(reading, |mut reading| async move {
        let entry = reading.next().await?;
        Ok(entry.map(|entry| (entry, reading)))
    })
    .boxed()
}

impl Reading {
    async fn next(&mut self) -> Result<Option<(Position, LogEntry)>, ArchiveError> {
        loop {
            if let Some(current) = self.current.as_mut() {
                if let Some(entry) = current.next()? {
                    return Ok(Some(entry));
                }
                self.current = None;
            }
            let Some(opened) = self.files.next().await? else { return Ok(None) };
            self.current = Some(opened);
        }
    }
}
