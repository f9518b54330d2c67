//! The actors that turn the log into stored verdicts.
//!
//! ```text
//!   root ── supervises ──▶ partition ── supervises ──▶ gonggu, gonggu, gonggu …
//!                            │  ▲
//!            reader task ────┘  └──── store task        (one batch each at a time)
//! ```
//!
//! A partition reads its log in batches, sends each gonggu its clicks in one message, collects the
//! verdicts, and hands the batch with its position to the store while the next one is being judged.
//! Everybody outside sees only [`TrackingHandle`].
//!
//! Invariants: messages flow one way (nobody awaits an actor); every queue is bounded by permits taken
//! before reading; a gonggu's state is loaded only when all earlier batches that touched it are stored.

pub mod forwarder;
mod gonggu;
mod handle;
pub mod kafka;
mod partition;
pub mod redis;
mod root;
mod rules;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use handle::{
    AssignmentChange, Assignments, PartitionStatus, PartitionStep, TrackingConfig, TrackingDeps,
    TrackingError, TrackingHandle, spawn,
};
