//! Figures as Markdown tables on standard output, ready to be put into `benches/README.md`.

use std::io::Write as _;
use std::time::Duration;

/// A table under a heading.
#[derive(Debug)]
pub struct Table {
    heading: String,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with its columns' names.
    pub fn new(heading: impl Into<String>, columns: &[&str]) -> Self {
        Self { heading: heading.into(), rows: vec![columns.iter().map(|name| (*name).to_owned()).collect()] }
    }

    /// Adds a row, and says it on standard error at once: a long run is watched.
    pub fn push(&mut self, row: Vec<String>) {
        progress(&row.join(" | "));
        self.rows.push(row);
    }

    /// Writes it out.
    pub fn print(&self) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "\n### {}\n", self.heading)?;
        for (index, row) in self.rows.iter().enumerate() {
            writeln!(out, "| {} |", row.join(" | "))?;
            if index == 0 {
                writeln!(out, "|{}", "---|".repeat(row.len()))?;
            }
        }
        out.flush()
    }
}

/// A line for whoever watches.
pub fn progress(line: &str) {
    // Nobody watching is no reason to stop.
    writeln!(std::io::stderr(), "  {line}").ok();
}

/// The middle value; the lower of two.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(0.0)
}

/// A count with its thousands set apart.
pub fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.max(0.0));
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Microseconds of `total` for each of `count`.
pub fn micros_each(total: Duration, count: u64) -> f64 {
    if count == 0 { 0.0 } else { total.as_secs_f64() * 1e6 / count as f64 }
}

/// Bytes as MiB.
pub fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / 1_048_576.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_as_people_read_them() {
        assert_eq!(grouped(1_234_567.4), "1,234,567");
        assert_eq!(grouped(999.0), "999");
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[]), 0.0);
        assert_eq!(micros_each(Duration::from_secs(1), 1_000), 1_000.0);
    }
}
