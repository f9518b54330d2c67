//! Reading what is durable, from any place on.
//!
//! A reader holds a place and a buffer, never a lock or a segment. Bytes that were written a moment ago
//! are in the page cache and are read where we stand; longer stretches, which may touch the disk, are
//! read on a blocking thread. Both read up to the durable end only, and every record's checksum is
//! looked at again. At every await the place, the buffer and what is gathered agree, and what a dropped
//! call had gathered goes out with the next, so that a call can be dropped.

use super::record::{self, Kind};
use super::segment::{self, CHUNK_BYTES, SegmentMeta};
use super::{Progress, Shared, mark_time};
use crate::ids::{Position, RunId};
use crate::log::{LogBatch, LogEntry, LogError, LogPosition, LogReader, codec};
use async_trait::async_trait;
use std::io;
use std::sync::Arc;
use tokio::sync::watch;

/// At most so much of the newest segment is read without leaving the async thread: a copy of 20 µs.
const DIRECT_MAX_BYTES: u64 = 128 * 1024;
/// A batch ends with the record that passes this, however many entries were asked for: 24,000 clicks of
/// the usual size, and no 300 MB of the largest.
const BATCH_MAX_BYTES: usize = 8 << 20;

/// A place in the journal that moves forward.
pub(super) struct JournalReader {
    shared: Arc<Shared>,
    progress: watch::Receiver<Progress>,
    /// The last sequence gathered.
    through: u64,
    open: Option<OpenSegment>,
    /// Entries on their way out.
    gathered: Vec<(Position, LogEntry)>,
    /// What their records take on disk, at most.
    gathered_bytes: usize,
}

/// The segment being read.
struct OpenSegment {
    run: RunId,
    base: u64,
    seed: u32,
    file: Arc<dyn super::io::JournalFile>,
    /// Offset of the next record.
    offset: u64,
    /// Bytes from `buffer_offset` on.
    buffer: Vec<u8>,
    buffer_offset: u64,
}

impl JournalReader {
    pub(super) fn new(shared: Arc<Shared>, through: u64) -> Self {
        let progress = shared.progress.subscribe();
        Self { shared, progress, through, open: None, gathered: Vec::new(), gathered_bytes: 0 }
    }

    /// Waits until a record after our place is durable.
    async fn wait_for_next(&mut self) -> Result<(), LogError> {
        loop {
            let progress = *self.progress.borrow_and_update();
            if progress.durable > self.through {
                return Ok(());
            }
            if progress.ended || self.progress.changed().await.is_err() {
                return Err(LogError::Closed);
            }
        }
    }

    fn has_more(&self) -> bool {
        self.progress.borrow().durable > self.through
    }

    /// The segment that holds the durable record after our place, and whether it is the newest.
    fn segment_ahead(&self) -> Result<(SegmentMeta, bool), LogError> {
        let next = self.through + 1;
        let table = self.shared.segments.lock();
        match table.find(next) {
            Some((meta, newest)) if meta.last >= next => Ok((meta, newest)),
            _ => Err(deleted(table.oldest(), self.through)),
        }
    }

    fn open_segment(&mut self, meta: &SegmentMeta) -> Result<(), LogError> {
        if self.open.as_ref().is_some_and(|open| open.base == meta.base) {
            return Ok(());
        }
        let path = segment::path(&self.shared.config.dir, meta.base);
        let file = match self.shared.io.open(&path, false) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(deleted(self.shared.segments.lock().oldest(), self.through));
            }
            Err(error) => return Err(error.into()),
        };
        self.open = Some(OpenSegment {
            run: meta.run,
            base: meta.base,
            seed: record::seed(meta.run),
            file,
            offset: meta.first_offset,
            buffer: Vec::new(),
            buffer_offset: meta.first_offset,
        });
        Ok(())
    }

    /// Gathers what is durable, over as many segments as it lies in, up to the limits.
    async fn gather(&mut self, entries_max: usize) -> Result<(), LogError> {
        if self.gathered.is_empty() {
            self.wait_for_next().await?;
        }
        while self.gathered.len() < entries_max && self.gathered_bytes < BATCH_MAX_BYTES && self.has_more() {
            let (meta, newest) = self.segment_ahead()?;
            self.open_segment(&meta)?;
            let Some(open) = self.open.as_mut() else { return Err(LogError::Closed) };
            while self.gathered.len() < entries_max
                && self.gathered_bytes < BATCH_MAX_BYTES
                && self.through < meta.last
            {
                if !open.has_record() {
                    open.fill(meta.end_offset, newest).await?;
                }
                let before = open.offset;
                if let Some(entry) = open.take(self.through)? {
                    self.through = entry.0.0;
                    self.gathered.push(entry);
                    self.gathered_bytes += (open.offset - before) as usize;
                }
            }
        }
        Ok(())
    }
}

fn deleted(oldest: Option<u64>, through: u64) -> LogError {
    LogError::Deleted { oldest: Position(oldest.unwrap_or(0)), through: Position(through) }
}

impl OpenSegment {
    /// The bytes buffered from the next record on.
    fn ahead(&self) -> &[u8] {
        let from = usize::try_from(self.offset - self.buffer_offset).unwrap_or(usize::MAX);
        self.buffer.get(from..).unwrap_or_default()
    }

    fn has_record(&self) -> bool {
        let ahead = self.ahead();
        record::size_bytes(ahead).is_some_and(|size| ahead.len() >= size)
    }

    /// Reads on from the next record, at most up to `end`.
    async fn fill(&mut self, end: u64, newest: bool) -> Result<(), LogError> {
        let offset = self.offset;
        let length = end.saturating_sub(offset).min(CHUNK_BYTES as u64);
        let file = Arc::clone(&self.file);
        let read = move || -> io::Result<Vec<u8>> {
            let mut bytes = vec![0; length as usize];
            let count = file.read_at(&mut bytes, offset)?;
            bytes.truncate(count);
            Ok(bytes)
        };
        let bytes = if newest && length <= DIRECT_MAX_BYTES {
            read()?
        } else {
            tokio::task::spawn_blocking(read).await.map_err(io::Error::other)??
        };
        self.buffer = bytes;
        self.buffer_offset = offset;
        Ok(())
    }

    fn corrupt(&self, problem: &str) -> LogError {
        LogError::Corrupt {
            place: segment::file_name(self.base),
            offset: self.offset,
            problem: problem.to_owned(),
        }
    }

    /// The next record of the buffer as an entry; `None` for one at or before `through`.
    fn take(&mut self, through: u64) -> Result<Option<(Position, LogEntry)>, LogError> {
        let found = record::parse(self.ahead(), self.seed).map_err(|problem| self.corrupt(problem))?;
        let sequence = found.sequence;
        let entry = match found.kind {
            _ if sequence <= through => None,
            _ if sequence != through + 1 => {
                return Err(self.corrupt("the record's sequence does not follow the one before"));
            }
            Kind::Click => {
                let click = codec::decode_facts(found.payload, self.run, sequence)
                    .map_err(|error| self.corrupt(&error.to_string()))?;
                Some(LogEntry::Click(click))
            }
            Kind::TimeMark => {
                let at = mark_time(found.payload)
                    .ok_or_else(|| self.corrupt("the time mark cannot be decoded"))?;
                Some(LogEntry::TimeMark { run: self.run, at })
            }
            Kind::Closing => Some(LogEntry::Closing { run: self.run }),
            Kind::Seal => return Err(self.corrupt("a seal stands before the segment's end")),
        };
        self.offset += found.size_bytes as u64;
        Ok(entry.map(|entry| (Position(sequence), entry)))
    }
}

#[async_trait]
impl LogReader for JournalReader {
    async fn next(&mut self, entries_max: usize) -> Result<LogBatch, LogError> {
        let entries_max = entries_max.max(1);
        // What is good goes out first; the next call meets the same bytes and says so.
        if let Err(error) = self.gather(entries_max).await
            && self.gathered.is_empty()
        {
            return Err(error);
        }
        // More than was asked for stands here only after a dropped call that asked for more.
        let rest = self.gathered.split_off(entries_max.min(self.gathered.len()));
        let entries = std::mem::replace(&mut self.gathered, rest);
        if self.gathered.is_empty() {
            self.gathered_bytes = 0;
        }
        let through = entries.last().map_or(Position(self.through), |(position, _)| *position);
        let end = LogPosition { through, run: self.shared.run_holding(through.0) };
        Ok(LogBatch {
            entries,
            arrivals: None,
            history: None,
            end,
            more: !self.gathered.is_empty() || self.has_more(),
        })
    }
}
