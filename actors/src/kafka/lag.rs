//! How far the readers are behind, and the alarm long before Kafka forgets.
//!
//! Problem: Kafka deletes by time whether or not somebody has read. So, partition by partition, the age of
//! the oldest record that is not stored is watched, and told loudly when half of the topic's retention
//! has gone by.
//!
//! Invariants: it is about partitions that are ours now (an unassigned one is another node's to watch); an age
//! is never shown younger than it is by more than one batch's span.

use super::log::KafkaLog;
use gonggumoa_core::clock::{Clock, SystemClock, UnixMillis};
use gonggumoa_core::ids::PartitionId;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How often the ends are asked for: as often as metrics are usually fetched.
const INTERVAL: Duration = Duration::from_secs(15);
/// One question to a broker; at the next round there is another.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(5);
/// The name under which the judge releases: its places are stored with the verdicts.
const JUDGE: &str = "judge";
/// Times remembered for one partition; then every second one goes.
const TIMES_MAX: usize = 512;

/// What is known of each partition.
#[derive(Debug, Default)]
pub(super) struct Lag {
    partitions: Mutex<BTreeMap<PartitionId, Place>>,
}

#[derive(Debug, Default)]
struct Place {
    /// Reader by reader, the offset after what is stored.
    stored: BTreeMap<&'static str, u64>,
    /// The least offset that a reader was opened at.
    opened: Option<u64>,
    /// When the record at an offset, or one just before it, was appended.
    times: BTreeMap<u64, UnixMillis>,
}

/// One partition's lag.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PartitionLag {
    /// Which.
    pub partition: PartitionId,
    /// The next offset that will be written.
    pub end: u64,
    /// The next offset to be stored.
    pub stored: u64,
    /// When the oldest record that is not stored was appended, as far as that is known.
    pub oldest_unstored_at: Option<UnixMillis>,
}

impl PartitionLag {
    /// Records that are not stored.
    pub fn records(&self) -> u64 {
        self.end.saturating_sub(self.stored)
    }

    /// How old the oldest of them is.
    pub fn age(&self, now: UnixMillis) -> Duration {
        let millis = match self.oldest_unstored_at {
            Some(at) if self.records() > 0 => now.millis_since(at),
            _ => 0,
        };
        Duration::from_millis(u64::try_from(millis).unwrap_or(0))
    }
}

impl Lag {
    /// A reader begins at `next`: somebody has stored what is before it.
    pub(super) fn opened(&self, partition: PartitionId, next: u64) {
        let mut partitions = self.partitions.lock();
        let place = partitions.entry(partition).or_default();
        place.opened = Some(place.opened.map_or(next, |opened| opened.min(next)));
    }

    /// A batch that begins at `from`, whose first record was appended at `at`, was read.
    pub(super) fn read(&self, partition: PartitionId, from: u64, at: UnixMillis) {
        let mut partitions = self.partitions.lock();
        let place = partitions.entry(partition).or_default();
        if from < place.judged() {
            return;
        }
        place.times.entry(from).or_insert(at);
        if place.times.len() > TIMES_MAX {
            let mut keep = false;
            place.times.retain(|_, _| {
                keep = !keep;
                keep
            });
        }
    }

    /// This reader has stored all before `next`.
    pub(super) fn stored(&self, partition: PartitionId, reader: &'static str, next: u64) {
        let mut partitions = self.partitions.lock();
        let place = partitions.entry(partition).or_default();
        let stored = place.stored.entry(reader).or_insert(next);
        *stored = next.max(*stored);
        let judged = place.judged();
        // The last time at or before the first unstored record speaks for it.
        if let Some((&last, _)) = place.times.range(..=judged).next_back() {
            place.times.retain(|offset, _| *offset >= last);
        }
    }

    fn of(&self, partition: PartitionId, end: u64) -> Option<PartitionLag> {
        let partitions = self.partitions.lock();
        let place = partitions.get(&partition)?;
        let stored = place.judged();
        let first = place.times.range(..=stored).next_back().or_else(|| place.times.iter().next());
        // With all of a batch stored, what stands after it was not read yet: its time is not known.
        let oldest_unstored_at = first.map(|(_, at)| *at).filter(|_| end > stored);
        Some(PartitionLag { partition, end, stored, oldest_unstored_at })
    }

    fn forget(&self, keep: &BTreeSet<PartitionId>) -> Vec<PartitionId> {
        let mut partitions = self.partitions.lock();
        let gone: Vec<_> = partitions.keys().filter(|partition| !keep.contains(partition)).copied().collect();
        for partition in &gone {
            partitions.remove(partition);
        }
        gone
    }
}

impl Place {
    fn judged(&self) -> u64 {
        self.stored.get(JUDGE).copied().or(self.opened).unwrap_or(0)
    }
}

impl KafkaLog {
    /// The lag of the partitions that a reader was opened on, asking the brokers for their ends.
    pub async fn lag(&self) -> Vec<PartitionLag> {
        let shared = self.shared();
        let known: Vec<_> = shared.lag.partitions.lock().keys().copied().collect();
        let mut lags = Vec::with_capacity(known.len());
        for partition in known {
            match shared.watermarks(partition, QUESTION_TIMEOUT).await {
                Ok((_, end)) => lags.extend(shared.lag.of(partition, end)),
                Err(error) => {
                    tracing::debug!(partition.id = %partition, error = %error, "a partition's end is not known");
                }
            }
        }
        lags
    }

    /// Shows the lag of the partitions in `ours` as metrics and raises the alarm, until it is aborted or the log
    /// is dropped elsewhere.
    pub fn watch_lag(self: &Arc<Self>, ours: watch::Receiver<BTreeSet<PartitionId>>) -> JoinHandle<()> {
        let log = Arc::downgrade(self);
        // Beside how many each judge holds it tells whether one is nobody's.
        metrics::gauge!("click_log_partitions").set(f64::from(self.shared().partitions));
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(INTERVAL);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let Some(log) = log.upgrade() else { return };
                let assigned = ours.borrow().clone();
                for gone in log.shared().lag.forget(&assigned) {
                    show(
                        &PartitionLag { partition: gone, end: 0, stored: 0, oldest_unstored_at: None },
                        UnixMillis(0),
                    );
                }
                let lags = log.lag().await;
                let late = tell(&lags, log.shared().retention, SystemClock.now());
                metrics::gauge!("click_log_partitions_late").set(late as f64);
            }
        })
    }
}

fn show(lag: &PartitionLag, now: UnixMillis) {
    let partition = lag.partition.to_string();
    let labels = [("partition", partition)];
    metrics::gauge!("click_log_end_offset", &labels).set(lag.end as f64);
    metrics::gauge!("click_log_stored_offset", &labels).set(lag.stored as f64);
    metrics::gauge!("click_log_lag_records", &labels).set(lag.records() as f64);
    metrics::gauge!("click_log_lag_seconds", &labels).set(lag.age(now).as_secs_f64());
}

/// Shows each lag; counts and names the partitions that are past half of the retention.
fn tell(lags: &[PartitionLag], retention: Option<Duration>, now: UnixMillis) -> usize {
    let mut late = 0;
    for lag in lags {
        show(lag, now);
        let age = lag.age(now);
        if let Some(retention) = retention
            && age > retention / 2
        {
            late += 1;
            tracing::error!(
                partition.id = %lag.partition,
                partition.lag_records = lag.records(),
                partition.lag_seconds = age.as_secs(),
                topic.retention_seconds = retention.as_secs(),
                "clicks that are not judged are past half of the time for which Kafka keeps them"
            );
        }
    }
    late
}

#[cfg(test)]
mod tests;
