//! The judge: a pure fold from the log to verdicts.
//!
//! `fold(state, position, click, rules) -> Judgement`: no clock, no I/O, no randomness, no catalog.
//! One [`GongguState`] per gonggu sees that gonggu's clicks in the order of their positions. Folding
//! the same log again gives the same judgements, byte for byte, on any machine.
//!
//! ```text
//!   click ─▶ invalid? ─▶ duplicate? ─▶ counted for mass clicks ─▶ held? ─▶ billable
//!            (invalid)    (dedup)       (burst, flags)                      │
//!                                    figures of head and rollup rows ◀──────┘
//! ```
//!
//! Every window runs on `judged_at`, the later of `clicked_at` and the gonggu's last `judged_at`, so
//! time never goes back inside a state. What a window holds is dropped as that time moves.

mod burst;
pub mod dedup;
mod figures;
mod flags;
mod invalid;
pub mod rules;
pub mod state;
mod table;
pub mod totals;

pub use rules::{Rules, RulesError, RulesHistory};
pub use state::{Changes, GongguState, RestoreError};

#[cfg(test)]
mod tests;
