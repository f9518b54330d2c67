//! Which partition of a log a gonggu's clicks are in.
//!
//! Computed by us, never by a client's default, and fixed for a log's life: a gonggu that changed its partition
//! would be judged by two nodes at once. BLAKE3 of the id, its first eight bytes as a little-endian number,
//! modulo the number of partitions.

use crate::ids::{GongguId, PartitionId};
use std::num::NonZeroU32;

/// How a log is divided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Partitioning {
    count: NonZeroU32,
}

impl Partitioning {
    /// All in one partition, number 0.
    pub const ONE: Self = Self { count: NonZeroU32::MIN };

    /// A log of `count` partitions.
    pub fn new(count: NonZeroU32) -> Self {
        Self { count }
    }

    /// How many there are.
    pub fn count(self) -> u32 {
        self.count.get()
    }

    /// All of them.
    pub fn all(self) -> impl Iterator<Item = PartitionId> {
        (0..self.count.get()).map(PartitionId)
    }

    /// The one that this gonggu's clicks are in.
    pub fn of(self, gonggu_id: GongguId) -> PartitionId {
        if self.count == NonZeroU32::MIN {
            return PartitionId(0);
        }
        let hash = blake3::hash(gonggu_id.0.as_bytes());
        let number = hash.as_bytes().first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        PartitionId((number % u64::from(self.count.get())) as u32)
    }
}

#[cfg(test)]
mod tests;
