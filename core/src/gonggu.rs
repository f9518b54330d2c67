//! A group buy's status, as one function of time.

use crate::clock::UnixMillis;
use serde::{Deserialize, Serialize};

/// Where a gonggu stands at a moment. Lists, redirects and notifications all ask [`status_at`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GongguStatus {
    /// Before its opening.
    Scheduled,
    /// From its opening until its closing.
    Active,
    /// From its closing on.
    Closed,
}

/// `opens_at` belongs to the open time, `closes_at` does not. A closing at or before the opening is
/// never open.
pub fn status_at(now: UnixMillis, opens_at: UnixMillis, closes_at: UnixMillis) -> GongguStatus {
    if now >= closes_at {
        GongguStatus::Closed
    } else if now < opens_at {
        GongguStatus::Scheduled
    } else {
        GongguStatus::Active
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders() {
        let status = |now| status_at(UnixMillis(now), UnixMillis(10), UnixMillis(20));
        assert_eq!(status(9), GongguStatus::Scheduled);
        assert_eq!(status(10), GongguStatus::Active);
        assert_eq!(status(19), GongguStatus::Active);
        assert_eq!(status(20), GongguStatus::Closed);
    }
}
