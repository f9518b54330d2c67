//! When a partition reads its log.
//!
//! Problem: judging and storing take the same cores and the same disk as the edge, whose buyers wait. A
//! transaction costs a commit, a head and rollup rows whatever it carries, and its sync stands before the
//! edge's; so fewer, fuller batches are better, as far as figures may be old.
//!
//! - At ordinary traffic a batch begins at most every `batch_interval`.
//! - In a rush (clicks come faster than `rush_clicks_per_second`) nothing is read at all: the journal holds
//!   what comes, and the edge has the machine to itself. This ends with the rush, or once the partition has
//!   been behind for `rush_pause_max` or by `rush_backlog_max` entries. From then on it reads without a
//!   pause until it is level again, rush or not: a rush can delay figures, not stop them.

use crate::handle::TrackingConfig;
use gonggumoa_core::ids::{PartitionId, Position};
use gonggumoa_core::log::ClickLog;
use std::time::Duration;
use tokio::time::Instant;

/// How often a pausing partition looks whether the rush is over.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// A rate taken over less says nothing: clicks come in groups.
const RATE_TIME_MIN: Duration = Duration::from_millis(50);

/// What a partition knows of its log's growth.
pub(super) struct Rhythm {
    rush_clicks_per_second: f64,
    pause_max: Duration,
    backlog_max: u64,
    /// Fewer entries than a full batch: the partition counts as level.
    level_entries: u64,
    measured: Option<(Position, Instant)>,
    rushed: bool,
    behind_since: Option<Instant>,
    catching_up: bool,
}

impl Rhythm {
    pub(super) fn new(config: &TrackingConfig) -> Self {
        Self {
            rush_clicks_per_second: config.rush_clicks_per_second as f64,
            pause_max: config.rush_pause_max,
            backlog_max: config.rush_backlog_max,
            level_entries: config.batch_entries_max as u64,
            measured: None,
            rushed: false,
            behind_since: None,
            catching_up: false,
        }
    }

    /// The log was read to its end: the rate is taken from now on, not over the quiet before.
    pub(super) fn level(&mut self, through: Position, now: Instant) {
        self.measured = Some((through, now));
        self.behind_since = None;
        self.catching_up = false;
    }

    /// Waits while the edge is to have the machine. A log that cannot be asked is read: that tells why.
    pub(super) async fn give_way(&mut self, log: &dyn ClickLog, id: PartitionId, through: Position) {
        if self.pause_max.is_zero() {
            return;
        }
        let mut began = None;
        while let Ok(end) = log.durable_end(id).await
            && self.pauses(through, end, Instant::now())
        {
            if began.is_none() {
                began = Some(Instant::now());
                metrics::counter!("judge_rush_pauses_total").increment(1);
                tracing::info!(partition.id = %id, log.through = %through,
                    "a rush: the edge has the machine to itself and figures wait");
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        if let Some(began) = began {
            let millis = began.elapsed().as_millis() as u64;
            tracing::info!(partition.id = %id, rush.pause_millis = millis, "figures catch up");
        }
    }

    /// Whether to pause, having read `through` of a log that ends at `end` now.
    fn pauses(&mut self, through: Position, end: Position, now: Instant) -> bool {
        let (measured_end, measured_at) = *self.measured.get_or_insert((end, now));
        let elapsed = now - measured_at;
        if elapsed >= RATE_TIME_MIN {
            let per_second = end.0.saturating_sub(measured_end.0) as f64 / elapsed.as_secs_f64();
            self.rushed = per_second > self.rush_clicks_per_second;
            self.measured = Some((end, now));
        }
        let backlog = end.0.saturating_sub(through.0);
        if self.catching_up && backlog < self.level_entries {
            self.behind_since = None;
            self.catching_up = false;
        }
        if backlog == 0 {
            return false;
        }
        let behind_since = *self.behind_since.get_or_insert(now);
        if now - behind_since >= self.pause_max || backlog >= self.backlog_max {
            self.catching_up = true;
        }
        self.rushed && !self.catching_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scene {
        rhythm: Rhythm,
        now: Instant,
        through: u64,
        end: u64,
    }

    impl Scene {
        fn new() -> Self {
            let config = TrackingConfig {
                rush_clicks_per_second: 30_000,
                rush_pause_max: Duration::from_secs(10),
                rush_backlog_max: 2_000_000,
                ..TrackingConfig::default()
            };
            Self { rhythm: Rhythm::new(&config), now: Instant::now(), through: 0, end: 0 }
        }

        /// A tenth of a second with so many clicks; reads all there is, or a batch, unless it is to pause.
        fn passes(&mut self, clicks: u64) -> bool {
            self.now += LOOK_INTERVAL;
            self.end += clicks;
            let pauses = self.rhythm.pauses(Position(self.through), Position(self.end), self.now);
            if !pauses {
                self.through = self.end.min(self.through + 32_768);
            }
            if self.through == self.end {
                self.rhythm.level(Position(self.end), self.now);
            }
            pauses
        }
    }

    #[test]
    fn ordinary_traffic_never_pauses() {
        let mut scene = Scene::new();
        assert!((0..1_000).all(|_| !scene.passes(2_000)));
        assert_eq!(scene.through, scene.end);
    }

    #[test]
    fn a_rush_pauses_until_it_is_over() {
        let mut scene = Scene::new();
        scene.passes(0);
        assert!((0..60).all(|_| scene.passes(10_000)));
        assert!(!scene.passes(100), "the rush is over");
        for _ in 0..30 {
            scene.passes(100);
        }
        assert_eq!(scene.through, scene.end);
    }

    #[test]
    fn quiet_before_a_rush_does_not_hide_it() {
        let mut scene = Scene::new();
        scene.passes(0);
        scene.now += Duration::from_secs(600);
        // The first clicks of all are read at once.
        scene.end += 3;
        scene.through = scene.end;
        scene.rhythm.level(Position(scene.end), scene.now);
        assert!((0..90).all(|_| scene.passes(5_000)));
    }

    #[test]
    fn a_rush_without_end_delays_figures_and_no_more() {
        let mut scene = Scene::new();
        scene.passes(0);
        let pauses = (0..1_000).map(|_| scene.passes(10_000)).collect::<Vec<_>>();
        let longest = pauses.chunk_by(|a, b| a == b).filter(|run| run[0]).map(<[bool]>::len).max();
        assert!(longest.is_some_and(|looks| (95..=100).contains(&looks)), "{longest:?}");
        let paused = pauses.iter().filter(|paused| **paused).count();
        assert!(paused < 800, "level again in between: {paused}");
    }

    #[test]
    fn a_backlog_that_grows_large_is_read() {
        let mut scene = Scene::new();
        scene.passes(0);
        let paused = (0..100).take_while(|_| scene.passes(300_000)).count();
        assert_eq!(paused, 6);
    }
}
