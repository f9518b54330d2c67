//! Telling others what was judged.
//!
//! Told before the store confirms a batch's position, so that a crash in between tells it again rather than
//! never: at least once, with the click's id to know it by. It carries no raw address.

use crate::store::JudgedBatch;
use async_trait::async_trait;

/// Why it could not be told.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The receiving side does not answer; the batch waits.
    #[error("judged clicks cannot be published now")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It refused for a lasting reason.
    #[error("judged clicks were refused")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl PublishError {
    /// Whether the same call may work later.
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// Takes judged clicks. Returns when the receiving side has confirmed all of the batch.
#[async_trait]
pub trait JudgedPublisher: Send + Sync + 'static {
    /// Publishes the clicks of `batch`, in their order within a gonggu.
    async fn publish(&self, batch: &JudgedBatch) -> Result<(), PublishError>;
}
