//! Opening what an earlier run left behind.
//!
//! Problem: after a crash the newest segment ends in bytes of which some were acknowledged and some
//! were not, pages having reached the disk in any order. Rules:
//!
//! - A segment with a successor is known to hold everything up to the successor's first sequence: the
//!   successor's header was synced only after that. Anything bad there is corruption.
//! - In the newest, every record tells through which sequence the disk was known to be right when its
//!   group was written. Bad bytes at or below the highest such place, wherever it stands, are corruption.
//! - Other bad bytes are a torn tail: they are cut, and so is what follows, good or not.
//! - The newest segment, unless closed, has the length it was made with; a shorter one was cut by
//!   somebody else, and that is corruption too.
//! - What is kept above the highest proven place is written again, byte for byte, the cut is filled
//!   with zeros, and both are synced before anyone reads: after a failed sync the page cache may show
//!   what the disk does not hold.
//!
//! After an unclean stop a flipped bit in the very last group cannot be told from a tear.

use super::io::{JournalFile, JournalIo};
use super::record::{self, Kind};
use super::segment::{self, ChainLink, SegmentHeader, SegmentMeta, Window};
use super::{JournalOpenError, mark_time};
use crate::clock::UnixMillis;
use crate::log::codec;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// What the folder holds, made safe to read.
#[derive(Debug, Default)]
pub(super) struct Recovered {
    /// Segments with records, oldest first.
    pub(super) segments: Vec<SegmentMeta>,
    /// All runs before, oldest first.
    pub(super) chain: Vec<ChainLink>,
    /// The last sequence kept; 0: none ever.
    pub(super) last: u64,
    /// The time of the last record.
    pub(super) clicked_at_floor: Option<UnixMillis>,
}

/// How a walk over a segment ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ending {
    /// All asked for was there, and more may follow.
    Reached,
    /// A seal: the run goes on in the next segment.
    Sealed,
    /// A closing record: the run ended cleanly.
    Closed,
    /// Nothing but zeros follow.
    Open,
    /// Bytes that are not the expected record, for this reason.
    Bad(&'static str),
}

/// What a walk found.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    pub(super) last: u64,
    pub(super) end_offset: u64,
    pub(super) records: u64,
    pub(super) clicks: u64,
    pub(super) last_time: Option<UnixMillis>,
    /// The highest place that any record says was durable.
    pub(super) durable_through: u64,
    /// Where the first record above that place begins.
    pub(super) unproven_offset: u64,
    pub(super) ending: Ending,
}

/// Walks the records of a segment up to sequence `until` (`None`: to its end).
pub(super) fn walk(file: &dyn JournalFile, header: &SegmentHeader, until: Option<u64>) -> io::Result<Walk> {
    let seed = record::seed(header.run);
    let first_offset = header.size_bytes() as u64;
    let mut window = Window::new(file, file.length()?);
    let mut walk = Walk {
        last: header.base - 1,
        end_offset: first_offset,
        records: 0,
        clicks: 0,
        last_time: header.clicked_at_floor,
        durable_through: header.base - 1,
        unproven_offset: first_offset,
        ending: Ending::Open,
    };
    while until.is_none_or(|until| walk.last < until) {
        let bytes = window.at(walk.end_offset)?;
        match record::parse(bytes, seed) {
            Ok(found) => match walk.take(&found) {
                Ok(Some(ending)) => {
                    walk.ending = ending;
                    return Ok(walk);
                }
                Ok(None) => {}
                Err(problem) => {
                    walk.ending = Ending::Bad(problem);
                    return Ok(walk);
                }
            },
            Err(problem) => {
                let zeros = only_zeros_follow(&mut window, walk.end_offset)?;
                walk.ending = if zeros { Ending::Open } else { Ending::Bad(problem) };
                return Ok(walk);
            }
        }
    }
    walk.ending = Ending::Reached;
    Ok(walk)
}

impl Walk {
    fn take(&mut self, found: &record::Record<'_>) -> Result<Option<Ending>, &'static str> {
        let expected = if found.kind == Kind::Seal { self.last } else { self.last + 1 };
        if found.sequence != expected {
            return Err("the record's sequence does not follow the one before");
        }
        let time = match found.kind {
            Kind::Click => {
                self.clicks += 1;
                Some(codec::clicked_at(found.payload).ok_or("the record's click cannot be decoded")?)
            }
            Kind::TimeMark => Some(mark_time(found.payload).ok_or("the time mark cannot be decoded")?),
            Kind::Closing | Kind::Seal => None,
        };
        if found.durable_through > self.durable_through {
            self.durable_through = found.durable_through;
            self.unproven_offset = self.end_offset;
        }
        self.last = found.sequence;
        self.last_time = self.last_time.max(time);
        self.records += u64::from(found.kind != Kind::Seal);
        self.end_offset += found.size_bytes as u64;
        Ok(match found.kind {
            Kind::Closing => Some(Ending::Closed),
            Kind::Seal => Some(Ending::Sealed),
            Kind::Click | Kind::TimeMark => None,
        })
    }
}

fn only_zeros_follow(window: &mut Window<'_>, mut offset: u64) -> io::Result<bool> {
    while offset < window.limit() {
        let bytes = window.at(offset)?;
        if bytes.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        offset += bytes.len() as u64;
    }
    Ok(true)
}

/// A segment file with its header read.
pub(super) struct Found {
    pub(super) name: String,
    pub(super) file: Arc<dyn JournalFile>,
    pub(super) header: SegmentHeader,
}

impl Found {
    fn corrupt(&self, offset: u64, problem: impl Into<String>) -> JournalOpenError {
        JournalOpenError::Corrupt { segment: self.name.clone(), offset, problem: problem.into() }
    }

    fn meta(&self, walk: &Walk) -> io::Result<SegmentMeta> {
        Ok(SegmentMeta {
            run: self.header.run,
            base: self.header.base,
            first_offset: self.header.size_bytes() as u64,
            last: walk.last,
            end_offset: walk.end_offset,
            file_bytes: self.file.length()?,
        })
    }
}

/// The segments of a folder by their first sequence.
pub(super) fn find(io: &dyn JournalIo, folder: &Path) -> Result<Vec<(u64, String)>, JournalOpenError> {
    let mut names: Vec<(u64, String)> =
        io.list(folder)?.into_iter().filter_map(|name| Some((segment::parse_name(&name)?, name))).collect();
    names.sort();
    Ok(names)
}

/// Opens one and reads its header.
pub(super) fn open_one(
    io: &dyn JournalIo,
    folder: &Path,
    base: u64,
    name: &str,
    writable: bool,
) -> Result<Found, JournalOpenError> {
    let corrupt = |problem: &str| JournalOpenError::Corrupt {
        segment: name.to_owned(),
        offset: 0,
        problem: problem.to_owned(),
    };
    let file = io.open(&folder.join(name), writable)?;
    let header = SegmentHeader::read(file.as_ref())?.map_err(corrupt)?;
    if header.base != base {
        return Err(corrupt("the segment header does not belong to the file's name"));
    }
    Ok(Found { name: name.to_owned(), file, header })
}

/// Reads the folder, stops at corruption, cuts a torn tail and makes what is kept durable.
pub(super) fn recover(io: &dyn JournalIo, folder: &Path) -> Result<Recovered, JournalOpenError> {
    segment::remove_unfinished(io, folder)?;
    let mut found = Vec::new();
    for (base, name) in find(io, folder)? {
        found.push(open_one(io, folder, base, &name, true)?);
    }
    let mut recovered = Recovered::default();
    for (index, this) in found.iter().enumerate() {
        let walk = match found.get(index + 1) {
            Some(next) => check_followed(this, next)?,
            None => recover_newest(this)?,
        };
        recovered.last = walk.last;
        recovered.clicked_at_floor = recovered.clicked_at_floor.max(walk.last_time);
        if walk.last >= this.header.base {
            recovered.segments.push(this.meta(&walk)?);
        }
        if index + 1 == found.len() {
            recovered.chain.clone_from(&this.header.chain);
            recovered.chain.push(ChainLink { run: this.header.run, last: walk.last });
        }
    }
    Ok(recovered)
}

/// Everything up to the next segment's first sequence must be there.
pub(super) fn check_followed(this: &Found, next: &Found) -> Result<Walk, JournalOpenError> {
    let until = next.header.base - 1;
    let walk = walk(this.file.as_ref(), &this.header, Some(until))?;
    if walk.last != until {
        let problem = match walk.ending {
            Ending::Bad(problem) => problem.to_owned(),
            Ending::Open | Ending::Sealed | Ending::Closed | Ending::Reached => {
                format!("records {} to {until} are missing", walk.last + 1)
            }
        };
        return Err(this.corrupt(walk.end_offset, problem));
    }
    let link = next.header.chain.iter().rev().find(|link| link.run == this.header.run);
    let follows = if this.header.run == next.header.run {
        this.header.chain == next.header.chain
    } else {
        link.is_some_and(|link| link.last == until)
    };
    if follows {
        Ok(walk)
    } else {
        Err(next.corrupt(0, format!("its run chain does not follow {}", this.name)))
    }
}

/// What may be kept of the newest segment; names corruption.
pub(super) fn judge_newest(this: &Found) -> Result<Walk, JournalOpenError> {
    let walk = walk(this.file.as_ref(), &this.header, None)?;
    if matches!(walk.ending, Ending::Closed | Ending::Sealed) {
        return Ok(walk);
    }
    let length = this.file.length()?;
    if length < this.header.file_bytes {
        return Err(this.corrupt(
            walk.end_offset,
            format!("the file is {} bytes shorter than it was made", this.header.file_bytes - length),
        ));
    }
    if let Ending::Bad(problem) = walk.ending {
        let mut window = Window::new(this.file.as_ref(), length);
        let seed = record::seed(this.header.run);
        // A record cut off by damage to its length may hide the next one: begin right behind its start.
        let from = walk.end_offset;
        if segment::proof_of_durability(&mut window, from, seed, walk.last + 1)? {
            return Err(this.corrupt(walk.end_offset, problem));
        }
    }
    Ok(walk)
}

fn recover_newest(this: &Found) -> Result<Walk, JournalOpenError> {
    let walk = judge_newest(this)?;
    if walk.last < this.header.base {
        // No record to keep: the new run's first segment takes its place.
        return Ok(walk);
    }
    let file = this.file.as_ref();
    copy_over_itself(file, walk.unproven_offset, walk.end_offset)?;
    if let Ending::Bad(problem) = walk.ending {
        tracing::warn!(
            journal.segment = %this.name,
            journal.offset = walk.end_offset,
            journal.problem = problem,
            "a torn tail, never acknowledged, was cut"
        );
        let zeros = vec![0; segment::CHUNK_BYTES];
        let length = file.length()?;
        let mut offset = walk.end_offset;
        while offset < length {
            let count = (length - offset).min(zeros.len() as u64);
            file.write_at(&zeros[..count as usize], offset)?;
            offset += count;
        }
    }
    file.sync()?;
    Ok(walk)
}

/// Makes the page cache write these bytes (again).
fn copy_over_itself(file: &dyn JournalFile, mut offset: u64, end: u64) -> io::Result<()> {
    let mut buffer = vec![0; segment::CHUNK_BYTES];
    while offset < end {
        let count = (end - offset).min(buffer.len() as u64) as usize;
        let chunk = &mut buffer[..count];
        if file.read_at(chunk, offset)? != count {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        file.write_at(chunk, offset)?;
        offset += count as u64;
    }
    Ok(())
}
