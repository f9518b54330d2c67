//! The judge against its promises: every sentence of the verdict rules, a slow reference model, replay
//! and loading at every position, and a golden replay that no later change may alter.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bursts;
mod court;
mod duplicates;
mod golden;
mod invalids;
mod memory;
mod model;
mod reference;
mod totals;
