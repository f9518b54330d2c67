//! The suite that all counters pass. `judge` and `node` are two handles on the same counters; within one
//! process they may be one.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation is a failed test")]

use super::{Counters, LiveTotals};
use crate::clock::UnixMillis;
use crate::ids::{GongguId, Position};
use crate::judge::totals::Counts;
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;

/// Nothing here takes long; counters that say nothing for ever must fail, not hang.
const DEADLINE: Duration = Duration::from_secs(30);

/// Totals as of a position, different in every figure.
pub fn totals(position: u64) -> LiveTotals {
    let counts = std::array::from_fn(|index| position * 10 + index as u64);
    LiveTotals {
        counts: Counts::from_array(counts),
        unique_visitors: position * 3,
        applied_through: Position(position),
        complete_through: UnixMillis(position as i64 * 1_000),
    }
}

/// Waits until the watcher holds the totals of this position.
pub async fn sees(watcher: &mut watch::Receiver<Option<LiveTotals>>, position: u64) {
    let reached = watcher.wait_for(|held| held.is_some_and(|held| held == totals(position)));
    tokio::time::timeout(DEADLINE, reached).await.expect("the newest totals arrive").unwrap();
}

/// A watcher sees the newest, never an older one after it, and nothing of another gonggu.
pub async fn watchers_see_the_newest(judge: &dyn Counters, node: &dyn Counters) {
    let (gonggu, other) = (GongguId(Uuid::new_v4()), GongguId(Uuid::new_v4()));
    let mut watcher = node.watch(gonggu).await;
    let mut others = node.watch(other).await;
    assert_eq!(*watcher.borrow(), None, "nothing was published yet");
    // Larger than what a double holds exactly, and apart by one: neither may be rounded.
    let base = 1 << 60;
    // The watcher may be heard of a little later than `watch` returns; the newest reaches it all the same.
    judge.publish(&[(gonggu, small(1))]).await;
    judge.publish(&[(other, small(9))]).await;
    reaches(&mut watcher, Position(1)).await;
    reaches(&mut others, Position(9)).await;
    for step in [1, 3, 2] {
        judge.publish(&[(gonggu, small(base + step))]).await;
    }
    reaches(&mut watcher, Position(base + 3)).await;
    judge.publish(&[(gonggu, small(base + 2)), (other, small(10))]).await;
    reaches(&mut others, Position(10)).await;
    assert_eq!(watcher.borrow().unwrap().applied_through, Position(base + 3));
}

/// A second watcher, and one that comes after another left, see the newest too.
pub async fn watchers_come_and_go(judge: &dyn Counters, node: &dyn Counters) {
    let gonggu = GongguId(Uuid::new_v4());
    for round in 1..4 {
        let mut watchers = [node.watch(gonggu).await, node.watch(gonggu).await];
        judge.publish(&[(gonggu, totals(round))]).await;
        for watcher in &mut watchers {
            sees(watcher, round).await;
        }
    }
}

fn small(position: u64) -> LiveTotals {
    LiveTotals { applied_through: Position(position), ..totals(1) }
}

async fn reaches(watcher: &mut watch::Receiver<Option<LiveTotals>>, position: Position) {
    let reached = watcher.wait_for(|held| held.is_some_and(|held| held.applied_through == position));
    tokio::time::timeout(DEADLINE, reached).await.expect("the newest totals arrive").unwrap();
}

#[cfg(test)]
mod tests;
