//! One archive file: its bytes, and what can go wrong with them.
//!
//! ```text
//!   header   one line of JSON: format, partition, where it starts after and ends, runs, activations,
//!            quarantined positions, marks, the log's history, SHA-256 of the file before
//!   body     one zstd frame of entries: length u32 │ position u64 │ kind u8 │ payload
//!   hash     SHA-256 of all bytes above, 32 bytes
//! ```
//!
//! Numbers are little-endian; `length` counts what follows it. Files are named by their first position, so that a
//! listing in the order of names is the order of the log, over all its epochs. Each holds the hash of the
//! one before: a file that was changed, lost or put in is found by reading on. Format 1, which has no marks and no
//! history, and names its files by their last position too, is read as well.

use super::ArchiveError;
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::{PartitionId, Position, RunId};
use gonggumoa_core::judge::rules::RulesActivation;
use gonggumoa_core::log::codec::{decode_click, encode_click};
use gonggumoa_core::log::{LogEntry, LogPosition};
use gonggumoa_core::store::RunMark;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::Write;
use uuid::Uuid;

/// The format written now.
const FORMAT: u32 = 2;
/// The oldest that is read.
const FORMAT_MIN: u32 = 1;
/// zstd's fastest: a third of the work of its default for a tenth more bytes, on cores that serve buyers.
const COMPRESSION_LEVEL: i32 = 1;
const HASH_BYTES: usize = 32;
const KIND_CLICK: u8 = 1;
const KIND_MARK: u8 = 2;
const KIND_CLOSING: u8 = 3;

/// A place in the log as files hold it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Place {
    /// Everything up to here.
    pub through: Position,
    /// The run it lies in.
    pub run: RunId,
}

impl From<LogPosition> for Place {
    fn from(position: LogPosition) -> Self {
        Self { through: position.through, run: position.run }
    }
}

impl From<Place> for LogPosition {
    fn from(place: Place) -> Self {
        Self { through: place.through, run: place.run }
    }
}

/// The first line of a file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FileHeader {
    /// Version of the format.
    pub format: u32,
    /// The partition.
    pub partition: PartitionId,
    /// The place it starts after: the end of the file before.
    pub after: Option<Place>,
    /// Position of its first entry.
    pub first: Position,
    /// The place after its last entry.
    pub end: Place,
    /// How many entries it holds.
    pub entries: u64,
    /// Runs in the order in which they appear.
    pub runs: Vec<RunId>,
    /// The activation in force at the first entry and those that follow in the file.
    pub activations: Vec<RulesActivation>,
    /// Positions that the judge failed on, obeyed at replay.
    pub quarantined: Vec<Position>,
    /// The runs' marks after the last entry: what was taken of a shared log, so that whoever goes on takes nothing
    /// again and misses nothing.
    #[serde(default)]
    pub marks: Vec<RunMark>,
    /// The identity of a shared log in its epoch; absent for a journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<RunId>,
    /// SHA-256 (hex) of the file before; absent in the first.
    pub previous_sha256: Option<String>,
}

/// Where the folders of the partitions are.
pub(super) const PARTITIONS: &str = "clicks";

/// The folder of a partition's files.
pub(super) fn folder(partition: PartitionId) -> Path {
    Path::from(format!("{PARTITIONS}/p{partition}"))
}

/// The name of the file that begins with this position.
pub(super) fn name(partition: PartitionId, first: Position) -> Path {
    Path::from(format!("{PARTITIONS}/p{partition}/{:020}.gmz", first.0))
}

/// The name of the object that holds a rules version.
pub(super) fn rules_name(version: u32) -> Path {
    Path::from(format!("rules/v{version:06}.json"))
}

/// A file being filled.
pub(super) struct FileWriter {
    body: zstd::Encoder<'static, Vec<u8>>,
    entry: Vec<u8>,
    pub(super) after: Option<LogPosition>,
    pub(super) first: Option<Position>,
    pub(super) end: Option<LogPosition>,
    pub(super) raw_bytes: u64,
    pub(super) marks: Vec<RunMark>,
    pub(super) history: Option<RunId>,
    entries: u64,
    runs: Vec<RunId>,
}

impl FileWriter {
    pub(super) fn new(after: Option<LogPosition>) -> std::io::Result<Self> {
        Ok(Self {
            body: zstd::Encoder::new(Vec::new(), COMPRESSION_LEVEL)?,
            entry: Vec::new(),
            after,
            first: None,
            end: None,
            raw_bytes: 0,
            marks: Vec::new(),
            history: None,
            entries: 0,
            runs: Vec::new(),
        })
    }

    /// Appends an entry; a click goes in without its raw address.
    pub(super) fn push(&mut self, position: Position, entry: &LogEntry) -> std::io::Result<()> {
        self.entry.clear();
        self.entry.extend_from_slice(&[0; 4]);
        self.entry.extend_from_slice(&position.0.to_le_bytes());
        let run = match entry {
            LogEntry::Click(click) => {
                self.entry.push(KIND_CLICK);
                encode_click(click, true, &mut self.entry);
                click.run
            }
            LogEntry::TimeMark { run, at } => {
                self.entry.push(KIND_MARK);
                self.entry.extend_from_slice(run.0.as_bytes());
                self.entry.extend_from_slice(&at.0.to_le_bytes());
                *run
            }
            LogEntry::Closing { run } => {
                self.entry.push(KIND_CLOSING);
                self.entry.extend_from_slice(run.0.as_bytes());
                *run
            }
        };
        let length = (self.entry.len() - 4) as u32;
        self.entry[..4].copy_from_slice(&length.to_le_bytes());
        if !self.runs.contains(&run) {
            self.runs.push(run);
        }
        self.first.get_or_insert(position);
        self.entries += 1;
        self.raw_bytes += self.entry.len() as u64;
        self.body.write_all(&self.entry)
    }

    /// The finished file: name, bytes, and its hash for the next one.
    pub(super) fn finish(
        self,
        partition: PartitionId,
        activations: Vec<RulesActivation>,
        quarantined: Vec<Position>,
        previous_sha256: Option<String>,
    ) -> std::io::Result<Option<(Path, Vec<u8>, String)>> {
        let (Some(first), Some(end)) = (self.first, self.end) else { return Ok(None) };
        let header = FileHeader {
            format: FORMAT,
            partition,
            after: self.after.map(Place::from),
            first,
            end: end.into(),
            entries: self.entries,
            runs: self.runs,
            activations,
            quarantined,
            marks: self.marks,
            history: self.history,
            previous_sha256,
        };
        let mut bytes = serde_json::to_vec(&header)?;
        bytes.push(b'\n');
        bytes.extend(self.body.finish()?);
        let hash = Sha256::digest(&bytes);
        let hash_hex = hex(&hash);
        bytes.extend_from_slice(&hash);
        Ok(Some((name(partition, first), bytes, hash_hex)))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A verified file, read entry by entry.
pub(super) struct FileReader {
    file: String,
    /// The header.
    pub(super) header: FileHeader,
    /// Its hash, in hex.
    pub(super) sha256: String,
    body: Vec<u8>,
    offset: usize,
}

impl FileReader {
    /// Verifies the hash, then opens the body.
    pub(super) fn open(file: &str, bytes: &[u8]) -> Result<Self, ArchiveError> {
        let damaged = |problem: &str| ArchiveError::Damaged { file: file.into(), problem: problem.into() };
        let end = bytes.len().checked_sub(HASH_BYTES).ok_or_else(|| damaged("it is too short"))?;
        let (content, stored) = bytes.split_at(end);
        let hash = Sha256::digest(content);
        if hash[..] != *stored {
            return Err(damaged("its content does not have its hash"));
        }
        let line = content.iter().position(|byte| *byte == b'\n').ok_or_else(|| damaged("no header"))?;
        let header: FileHeader = serde_json::from_slice(&content[..line])
            .map_err(|error| damaged(&format!("its header is not understood: {error}")))?;
        if !(FORMAT_MIN..=FORMAT).contains(&header.format) {
            return Err(damaged(&format!("format {} is unknown", header.format)));
        }
        let body = zstd::decode_all(&content[line + 1..])
            .map_err(|error| damaged(&format!("its body does not decompress: {error}")))?;
        Ok(Self { file: file.into(), header, sha256: hex(&hash), body, offset: 0 })
    }

    /// The next entry; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<(Position, LogEntry)>, ArchiveError> {
        let rest = &self.body[self.offset..];
        if rest.is_empty() {
            return Ok(None);
        }
        let (length, entry) =
            self.parse(rest).map_err(|problem| ArchiveError::Damaged { file: self.file.clone(), problem })?;
        self.offset += length;
        Ok(Some(entry))
    }

    fn parse(&self, rest: &[u8]) -> Result<(usize, (Position, LogEntry)), String> {
        let short = || format!("the entry at {} ends too early", self.offset);
        let length = u32::from_le_bytes(*rest.first_chunk().ok_or_else(short)?) as usize;
        let entry = rest.get(4..4 + length).ok_or_else(short)?;
        let position = Position(u64::from_le_bytes(*entry.first_chunk().ok_or_else(short)?));
        let kind = *entry.get(8).ok_or_else(short)?;
        let payload = &entry[9..];
        let run = || payload.first_chunk().map(|bytes| RunId(Uuid::from_bytes(*bytes))).ok_or_else(short);
        let entry = match kind {
            KIND_CLICK => LogEntry::Click(
                decode_click(payload).map_err(|error| format!("the click at {position}: {error}"))?,
            ),
            KIND_MARK => {
                let at = payload.get(16..).and_then(<[u8]>::first_chunk).ok_or_else(short)?;
                LogEntry::TimeMark { run: run()?, at: UnixMillis(i64::from_le_bytes(*at)) }
            }
            KIND_CLOSING => LogEntry::Closing { run: run()? },
            other => return Err(format!("the entry at {position} has the unknown kind {other}")),
        };
        Ok((4 + length, (position, entry)))
    }
}
