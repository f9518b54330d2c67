//! The segments on disk: who may read where, what may go, and what may still be taken.
//!
//! Space is taken only when a segment is made, within the budget and leaving the reserve to others on
//! the same disk. A segment goes only when every reader that must pass, and every other that ever
//! released, has passed it; the newest stays, because it carries the chain of runs. Each unlink is made
//! durable before the next, oldest first, so that a crash never leaves a hole.

use super::io::JournalIo;
use super::segment::{self, SegmentMeta};
use super::{JournalConfig, JournalOpenError};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::Path;

/// What is on disk, for readers, writer and deletion.
pub(super) struct SegmentTable {
    /// Oldest first.
    segments: VecDeque<SegmentMeta>,
    required: Vec<&'static str>,
    /// Up to where each reader let go.
    released: HashMap<&'static str, u64>,
    /// The folder could not be synced after an unlink. Another unlink might reach the disk before that
    /// one and leave a hole, so there is none until the next start.
    deletes_no_more: bool,
}

impl SegmentTable {
    pub(super) fn new(segments: Vec<SegmentMeta>, required: Vec<&'static str>) -> Self {
        Self { segments: segments.into(), required, released: HashMap::new(), deletes_no_more: false }
    }

    /// Bytes of all segments.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.file_bytes).sum()
    }

    pub(super) fn count(&self) -> usize {
        self.segments.len()
    }

    /// The oldest sequence held, or that will be.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.segments.front().map(|segment| segment.base)
    }

    /// The segment that holds or will hold `sequence`, and whether it is the newest.
    pub(super) fn find(&self, sequence: u64) -> Option<(SegmentMeta, bool)> {
        let after = self.segments.partition_point(|segment| segment.base <= sequence);
        let index = after.checked_sub(1)?;
        Some((self.segments.get(index)?.clone(), after == self.segments.len()))
    }

    pub(super) fn push(&mut self, segment: SegmentMeta) {
        self.segments.push_back(segment);
    }

    /// The newest segment grew durably.
    pub(super) fn advance(&mut self, last: u64, end_offset: u64) {
        if let Some(segment) = self.segments.back_mut() {
            segment.last = last;
            segment.end_offset = end_offset;
        }
    }

    /// The segment that began with `base` gave back its slack.
    pub(super) fn set_file_bytes(&mut self, base: u64, file_bytes: u64) {
        if let Some(segment) = self.segments.iter_mut().find(|segment| segment.base == base) {
            segment.file_bytes = file_bytes;
        }
    }

    /// Notes that `reader` is through with everything up to `through`.
    pub(super) fn release(&mut self, reader: &'static str, through: u64) {
        let place = self.released.entry(reader).or_insert(0);
        *place = through.max(*place);
    }

    /// The first sequence of the oldest segment, if nobody needs it any more.
    fn deletable(&self) -> Option<u64> {
        if self.deletes_no_more {
            return None;
        }
        let mut passed = u64::MAX;
        for name in &self.required {
            passed = passed.min(*self.released.get(name)?);
        }
        for through in self.released.values() {
            passed = passed.min(*through);
        }
        let oldest = self.segments.front()?;
        (self.segments.len() > 1 && oldest.last <= passed).then_some(oldest.base)
    }
}

/// Deletes what nobody needs. Blocking; one caller at a time.
pub(super) fn delete_released(
    io: &dyn JournalIo,
    folder: &Path,
    table: &parking_lot::Mutex<SegmentTable>,
) -> io::Result<()> {
    loop {
        let Some(base) = table.lock().deletable() else { return Ok(()) };
        match io.remove(&segment::path(folder, base)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        {
            let mut table = table.lock();
            table.segments.pop_front();
            metrics::gauge!("journal_bytes").set(table.bytes() as f64);
            metrics::gauge!("journal_segments").set(table.count() as f64);
        }
        if let Err(error) = io.sync_folder(folder) {
            table.lock().deletes_no_more = true;
            return Err(error);
        }
        tracing::info!(journal.segment = %segment::file_name(base), "a segment that all readers passed was deleted");
    }
}

/// Whether a segment of `wanted_bytes` may be made now.
pub(super) fn may_take(
    io: &dyn JournalIo,
    config: &JournalConfig,
    used_bytes: u64,
    wanted_bytes: u64,
) -> io::Result<bool> {
    if used_bytes.saturating_add(wanted_bytes) > config.max_bytes {
        return Ok(false);
    }
    Ok(io.free_bytes(&config.dir)? >= wanted_bytes.saturating_add(config.disk_reserve_bytes))
}

/// Whether an error says that there is no space (now) rather than that the disk is bad.
pub(super) fn is_no_space(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// The configuration's own consistency.
pub(super) fn check(config: &JournalConfig) -> Result<(), JournalOpenError> {
    if config.segment_bytes < segment::SEGMENT_MIN_BYTES {
        return Err(JournalOpenError::Config("segments are too small for one record of the largest size"));
    }
    if config.max_bytes < config.segment_bytes.saturating_mul(2) {
        // With room for one segment only, the next could never be made and the first never deleted.
        return Err(JournalOpenError::Config("the budget must hold at least two segments"));
    }
    if config.segment_millis <= 0 || config.mark_interval_millis == 0 {
        return Err(JournalOpenError::Config("intervals must be greater than zero"));
    }
    Ok(())
}
