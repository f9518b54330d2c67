//! A gonggu's totals as one text: `1|position|complete through|visitors|counts…`.
//!
//! The position has twenty digits, so that the script may compare texts: Redis's numbers are doubles, which
//! cannot hold it.

use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::Position;
use gonggumoa_core::judge::totals::Counts;
use gonggumoa_core::live::LiveTotals;
use std::fmt::Write as _;

/// The form written now; another one is left alone.
const FORM: &str = "1";

/// The position as the script compares it.
pub(super) fn position(totals: &LiveTotals) -> String {
    format!("{:020}", totals.applied_through.0)
}

pub(super) fn encode(totals: &LiveTotals) -> String {
    let mut text =
        format!("{FORM}|{}|{}|{}", position(totals), totals.complete_through.0, totals.unique_visitors);
    for count in totals.counts.to_array() {
        // Writing to a String does not fail.
        let _ = write!(text, "|{count}");
    }
    text
}

pub(super) fn decode(text: &str) -> Option<LiveTotals> {
    let mut parts = text.split('|');
    if parts.next()? != FORM {
        return None;
    }
    let applied_through = Position(parts.next()?.parse().ok()?);
    let complete_through = UnixMillis(parts.next()?.parse().ok()?);
    let unique_visitors = parts.next()?.parse().ok()?;
    let mut counts = Counts::default().to_array();
    for count in &mut counts {
        *count = parts.next()?.parse().ok()?;
    }
    let counts = Counts::from_array(counts);
    parts.next().is_none().then_some(LiveTotals {
        counts,
        unique_visitors,
        applied_through,
        complete_through,
    })
}
