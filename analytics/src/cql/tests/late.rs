#![allow(clippy::unwrap_used, clippy::expect_used)]
//! A writer that lost its partition writes late; a crash leaves tables behind their head.

use super::super::rows::{click_bucket, shard};
use super::super::testing::TestStore;
use super::super::write::{Through, attempt};
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::judge::totals::RollupLevel;
use gonggumoa_core::store::conformance::fixture::{self, START, Writer};
use gonggumoa_core::store::{ClickQueries, ClickStore, LoadRequest, StoreError};
use std::sync::Arc;
use std::time::Duration;

async fn assert_figures(subject: &TestStore, writer: &Writer, gonggu_id: gonggumoa_core::ids::GongguId) {
    assert_eq!(subject.store.heads(&[gonggu_id]).await.unwrap(), vec![writer.head(gonggu_id)]);
    let mut rollups = Vec::new();
    for level in RollupLevel::ALL {
        rollups
            .extend(subject.store.rollups(gonggu_id, level, UnixMillis::MIN, UnixMillis::MAX).await.unwrap());
    }
    assert_eq!(rollups, writer.rollups(gonggu_id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_writer_cannot_take_a_figure_back() {
    let Some(subject) = TestStore::open().await else { return };
    let zombie = subject.another().await;
    let (mut writer, gonggu_id) = (Writer::claim(&*subject.store, 0).await, fixture::gonggu());
    let clicks = writer.clicks(&[gonggu_id], 5);
    let first = writer.batch(clicks);
    let clicks = writer.clicks(&[gonggu_id], 80);
    let second = writer.batch(clicks);
    subject.store.store(&first).await.unwrap();
    subject.store.store(&second).await.unwrap();

    // What it had read and judged before it lost the partition goes out now: clicks, heads, rollups.
    let stale = super::super::figures::grouped(&first).unwrap();
    super::super::figures::put(&zombie, stale, true).await.unwrap();
    assert_figures(&subject, &writer, gonggu_id).await;
    // By the store's own way it does not even begin, and its position does not move.
    let refused = zombie.store(&first).await.unwrap_err();
    assert!(matches!(refused, StoreError::PositionMoved { .. }), "{refused}");
    let moved = super::super::progress::advance(&zombie, &first).await.unwrap_err();
    assert!(matches!(moved, StoreError::PositionMoved { .. }) && !moved.retryable(), "{moved}");
    assert_eq!(subject.store.progress(second.partition).await.unwrap(), Some(second.to));
    subject.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_epoch_wins_over_a_journal() {
    let Some(subject) = TestStore::open().await else { return };
    let (mut writer, gonggu_id) = (Writer::claim(&*subject.store, 0).await, fixture::gonggu());
    let clicks = writer.clicks(&[gonggu_id], 5);
    let mut journal = writer.batch(clicks);
    subject.store.store(&journal).await.unwrap();
    let mut head = writer.head(gonggu_id);
    head.applied_through = gonggumoa_core::ids::Position::in_epoch(1, 0);
    head.counts.billable += 1;
    let mut shared = journal.clone();
    (shared.from, shared.clicks) = (Some(journal.to.position), Vec::new());
    shared.to.position.through = head.applied_through;
    shared.heads = vec![head.clone()];
    subject.store.store(&shared).await.unwrap();
    // Far more records of the journal than the new log has yet.
    journal.heads[0].applied_through = gonggumoa_core::ids::Position(1 << 47);
    let stale = super::super::figures::grouped(&journal).unwrap();
    super::super::figures::put(&subject.store, stale, true).await.unwrap();
    assert_eq!(subject.store.heads(&[gonggu_id]).await.unwrap(), vec![head]);
    subject.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_behind_their_head_are_hidden_and_finished() {
    let Some(subject) = TestStore::open().await else { return };
    let (mut writer, gonggu_id) = (Writer::claim(&*subject.store, 0).await, fixture::gonggu());
    let clicks = writer.clicks(&[gonggu_id], 100);
    subject.store.store(&writer.batch(clicks)).await.unwrap();
    // The process dies right after the head of the next batch.
    let click = writer.click(gonggu_id, START.plus_millis(200_000));
    let mut batch = writer.batch_through(vec![click], gonggumoa_core::ids::Position(101));
    batch.flags = vec![fixture::flag(gonggu_id, START.plus_millis(200_000), 101)];
    attempt(&subject.store, &batch, Through::Heads).await.unwrap();
    assert_figures(&subject, &writer, gonggu_id).await;

    // Who takes over loads, and finds head, rollups and flags of one position.
    let successor = subject.another().await;
    let keys: Vec<_> = writer.rollups(gonggu_id).iter().map(|rollup| rollup.key).collect();
    let request = LoadRequest { gonggu_id, window_millis: 300_000, rollups: keys };
    let snapshot = successor.load(&[request]).await.unwrap().remove(0);
    assert_eq!(snapshot.head, Some(writer.head(gonggu_id)));
    assert_eq!(snapshot.rollups, writer.rollups(gonggu_id));
    assert_eq!(snapshot.flags, batch.flags);
    // It skips what the head holds; the next head carries nothing of that any more, and nothing is missing.
    let skipped = {
        let mut batch = batch.clone();
        (batch.heads, batch.rollups, batch.flags) = (Vec::new(), Vec::new(), Vec::new());
        batch
    };
    successor.store(&skipped).await.unwrap();
    writer.stored = Some(skipped.to.position);
    let click = writer.click(gonggu_id, START.plus_millis(400_000));
    let mut next = writer.batch(vec![click]);
    next.rollups.retain(|rollup| rollup.counts.billable == 1 || rollup.key.level != RollupLevel::Minute);
    successor.store(&next).await.unwrap();
    assert_figures(&subject, &writer, gonggu_id).await;
    let request = LoadRequest { gonggu_id, window_millis: 300_000, rollups: Vec::new() };
    assert_eq!(successor.load(&[request]).await.unwrap()[0].flags, batch.flags);
    subject.close().await;
}

/// A process may die between any two rows, not only between two steps.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_cut_off_anywhere_is_stored_by_the_next() {
    let Some(subject) = TestStore::open().await else { return };
    let (mut writer, ids) =
        (Writer::claim(&*subject.store, 0).await, [fixture::gonggu(), fixture::gonggu(), fixture::gonggu()]);
    let mut stored = Vec::new();
    for round in 0..25u64 {
        let clicks = writer.clicks(&ids, 60);
        stored.extend(clicks.clone());
        let batch = writer.batch(clicks);
        let dying = subject.store.store(&batch);
        // How far it comes does not matter; that it is another place each time does.
        let _ = tokio::time::timeout(Duration::from_micros(round * 700), dying).await;
        let successor =
            if round % 8 == 7 { Arc::new(subject.another().await) } else { subject.store.clone() };
        let requests: Vec<LoadRequest> = ids
            .iter()
            .map(|id| LoadRequest { gonggu_id: *id, window_millis: 300_000, rollups: Vec::new() })
            .collect();
        for snapshot in successor.load(&requests).await.unwrap() {
            let through = snapshot.head.as_ref().map(|head| head.applied_through);
            assert!(snapshot.clicks.iter().all(|click| Some(click.position) <= through));
        }
        successor.store(&batch).await.unwrap();
        assert_eq!(successor.progress(batch.partition).await.unwrap(), Some(batch.to));
    }
    for gonggu_id in ids {
        assert_figures(&subject, &writer, gonggu_id).await;
        let found = subject.store.clicks(gonggu_id, START, UnixMillis::MAX, None, 10_000).await.unwrap();
        let expected: Vec<_> = stored.iter().filter(|click| click.click.gonggu_id == gonggu_id).collect();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected);
    }
    subject.close().await;
}

#[test]
fn shards_and_hours_tile_all_positions_and_times() {
    let mut seen = std::collections::BTreeSet::new();
    for position in 0..64 {
        seen.insert(shard(gonggumoa_core::ids::Position(position)));
    }
    assert_eq!(seen.len(), 16);
    assert_eq!(click_bucket(UnixMillis(-1)), -1);
    assert_eq!(click_bucket(UnixMillis(0)), 0);
    assert!(click_bucket(UnixMillis::MIN) < click_bucket(UnixMillis::MAX));
}
