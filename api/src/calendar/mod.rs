//! The calendar: which gonggus open and close on each day of Seoul.
//!
//! Invariants: a day is [its midnight, the next) in Seoul, as in every figure; one that was closed early closes on
//! that day, and does not open if it was closed before; an answer is bounded in days and in gonggus a day, while
//! its counts are of all.

pub mod queries;
pub mod routes;
#[cfg(test)]
mod tests;
pub mod types;
