//! Identifiers, one type each, so that a gonggu can never stand where a user belongs.

use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

uuid_id! {
    /// A group buy.
    GongguId
}
uuid_id! {
    /// An account: buyer, influencer or admin.
    UserId
}
uuid_id! {
    /// One recorded click (UUIDv7, made by the log's writer).
    ClickId
}
uuid_id! {
    /// A mass-click flag; equal to the id of the first click held under it.
    FlagId
}

/// One start of a journal: random, so that a cloned or restored folder never repeats an identity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub Uuid);

impl RunId {
    /// A new random run.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}
impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}

/// A partition of the log. A file journal has one, number 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartitionId(pub u32);

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A place in one partition's log; later records have larger positions. Only the log that made it
/// knows its meaning (file journal: the record's sequence). 0 is before the first record.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(pub u64);

impl Position {
    /// Bits that hold the place within one epoch of a shared log; the epoch stands above them.
    const EPOCH_SHIFT: u32 = 48;

    /// The entry at `offset` (counted from 0) of a shared log that is in its `epoch`-th life. A journal of
    /// one machine is epoch 0, so that every position of a shared log, whose epochs begin at 1, lies after
    /// all of a journal's. Epochs stay below 2^15, so that a position is a positive `i64` too.
    pub fn in_epoch(epoch: u16, offset: u64) -> Self {
        Self(u64::from(epoch) << Self::EPOCH_SHIFT | (offset + 1))
    }

    /// The life of the log that it lies in; 0: a journal's.
    pub fn epoch(self) -> u16 {
        (self.0 >> Self::EPOCH_SHIFT) as u16
    }

    /// The offset that [`in_epoch`](Self::in_epoch) was given; `None` before the first entry of an epoch.
    pub fn offset(self) -> Option<u64> {
        (self.0 & ((1 << Self::EPOCH_SHIFT) - 1)).checked_sub(1)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
