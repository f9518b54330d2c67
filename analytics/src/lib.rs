//! What is recorded of clicks and asked of it: the click store on PostgreSQL, stats, evidence, the archive
//! of the log, and the upkeep of all that.
//!
//! Everything here is a fold over the log or a question about one; nothing decides a verdict.

pub mod archive;
pub mod click_count;
pub mod export;
pub mod postgres;
pub mod retention;
pub mod stats;
