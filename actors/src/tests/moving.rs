//! Partitions that move between judges: the verdicts are those of one that judges all, whoever fails when.

use super::shared::{Cluster, Dice, Judge, PARTITIONS, all, edge};
use super::*;
use std::collections::BTreeSet;

/// In one window of time, a visitor counts once.
pub(super) fn no_visitor_counts_twice(rows: &MemoryRows) {
    let mut counted = HashSet::new();
    for click in rows.clicks.values().filter(|click| click.judgement.verdict == Verdict::Billable) {
        let visitor = (click.click.gonggu_id, click.judgement.visitor);
        assert!(counted.insert(visitor), "{visitor:?} at {}", click.position);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_judge_has_what_it_is_told_and_nothing_else() {
    let mut cluster = Cluster::new();
    cluster.edges.send(60, None);
    cluster.edges.mark();
    let judge = cluster.judge().await;
    assert!(judge.handle.status().is_empty());
    let [one, two, three] = all()[..] else { unreachable!() };
    judge.assign(&[one, two]).await;
    judge.level(&cluster.edges.log, &[one, two]).await;
    assert_eq!(judge.handle.status().into_keys().collect::<Vec<_>>(), [one, two]);
    assert!(!cluster.store.rows().progress.contains_key(&three));
    judge.revoke(&[one]).await;
    assert_eq!(judge.handle.status().into_keys().collect::<Vec<_>>(), [two]);
    judge.revoke(&[one, three]).await;
    judge.lose(&[two]).await;
    judge.until("all are lost", |statuses| statuses.is_empty()).await;
    judge.assign(&all()).await;
    judge.level(&cluster.edges.log, &all()).await;
    cluster.edges.log.close();
    assert!(judge.handle.drain(DEADLINE).await);
    same(&cluster.store.rows(), &cluster.at_one_go(1_000).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_read_is_stored_before_it_is_let_go() {
    let mut cluster = Cluster::new();
    cluster.edges.send(80, None);
    cluster.store.fail_after(30);
    let judge = cluster.judge().await;
    judge.assign(&all()).await;
    judge.until("reading", |statuses| statuses.values().any(|s| s.step == PartitionStep::Running)).await;
    let mut let_go = judge.begin_to_revoke(&all()).await;
    // With the store down a partition holds on to what it has judged; it is opened nowhere else meanwhile.
    assert!(let_go.try_recv().is_err());
    cluster.store.heal();
    tokio::time::timeout(DEADLINE, let_go).await.expect("let go").unwrap();
    assert!(judge.handle.status().is_empty());
    let stored = cluster.store.rows().progress;
    // Nobody stores any more.
    cluster.edges.send(40, None);
    judge.revoke(&all()).await;
    assert_eq!(cluster.store.rows().progress, stored);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_assigned_again_while_it_leaves_is_opened_again() {
    let mut cluster = Cluster::new();
    cluster.edges.send(50, None);
    let judge = cluster.judge().await;
    for round in 0..20 {
        judge.assign(&all()).await;
        cluster.edges.send(10, None);
        if round % 2 == 0 {
            drop(judge.begin_to_revoke(&all()).await);
        } else {
            judge.lose(&all()).await;
        }
    }
    judge.assign(&all()).await;
    cluster.edges.mark();
    judge.level(&cluster.edges.log, &all()).await;
    same(&cluster.store.rows(), &cluster.at_one_go(11).await);
}

/// Two judges, of which each may believe that a partition is its own.
struct Rebalancing {
    cluster: Cluster,
    judges: Vec<Judge>,
    dice: Dice,
}

impl Rebalancing {
    async fn step(&mut self) {
        let id = [PartitionId(self.dice.roll(u64::from(PARTITIONS)) as u32)];
        let from = self.dice.roll(2) as usize;
        let to = 1 - from;
        match self.dice.roll(7) {
            0 | 1 => {
                self.cluster.store.heal();
                self.judges[from].revoke(&id).await;
                self.judges[to].assign(&id).await;
            }
            2 => {
                // Told too late: for a while both judge it.
                self.judges[to].assign(&id).await;
                tokio::task::yield_now().await;
                self.judges[from].lose(&id).await;
            }
            3 => {
                self.judges[from].lose(&id).await;
                self.judges[to].assign(&id).await;
            }
            4 => {
                // Not told at all; it will notice at its next store.
                self.judges[to].assign(&id).await;
            }
            5 => {
                let next = self.cluster.judge().await;
                std::mem::replace(&mut self.judges[from], next).crash();
                self.judges[to].assign(&all()).await;
            }
            _ => self.cluster.store.fail_after(self.dice.roll(40)),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moves_and_crashes_under_load_change_no_verdict() {
    for seed in 0..12 {
        let cluster = Cluster::new();
        let judges = vec![cluster.judge().await, cluster.judge().await];
        let mut world = Rebalancing { cluster, judges, dice: Dice(seed) };
        world.judges[0].assign(&all()).await;
        for _ in 0..25 {
            let clicks = 1 + world.dice.roll(20);
            world.cluster.edges.send(clicks, Some(&mut world.dice));
            if world.dice.roll(3) == 0 {
                world.cluster.store.heal();
            }
            world.step().await;
        }
        world.cluster.store.heal();
        let [one, other] = &world.judges[..] else { unreachable!() };
        one.lose(&all()).await;
        other.assign(&all()).await;
        world.cluster.edges.mark();
        other.level(&world.cluster.edges.log, &all()).await;
        other.revoke(&all()).await;
        one.until("nothing is left", |statuses| statuses.is_empty()).await;
        let rows = world.cluster.store.rows();
        assert_eq!(rows.clicks.keys().copied().collect::<BTreeSet<_>>(), world.cluster.edges.recorded());
        no_visitor_counts_twice(&rows);
        same(&rows, &world.cluster.at_one_go(1 + seed as usize * 31).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_repeats_is_judged_the_same_in_any_batches() {
    let mut cluster = Cluster::new();
    cluster.edges.send(300, Some(&mut Dice(77)));
    cluster.edges.mark();
    let rows = cluster.at_one_go(100_000).await;
    assert_eq!(rows.clicks.keys().copied().collect::<BTreeSet<_>>(), cluster.edges.recorded());
    let verdicts: HashSet<&str> = rows.clicks.values().map(|c| c.judgement.verdict.as_str()).collect();
    assert!(verdicts.contains("billable") && verdicts.contains("duplicate"), "{verdicts:?}");
    no_visitor_counts_twice(&rows);
    for batch in [1, 3, 50] {
        same(&rows, &cluster.at_one_go(batch).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retired_run_holds_nothing_back() {
    let mut cluster = Cluster::new();
    cluster.edges.send(20, None);
    cluster.edges.mark();
    let judge = cluster.judge().await;
    judge.assign(&[PartitionId(0)]).await;
    judge.level(&cluster.edges.log, &[PartitionId(0)]).await;
    let before = judge.handle.complete_through();
    assert_eq!(before, TEST_EPOCH.plus_millis(2_000));
    // Only one edge goes on.
    let silent = edge(1);
    cluster.edges.silence(1);
    cluster.edges.send(20, None);
    cluster.edges.mark();
    judge.level(&cluster.edges.log, &[PartitionId(0)]).await;
    assert_eq!(judge.handle.complete_through(), before, "it waits for the silent one");
    cluster.retired.send_replace(Arc::new(BTreeSet::from([silent])));
    cluster.edges.mark();
    judge.level(&cluster.edges.log, &[PartitionId(0)]).await;
    assert_eq!(judge.handle.complete_through(), TEST_EPOCH.plus_millis(4_000));
}
