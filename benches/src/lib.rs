//! What the benches and the load runs share.
//!
//! Problem: figures that two programs are compared by must come from one generator, one machine and one
//! run, or they compare the weather. So the load runs start the release binary and a bare axum server
//! side by side, drive both in turn with the same client, and wait until everything is stored before the
//! next round begins.
//!
//! Not a goal: finding errors. The client counts answers of the wrong kind and the runs print them, but
//! promises are tested elsewhere.

pub mod catalog;
pub mod client;
pub mod closed_loop;
pub mod cluster;
pub mod database;
pub mod open_loop;
pub mod options;
pub mod process;
pub mod product;
pub mod report;
pub mod requests;
pub mod runs;
pub mod sample;
