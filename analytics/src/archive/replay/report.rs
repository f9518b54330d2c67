//! What a replay found.

use super::beginning::Beginning;
use gonggumoa_core::click::JudgedClick;
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::{GongguId, Position};
use gonggumoa_core::judge::totals::{GongguHead, Rollup, RollupKey};
use std::fmt::{self, Display};

/// Differences kept with their names; further ones are counted.
const NAMED_MAX: usize = 1_000;

/// What was compared.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Compared {
    /// A click.
    Click {
        /// Its gonggu.
        gonggu_id: GongguId,
        /// Its place in the log.
        position: Position,
    },
    /// The clicks of an hour, when too many hours differ to name every click.
    Hour {
        /// The gonggu.
        gonggu_id: GongguId,
        /// The hour's start.
        at: UnixMillis,
    },
    /// A head.
    Head {
        /// The gonggu.
        gonggu_id: GongguId,
    },
    /// A rollup row.
    Rollup(RollupKey),
}

impl Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Click { gonggu_id, position } => write!(f, "click {position} of {gonggu_id}"),
            Self::Hour { gonggu_id, at } => write!(f, "clicks of {gonggu_id} in the hour of {at:?}"),
            Self::Head { gonggu_id } => write!(f, "head of {gonggu_id}"),
            Self::Rollup(key) => write!(f, "{:?} row {:?} of {}", key.level, key.at, key.gonggu_id),
        }
    }
}

/// One thing that is not the same. No addresses are in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// What.
    pub of: Compared,
    /// What the archive says; `None`: it should not be there.
    pub expected: Option<String>,
    /// What the store has; `None`: nothing.
    pub found: Option<String>,
}

impl Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |side: &Option<String>| side.clone().unwrap_or_else(|| "nothing".to_owned());
        write!(f, "{}: {} expected, {} found", self.of, side(&self.expected), side(&self.found))
    }
}

/// The outcome of a replay.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReplayReport {
    /// The end of the archive; `None`: it is empty.
    pub through: Option<Position>,
    /// Clicks folded from the archive.
    pub clicks: u64,
    /// Where the comparison begins; `None`: with the log's first click.
    pub beginning: Option<Beginning>,
    /// Of the clicks folded, here and beyond, those whose verdict was not judged but taken over from the store.
    pub believed: u64,
    /// Clicks stored beyond the archive's end, folded from their rows.
    pub clicks_beyond: u64,
    /// Gonggus compared.
    pub gonggus: u64,
    /// Rollup rows compared.
    pub rollups: u64,
    /// How many things differ; 0 is the promise.
    pub differences: u64,
    /// The first of them.
    pub named: Vec<Difference>,
    /// Gonggus that were clicked faster than they could be compared; run again at a quieter time.
    pub unsettled: Vec<GongguId>,
}

impl ReplayReport {
    /// Whether all was compared and all is the same.
    pub fn is_identical(&self) -> bool {
        self.differences == 0 && self.unsettled.is_empty()
    }

    pub(super) fn differ(&mut self, of: Compared, expected: Option<String>, found: Option<String>) {
        self.differences += 1;
        if self.named.len() < NAMED_MAX {
            self.named.push(Difference { of, expected, found });
        }
    }

    /// Takes in what was found about rows.
    pub(super) fn absorb(&mut self, rows: Self) {
        self.rollups += rows.rollups;
        self.differences += rows.differences;
        self.named.extend(rows.named);
        self.named.truncate(NAMED_MAX);
    }

    /// Compares a click; the raw address is not part of it (the archive has none).
    pub(super) fn compare_click(
        &mut self,
        gonggu_id: GongguId,
        expected: Option<&JudgedClick>,
        found: Option<&JudgedClick>,
    ) {
        let (of_expected, of_found) = (expected.map(Facts::of), found.map(Facts::of));
        if of_expected == of_found {
            return;
        }
        let position = expected.or(found).map_or(Position(0), |judged| judged.position);
        let same_verdict = expected.map(|judged| &judged.judgement) == found.map(|judged| &judged.judgement);
        let text = |judged: &JudgedClick| {
            if same_verdict { "other facts of the click".into() } else { format!("{:?}", judged.judgement) }
        };
        self.differ(Compared::Click { gonggu_id, position }, expected.map(text), found.map(text));
    }

    pub(super) fn compare_head(&mut self, expected: &GongguHead, found: Option<&GongguHead>) {
        if found == Some(expected) {
            return;
        }
        let text = |head: &GongguHead| {
            let GongguHead { counts, visitors, last_judged_at, last_clicked_at, applied_through, .. } = head;
            let visitors = visitors.estimate();
            format!(
                "{counts:?}, {visitors} visitors, judged at {last_judged_at:?}, clicked at {last_clicked_at:?}, \
                 through {applied_through}"
            )
        };
        let of = Compared::Head { gonggu_id: expected.gonggu_id };
        self.differ(of, Some(text(expected)), found.map(text));
    }

    pub(super) fn compare_rollup(&mut self, expected: Option<&Rollup>, found: Option<&Rollup>) {
        self.rollups += u64::from(expected.is_some());
        let Some(key) = expected.or(found).map(|row| row.key) else { return };
        if expected == found {
            return;
        }
        let text = |row: &Rollup| {
            let Rollup { counts, visitors, referrers, devices, .. } = row;
            let visitors = visitors.estimate();
            format!("{counts:?}, {visitors} visitors, devices {devices:?}, referrers {referrers:?}")
        };
        self.differ(Compared::Rollup(key), expected.map(text), found.map(text));
    }
}

/// What of a click the archive and the store both hold.
#[derive(PartialEq, Eq)]
struct Facts(Vec<u8>);

impl Facts {
    fn of(judged: &JudgedClick) -> Self {
        let mut bytes = Vec::new();
        super::fold::canonical_bytes(judged, &mut bytes);
        Self(bytes)
    }
}
