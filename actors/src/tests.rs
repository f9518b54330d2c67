//! The promises of the judging side, on a log and a store in memory that fail where they are told to.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::handle::{Assignments, PartitionStep, TrackingConfig, TrackingDeps, TrackingHandle, spawn};
use gonggumoa_core::click::testing::{ClickBuilder, TEST_EPOCH};
use gonggumoa_core::click::{HeldReason, RawClick, Verdict};
use gonggumoa_core::ids::{GongguId, PartitionId, Position, RunId};
use gonggumoa_core::judge::rules::RulesSettings;
use gonggumoa_core::live::{Counters, MemoryCounters};
use gonggumoa_core::log::LogEntry;
use gonggumoa_core::log::memory::MemoryLog;
use gonggumoa_core::store::memory::{MemoryRows, MemoryStore};
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;

mod fenced;
mod moving;
mod resting;
mod shared;
mod stopping;

const P: PartitionId = PartitionId(0);
const DEADLINE: Duration = Duration::from_secs(20);

struct World {
    log: MemoryLog,
    store: MemoryStore,
    counters: Arc<MemoryCounters>,
    config: TrackingConfig,
    rules: RulesSettings,
    hook: Option<crate::gonggu::FoldHook>,
}

impl World {
    fn new() -> Self {
        let config = TrackingConfig {
            batch_entries_max: 7,
            batch_interval: Duration::ZERO,
            retry_min: Duration::from_millis(1),
            retry_max: Duration::from_millis(5),
            idle_check_interval: Duration::from_millis(2),
            ..TrackingConfig::default()
        };
        Self {
            log: MemoryLog::new(RunId(Uuid::from_u128(7))),
            store: MemoryStore::new(),
            counters: Arc::default(),
            config,
            rules: RulesSettings::standard("test".to_owned()),
            hook: None,
        }
    }

    /// The same log, an empty store.
    fn again(log: &MemoryLog) -> Self {
        Self { log: log.clone(), ..Self::new() }
    }

    async fn spawn(&self) -> TrackingHandle {
        let deps = TrackingDeps {
            log: Arc::new(self.log.clone()),
            store: Arc::new(self.store.clone()),
            counters: Arc::<MemoryCounters>::clone(&self.counters),
            rules: self.rules.clone(),
            publisher: None,
            retired: watch::channel(Arc::default()).1,
            hook: self.hook.clone(),
        };
        spawn(self.config.clone(), deps, Assignments::All).await.expect("the actors start")
    }

    /// Judges the whole log as it is now.
    async fn run(&self) -> MemoryRows {
        self.log.close();
        let handle = self.spawn().await;
        assert!(handle.drain(DEADLINE).await, "not drained: {:?}", handle.status());
        self.log.reopen();
        self.store.rows()
    }
}

fn gonggu(number: u64) -> GongguId {
    GongguId(Uuid::from_u128(1_000 + u128::from(number)))
}

/// The clicks of a small, busy day: three gonggus, returning visitors, an address over its limit.
fn fill(log: &MemoryLog, clicks: u64) {
    let first = log.entries().len() as u64;
    for number in first..first + clicks {
        log.push(LogEntry::Click(click(number)));
        if number % 11 == 10 {
            let run = RunId(Uuid::from_u128(7));
            log.push(LogEntry::TimeMark { run, at: TEST_EPOCH.plus_millis(number as i64 * 400) });
        }
    }
}

fn click(number: u64) -> RawClick {
    let last = if number.is_multiple_of(3) { 1 } else { (number * 7 % 90) as u8 };
    let agent = format!(
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_{} like Mac OS X) AppleWebKit/605.1.15 Mobile",
        number % 50
    );
    ClickBuilder::new(number + 1)
        .gonggu(gonggu(number % 3))
        .at(number as i64 * 400)
        .address(IpAddr::from([203, 0, 113, last]))
        .agent(&agent)
        .build()
}

/// What must be equal however a log came to be judged. Progress differs by batch borders only.
fn same(one: &MemoryRows, other: &MemoryRows) {
    assert_eq!(one.clicks, other.clicks);
    assert_eq!(one.heads, other.heads);
    assert_eq!(one.rollups, other.rollups);
    assert_eq!(one.flags, other.flags);
    assert_eq!(one.progress, other.progress);
}

fn clicks_in(log: &MemoryLog) -> usize {
    log.entries().iter().filter(|(_, entry)| matches!(entry, LogEntry::Click(_))).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_click_is_judged_and_stored_once() {
    let world = World::new();
    fill(&world.log, 400);
    let rows = world.run().await;
    assert_eq!(rows.clicks.len(), clicks_in(&world.log));
    let verdicts: HashSet<&str> = rows.clicks.values().map(|c| c.judgement.verdict.as_str()).collect();
    assert!(verdicts.contains("billable") && verdicts.contains("duplicate"), "{verdicts:?}");
    let gross: u64 = rows.heads.values().map(|head| head.counts.gross()).sum();
    assert_eq!(gross as usize, rows.clicks.len());
    let progress = &rows.progress[&P];
    assert_eq!(progress.position.through.0 as usize, world.log.entries().len());
    let last_mark = world.log.entries().into_iter().rev().find_map(|(_, entry)| match entry {
        LogEntry::TimeMark { at, .. } => Some(at),
        LogEntry::Click(_) | LogEntry::Closing { .. } => None,
    });
    assert_eq!(Some(progress.complete_through()), last_mark);
    assert_eq!(world.log.released("judge"), Some(progress.position));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batch_borders_change_nothing() {
    let mut world = World::new();
    fill(&world.log, 300);
    let small = world.run().await;
    let mut large = World::again(&world.log);
    large.config.batch_entries_max = 100_000;
    same(&small, &large.run().await);
    world = World::again(&world.log);
    world.config.batch_entries_max = 1;
    same(&small, &world.run().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_fails_at_any_write_ends_in_the_same_rows() {
    let calm = World::new();
    fill(&calm.log, 40);
    let expected = calm.run().await;
    for writes in 0..90 {
        let world = World::again(&calm.log);
        world.log.close();
        let handle = world.spawn().await;
        world.store.fail_after(writes);
        let mut watch = handle.watch();
        // Either it got through before the failure was set, or it stands at the failed write.
        let _ = tokio::time::timeout(
            Duration::from_millis(15),
            watch.wait_for(|s| s[&P].step == PartitionStep::Drained),
        )
        .await;
        world.store.heal();
        assert!(handle.drain(DEADLINE).await);
        world.log.reopen();
        same(&expected, &world.store.rows());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_anywhere_changes_nothing() {
    let calm = World::new();
    fill(&calm.log, 150);
    let expected = calm.run().await;
    let world = World { log: MemoryLog::new(RunId(Uuid::from_u128(7))), ..World::new() };
    for (position, entry) in calm.log.entries() {
        world.log.push(entry);
        if position.0.is_multiple_of(5) {
            world.run().await;
        }
    }
    same(&expected, &world.run().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_panic_is_mended_without_a_trace() {
    let calm = World::new();
    fill(&calm.log, 120);
    let expected = calm.run().await;
    for victim in [1, 20, 63, 100] {
        let mut world = World::again(&calm.log);
        let left = Arc::new(AtomicU32::new(1));
        world.hook = Some(Arc::new(move |click: &RawClick| {
            if click.sequence == victim
                && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
            {
                panic!("planted");
            }
        }));
        same(&expected, &world.run().await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_click_that_panics_twice_is_quarantined_and_stays_so() {
    let mut world = World::new();
    fill(&world.log, 120);
    world.hook = Some(Arc::new(|click: &RawClick| assert!(click.sequence != 64, "planted")));
    let rows = world.run().await;
    assert_eq!(rows.clicks.len(), clicks_in(&world.log));
    let held: Vec<_> = rows
        .clicks
        .values()
        .filter(|click| click.judgement.verdict == Verdict::Held(HeldReason::Quarantined))
        .collect();
    assert_eq!(held.len(), 1);
    assert_eq!(held[0].click.sequence, 64);
    assert_eq!(rows.quarantined.into_iter().collect::<Vec<_>>(), vec![(P, held[0].position)]);
    let gross: u64 = rows.heads.values().map(|head| head.counts.gross()).sum();
    assert_eq!(gross as usize, rows.clicks.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_settings_hold_from_the_end_of_the_log_on() {
    let mut world = World::new();
    fill(&world.log, 60);
    world.run().await;
    let border = Position(world.log.entries().len() as u64);
    world.rules.dedup_window_millis = 1_000;
    fill(&world.log, 60);
    // The change is noticed only now: nothing in the log may be judged by it.
    let end = Position(world.log.entries().len() as u64);
    world.run().await;
    fill(&world.log, 60);
    let rows = world.run().await;
    assert_eq!(rows.rules.len(), 2);
    assert_eq!(rows.activations[1].from, Position(end.0 + 1));
    assert!(end > border);
    for click in rows.clicks.values() {
        let expected = if click.position <= end { 1 } else { 2 };
        assert_eq!(click.judgement.rules_version, expected, "at {}", click.position);
    }
    // The whole log again, by the stored activations: the same verdicts.
    let replay = World { store: MemoryStore::new(), rules: world.rules.clone(), ..World::again(&world.log) };
    use gonggumoa_core::store::ClickStore;
    for version in &rows.rules {
        replay.store.put_rules(&version.settings).await.unwrap();
    }
    let owner = Uuid::new_v4();
    replay.store.claim(P, owner).await.unwrap();
    for activation in &rows.activations {
        replay.store.activate(owner, *activation).await.unwrap();
    }
    same(&rows, &replay.run().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_down_at_the_start_is_waited_for() {
    let world = World::new();
    fill(&world.log, 30);
    world.store.fail_after(0);
    let handle = world.spawn().await;
    let mut watch = handle.watch();
    let restarting = watch.wait_for(|s| matches!(s[&P].step, PartitionStep::Restarting { .. }));
    tokio::time::timeout(DEADLINE, restarting).await.expect("it says what is wrong").unwrap();
    world.store.heal();
    world.log.close();
    assert!(handle.drain(DEADLINE).await);
    assert_eq!(world.store.rows().clicks.len(), clicks_in(&world.log));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_see_the_newest_totals() {
    let world = World::new();
    let mut live = world.counters.watch(gonggu(0)).await;
    let handle = world.spawn().await;
    fill(&world.log, 90);
    let clicks = world
        .log
        .entries()
        .into_iter()
        .filter(|(_, entry)| matches!(entry, LogEntry::Click(click) if click.gonggu_id == gonggu(0)));
    let expected = clicks.count() as u64;
    let reached = live.wait_for(|totals| totals.is_some_and(|totals| totals.counts.gross() == expected));
    tokio::time::timeout(DEADLINE, reached).await.expect("the totals come").unwrap();
    world.log.close();
    assert!(handle.drain(DEADLINE).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_of_another_history_is_refused_for_good() {
    let world = World::new();
    fill(&world.log, 30);
    let rows = world.run().await;
    let other =
        World { store: world.store.clone(), log: MemoryLog::new(RunId(Uuid::from_u128(8))), ..World::new() };
    fill(&other.log, 60);
    let handle = other.spawn().await;
    let mut watch = handle.watch();
    let refused = watch.wait_for(|statuses| matches!(statuses[&P].step, PartitionStep::Refused { .. }));
    let problem =
        tokio::time::timeout(DEADLINE, refused).await.expect("it refuses").unwrap()[&P].step.clone();
    let PartitionStep::Refused { problem } = problem else { unreachable!() };
    assert!(problem.contains(&RunId(Uuid::from_u128(7)).to_string()), "{problem}");
    assert_eq!(other.store.rows().clicks, rows.clicks);
    assert_eq!(handle.status()[&P].restarts, 0);
}
