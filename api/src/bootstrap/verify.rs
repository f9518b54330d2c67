//! The walk over a journal that an operator asks for.

use gonggumoa_core::log::journal::{self, SegmentReport};
use std::fmt::Write as _;
use std::path::Path;

/// Checks a journal.
pub fn verify_journal(dir: &Path) -> anyhow::Result<(String, bool)> {
    let report = journal::verify(dir)?;
    let mut text = String::new();
    for SegmentReport { segment, run, first_sequence, last_sequence, records, clicks, state } in
        &report.segments
    {
        let state = state.as_str();
        writeln!(
            text,
            "{segment}  run {run}  sequences {first_sequence}..{last_sequence}  {records} records, {clicks} clicks  {state}"
        )?;
    }
    for problem in &report.problems {
        writeln!(text, "{}: offset {}: {}", problem.segment, problem.offset, problem.problem)?;
    }
    let sound = report.problems.is_empty();
    writeln!(
        text,
        "{} segments, {} clicks: {}",
        report.segments.len(),
        report.clicks(),
        if sound { "sound" } else { "NOT sound" }
    )?;
    Ok((text, sound))
}
