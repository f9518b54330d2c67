//! The suite that every click store passes: the contract of the module above, as code.
//!
//! Each function is one promise and takes a store that nobody else writes. A provider calls all of them
//! from its own tests. What cannot be asked through the traits, a crash between two writes, the provider
//! plays itself ([`StoreUnderTest::crash_after`]).
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation is a failed test")]

mod claims;
pub mod fixture;

pub use claims::{
    a_claim_beside_a_store_is_before_or_after_it, a_claim_wins_between_any_two_writes,
    of_many_claims_one_remains, only_the_last_claim_stores,
};

use super::needed::{self, WindowStarts, is_needed};
use super::{ClickQueries, ClickStore, GongguSnapshot, JudgedBatch, LoadRequest, RunMark, StoreError};
use crate::click::JudgedClick;
use crate::clock::UnixMillis;
use crate::ids::{GongguId, PartitionId, Position};
use crate::judge::rules::RulesActivation;
use crate::judge::totals::RollupLevel;
use crate::kst::{HOUR_MILLIS, MINUTE_MILLIS};
use async_trait::async_trait;
use fixture::{START, Writer};
use std::sync::Arc;

/// The contract's writes, in their order, for [`StoreUnderTest::crash_after`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LastWrite {
    /// Only the clicks were written.
    Clicks,
    /// Clicks, heads, rollups and flags were written, not the position.
    Figures,
}

/// An empty store with its migrations applied.
#[async_trait]
pub trait StoreUnderTest: Send + Sync {
    /// Its writing side.
    fn store(&self) -> Arc<dyn ClickStore>;
    /// Its asking side.
    fn queries(&self) -> Arc<dyn ClickQueries>;
    /// Leaves what a crash right after this write of `batch` leaves.
    async fn crash_after(&self, batch: &JudgedBatch, last: LastWrite);
}

const WINDOW_MILLIS: i64 = 300_000;

async fn stored_clicks(subject: &dyn StoreUnderTest, gonggu_id: GongguId) -> Vec<JudgedClick> {
    let all = (UnixMillis::MIN, UnixMillis::MAX);
    subject.queries().clicks(gonggu_id, all.0, all.1, None, 100_000).await.unwrap()
}

async fn snapshot(subject: &dyn StoreUnderTest, gonggu_id: GongguId) -> GongguSnapshot {
    let request = LoadRequest { gonggu_id, window_millis: WINDOW_MILLIS, rollups: Vec::new() };
    subject.store().load(&[request]).await.unwrap().remove(0)
}

/// What the suite may expect of loaded clicks: those that the state needs, and of them what it needs.
fn reduced(clicks: &[JudgedClick]) -> Vec<JudgedClick> {
    let starts = WindowStarts { marks: UnixMillis::MIN, counts: UnixMillis::MIN };
    clicks.iter().filter(|click| is_needed(&click.judgement, &starts)).map(needed::reduced).collect()
}

/// Everything stored of a gonggu is what the writer says, no more and no less.
async fn assert_stored(
    subject: &dyn StoreUnderTest,
    writer: &Writer,
    gonggu_id: GongguId,
    clicks: &[JudgedClick],
) {
    let expected: Vec<&JudgedClick> =
        clicks.iter().filter(|click| click.click.gonggu_id == gonggu_id).collect();
    let found = stored_clicks(subject, gonggu_id).await;
    assert_eq!(found.iter().collect::<Vec<_>>(), expected);
    let heads = subject.queries().heads(&[gonggu_id]).await.unwrap();
    assert_eq!(heads, vec![writer.head(gonggu_id)]);
    let mut rollups = Vec::new();
    for level in [RollupLevel::Minute, RollupLevel::Hour, RollupLevel::Day] {
        let from = START.plus_millis(-48 * HOUR_MILLIS);
        rollups.extend(subject.queries().rollups(gonggu_id, level, from, UnixMillis::MAX).await.unwrap());
    }
    assert_eq!(rollups, writer.rollups(gonggu_id));
}

/// The same batch any number of times is one row a click; so is a click that comes again later.
pub async fn same_clicks_many_times_are_one_row(subject: &dyn StoreUnderTest) {
    let (mut writer, gonggu_id) = (Writer::claim(&*subject.store(), 0).await, fixture::gonggu());
    let mut clicks = writer.clicks(&[gonggu_id], 10);
    let batch = writer.batch(clicks.clone());
    for _ in 0..3 {
        subject.store().store(&batch).await.unwrap();
    }
    assert_stored(subject, &writer, gonggu_id, &clicks).await;
    assert_eq!(subject.store().progress(PartitionId(0)).await.unwrap().as_ref(), Some(&batch.to));

    let newer = writer.clicks(&[gonggu_id], 5);
    let again: Vec<JudgedClick> = clicks.iter().chain(&newer).cloned().collect();
    subject.store().store(&writer.batch(again)).await.unwrap();
    clicks.extend(newer);
    assert_stored(subject, &writer, gonggu_id, &clicks).await;
}

/// A batch goes in only where the stored position is its start; at its own end it is done.
pub async fn position_is_compared_and_set(subject: &dyn StoreUnderTest) {
    let (mut writer, gonggu_id) = (Writer::claim(&*subject.store(), 3).await, fixture::gonggu());
    assert_eq!(subject.store().progress(PartitionId(3)).await.unwrap(), None);
    let clicks = writer.clicks(&[gonggu_id], 4);
    let first = writer.batch(clicks);
    let clicks = writer.clicks(&[gonggu_id], 4);
    let second = writer.batch(clicks);

    let early = subject.store().store(&second).await.unwrap_err();
    assert!(matches!(early, StoreError::PositionMoved { found: None, .. }), "{early}");
    assert!(!early.retryable());
    assert!(stored_clicks(subject, gonggu_id).await.is_empty(), "a refused batch leaves nothing");
    subject.store().store(&first).await.unwrap();
    subject.store().store(&second).await.unwrap();
    subject.store().store(&second).await.unwrap();

    let late = subject.store().store(&first).await.unwrap_err();
    let found = Some(second.to.position.through);
    assert!(matches!(late, StoreError::PositionMoved { found: at, .. } if at == found), "{late}");
    let mut other_run = second.clone();
    other_run.to.position.run = crate::ids::RunId::random();
    assert!(subject.store().store(&other_run).await.is_err(), "the same number in another run");
    assert_eq!(subject.store().progress(PartitionId(3)).await.unwrap(), Some(second.to));
}

/// Two batches of a partition's owner at once: exactly one wins at each position.
pub async fn one_of_two_writers_wins(subject: &dyn StoreUnderTest) {
    let gonggu_id = fixture::gonggu();
    let mut one = Writer::claim(&*subject.store(), 0).await;
    let mut two = Writer::new(0);
    two.owner = one.owner;
    let (clicks_one, clicks_two) = (one.clicks(&[gonggu_id], 50), two.clicks(&[gonggu_id], 50));
    let (batch_one, batch_two) = (one.batch(clicks_one.clone()), two.batch(clicks_two.clone()));
    let (store_one, store_two) = (subject.store(), subject.store());
    let (left, right) = tokio::join!(store_one.store(&batch_one), store_two.store(&batch_two));
    assert!(left.is_ok() != right.is_ok(), "{left:?} {right:?}");
    let (writer, clicks) = if left.is_ok() { (&one, &clicks_one) } else { (&two, &clicks_two) };
    assert_stored(subject, writer, gonggu_id, clicks).await;
}

/// After a crash following any write, the same clicks end in the same rows, with other borders too.
pub async fn crash_between_writes_changes_nothing(subject: &dyn StoreUnderTest) {
    for (partition, last) in [(0, LastWrite::Clicks), (1, LastWrite::Figures)] {
        let (mut writer, gonggu_id) = (Writer::claim(&*subject.store(), partition).await, fixture::gonggu());
        let mut clicks = writer.clicks(&[gonggu_id], 5);
        subject.store().store(&writer.batch(clicks.clone())).await.unwrap();
        let before = writer.clone();
        let lost = writer.clicks(&[gonggu_id], 10);
        subject.crash_after(&writer.batch_through(lost.clone(), Position(15)), last).await;

        let seen = snapshot(subject, gonggu_id).await;
        let applied = seen.head.unwrap().applied_through;
        assert!(seen.clicks.iter().all(|click| click.position <= applied), "rows above the head are hidden");
        let border = Position(11);
        let (first, second) = match last {
            LastWrite::Clicks => {
                assert_eq!(applied, Position(5));
                // The judge folds them again, in two batches: the first ends where its figures do.
                let mut again = before;
                let first = again.clicks(&[gonggu_id], 6);
                assert_eq!(first.len(), 6);
                let mut first = again.batch(first);
                first.clicks = lost[..6].to_vec();
                writer.stored = Some(first.to.position);
                (first, writer.batch_through(lost[6..].to_vec(), Position(15)))
            }
            LastWrite::Figures => {
                assert_eq!(applied, Position(15));
                // The judge skips them: they are in the head.
                let first = before.batch_through(Vec::new(), border);
                writer.stored = Some(first.to.position);
                (first, writer.batch_through(Vec::new(), Position(15)))
            }
        };
        subject.store().store(&first).await.unwrap();
        subject.store().store(&second).await.unwrap();
        clicks.extend(lost);
        assert_stored(subject, &writer, gonggu_id, &clicks).await;
        let progress = subject.store().progress(PartitionId(partition)).await.unwrap().unwrap();
        assert_eq!(progress.position.through, Position(15));
    }
}

/// A click is loaded while its window runs at the head's `last_judged_at`, to the millisecond.
pub async fn load_keeps_the_window(subject: &dyn StoreUnderTest) {
    let (mut writer, gonggu_id) = (Writer::claim(&*subject.store(), 0).await, fixture::gonggu());
    let last = START.plus_millis(WINDOW_MILLIS);
    let outside = writer.click(gonggu_id, START);
    let inside = writer.click(gonggu_id, START.plus_millis(1));
    // Clicked in another month, judged at the gonggu's own time.
    let late = writer.click(gonggu_id, START.plus_millis(-40 * 24 * HOUR_MILLIS));
    assert_eq!(late.judgement.judged_at, START.plus_millis(1));
    let newest = writer.click(gonggu_id, last);
    let clicks = vec![outside, inside.clone(), late.clone(), newest.clone()];
    subject.store().store(&writer.batch(clicks)).await.unwrap();

    let seen = snapshot(subject, gonggu_id).await;
    assert_eq!(reduced(&seen.clicks), reduced(&[inside, late, newest]));
    assert_eq!(seen.head, Some(writer.head(gonggu_id)));
}

/// Answers come in the order of the requests, with the rollups asked for; unknown gonggus are empty.
pub async fn load_answers_in_order(subject: &dyn StoreUnderTest) {
    let (mut writer, ids) = (
        Writer::claim(&*subject.store(), 0).await,
        [fixture::gonggu(), fixture::gonggu(), fixture::gonggu()],
    );
    let clicks = writer.clicks(&ids[..2], 40);
    subject.store().store(&writer.batch(clicks.clone())).await.unwrap();
    let requests: Vec<LoadRequest> = [ids[2], ids[1], ids[0]]
        .into_iter()
        .map(|gonggu_id| LoadRequest {
            gonggu_id,
            window_millis: WINDOW_MILLIS,
            rollups: writer.rollups(gonggu_id).iter().map(|rollup| rollup.key).collect(),
        })
        .collect();
    let snapshots = subject.store().load(&requests).await.unwrap();
    assert_eq!(snapshots[0], GongguSnapshot::default());
    for (snapshot, gonggu_id) in snapshots[1..].iter().zip([ids[1], ids[0]]) {
        assert_eq!(snapshot.head, Some(writer.head(gonggu_id)));
        assert_eq!(snapshot.rollups, writer.rollups(gonggu_id));
        assert_eq!(snapshot.clicks.len(), 20);
        assert!(snapshot.clicks.iter().all(|click| click.click.gonggu_id == gonggu_id));
    }
    assert!(subject.store().load(&[]).await.unwrap().is_empty());
}

/// Every kind of click comes back as it went in.
pub async fn clicks_come_back_whole(subject: &dyn StoreUnderTest) {
    let (mut writer, gonggu_id) = (Writer::claim(&*subject.store(), 2).await, fixture::gonggu());
    let clicks = fixture::every_kind(&mut writer, gonggu_id);
    subject.store().store(&writer.batch(clicks.clone())).await.unwrap();
    assert_stored(subject, &writer, gonggu_id, &clicks).await;
    assert_eq!(reduced(&snapshot(subject, gonggu_id).await.clicks), reduced(&clicks));
}

/// A clock that jumps anywhere cannot stop the store.
pub async fn any_time_can_be_stored(subject: &dyn StoreUnderTest) {
    let (mut writer, gonggu_id) = (Writer::claim(&*subject.store(), 0).await, fixture::gonggu());
    let times = [-3_000_000_000_000, -1, 0, START.0, 4_102_444_800_000, 253_402_300_800_000].map(UnixMillis);
    let clicks: Vec<JudgedClick> = times.iter().map(|at| writer.click(gonggu_id, *at)).collect();
    subject.store().store(&writer.batch(clicks.clone())).await.unwrap();
    assert_eq!(stored_clicks(subject, gonggu_id).await, clicks);
}

/// Flags are absolute, the larger position wins, and they are loaded while their window runs.
pub async fn flags_follow_the_newest(subject: &dyn StoreUnderTest) {
    let (mut writer, gonggu_id) = (Writer::claim(&*subject.store(), 0).await, fixture::gonggu());
    let click = writer.click(gonggu_id, START.plus_millis(WINDOW_MILLIS));
    let ended = fixture::flag(gonggu_id, START, 1);
    let mut running = fixture::flag(gonggu_id, START.plus_millis(1), 5);
    let mut batch = writer.batch(vec![click]);
    batch.flags = vec![ended, running.clone()];
    subject.store().store(&batch).await.unwrap();
    assert_eq!(snapshot(subject, gonggu_id).await.flags, vec![running.clone()]);

    running.last_position = Position(9);
    running.last_held_at = START.plus_millis(7);
    running.clicks = 12;
    let older = crate::judge::totals::Flag { last_position: Position(6), clicks: 3, ..running.clone() };
    for flag in [&running, &older] {
        let click = writer.click(gonggu_id, START.plus_millis(WINDOW_MILLIS));
        let mut batch = writer.batch(vec![click]);
        batch.flags = vec![flag.clone()];
        subject.store().store(&batch).await.unwrap();
    }
    assert_eq!(snapshot(subject, gonggu_id).await.flags, vec![running]);
}

/// Quarantined positions are kept with the batch, each once.
pub async fn quarantine_is_kept(subject: &dyn StoreUnderTest) {
    let (mut writer, gonggu_id) = (Writer::claim(&*subject.store(), 5).await, fixture::gonggu());
    for _ in 0..2 {
        let clicks = writer.clicks(&[gonggu_id], 3);
        let mut batch = writer.batch(clicks);
        batch.quarantined = vec![batch.clicks[0].position, Position(1)];
        subject.store().store(&batch).await.unwrap();
    }
    let store = subject.store();
    let all = store.quarantined(PartitionId(5), Position(0)).await.unwrap();
    assert_eq!(all, vec![Position(1), Position(4)]);
    assert_eq!(store.quarantined(PartitionId(5), Position(1)).await.unwrap(), vec![Position(4)]);
    assert!(store.quarantined(PartitionId(6), Position(0)).await.unwrap().is_empty());
}

/// Equal settings are one version, different ones get numbers without gaps, whoever asks at once.
pub async fn rules_are_numbered_once(subject: &dyn StoreUnderTest) {
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..12u32 {
        let store = subject.store();
        callers.spawn(async move { store.put_rules(&fixture::settings(caller % 3)).await.unwrap() });
    }
    let answers = callers.join_all().await;
    let stored = subject.store().rules().await.unwrap();
    assert_eq!(stored.iter().map(|rules| rules.version).collect::<Vec<_>>(), vec![1, 2, 3]);
    assert!(answers.iter().all(|answer| stored.contains(answer)));
    assert_eq!(subject.store().put_rules(&stored[1].settings).await.unwrap(), stored[1]);
}

/// The first activation of a position stays; later ones learn it.
pub async fn first_activation_wins(subject: &dyn StoreUnderTest) {
    let store = subject.store();
    let owner = Writer::claim(&*store, 0).await.owner;
    for limit in 0..4 {
        store.put_rules(&fixture::settings(limit)).await.unwrap();
    }
    let mut callers = tokio::task::JoinSet::new();
    for version in 1..=4 {
        let store = subject.store();
        let activation = RulesActivation { partition: PartitionId(0), from: Position(10), version };
        callers.spawn(async move { store.activate(owner, activation).await.unwrap() });
    }
    let answers = callers.join_all().await;
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    let first = RulesActivation { partition: PartitionId(0), from: Position(1), version: 2 };
    store.activate(owner, first).await.unwrap();
    assert_eq!(store.activations(PartitionId(0)).await.unwrap(), vec![first, answers[0]]);
    assert!(store.activations(PartitionId(1)).await.unwrap().is_empty());
}

/// Pages of clicks follow each other without gap or repetition, also within one millisecond.
pub async fn pages_follow_each_other(subject: &dyn StoreUnderTest) {
    let (mut writer, gonggu_id) = (Writer::claim(&*subject.store(), 0).await, fixture::gonggu());
    let clicks: Vec<JudgedClick> =
        (0..25).map(|index| writer.click(gonggu_id, START.plus_millis(index / 10))).collect();
    subject.store().store(&writer.batch(clicks.clone())).await.unwrap();
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let to = START.plus_millis(2);
        let page = subject.queries().clicks(gonggu_id, START, to, after, 7).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.click.clicked_at, last.position));
        found.extend(page);
    }
    assert_eq!(found, clicks[..20], "`to` is exclusive");
}

/// `complete_through` is the least mark of the partitions asked for; one without a mark holds it back, as does
/// one that stored nothing; a superseded run does not.
pub async fn complete_through_is_the_least(subject: &dyn StoreUnderTest) {
    let of = async |partitions: &[u32]| {
        let partitions: Vec<PartitionId> = partitions.iter().copied().map(PartitionId).collect();
        subject.queries().complete_through(&partitions).await.unwrap()
    };
    let minutes = |minutes: i64| START.plus_millis(minutes * MINUTE_MILLIS);
    assert_eq!(of(&[0]).await, UnixMillis::MIN);
    for (partition, marks) in [(0, [9, 4, 2]), (1, [5, 8, 1])] {
        let mut batch = Writer::claim(&*subject.store(), partition).await.batch(Vec::new());
        batch.to.marks = marks.map(|at| RunMark::new(crate::ids::RunId::random(), minutes(at))).to_vec();
        let ended = &mut batch.to.marks[2];
        (ended.superseded, ended.ended_at, ended.sequence) = (true, Some(START), u64::MAX / 2);
        subject.store().store(&batch).await.unwrap();
        let stored = subject.store().progress(PartitionId(partition)).await.unwrap();
        assert_eq!(stored, Some(batch.to), "marks come back as they were stored");
    }
    assert_eq!((of(&[0]).await, of(&[1]).await), (minutes(4), minutes(5)));
    assert_eq!(of(&[0, 1]).await, minutes(4));
    assert_eq!(of(&[0, 1, 2]).await, UnixMillis::MIN);
    let mut silent = Writer::claim(&*subject.store(), 2).await.batch(Vec::new());
    silent.to.marks.clear();
    subject.store().store(&silent).await.unwrap();
    assert_eq!(of(&[0, 1, 2]).await, UnixMillis::MIN);
}
