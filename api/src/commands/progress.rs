//! What whoever watches a long command sees: a bar on a terminal, now and then a line anywhere else.

use crate::seed::ScaleStep;
use indicatif::{ProgressBar, ProgressStyle};
use std::cell::Cell;
use std::io::{self, Write};

/// A line for every such part of the whole.
const LINES: u64 = 20;

/// Without a length (0) it spins.
pub(super) fn bar(length: u64, message: &'static str) -> ProgressBar {
    let bar = if length == 0 { ProgressBar::new_spinner() } else { ProgressBar::new(length) };
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}")
        && length > 0
    {
        bar.set_style(style);
    }
    bar.with_message(message)
}

/// Of a large sowing.
pub(super) struct OfScale {
    bar: ProgressBar,
    rows: u64,
    /// Parts of the whole that were told as lines.
    lines: Cell<u64>,
}

impl OfScale {
    /// Of so many rows.
    pub(super) fn new(rows: u64) -> Self {
        Self { bar: bar(rows, "규모 데이터"), rows, lines: Cell::new(0) }
    }

    /// A chunk is there.
    pub(super) fn tell(&self, step: &ScaleStep) {
        if !self.bar.is_hidden() {
            self.bar.set_message(step.kind);
            self.bar.set_position(step.done);
            return;
        }
        let part = step.done * LINES / self.rows.max(1);
        if part > self.lines.replace(part) {
            // Nobody reading is no reason to stop.
            let percent = part * 100 / LINES;
            writeln!(io::stderr(), "{percent}% {} ({} / {})", step.kind, step.done, self.rows).ok();
        }
    }

    /// All is there.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
