//! Kafka as the click log of many edges and judges.
//!
//! Problem: several edges write and several judges read, on machines that come and go, and still every click
//! is judged once, in one order, by one judge at a time. Kafka keeps the records, replicates them and shares
//! the partitions out; what is left to us is to know what we read and where we stand.
//!
//! ```text
//!   edges ─▶ clicks.raw ─┬─▶ record (decode) ─▶ reader ─▶ judge, archive
//!                        └─▶ dead letters: what is not ours
//!   group ─▶ membership ─▶ which partitions this process judges
//! ```
//!
//! Invariants: offsets are ours, stored with what was judged; nothing is ever committed to Kafka, and a client
//! never chooses an offset by itself (`auto.offset.reset=error`). A place is named by the log's epoch and its
//! history, so that a topic made anew under the same name is noticed. Partitions are computed by us
//! (`gonggumoa_core::log::partitioning`), so their number is fixed for a topic's life.
//!
//! Non-goals: deleting. Retention is the brokers'; the start refuses a topic that forgets too soon, and an
//! alarm tells when half of that time has gone by for a record that is not stored.

mod config;
mod dead_letters;
mod error;
mod events;
pub(crate) mod gapless;
mod lag;
mod lanes;
mod log;
pub mod membership;
#[cfg(test)]
pub(crate) mod probe;
pub mod publisher;
mod reader;
pub mod record;
pub mod schema;
pub mod topics;

pub use config::KafkaConfig;
pub use error::KafkaError;
pub use lag::PartitionLag;
pub use log::{KafkaLog, LogEpoch};
pub use topics::ClusterFacts;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
