//! Live totals as server-sent events.
//!
//! A publication only says *that* the totals moved; each event asks the figures anew, so that an event
//! and the stats never disagree. At most one event an interval; the newest always follows.
//!
//! A stream may last for days, so the right to it is looked at again every few seconds: it ends when the account is
//! suspended or closed, its tokens are taken back (a new password), or it is neither the owner's nor an admin's any
//! more. Who may still read asks again and is answered.

use crate::app::App;
use crate::auth::identity::Identity;
use crate::tracking::figures::{Interval, StatsQuery};
use crate::tracking::types::{CountsBody, LiveBody, TotalsBody};
use crate::users::types::{UserRole, UserStatus};
use axum::response::sse::Event;
use chrono::{DateTime, Utc};
use futures::Stream;
use gonggumoa_core::ids::{GongguId, UserId};
use gonggumoa_core::kst::{DAY_MILLIS, day_start};
use gonggumoa_core::live::LiveTotals;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Between two questions while nothing is published (another process may have stored clicks).
const ASK_ANYWAY: Duration = Duration::from_secs(10);

/// Between two looks at the viewer's right. An identity is remembered for two seconds and forgotten when it changes, so
/// viewers of one account share a question, and a right taken away ends the stream within this time.
const LOOK_AGAIN: Duration = Duration::from_secs(3);

/// Who reads a stream, by which right.
#[derive(Clone, Debug)]
pub struct Viewer {
    /// Who it was when the stream began.
    pub identity: Arc<Identity>,
    /// Whose figures these are.
    pub owner: UserId,
}

struct Watching {
    app: App,
    gonggu_id: GongguId,
    created_at: DateTime<Utc>,
    totals: watch::Receiver<Option<LiveTotals>>,
    last_sent: Option<(Instant, LiveBody)>,
}

/// The events of one gonggu, until the process stops or the viewer may see them no more.
pub async fn events(
    app: App,
    viewer: Viewer,
    gonggu_id: GongguId,
    created_at: DateTime<Utc>,
) -> impl Stream<Item = Result<Event, Infallible>> + Send + 'static {
    let totals = app.counters.watch(gonggu_id).await;
    let stop = app.shutdown.clone();
    let lost = lost(app.clone(), viewer);
    let watching = Watching { app, gonggu_id, created_at, totals, last_sent: None };
    let events = futures::stream::unfold(watching, |mut watching| async move {
        let event = watching.next().await;
        Some((Ok(event), watching))
    });
    let end = async move {
        tokio::select! {
            () = stop.cancelled_owned() => {}
            () = lost => {}
        }
    };
    futures::StreamExt::take_until(events, Box::pin(end))
}

/// Returns when the viewer has no right to the stream any more. While nobody can tell, nothing is taken away: there are
/// no figures to be had either.
async fn lost(app: App, viewer: Viewer) {
    loop {
        tokio::time::sleep(LOOK_AGAIN).await;
        match app.identities.get(&app.pool, viewer.identity.id).await {
            Ok(now) if now.as_ref().is_some_and(|now| viewer.may_still(now)) => {}
            Ok(_) => return,
            Err(error) => tracing::debug!(error = %error, "the right to a live stream cannot be looked at"),
        }
    }
}

impl Viewer {
    fn may_still(&self, now: &Identity) -> bool {
        now.token_version == self.identity.token_version
            && now.status != UserStatus::Suspended
            && (now.role == UserRole::Admin || now.id == self.owner)
    }
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

#[cfg(test)]
mod tests;
