//! Where a replay begins when the archive's first files were deleted after their time.
//!
//! Problem: the state before the oldest file left is not known, and beginning from an empty one is wrong for longer
//! than a window: a visitor whose mark is missing is counted where he was a duplicate, which leaves a mark that was
//! never there and makes a duplicate of his next counted click; who clicks regularly is judged wrongly for ever.
//!
//! So the verdicts of a first stretch are taken over from the store instead of being judged
//! ([`adopt`](gonggumoa_core::judge::GongguState::adopt)); [`BELIEVED_MILLIS`] is twice the longest window that any
//! rules version can have, which is why what follows is exact:
//!
//! - A mark, and a click's place in a count, ends with the window of the version that made it. One window after the
//!   beginning nothing is left of the clicks that are gone: all marks and counts are those of clicks taken over.
//! - A held click of the second window is thus over the limit that it was held by, so its flag is known; a flag that
//!   may grow after that window has a held click within it.
//! - From there on the state is the one that the whole log leads to, so every verdict is judged anew, from no verdict
//!   but those that it depends on. A click taken over that was tampered with shows in the clicks that depend on it,
//!   in the rows of its time, or not at all: its facts are compared with the archive, its verdict is believed.
//!
//! What is compared begins at a month's border if one lies in the oldest file (what retention keeps begins there, in
//! the store as well), else after that file. Times in a log do not go back; so no click before has a later time.

use super::super::ArchiveError;
use super::super::read::{files, open};
use crate::postgres::months::Month;
use gonggumoa_core::click::{Judgement, RawClick};
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::{GongguId, PartitionId, Position};
use gonggumoa_core::judge::rules::RulesSettings;
use gonggumoa_core::kst::HOUR_MILLIS;
use gonggumoa_core::log::LogEntry;
use gonggumoa_core::store::ClickQueries;
use object_store::ObjectStore;
use std::collections::{BTreeMap, HashMap};

/// See the module.
pub(super) const BELIEVED_MILLIS: i64 = 2 * RulesSettings::WINDOW_MILLIS_MAX;
/// Stored clicks of a gonggu read at once while they are taken over: many gonggus are read side by side.
const PAGE_CLICKS: usize = 64;

/// Where the comparison begins if not with the log's first click.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Beginning {
    /// Clicks and rows from before are not compared, but for the heads' totals (which must be the sum of the day
    /// rows, stored ones before this time and folded ones after it).
    pub from: UnixMillis,
    /// The first click that is compared.
    pub position: Position,
    /// Verdicts of clicks judged before this time are taken over from the store.
    pub judged_from: UnixMillis,
}

impl Beginning {
    pub(super) fn at(from: UnixMillis, position: Position, clicked_at: UnixMillis) -> Self {
        Self { from, position, judged_from: clicked_at.plus_millis(BELIEVED_MILLIS) }
    }
}

/// From when on the archive can be compared; `None`: it has its beginning.
pub(super) async fn compared_from(
    objects: &dyn ObjectStore,
    partition: PartitionId,
) -> Result<Option<UnixMillis>, ArchiveError> {
    let mut is_first = true;
    for name in files(objects, partition).await? {
        let mut file = open(objects, &name).await?;
        if std::mem::take(&mut is_first) && file.header.after.is_none() {
            return Ok(None);
        }
        let mut times: Option<(UnixMillis, UnixMillis)> = None;
        while let Some((_, entry)) = file.next()? {
            let at = match entry {
                LogEntry::Click(click) => click.clicked_at,
                LogEntry::TimeMark { at, .. } => at,
                LogEntry::Closing { .. } => continue,
            };
            times = Some(times.map_or((at, at), |(oldest, newest)| (oldest.min(at), newest.max(at))));
        }
        if let Some((oldest, newest)) = times {
            let border = Month::of(oldest).to;
            return Ok(Some(if border <= newest { border } else { newest.plus_millis(1) }));
        }
    }
    // Without a single time there is nothing to compare either.
    Ok((!is_first).then_some(UnixMillis::MAX))
}

/// The stored judgements of the first stretch, read as they are needed.
#[derive(Default)]
pub(super) struct Given(HashMap<GongguId, Pages>);

#[derive(Default)]
struct Pages {
    judgements: BTreeMap<Position, Judgement>,
    after: Option<(UnixMillis, Position)>,
    is_read: bool,
}

impl Given {
    /// The stored judgement of a click; `None` if the store has none. Of one gonggu, positions must ascend.
    pub(super) async fn judgement<S: ClickQueries + ?Sized>(
        &mut self,
        store: &S,
        beginning: &Beginning,
        position: Position,
        click: &RawClick,
    ) -> Result<Option<Judgement>, ArchiveError> {
        let pages = self.0.entry(click.gonggu_id).or_default();
        // Those before are not asked for any more.
        pages.judgements = pages.judgements.split_off(&position);
        loop {
            if let Some(judgement) = pages.judgements.remove(&position) {
                return Ok(Some(judgement));
            }
            let is_behind = pages.after.is_some_and(|(at, _)| at > click.clicked_at);
            if pages.is_read || is_behind {
                return Ok(None);
            }
            let from = beginning.from.plus_millis(-HOUR_MILLIS);
            let page =
                store.clicks(click.gonggu_id, from, beginning.judged_from, pages.after, PAGE_CLICKS).await?;
            pages.is_read = page.len() < PAGE_CLICKS;
            pages.after =
                page.last().map(|judged| (judged.click.clicked_at, judged.position)).or(pages.after);
            let wanted = page.into_iter().filter(|judged| judged.position >= position);
            pages.judgements.extend(wanted.map(|judged| (judged.position, judged.judgement)));
        }
    }

    /// A gonggu that is past the stretch needs nothing more.
    pub(super) fn forget(&mut self, gonggu_id: GongguId) {
        self.0.remove(&gonggu_id);
    }
}
