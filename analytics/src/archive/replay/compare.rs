//! One gonggu's stored clicks, head and rollup rows against its folded state.

use super::super::ArchiveError;
use super::fold::{Fold, HourDigest, HourDigests};
use super::{PAGE_CLICKS, ReplayReport};
use gonggumoa_core::click::JudgedClick;
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::{GongguId, Position};
use gonggumoa_core::judge::GongguState;
use gonggumoa_core::judge::totals::{Counts, GongguHead, Rollup, RollupKey, RollupLevel};
use gonggumoa_core::store::{ClickQueries, ClickStore};
use std::collections::BTreeMap;

/// So often a gonggu is read anew that was clicked while it was read.
const TRIES: usize = 5;

/// What a gonggu's rows say, read while its head stood still.
struct Stored {
    head: Option<GongguHead>,
    digests: BTreeMap<UnixMillis, HourDigest>,
    /// Clicks beyond the archive's end, by position.
    beyond: Vec<JudgedClick>,
}

pub(super) struct Comparison<'a, S: ?Sized> {
    store: &'a S,
    fold: &'a mut Fold,
    report: &'a mut ReplayReport,
    state: GongguState,
}

impl<'a, S: ClickStore + ClickQueries + ?Sized> Comparison<'a, S> {
    pub(super) fn new(
        store: &'a S,
        fold: &'a mut Fold,
        report: &'a mut ReplayReport,
        state: GongguState,
    ) -> Self {
        Self { store, fold, report, state }
    }

    /// Compares all; the hours whose clicks differ are left to be named.
    pub(super) async fn run(
        &mut self,
        expected: &BTreeMap<UnixMillis, HourDigest>,
    ) -> Result<Vec<(GongguId, UnixMillis)>, ArchiveError> {
        let gonggu_id = self.state.gonggu_id();
        let mut rows = BTreeMap::new();
        for _ in 0..TRIES {
            let stored = self.read().await?;
            self.fold_beyond(&stored).await?;
            let changes = self.state.take_changes();
            rows.extend(changes.rollups.into_iter().map(|row| (row.key, row)));
            let mut found = ReplayReport::default();
            self.compare_rows(&rows, &mut found).await?;
            let expected_head = self.whole_head(changes.head, &rows).await?;
            if self.head(gonggu_id).await? != stored.head {
                continue;
            }
            self.report.absorb(found);
            self.report.compare_head(&expected_head, stored.head.as_ref());
            let mut hours: Vec<UnixMillis> = expected.keys().chain(stored.digests.keys()).copied().collect();
            hours.sort_unstable();
            hours.dedup();
            hours.retain(|hour| expected.get(hour) != stored.digests.get(hour));
            return Ok(hours.into_iter().map(|hour| (gonggu_id, hour)).collect());
        }
        self.report.unsettled.push(gonggu_id);
        Ok(Vec::new())
    }

    async fn head(&self, gonggu_id: GongguId) -> Result<Option<GongguHead>, ArchiveError> {
        Ok(self.store.heads(&[gonggu_id]).await?.pop())
    }

    /// The head, and all clicks at or below it: digests of those archived, the others themselves.
    async fn read(&self) -> Result<Stored, ArchiveError> {
        let gonggu_id = self.state.gonggu_id();
        let head = self.head(gonggu_id).await?;
        let end = self.fold.through.unwrap_or_default();
        let begin = self.fold.beginning.map_or(Position(0), |beginning| beginning.position);
        // Without a head nothing was applied; rows up to the archive's end are looked for all the same.
        let applied = head.as_ref().map_or(Position(0), |head| head.applied_through);
        let (mut digests, mut beyond) = (HourDigests::default(), Vec::new());
        let mut after = None;
        loop {
            let page =
                self.store.clicks(gonggu_id, UnixMillis::MIN, UnixMillis::MAX, after, PAGE_CLICKS).await?;
            after = page.last().map(|judged| (judged.click.clicked_at, judged.position));
            let full = page.len() == PAGE_CLICKS;
            for judged in page.into_iter().filter(|judged| judged.position >= begin) {
                if judged.position <= end {
                    digests.add(&judged);
                } else if judged.position <= applied {
                    beyond.push(judged);
                }
            }
            if !full {
                break;
            }
        }
        beyond.sort_unstable_by_key(|judged| judged.position);
        Ok(Stored { head, digests: digests.take(gonggu_id), beyond })
    }

    async fn fold_beyond(&mut self, stored: &Stored) -> Result<(), ArchiveError> {
        let Some(head) = &stored.head else { return Ok(()) };
        self.fold.learn_beyond(self.store, head.applied_through).await?;
        for found in &stored.beyond {
            // Folded by a try before this one.
            if found.position <= self.state.applied_through() {
                continue;
            }
            let expected = self.fold.fold_beyond(&mut self.state, found)?;
            self.report.compare_click(head.gonggu_id, Some(&expected), Some(found));
            self.report.clicks_beyond += 1;
        }
        Ok(())
    }

    /// The head as it must be. Where the log's beginning is gone, its clicks are in the rows of the days before, which
    /// are all that is known of them: every click is in one day's row.
    async fn whole_head(
        &self,
        mut head: GongguHead,
        rows: &BTreeMap<RollupKey, Rollup>,
    ) -> Result<GongguHead, ArchiveError> {
        let Some(beginning) = self.fold.beginning else { return Ok(head) };
        let before =
            self.store.rollups(head.gonggu_id, RollupLevel::Day, UnixMillis::MIN, beginning.from).await?;
        let is_after = |row: &&Rollup| row.key.level == RollupLevel::Day && row.key.at >= beginning.from;
        let mut counts = [0; Counts::LEN];
        for row in before.iter().chain(rows.values().filter(is_after)) {
            for (all, more) in counts.iter_mut().zip(row.counts.to_array()) {
                *all += more;
            }
            head.visitors.merge(&row.visitors);
        }
        head.counts = Counts::from_array(counts);
        Ok(head)
    }

    /// All rollup rows that begin where the log does: days and hours at once, minutes day by day, since there may be half a million.
    async fn compare_rows(
        &self,
        expected: &BTreeMap<RollupKey, Rollup>,
        report: &mut ReplayReport,
    ) -> Result<(), ArchiveError> {
        let gonggu_id = self.state.gonggu_id();
        let begin = self.fold.beginning.map_or(UnixMillis::MIN, |beginning| beginning.from);
        let is_day = |key: &&RollupKey| key.level == RollupLevel::Day && key.at > begin;
        let days: Vec<UnixMillis> = expected.keys().filter(is_day).map(|key| key.at).collect();
        for level in RollupLevel::ALL {
            let mut from = begin;
            let borders = if level == RollupLevel::Minute { days.as_slice() } else { &[] };
            for to in borders.iter().copied().chain([UnixMillis::MAX]) {
                let key = |at| RollupKey { gonggu_id, level, at };
                let mut rows: BTreeMap<RollupKey, &Rollup> =
                    expected.range(key(from)..key(to)).map(|(key, row)| (*key, row)).collect();
                for found in self.store.rollups(gonggu_id, level, from, to).await? {
                    report.compare_rollup(rows.remove(&found.key), Some(&found));
                }
                for missing in rows.into_values() {
                    report.compare_rollup(Some(missing), None);
                }
                from = to;
            }
        }
        Ok(())
    }
}
