//! Live totals as server-sent events.
//!
//! A publication only says *that* the totals moved; each event asks the figures anew, so that an event
//! and the stats never disagree. At most one event an interval; the newest always follows.

use crate::app::App;
use crate::tracking::figures::{Interval, StatsQuery};
use crate::tracking::types::{CountsBody, LiveBody, TotalsBody};
use axum::response::sse::Event;
use chrono::{DateTime, Utc};
use futures::Stream;
use gonggumoa_core::ids::GongguId;
use gonggumoa_core::kst::{DAY_MILLIS, day_start};
use gonggumoa_core::live::LiveTotals;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Between two questions while nothing is published (another process may have stored clicks).
const ASK_ANYWAY: Duration = Duration::from_secs(10);

struct Watching {
    app: App,
    gonggu_id: GongguId,
    created_at: DateTime<Utc>,
    totals: watch::Receiver<Option<LiveTotals>>,
    last_sent: Option<(Instant, LiveBody)>,
}

/// The events of one gonggu, until the process stops.
pub async fn events(
    app: App,
    gonggu_id: GongguId,
    created_at: DateTime<Utc>,
) -> impl Stream<Item = Result<Event, Infallible>> + Send + 'static {
    let totals = app.counters.watch(gonggu_id).await;
    let stop = app.shutdown.clone();
    let watching = Watching { app, gonggu_id, created_at, totals, last_sent: None };
    let events = futures::stream::unfold(watching, |mut watching| async move {
        let event = watching.next().await;
        Some((Ok(event), watching))
    });
    futures::StreamExt::take_until(events, stop.cancelled_owned())
}

impl Watching {
    /// The next event that differs from the one before.
    async fn next(&mut self) -> Event {
        loop {
            if let Some((sent_at, _)) = &self.last_sent {
                tokio::time::sleep_until(*sent_at + self.app.settings.live_interval).await;
                // a sender that is gone is no reason to stop: ask at intervals
                let changed = tokio::time::timeout(ASK_ANYWAY, self.totals.changed()).await;
                if matches!(changed, Ok(Err(_))) {
                    tokio::time::sleep(ASK_ANYWAY).await;
                    self.totals = self.app.counters.watch(self.gonggu_id).await;
                }
            }
            self.totals.borrow_and_update();
            let Some(body) = self.ask().await else {
                tokio::time::sleep(self.app.settings.live_interval).await;
                continue;
            };
            let event = Event::default().event("totals").json_data(&body);
            let news = self.last_sent.as_ref().is_none_or(|(_, sent)| *sent != body);
            self.last_sent = Some((Instant::now(), body));
            match event {
                Ok(event) if news => return event,
                Ok(_) => {}
                Err(error) => tracing::error!(error = %error, "a live event could not be written"),
            }
        }
    }

    async fn ask(&self) -> Option<LiveBody> {
        let query = StatsQuery {
            gonggu_id: self.gonggu_id,
            from: day_start(self.created_at.into()),
            to: day_start(self.app.clock.now().plus_millis(DAY_MILLIS)),
            interval: Interval::Day,
            tz: chrono_tz::Asia::Seoul,
        };
        match self.app.figures.gonggu_stats(&query).await {
            Ok(stats) => Some(LiveBody {
                gonggu_id: self.gonggu_id.0,
                totals: TotalsBody {
                    counts: CountsBody::from(&stats.totals),
                    unique_visitors: stats.unique_visitors,
                },
            }),
            Err(error) => {
                tracing::warn!(error = &error as &(dyn std::error::Error + 'static), "live totals are late");
                None
            }
        }
    }
}
