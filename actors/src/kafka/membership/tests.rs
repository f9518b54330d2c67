//! Against a real broker: members of one group in one process.

use super::*;
use crate::kafka::testing::{DEADLINE, remove, test_config};
use crate::kafka::topics;
use std::collections::BTreeMap;

/// A judge that only notes what it is told, and says so in a log that all of a test share.
struct Judge {
    membership: Membership,
    notes: tokio::task::JoinHandle<()>,
}

/// What happened, in order: who, what, which partition.
type Notes = Arc<watch::Sender<Vec<(u8, What, PartitionId)>>>;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    Assigned,
    Revoked,
    Lost,
}

fn judge(config: &KafkaConfig, who: u8, notes: &Notes) -> Judge {
    let (mut changes, membership) = join(config).unwrap();
    let notes = Arc::clone(notes);
    let noting = tokio::spawn(async move {
        while let Some(change) = changes.recv().await {
            let (what, partitions, done) = match change {
                AssignmentChange::Assigned(partitions) => (What::Assigned, partitions, None),
                AssignmentChange::Revoked { partitions, done } => (What::Revoked, partitions, Some(done)),
                AssignmentChange::Lost(partitions) => (What::Lost, partitions, None),
            };
            notes.send_modify(|notes| {
                notes.extend(partitions.into_iter().map(|partition| (who, what, partition)));
            });
            if let Some(done) = done {
                let _ = done.send(());
            }
        }
    });
    Judge { membership, notes: noting }
}

async fn wait_for(assigned: &mut watch::Receiver<BTreeSet<PartitionId>>, count: usize) {
    let reached = assigned.wait_for(|assigned| assigned.len() == count);
    tokio::time::timeout(DEADLINE, reached).await.expect("the assignment").unwrap();
}

/// Waits until this judge was told of so many partitions in all.
async fn wait_for_notes(notes: &Notes, who: u8, what: What, count: usize) {
    let mut watched = notes.subscribe();
    let reached = watched
        .wait_for(|notes| notes.iter().filter(|note| (note.0, note.1) == (who, what)).count() >= count);
    tokio::time::timeout(DEADLINE, reached).await.expect("the notes").unwrap();
}

/// Nobody is assigned what another has: by the order in which the judges themselves were told.
fn one_owner_at_a_time(notes: &Notes) {
    let mut owners: BTreeMap<PartitionId, u8> = BTreeMap::new();
    for (who, what, partition) in notes.borrow().iter() {
        match what {
            What::Assigned => assert_eq!(owners.insert(*partition, *who), None, "{partition} has an owner"),
            What::Revoked | What::Lost => assert_eq!(owners.remove(partition), Some(*who)),
        }
    }
}

async fn share_and_leave(config: KafkaConfig) {
    const PARTITIONS: usize = 6;
    topics::prepare(&config).await.unwrap();
    let notes = Notes::new(watch::Sender::new(Vec::new()));
    let first = judge(&config, 1, &notes);
    let mut ones = first.membership.assigned();
    wait_for(&mut ones, PARTITIONS).await;

    let second = judge(&config, 2, &notes);
    let mut twos = second.membership.assigned();
    wait_for(&mut twos, PARTITIONS / 2).await;
    wait_for(&mut ones, PARTITIONS / 2).await;
    assert!(ones.borrow().is_disjoint(&twos.borrow()));
    assert_eq!(ones.borrow().union(&twos.borrow()).count(), PARTITIONS);
    one_owner_at_a_time(&notes);

    let left: BTreeSet<PartitionId> = ones.borrow().clone();
    first.membership.leave().await;
    wait_for(&mut twos, PARTITIONS).await;
    wait_for_notes(&notes, 2, What::Assigned, PARTITIONS).await;
    one_owner_at_a_time(&notes);
    for partition in left {
        let told: Vec<_> = notes.borrow().iter().filter(|note| note.2 == partition).copied().collect();
        let [.., revoked, assigned] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!((revoked.0, revoked.1, assigned.0, assigned.1), (1, What::Revoked, 2, What::Assigned));
    }
    first.notes.await.unwrap();
    second.membership.leave().await;
    second.notes.await.unwrap();
    one_owner_at_a_time(&notes);
    assert!(notes.borrow().iter().all(|note| note.1 != What::Lost));
    remove(&config).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_members_share_the_partitions() {
    let Some(config) = test_config(6) else { return };
    share_and_leave(config).await;
}

/// The older protocol, for brokers before 4.0.
#[tokio::test(flavor = "multi_thread")]
async fn the_classic_protocol_shares_them_too() {
    let Some(mut config) = test_config(6) else { return };
    config.client.insert("group.protocol".into(), "classic".into());
    config.client.insert("session.timeout.ms".into(), "6000".into());
    config.client.insert("heartbeat.interval.ms".into(), "200".into());
    share_and_leave(config).await;
}

/// A partition is held back for as long as its judge is not done with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_partition_goes_on_when_its_judge_is_done() {
    let Some(config) = test_config(2) else { return };
    topics::prepare(&config).await.unwrap();
    let (mut changes, slow) = join(&config).unwrap();
    wait_for(&mut slow.assigned(), 2).await;
    let Some(AssignmentChange::Assigned(partitions)) = changes.recv().await else { panic!("assigned first") };
    let mut ours: BTreeSet<_> = partitions.into_iter().collect();
    while ours.len() < 2 {
        let Some(AssignmentChange::Assigned(partitions)) = changes.recv().await else { panic!("assigned") };
        ours.extend(partitions);
    }

    let notes = Notes::new(watch::Sender::new(Vec::new()));
    let second = judge(&config, 2, &notes);
    let mut twos = second.membership.assigned();
    let revoked = tokio::time::timeout(DEADLINE, changes.recv()).await.unwrap();
    let Some(AssignmentChange::Revoked { partitions, done }) = revoked else { panic!("revoked") };
    assert_eq!(partitions.len(), 1);
    // Not given on for longer than a rebalance takes.
    let given = twos.wait_for(|assigned| !assigned.is_empty());
    assert!(tokio::time::timeout(Duration::from_secs(3), given).await.is_err());
    done.send(()).unwrap();
    wait_for(&mut twos, 1).await;
    assert_eq!(*twos.borrow(), partitions.into_iter().collect());

    // A judge whose actors are gone lets go of all at once.
    drop(changes);
    slow.leave().await;
    wait_for(&mut twos, 2).await;
    second.membership.leave().await;
    remove(&config).await;
}
