//! One log entry as the value of a Kafka record.
//!
//! Problem: anybody with the right to write to the topic can write anything to it, and programs of two versions
//! run at once while an installation is renewed. So a value says that it is ours, in which version, and
//! carries a checksum of its own (Kafka's covers a whole batch and is made again on its way).
//!
//! ```text
//!   "GC" │ version u8 │ kind u8 │ crc32c u32 ─┐ covers all that follows
//!   run 16 │ sequence u64 │ previous u64  ◀───┘
//!   kind 1, a click    │ its self-contained payload (core's codec)
//!   kind 2, a time mark│ at i64 │ 0, or 1 and the predecessor run's 16 bytes
//!   kind 3, a closing  │ nothing
//! ```
//!
//! Numbers are little-endian. Invariants: decoding takes any bytes at all without a panic and allocates no more
//! than they hold; decode after encode is the identity; a record of a newer version is known as ours
//! before anything else of it is looked at, so that it is never mistaken for damage.

use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::{GongguId, RunId};
use gonggumoa_core::log::codec::{self, CodecError};
use gonggumoa_core::log::{Arrival, LogEntry};
use uuid::Uuid;

/// The first bytes of every value of ours.
const MAGIC: [u8; 2] = *b"GC";
/// The form written now. Judges are renewed before edges, so that none meets a newer one.
pub const VERSION: u8 = 1;
/// Magic, version, kind, checksum.
const HEAD_BYTES: usize = 8;

const KIND_CLICK: u8 = 1;
const KIND_TIME_MARK: u8 = 2;
const KIND_CLOSING: u8 = 3;

/// How an entry goes out: what a reader needs to take it once and to notice a gap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outgoing {
    /// The run that recorded it.
    pub run: RunId,
    /// Its number there.
    pub sequence: u64,
    /// The number of the run's record before it in this partition; 0: it is the first one.
    pub previous: u64,
    /// The run before this one on the same edge. Only time marks carry it.
    pub predecessor: Option<RunId>,
}

/// A record of ours, read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decoded {
    /// What it holds.
    pub entry: LogEntry,
    /// The run that recorded it.
    pub run: RunId,
    /// Its number there.
    pub sequence: u64,
    /// The number of the run's record before it in this partition; 0: it is the first one.
    pub previous: u64,
    /// The run before this one on the same edge.
    pub predecessor: Option<RunId>,
}

impl Decoded {
    /// The entry, and how it came in, once it is known when.
    pub fn arrived(self, appended_at: UnixMillis) -> (LogEntry, Arrival) {
        let Self { entry, run, sequence, previous, predecessor } = self;
        (entry, Arrival { run, sequence, previous, predecessor, appended_at })
    }
}

/// Why bytes are not a record that can be taken.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
pub enum RecordError {
    /// Somebody else's.
    #[error("the record does not begin as ours do")]
    NotOurs,
    /// Changed on its way.
    #[error("the record's checksum is wrong")]
    Checksum,
    /// Ours, of a version that this program is too old for.
    #[error("the record is of version {0}, newer than this program knows")]
    Newer(u8),
    /// The checksum is right, or cannot be looked at, and the rest makes no sense.
    #[error("the record is damaged: {0}")]
    Damaged(&'static str),
}

impl RecordError {
    /// Never: the same bytes stay what they are.
    pub fn retryable(&self) -> bool {
        false
    }

    /// A short name, for headers and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotOurs => "not_ours",
            Self::Checksum => "checksum",
            Self::Newer(_) => "newer",
            Self::Damaged(_) => "damaged",
        }
    }
}

/// The record's key: the gonggu's id for a click, none for what goes to every partition.
pub fn key(entry: &LogEntry) -> Option<[u8; 16]> {
    match entry {
        LogEntry::Click(click) => {
            let GongguId(id) = click.gonggu_id;
            Some(id.into_bytes())
        }
        LogEntry::TimeMark { .. } | LogEntry::Closing { .. } => None,
    }
}

/// Appends the value of a record to `out`. A click's own run and sequence are those of `outgoing`.
pub fn encode(entry: &LogEntry, outgoing: &Outgoing, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&MAGIC);
    out.push(VERSION);
    out.push(match entry {
        LogEntry::Click(_) => KIND_CLICK,
        LogEntry::TimeMark { .. } => KIND_TIME_MARK,
        LogEntry::Closing { .. } => KIND_CLOSING,
    });
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(outgoing.run.0.as_bytes());
    out.extend_from_slice(&outgoing.sequence.to_le_bytes());
    out.extend_from_slice(&outgoing.previous.to_le_bytes());
    match entry {
        LogEntry::Click(click) => codec::encode_click(click, false, out),
        LogEntry::TimeMark { at, .. } => {
            out.extend_from_slice(&at.0.to_le_bytes());
            out.push(u8::from(outgoing.predecessor.is_some()));
            if let Some(predecessor) = outgoing.predecessor {
                out.extend_from_slice(predecessor.0.as_bytes());
            }
        }
        LogEntry::Closing { .. } => {}
    }
    let checksum = crc32c::crc32c(&out[start + HEAD_BYTES..]);
    out[start + 4..start + HEAD_BYTES].copy_from_slice(&checksum.to_le_bytes());
}

/// Reads what [`encode`] wrote.
pub fn decode(bytes: &[u8]) -> Result<Decoded, RecordError> {
    let rest = bytes.strip_prefix(&MAGIC).ok_or(RecordError::NotOurs)?;
    let (&[version, kind], rest) =
        rest.split_first_chunk().ok_or(RecordError::Damaged("it ends too early"))?;
    match version {
        VERSION => {}
        0 => return Err(RecordError::NotOurs),
        newer => return Err(RecordError::Newer(newer)),
    }
    let mut input = Input(rest);
    let checksum = u32::from_le_bytes(input.array()?);
    if crc32c::crc32c(input.0) != checksum {
        return Err(RecordError::Checksum);
    }
    let run = RunId(Uuid::from_bytes(input.array()?));
    let sequence = u64::from_le_bytes(input.array()?);
    let previous = u64::from_le_bytes(input.array()?);
    if previous >= sequence {
        return Err(RecordError::Damaged("its sequence does not ascend"));
    }
    let mut predecessor = None;
    let entry = match kind {
        KIND_CLICK => {
            let click = codec::decode_click(std::mem::take(&mut input.0)).map_err(|error| match error {
                // Its checksum is right, so it was written so: by a newer program.
                CodecError::Version(version) => RecordError::Newer(version),
                CodecError::Short | CodecError::Long(_) | CodecError::Field(_) => {
                    RecordError::Damaged("its click cannot be read")
                }
            })?;
            if (click.run, click.sequence) != (run, sequence) {
                return Err(RecordError::Damaged("its click is another one"));
            }
            LogEntry::Click(click)
        }
        KIND_TIME_MARK => {
            let at = UnixMillis(i64::from_le_bytes(input.array()?));
            predecessor = match input.array()? {
                [0] => None,
                [1] => Some(RunId(Uuid::from_bytes(input.array()?))),
                _ => return Err(RecordError::Damaged("its predecessor is neither there nor not")),
            };
            LogEntry::TimeMark { run, at }
        }
        KIND_CLOSING => LogEntry::Closing { run },
        _ => return Err(RecordError::Damaged("its kind is unknown")),
    };
    if !input.0.is_empty() {
        return Err(RecordError::Damaged("it goes on after its end"));
    }
    Ok(Decoded { entry, run, sequence, previous, predecessor })
}

/// What is left to read; never reads past its end.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let (head, tail) =
            self.0.split_first_chunk::<N>().ok_or(RecordError::Damaged("it ends too early"))?;
        self.0 = tail;
        Ok(*head)
    }
}

#[cfg(test)]
mod tests;
