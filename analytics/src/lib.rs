//! What is recorded of clicks and asked of it: the click stores on PostgreSQL and on ScyllaDB or Cassandra, stats,
//! evidence, the archive of the log, and the upkeep of all that.
//!
//! Everything here is a fold over the log or a question about one; nothing decides a verdict.

pub mod archive;
pub mod click_count;
pub mod cql;
pub mod export;
pub mod postgres;
pub mod recorded;
pub mod retention;
pub mod stats;

#[cfg(test)]
mod testing;
