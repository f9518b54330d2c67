//! Who may store: the owner, and nobody who was it before, at whatever point he lost it.

use super::fixture::{self, Writer};
use super::{LastWrite, StoreUnderTest, assert_stored, stored_clicks};
use crate::clock::UnixMillis;
use crate::ids::{PartitionId, Position};
use crate::judge::rules::RulesActivation;
use crate::store::{ClickStore, StoreError};
use uuid::Uuid;

/// Refused because the partition is this one's.
fn assert_fenced<T: std::fmt::Debug>(answer: Result<T, StoreError>, by: Option<Uuid>) {
    let error = answer.unwrap_err();
    assert!(matches!(error, StoreError::Fenced { found, .. } if found == by), "{error:?}, not by {by:?}");
    assert!(error.is_fenced() && !error.retryable());
}

/// The same partition by another who goes on where the first one's last batch ended.
async fn successor(store: &dyn ClickStore, before: &Writer) -> Writer {
    let mut next = before.clone();
    next.owner = Uuid::new_v4();
    let progress = store.claim(next.partition, next.owner).await.unwrap();
    assert_eq!(progress.map(|progress| progress.position), next.stored);
    next
}

/// Without a claim nothing is stored or activated, nor by who had it before; a claim says what is stored.
pub async fn only_the_last_claim_stores(subject: &dyn StoreUnderTest) {
    let (store, partition, gonggu_id) = (subject.store(), PartitionId(4), fixture::gonggu());
    let mut one = Writer::new(partition.0);
    let mut clicks = one.clicks(&[gonggu_id], 3);
    let first = one.batch(clicks.clone());
    let version = store.put_rules(&fixture::settings(1)).await.unwrap().version;
    let activation = |from| RulesActivation { partition, from: Position(from), version };
    assert_fenced(store.store(&first).await, None);
    assert_fenced(store.activate(one.owner, activation(1)).await, None);

    for _ in 0..2 {
        assert_eq!(store.claim(partition, one.owner).await.unwrap(), None);
    }
    assert_eq!(store.progress(partition).await.unwrap(), None, "what is only claimed is not stored");
    let complete = subject.queries().complete_through(&[partition]).await.unwrap();
    assert_eq!(complete, UnixMillis::MIN);
    store.activate(one.owner, activation(1)).await.unwrap();
    store.store(&first).await.unwrap();
    assert_eq!(store.claim(partition, one.owner).await.unwrap(), Some(first.to.clone()), "claimed again");
    store.store(&first).await.unwrap();

    let mut two = successor(&*store, &one).await;
    assert_fenced(store.store(&first).await, Some(two.owner));
    let lost = one.clicks(&[gonggu_id], 2);
    assert_fenced(store.store(&one.batch(lost)).await, Some(two.owner));
    assert_fenced(store.activate(one.owner, activation(4)).await, Some(two.owner));
    assert_eq!(store.activations(partition).await.unwrap(), vec![activation(1)]);
    assert_eq!(store.activate(two.owner, activation(1)).await.unwrap(), activation(1));
    store.activate(two.owner, activation(9)).await.unwrap();
    assert_eq!(store.activations(partition).await.unwrap(), vec![activation(1), activation(9)]);
    assert_stored(subject, &two, gonggu_id, &clicks).await;
    let next = two.clicks(&[gonggu_id], 2);
    clicks.extend(next.clone());
    let second = two.batch(next);
    store.store(&second).await.unwrap();

    // One batch of the old owner's that begins exactly where the new one's ended.
    one.stored = two.stored;
    let mut beside = two.clone().click(gonggu_id, fixture::START);
    beside.judgement.rules_version += 1;
    let beside = one.batch_through(vec![beside], Position(6));
    assert_eq!(beside.from, Some(second.to.position));
    assert_fenced(store.store(&beside).await, Some(two.owner));
    assert_eq!(store.progress(partition).await.unwrap(), Some(second.to));
    assert_stored(subject, &two, gonggu_id, &clicks).await;
}

/// An owner that stands after any of its writes when another claims does no further one, and the other ends
/// in the same rows.
pub async fn a_claim_wins_between_any_two_writes(subject: &dyn StoreUnderTest) {
    let store = subject.store();
    for (partition, last) in [(0, LastWrite::Clicks), (1, LastWrite::Figures)] {
        let (mut one, gonggu_id) = (Writer::claim(&*store, partition).await, fixture::gonggu());
        let mut clicks = one.clicks(&[gonggu_id], 5);
        store.store(&one.batch(clicks.clone())).await.unwrap();
        let before = one.clone();
        clicks.extend(one.clicks(&[gonggu_id], 10));
        let batch = one.batch(clicks[5..].to_vec());
        subject.crash_after(&batch, last).await;

        let two = successor(&*store, &before).await;
        assert_fenced(store.store(&batch).await, Some(two.owner));
        let progress = store.progress(PartitionId(partition)).await.unwrap().unwrap();
        assert_eq!(Some(progress.position), before.stored);
        let again = crate::store::JudgedBatch { owner: two.owner, ..batch };
        store.store(&again).await.unwrap();
        assert_stored(subject, &one, gonggu_id, &clicks).await;
    }
}

/// Of a claim and a store at once, either the claim's progress counts the batch and the store succeeded, or neither.
pub async fn a_claim_beside_a_store_is_before_or_after_it(subject: &dyn StoreUnderTest) {
    let store = subject.store();
    let gonggu_id = fixture::gonggu();
    let mut writer = Writer::claim(&*store, 0).await;
    let mut clicks = Vec::new();
    for round in 0..12u32 {
        let before = writer.stored;
        let new = writer.clicks(&[gonggu_id], 20);
        clicks.extend(new.clone());
        let mut batch = writer.batch(new);
        let next = Uuid::new_v4();
        let (stored, claimed) = tokio::join!(store.store(&batch), async {
            // Begins a little later each time.
            for _ in 0..round {
                tokio::task::yield_now().await;
            }
            store.claim(batch.partition, next).await
        });
        let progress = claimed.unwrap();
        if progress.as_ref() == Some(&batch.to) {
            // A store without transactions may learn only of the claim, not that it was done before.
            assert!(
                stored.as_ref().is_ok() || stored.as_ref().is_err_and(StoreError::is_fenced),
                "{stored:?}"
            );
        } else {
            assert_eq!(progress.map(|progress| progress.position), before);
            assert_fenced(stored, Some(next));
            batch.owner = next;
            store.store(&batch).await.unwrap();
        }
        writer.owner = next;
    }
    assert_stored(subject, &writer, gonggu_id, &clicks).await;
}

/// Of claims at once exactly one is the owner in the end, and only it stores.
pub async fn of_many_claims_one_remains(subject: &dyn StoreUnderTest) {
    let gonggu_id = fixture::gonggu();
    let mut writers: Vec<Writer> = (0..6).map(|_| Writer::new(7)).collect();
    let mut callers = tokio::task::JoinSet::new();
    for owner in writers.iter().map(|writer| writer.owner) {
        let store = subject.store();
        callers.spawn(async move { store.claim(PartitionId(7), owner).await.unwrap() });
    }
    assert!(callers.join_all().await.iter().all(Option::is_none));
    let mut stored = Vec::new();
    for (index, writer) in writers.iter_mut().enumerate() {
        let clicks = writer.clicks(&[gonggu_id], 2);
        let batch = writer.batch(clicks.clone());
        match subject.store().store(&batch).await {
            Ok(()) => stored.push((index, clicks)),
            Err(error) => assert!(matches!(error, StoreError::Fenced { found: Some(_), .. }), "{error:?}"),
        }
    }
    assert_eq!(stored.len(), 1, "one owner");
    let (index, clicks) = stored.remove(0);
    assert_eq!(stored_clicks(subject, gonggu_id).await, clicks);
    assert_stored(subject, &writers[index], gonggu_id, &clicks).await;
}
