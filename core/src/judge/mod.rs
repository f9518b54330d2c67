//! The judge: a pure fold from the log to verdicts.
//!
//! `fold(state, position, click, rules) -> Judgement`: no clock, no I/O, no randomness, no catalog.
//! One [`GongguState`] per gonggu sees that gonggu's clicks in the order of their positions. Folding
//! the same log again gives the same judgements, byte for byte, on any machine.

pub mod rules;
pub mod totals;
