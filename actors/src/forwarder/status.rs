//! What others see of the forwarder: a status to watch, figures, and an alarm.

use gonggumoa_core::log::LogPosition;
use std::time::Duration;

/// What the forwarder is doing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ForwarderStep {
    /// Reading the journal and sending.
    Running,
    /// Something failed; it is tried again by itself.
    Restarting {
        /// What failed.
        problem: String,
    },
    /// Everything in the closed journal has arrived, and the place says so.
    Drained,
    /// Told to stop before that.
    Stopped,
}

/// How far the journal has arrived in the shared log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForwarderStatus {
    /// What it is doing.
    pub step: ForwarderStep,
    /// Everything up to here has arrived; `None`: nothing yet.
    pub forwarded: Option<LogPosition>,
    /// Durable records of the journal that have not.
    pub lag_records: u64,
    /// Their size as records of the shared log, estimated from those sent so far.
    pub lag_bytes: u64,
    /// Age of the oldest of them, as far as it is known.
    pub lag: Duration,
    /// What the broker's side complains of, though nothing had to be begun again.
    pub trouble: Option<String>,
}

impl ForwarderStatus {
    pub(super) fn new() -> Self {
        Self {
            step: ForwarderStep::Running,
            forwarded: None,
            lag_records: 0,
            lag_bytes: 0,
            lag: Duration::ZERO,
            trouble: None,
        }
    }

    /// Whether it does nothing any more.
    pub fn has_ended(&self) -> bool {
        matches!(self.step, ForwarderStep::Drained | ForwarderStep::Stopped)
    }

    #[expect(clippy::cast_precision_loss, reason = "gauges are floating-point numbers")]
    pub(super) fn publish(&self, in_flight_records: usize) {
        metrics::gauge!("forwarder_lag_records").set(self.lag_records as f64);
        metrics::gauge!("forwarder_lag_bytes").set(self.lag_bytes as f64);
        metrics::gauge!("forwarder_lag_seconds").set(self.lag.as_secs_f64());
        metrics::gauge!("forwarder_in_flight_records").set(in_flight_records as f64);
    }
}

/// Says aloud that records wait too long, once when it begins and once when it is over.
pub(super) struct LagAlarm {
    after: Duration,
    raised: bool,
}

impl LagAlarm {
    pub(super) fn new(after: Duration) -> Self {
        metrics::gauge!("forwarder_lag_alarm").set(0.0);
        Self { after, raised: false }
    }

    pub(super) fn look(&mut self, status: &ForwarderStatus) {
        let late = status.lag > self.after;
        if late != self.raised {
            self.raised = late;
            metrics::gauge!("forwarder_lag_alarm").set(if late { 1.0 } else { 0.0 });
            if late {
                tracing::error!(
                    forwarder.lag_seconds = status.lag.as_secs(),
                    forwarder.lag_records = status.lag_records,
                    forwarder.trouble = status.trouble.as_deref().unwrap_or("none"),
                    "clicks wait for the shared log; they are safe in the journal for as long as its budget lasts"
                );
            } else {
                tracing::info!("the journal has arrived in the shared log again");
            }
        }
    }
}
