//! What the forwarder asks of the shared log.
//!
//! The trait stands between them so that everything that can go wrong at a broker can be played in a test, in
//! any order. Contract, as a Kafka producer keeps it with `enable.idempotence`, `acks=all`, no time-out and
//! `enable.gapless.guarantee`:
//!
//! - What was sent to one partition arrives there in the order of sending, once each, without a gap: at any
//!   instant the partition holds a first part of what was sent.
//! - An acknowledgement means that the record is kept.
//! - After a fault nothing more is sent, but what had been sent may still arrive, also after the producer was
//!   dropped and while its successor sends the same again.

use async_trait::async_trait;
use gonggumoa_core::ids::PartitionId;

/// A record on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawRecord<'a> {
    /// Where to.
    pub(crate) partition: PartitionId,
    /// The gonggu's id, for clicks.
    pub(crate) key: Option<&'a [u8]>,
    /// The encoded entry.
    pub(crate) value: &'a [u8],
    /// By which its acknowledgement names it; several records may share one.
    pub(crate) ticket: u64,
}

/// Why a record was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// No room at the moment; again after the next acknowledgement.
    #[error("the producer's queue is full")]
    Full,
    /// It will take nothing more.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// A producer that must be replaced: what was not acknowledged is sent again by the next one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Fault(pub(crate) String);

/// See the module.
#[async_trait]
pub(crate) trait RawProducer: Send {
    /// Takes a record over. Never blocks.
    fn send(&mut self, record: RawRecord<'_>) -> Result<(), SendError>;
    /// Waits until something was acknowledged and adds its tickets, one for each record. Cancel-safe.
    async fn acknowledged(&mut self, tickets: &mut Vec<u64>) -> Result<(), Fault>;
    /// What the broker's side complains of at the moment, though it is tried again.
    fn trouble(&self) -> Option<String>;
}

/// Makes a producer; called again after each fault.
pub(crate) type MakeProducer = Box<dyn Fn() -> Result<Box<dyn RawProducer>, Fault> + Send + Sync>;
