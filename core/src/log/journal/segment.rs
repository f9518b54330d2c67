//! A segment: one file of records of one run.
//!
//! ```text
//!   00000000000000000001.seg           named after its first sequence
//!   ┌────────┬────────┬────────┬───┬──────┬───────────────┐
//!   │ header │ record │ record │ … │ seal │ zeros (slack) │
//!   └────────┴────────┴────────┴───┴──────┴───────────────┘
//! ```
//!
//! The header names the run, the first sequence, the length that the file was made with and the chain
//! of runs before. It is made under the name `….new`, whole and synced, and only then renamed: a
//! `.seg` with a damaged header is therefore never half-made but damaged, and a `.new` never holds a
//! record. The length tells a file that was cut off later from one that ends in a tear.

use super::io::{JournalFile, JournalIo};
use super::record::{self, ALIGN_BYTES, RECORD_MAX_BYTES, u32_at, u64_at};
use crate::clock::UnixMillis;
use crate::ids::RunId;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use uuid::Uuid;

const MAGIC: &[u8; 8] = b"GGMJRNL1";
/// Bytes of the header before the chain.
const FIXED_BYTES: usize = 72;
const LINK_BYTES: usize = 24;
/// Headers fill whole sectors, so that a write of records never touches one.
const HEADER_ALIGN_BYTES: usize = 512;
/// The runs a header can name. Beyond that the oldest are dropped; they are long read.
pub(super) const CHAIN_MAX_RUNS: usize = 32_768;
const HEADER_MAX_BYTES: usize = 1 << 20;
/// Bytes read from a segment at a time.
pub(super) const CHUNK_BYTES: usize = 1 << 20;
/// Room for records that every segment has, however long its header.
pub(super) const ROOM_MIN_BYTES: u64 = 2 * RECORD_MAX_BYTES as u64;
/// The shortest segments that may be asked for: that room, and a header of a hundred runs.
pub(super) const SEGMENT_MIN_BYTES: u64 = ROOM_MIN_BYTES + 4_096;

/// A run that is over, and the last sequence it wrote.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ChainLink {
    pub(super) run: RunId,
    pub(super) last: u64,
}

/// What stands at the beginning of a segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct SegmentHeader {
    pub(super) run: RunId,
    /// The first sequence it will hold.
    pub(super) base: u64,
    /// The length it is made with.
    pub(super) file_bytes: u64,
    /// Nothing in it is earlier than this.
    pub(super) clicked_at_floor: Option<UnixMillis>,
    /// The runs before, oldest first.
    pub(super) chain: Vec<ChainLink>,
}

impl SegmentHeader {
    /// Its encoded length.
    pub(super) fn size_bytes(&self) -> usize {
        (FIXED_BYTES + self.chain.len() * LINK_BYTES).next_multiple_of(HEADER_ALIGN_BYTES)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.size_bytes());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&(self.size_bytes() as u32).to_le_bytes());
        bytes.extend_from_slice(self.run.0.as_bytes());
        bytes.extend_from_slice(&self.base.to_le_bytes());
        bytes.extend_from_slice(&self.file_bytes.to_le_bytes());
        let floor = self.clicked_at_floor.map_or(i64::MIN, |time| time.0);
        bytes.extend_from_slice(&floor.to_le_bytes());
        bytes.extend_from_slice(&(self.chain.len() as u64).to_le_bytes());
        bytes.resize(FIXED_BYTES, 0);
        for link in &self.chain {
            bytes.extend_from_slice(link.run.0.as_bytes());
            bytes.extend_from_slice(&link.last.to_le_bytes());
        }
        bytes.resize(self.size_bytes(), 0);
        let checksum = crc32c::crc32c(&bytes[12..]);
        bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The header in `bytes`, which hold at least as much of the file as a header may take.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        const SHORT: &str = "the segment header is cut off";
        if bytes.get(..8) != Some(MAGIC) {
            return Err("the segment header does not begin as one");
        }
        let size_bytes = u32_at(bytes, 12).ok_or(SHORT)? as usize;
        if !(FIXED_BYTES..=HEADER_MAX_BYTES).contains(&size_bytes) {
            return Err("the segment header length is impossible");
        }
        let header = bytes.get(..size_bytes).ok_or(SHORT)?;
        if Some(crc32c::crc32c(&header[12..])) != u32_at(header, 8) {
            return Err("the segment header checksum does not match");
        }
        let run = uuid_at(header, 16).ok_or(SHORT)?;
        let base = u64_at(header, 32).ok_or(SHORT)?;
        let file_bytes = u64_at(header, 40).ok_or(SHORT)?;
        let floor = u64_at(header, 48).ok_or(SHORT)? as i64;
        let links = u64_at(header, 56).ok_or(SHORT)?;
        if base == 0 || links > ((size_bytes - FIXED_BYTES) / LINK_BYTES) as u64 {
            return Err("the segment header has impossible numbers");
        }
        let mut chain = Vec::with_capacity(links as usize);
        for link in header[FIXED_BYTES..].chunks_exact(LINK_BYTES).take(links as usize) {
            chain.push(ChainLink {
                run: uuid_at(link, 0).ok_or(SHORT)?,
                last: u64_at(link, 16).ok_or(SHORT)?,
            });
        }
        let clicked_at_floor = (floor != i64::MIN).then_some(UnixMillis(floor));
        let parsed = Self { run, base, file_bytes, clicked_at_floor, chain };
        if parsed.size_bytes() != size_bytes {
            return Err("the segment header length is impossible");
        }
        Ok(parsed)
    }

    /// Reads the header of a file.
    pub(super) fn read(file: &dyn JournalFile) -> io::Result<Result<Self, &'static str>> {
        let mut bytes = vec![0; HEADER_ALIGN_BYTES];
        let count = file.read_at(&mut bytes, 0)?;
        bytes.truncate(count);
        let size_bytes = u32_at(&bytes, 12).unwrap_or(0) as usize;
        if size_bytes > bytes.len() && size_bytes <= HEADER_MAX_BYTES {
            bytes.resize(size_bytes, 0);
            let count = file.read_at(&mut bytes, 0)?;
            bytes.truncate(count);
        }
        Ok(Self::parse(&bytes))
    }
}

fn uuid_at(bytes: &[u8], offset: usize) -> Option<RunId> {
    Some(RunId(Uuid::from_bytes(*bytes.get(offset..)?.first_chunk()?)))
}

/// A segment as those who read it know it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct SegmentMeta {
    pub(super) run: RunId,
    pub(super) base: u64,
    /// Where its first record begins.
    pub(super) first_offset: u64,
    /// The last durable sequence in it; `base - 1`: none.
    pub(super) last: u64,
    /// Where the last durable record ends.
    pub(super) end_offset: u64,
    /// Its length on disk.
    pub(super) file_bytes: u64,
}

/// The file name of the segment whose first sequence is `base`.
pub(super) fn file_name(base: u64) -> String {
    format!("{base:020}.seg")
}

/// The first sequence that a segment's name tells; `None`: not a segment's name.
pub(super) fn parse_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    if digits.len() != 20 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// The path of a segment.
pub(super) fn path(folder: &Path, base: u64) -> PathBuf {
    folder.join(file_name(base))
}

/// A segment made ready under its temporary name: it has its space and its header, all synced.
pub(super) struct Prepared {
    pub(super) file: Arc<dyn JournalFile>,
    pub(super) header: SegmentHeader,
}

fn temporary_path(folder: &Path, base: u64) -> PathBuf {
    folder.join(format!("{base:020}.new"))
}

/// Removes segments that were never put in place.
pub(super) fn remove_unfinished(io: &dyn JournalIo, folder: &Path) -> io::Result<()> {
    for name in io.list(folder)?.iter().filter(|name| name.ends_with(".new")) {
        io.remove(&folder.join(name))?;
    }
    Ok(())
}

/// Takes the space of a new segment and writes its header. What a failure leaves behind, and what one
/// before it left, is removed as far as the disk lets us.
pub(super) fn prepare(io: &dyn JournalIo, folder: &Path, header: SegmentHeader) -> io::Result<Prepared> {
    let path = temporary_path(folder, header.base);
    if let Err(error) = remove_unfinished(io, folder) {
        tracing::warn!(%error, "an unfinished segment could not be removed");
    }
    let made = (|| {
        let file = io.create(&path)?;
        file.allocate(header.file_bytes)?;
        file.write_at(&header.encode(), 0)?;
        file.sync()?;
        Ok(file)
    })();
    match made {
        Ok(file) => Ok(Prepared { file, header }),
        Err(error) => {
            match io.remove(&path) {
                Err(problem) if problem.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(error = %problem, "an unfinished segment could not be removed");
                }
                _ => {}
            }
            Err(error)
        }
    }
}

/// Gives a prepared segment its name, durably. Only after this may a record go into it.
pub(super) fn put_in_place(io: &dyn JournalIo, folder: &Path, prepared: &Prepared) -> io::Result<()> {
    let base = prepared.header.base;
    io.rename(&temporary_path(folder, base), &path(folder, base))?;
    io.sync_folder(folder)
}

/// Cuts the slack off a segment that ends here. Not doing so costs space only.
pub(super) fn give_back_slack(file: &dyn JournalFile, used_bytes: u64) -> bool {
    let cut = file.set_length(used_bytes);
    if let Err(error) = &cut {
        tracing::warn!(%error, "the slack of a segment could not be given back");
    }
    cut.is_ok()
}

/// A view of a file through a buffer that moves forward; memory stays bounded whatever the file holds.
pub(super) struct Window<'a> {
    file: &'a dyn JournalFile,
    buffer: Vec<u8>,
    start: u64,
    /// Nothing is read from here on.
    limit: u64,
}

impl<'a> Window<'a> {
    pub(super) fn new(file: &'a dyn JournalFile, limit: u64) -> Self {
        Self { file, buffer: Vec::new(), start: 0, limit }
    }

    /// The bytes at `offset`, at most [`RECORD_MAX_BYTES`] and a little; fewer only at the end.
    pub(super) fn at(&mut self, offset: u64) -> io::Result<&[u8]> {
        const NEEDED: u64 = (RECORD_MAX_BYTES + ALIGN_BYTES) as u64;
        let end = self.start + self.buffer.len() as u64;
        let wanted_end = (offset + NEEDED).min(self.limit);
        if offset < self.start || wanted_end > end {
            let length = self.limit.saturating_sub(offset).min(CHUNK_BYTES as u64) as usize;
            self.buffer.resize(length, 0);
            let count = self.file.read_at(&mut self.buffer, offset)?;
            self.buffer.truncate(count);
            self.start = offset;
            // The file is shorter than was said; asking again and again would not make it longer.
            if count < length {
                self.limit = offset + count as u64;
            }
        }
        let from = ((offset - self.start) as usize).min(self.buffer.len());
        let to = (from + NEEDED as usize).min(self.buffer.len());
        Ok(&self.buffer[from..to])
    }

    /// Where reading ends.
    pub(super) fn limit(&self) -> u64 {
        self.limit
    }
}

/// Whether a record with `sequence` at or above `expected` stands anywhere from `offset` on whose group
/// was written when `expected` was durable. Looks at every place a record may begin.
pub(super) fn proof_of_durability(
    window: &mut Window<'_>,
    mut offset: u64,
    seed: u32,
    expected: u64,
) -> io::Result<bool> {
    while offset < window.limit() {
        let bytes = window.at(offset)?;
        // A cheap look first: nearly every place fails it.
        if record::sequence_of(bytes) >= expected
            && let Ok(found) = record::parse(bytes, seed)
            && found.durable_through >= expected
        {
            return Ok(true);
        }
        offset += ALIGN_BYTES as u64;
    }
    Ok(false)
}
