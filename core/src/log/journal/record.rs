//! One record of a segment.
//!
//! ```text
//!   0        4         8            16               20      24
//!   crc32c │ length │ sequence │ since durable │ kind 000 │ payload … │ zeros to a multiple of 8
//! ```
//!
//! - The checksum is seeded with the run's id and covers all that follows it, padding included, so
//!   bytes of another run (a recycled block, a copied file) are never taken for ours.
//! - `since durable` is `sequence - durable_through`. Every record of a group carries it, not only the
//!   first, so any record that survives a crash tells how far the disk was known to be right.
//! - A seal takes no sequence of its own: it repeats the last one of its segment. Hence rotation is the
//!   writer's alone and never renumbers clicks that handlers have already numbered.

use crate::ids::RunId;
use crate::log::codec::PAYLOAD_MAX_BYTES;

/// Bytes before the payload.
pub(super) const HEADER_BYTES: usize = 24;
/// Records begin at multiples of this in their segment; the search after a tear steps by it.
pub(super) const ALIGN_BYTES: usize = 8;
/// The largest record.
pub(super) const RECORD_MAX_BYTES: usize = HEADER_BYTES + PAYLOAD_MAX_BYTES;
/// A seal or closing record. So much room is kept at the end of every segment.
pub(super) const CLOSING_BYTES: usize = HEADER_BYTES;

/// What a record says. The numbers are not text, so that no header a client sends can look like one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Kind {
    /// A click.
    Click = 0xC1,
    /// A time mark.
    TimeMark = 0xC2,
    /// The run ended cleanly.
    Closing = 0xC3,
    /// The segment ended, the run goes on in the next.
    Seal = 0xC4,
}

impl Kind {
    fn parse(byte: u8) -> Option<Self> {
        [Self::Click, Self::TimeMark, Self::Closing, Self::Seal].into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// A record as read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    pub(super) kind: Kind,
    pub(super) sequence: u64,
    /// Everything up to here was durable when this was written.
    pub(super) durable_through: u64,
    pub(super) payload: &'a [u8],
    /// Its size in the segment, padding included.
    pub(super) size_bytes: usize,
}

/// What the checksums of a run begin with.
pub(super) fn seed(run: RunId) -> u32 {
    crc32c::crc32c(run.0.as_bytes())
}

/// Starts a record; the payload is appended by the caller, then [`finish`] is called with the result.
pub(super) fn begin(buffer: &mut Vec<u8>, kind: Kind, sequence: u64) -> usize {
    let start = buffer.len();
    let mut header = [0u8; HEADER_BYTES];
    header[8..16].copy_from_slice(&sequence.to_le_bytes());
    header[20] = kind as u8;
    buffer.extend_from_slice(&header);
    start
}

/// Sets the length of the record begun at `start` and pads it. [`stamp`] makes it valid.
pub(super) fn finish(buffer: &mut Vec<u8>, start: usize) {
    let payload_bytes = buffer.len() - start - HEADER_BYTES;
    buffer[start + 4..start + 8].copy_from_slice(&(payload_bytes as u32).to_le_bytes());
    buffer.resize(buffer.len().next_multiple_of(ALIGN_BYTES), 0);
}

/// Writes `durable_through` and the checksum into a finished record.
pub(super) fn stamp(record: &mut [u8], seed: u32, durable_through: u64) {
    let since = sequence_of(record).saturating_sub(durable_through);
    let since = u32::try_from(since).unwrap_or(u32::MAX);
    record[16..20].copy_from_slice(&since.to_le_bytes());
    let checksum = crc32c::crc32c_append(seed, &record[4..]);
    record[..4].copy_from_slice(&checksum.to_le_bytes());
}

/// A whole record without payload, stamped.
pub(super) fn closing(kind: Kind, sequence: u64, seed: u32, durable_through: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(CLOSING_BYTES);
    let start = begin(&mut bytes, kind, sequence);
    finish(&mut bytes, start);
    stamp(&mut bytes, seed, durable_through);
    bytes
}

/// The size of the record that `bytes` begin with, by its header alone; `None` when no record can have
/// such a header.
pub(super) fn size_bytes(bytes: &[u8]) -> Option<usize> {
    let payload_bytes = u32_at(bytes, 4)? as usize;
    if payload_bytes > PAYLOAD_MAX_BYTES {
        return None;
    }
    Some((HEADER_BYTES + payload_bytes).next_multiple_of(ALIGN_BYTES))
}

/// The kind of a finished record.
pub(super) fn is_click(record: &[u8]) -> bool {
    record.get(20) == Some(&(Kind::Click as u8))
}

/// The sequence of a finished record.
pub(super) fn sequence_of(record: &[u8]) -> u64 {
    u64_at(record, 8).unwrap_or(0)
}

/// The record that `bytes` begin with.
pub(super) fn parse(bytes: &[u8], seed: u32) -> Result<Record<'_>, &'static str> {
    const SHORT: &str = "the record is cut off";
    let size_bytes =
        size_bytes(bytes).ok_or(if bytes.len() < 8 { SHORT } else { "the record length is impossible" })?;
    let record = bytes.get(..size_bytes).ok_or(SHORT)?;
    let kind = Kind::parse(record[20]).ok_or("the record kind is unknown")?;
    let checksum = u32_at(record, 0).ok_or(SHORT)?;
    if crc32c::crc32c_append(seed, &record[4..]) != checksum {
        return Err("the record checksum does not match");
    }
    let sequence = sequence_of(record);
    let since = u64::from(u32_at(record, 16).ok_or(SHORT)?);
    let durable_through = sequence.checked_sub(since).ok_or("the record's durable place is impossible")?;
    if since == 0 && kind != Kind::Seal {
        return Err("the record's durable place is impossible");
    }
    let payload_bytes = u32_at(record, 4).ok_or(SHORT)? as usize;
    let payload = &record[HEADER_BYTES..HEADER_BYTES + payload_bytes];
    Ok(Record { kind, sequence, durable_through, payload, size_bytes })
}

/// Four bytes at `offset`, little-endian.
pub(super) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let field = bytes.get(offset..)?.first_chunk()?;
    Some(u32::from_le_bytes(*field))
}

/// Eight bytes at `offset`, little-endian.
pub(super) fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    let field = bytes.get(offset..)?.first_chunk()?;
    Some(u64::from_le_bytes(*field))
}
