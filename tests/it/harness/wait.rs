//! Waiting for a condition, never for a time.

use std::time::{Duration, Instant};

/// For what should be there at once on an idle machine.
pub(crate) const SHORT: Duration = Duration::from_secs(20);
/// For what has a backlog, a start or a recovery before it.
pub(crate) const LONG: Duration = Duration::from_secs(90);
/// Small against every deadline here, large against the cost of a probe.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Probes until it holds; panics with the last reason when the deadline passes.
pub(crate) async fn eventually<T>(
    what: &str,
    deadline: Duration,
    mut probe: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let started = Instant::now();
    loop {
        match probe().await {
            Ok(found) => return found,
            Err(reason) => {
                assert!(started.elapsed() < deadline, "{what}: not within {deadline:?}: {reason}");
            }
        }
        poll_pause().await;
    }
}

/// One polling interval.
pub(crate) async fn poll_pause() {
    tokio::time::sleep(POLL_INTERVAL).await;
}
