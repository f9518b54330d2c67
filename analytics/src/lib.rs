//! What is recorded of clicks and asked of it: the click store on PostgreSQL, stats, evidence, archive.
//!
//! Everything here is a fold over the log or a question about one; nothing decides a verdict.

pub mod postgres;
pub mod stats;
