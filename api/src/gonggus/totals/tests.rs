#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use std::convert::Infallible;
use std::sync::atomic::{AtomicI64, Ordering};

fn key(changes: u64) -> TotalKey {
    TotalKey { changes, status: None, category: None, q: None, closes_within_millis: None }
}

fn at(millis: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(millis).unwrap()
}

/// Totals that count how often they are counted, and when they end.
struct Counting {
    totals: Totals,
    counts: AtomicI64,
    until: Option<DateTime<Utc>>,
}

impl Counting {
    fn new(until: Option<i64>) -> Self {
        Self { totals: Totals::new(), counts: AtomicI64::new(0), until: until.map(at) }
    }

    async fn ask(&self, changes: u64, now: i64, hears_all: bool) -> i64 {
        let count = async {
            tokio::task::yield_now().await;
            let total = self.counts.fetch_add(1, Ordering::SeqCst) + 1;
            Ok::<_, Infallible>(Counted { total, until: self.until })
        };
        self.totals.get(key(changes), Asked { now: at(now), hears_all }, count).await.unwrap()
    }
}

#[tokio::test]
async fn a_crowd_counts_once_and_a_change_counts_again() {
    let counting = Counting::new(None);
    let crowd = futures::future::join_all((0..50).map(|_| counting.ask(1, 0, true))).await;
    assert!(crowd.into_iter().all(|total| total == 1));
    assert_eq!(counting.ask(1, 25_000, true).await, 1, "time alone changes nothing");
    assert_eq!(counting.ask(2, 25_000, true).await, 2, "somebody changed something");
}

#[tokio::test]
async fn a_total_ends_with_the_next_opening_or_closing() {
    let counting = Counting::new(Some(5_000));
    for (now, total) in [(0, 1), (4_999, 1), (5_000, 2), (5_999, 2), (6_000, 3)] {
        // counted anew after its end, but not more often than once a second
        assert_eq!(counting.ask(1, now, true).await, total, "at {now}");
    }
}

#[tokio::test]
async fn who_does_not_hear_the_others_counts_each_second() {
    let counting = Counting::new(None);
    for (now, hears_all, total) in [(0, false, 1), (999, false, 1), (1_000, false, 2), (9_000, true, 2)] {
        assert_eq!(counting.ask(1, now, hears_all).await, total, "at {now}");
    }
}
