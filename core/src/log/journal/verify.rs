//! A walk over all segments that changes nothing, for an operator who wants to know.
//!
//! The journal may be in use meanwhile, and taking its lock would keep a starting one out. So a walk may
//! meet bytes older than those behind them, a length older than the bytes, and names that are gone. What
//! was written never changes, though: damage is what a second look finds at the same place.

use super::JournalOpenError;
use super::io::{JournalIo, RealIo};
use super::recovery::{self, Ending, Found, Walk};
use crate::ids::RunId;
use std::io;
use std::path::Path;

/// What a folder of segments holds.
#[derive(Clone, Debug, Default)]
pub struct VerifyReport {
    /// The segments, oldest first.
    pub segments: Vec<SegmentReport>,
    /// What is wrong; empty: the journal would start.
    pub problems: Vec<VerifyProblem>,
}

impl VerifyReport {
    /// Clicks in all segments.
    pub fn clicks(&self) -> u64 {
        self.segments.iter().map(|segment| segment.clicks).sum()
    }
}

/// One segment.
#[derive(Clone, Debug)]
pub struct SegmentReport {
    /// Its file name.
    pub segment: String,
    /// The run that wrote it.
    pub run: RunId,
    /// Its first sequence.
    pub first_sequence: u64,
    /// Its last good sequence; one less than the first: none.
    pub last_sequence: u64,
    /// Records in it, clicks and marks alike.
    pub records: u64,
    /// Clicks among them.
    pub clicks: u64,
    /// How it ends.
    pub state: SegmentState,
}

/// How a segment ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SegmentState {
    /// By a seal, or by a newer segment that vouches for all of it: it never changes.
    Sealed,
    /// By a closing record: its run ended cleanly.
    Closed,
    /// Openly: it is being written, or its writer was stopped.
    Open,
    /// In a torn tail that the next start will cut.
    Torn,
    /// In damage; see the problems.
    Corrupt,
}

impl SegmentState {
    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::Closed => "closed",
            Self::Open => "open",
            Self::Torn => "torn",
            Self::Corrupt => "corrupt",
        }
    }
}

/// Something that would stop the start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifyProblem {
    /// The segment's file name.
    pub segment: String,
    /// The byte in it.
    pub offset: u64,
    /// What is wrong.
    pub problem: String,
}

/// Walks the journal in `dir`. A journal in use may be walked too; its newest segment then shows as open,
/// or as it was left while we looked.
pub fn verify(dir: &Path) -> Result<VerifyReport, JournalOpenError> {
    verify_with(&RealIo, dir)
}

pub(super) fn verify_with(io: &dyn JournalIo, dir: &Path) -> Result<VerifyReport, JournalOpenError> {
    loop {
        let report = walk_all(io, dir)?;
        let newest = report.segments.last().map(|segment| segment.segment.as_str());
        let newest_is_bad = report.problems.iter().any(|problem| Some(problem.segment.as_str()) == newest);
        // With a successor it is judged by other rules: then it may end earlier than it was made.
        if newest_is_bad && recovery::find(io, dir)?.last().map(|(_, name)| name.as_str()) != newest {
            continue;
        }
        return Ok(report);
    }
}

fn walk_all(io: &dyn JournalIo, dir: &Path) -> Result<VerifyReport, JournalOpenError> {
    let (mut report, found) = open_all(io, dir)?;
    for (index, this) in found.iter().enumerate() {
        let judged = match found.get(index + 1) {
            Some(next) => recovery::check_followed(this, next),
            None => judge_newest(this),
        };
        let followed = index + 1 < found.len();
        match judged {
            Ok(walk) => report.segments.push(describe(this, &walk, state(&walk, followed))),
            Err(error) => {
                report.note(error)?;
                let walk = recovery::walk(this.file.as_ref(), &this.header, None)?;
                report.segments.push(describe(this, &walk, SegmentState::Corrupt));
            }
        }
    }
    Ok(report)
}

/// Opens all segments there are, oldest first, and notes those that cannot be read.
fn open_all(io: &dyn JournalIo, dir: &Path) -> Result<(VerifyReport, Vec<Found>), JournalOpenError> {
    let mut names = recovery::find(io, dir)?;
    'listing: loop {
        let (mut report, mut found) = (VerifyReport::default(), Vec::new());
        for (base, name) in &names {
            match recovery::open_one(io, dir, *base, name, false) {
                Ok(segment) => found.push(segment),
                Err(JournalOpenError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                    // Deleted since it was listed, and all before it too: begin again, as long as that
                    // makes a difference.
                    let now = recovery::find(io, dir)?;
                    if now == names {
                        return Err(error.into());
                    }
                    names = now;
                    continue 'listing;
                }
                Err(error) => report.note(error)?,
            }
        }
        return Ok((report, found));
    }
}

/// Judges the newest segment; what looks bad is looked at again until it stays so at the same place.
/// Ends: a bad place that moved was moved by the writer, and a segment has an end.
fn judge_newest(this: &Found) -> Result<Walk, JournalOpenError> {
    let mut before = None;
    loop {
        let judged = recovery::judge_newest(this);
        let bad_offset = match &judged {
            Ok(Walk { ending: Ending::Bad(_), end_offset, .. }) => *end_offset,
            Err(JournalOpenError::Corrupt { offset, .. }) => *offset,
            _ => return judged,
        };
        if before.replace(bad_offset) == Some(bad_offset) {
            return judged;
        }
    }
}

impl VerifyReport {
    fn note(&mut self, error: JournalOpenError) -> Result<(), JournalOpenError> {
        match error {
            JournalOpenError::Corrupt { segment, offset, problem } => {
                self.problems.push(VerifyProblem { segment, offset, problem });
                Ok(())
            }
            other => Err(other),
        }
    }
}

fn state(walk: &Walk, followed: bool) -> SegmentState {
    match walk.ending {
        Ending::Closed => SegmentState::Closed,
        Ending::Sealed => SegmentState::Sealed,
        _ if followed => SegmentState::Sealed,
        Ending::Reached | Ending::Open => SegmentState::Open,
        Ending::Bad(_) => SegmentState::Torn,
    }
}

fn describe(this: &Found, walk: &Walk, state: SegmentState) -> SegmentReport {
    SegmentReport {
        segment: this.name.clone(),
        run: this.header.run,
        first_sequence: this.header.base,
        last_sequence: walk.last,
        records: walk.records,
        clicks: walk.clicks,
        state,
    }
}
