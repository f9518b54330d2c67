//! Live figures as server-sent events.

use crate::harness::people::Person;
use crate::harness::{Api, Gonggu, SHORT, Visitor, shared};
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;
use std::time::{Duration, Instant};

/// A stream of live figures.
pub(crate) struct Events {
    answer: Response,
    text: String,
}

impl Events {
    pub(crate) async fn of(api: &Api, gonggu: Gonggu) -> Self {
        let path = format!("/api/v1/tracking/stats/{gonggu}/live");
        let request = api.request(Method::GET, &path).header("Accept", "text/event-stream");
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        assert!(kind.starts_with("text/event-stream"), "{kind}");
        Self { answer, text: String::new() }
    }

    /// The next event with data, comments skipped.
    async fn next(&mut self) -> Value {
        tokio::time::timeout(SHORT, async {
            loop {
                if let Some((event, rest)) = self.text.split_once("\n\n") {
                    let data: String = event.lines().filter_map(|line| line.strip_prefix("data:")).collect();
                    self.text = rest.to_owned();
                    if !data.is_empty() {
                        return serde_json::from_str(&data).unwrap();
                    }
                } else {
                    let chunk = self.answer.chunk().await.unwrap().expect("the stream goes on");
                    self.text.push_str(std::str::from_utf8(&chunk).unwrap());
                }
            }
        })
        .await
        .expect("an event arrives")
    }

    /// Events until one shows this many clicks; when each came.
    pub(crate) async fn until(&mut self, gross: u64) -> Vec<Instant> {
        let mut arrivals = Vec::new();
        loop {
            let event = self.next().await;
            arrivals.push(Instant::now());
            let totals = event.get("totals").unwrap_or(&event);
            let seen = totals["gross"].as_u64().unwrap_or_else(|| panic!("no totals in {event}"));
            assert!(seen <= gross, "more than were made: {event}");
            if seen == gross {
                return arrivals;
            }
        }
    }
}

#[tokio::test]
async fn totals_are_told_as_they_change() {
    let admin = shared().await.admin();
    let gonggu = admin.open_gonggu().await;
    let mut first = Events::of(&admin, gonggu).await;
    let mut second = Events::of(&admin, gonggu).await;
    Visitor::new().go(&admin, gonggu).await.redirected();
    first.until(1).await;
    second.until(1).await;
    drop(second);
    Visitor::new().go(&admin, gonggu).await.redirected();
    first.until(2).await;
}

/// However fast they change, not more than once a second.
#[tokio::test]
async fn at_most_one_event_a_second() {
    let admin = shared().await.admin();
    let gonggu = admin.open_gonggu().await;
    let mut events = Events::of(&admin, gonggu).await;
    let clicks = 100;
    let clicker = admin.clone();
    let clicking = tokio::spawn(async move {
        let started = Instant::now();
        for number in 0..clicks {
            Visitor::new().go(&clicker, gonggu).await.redirected();
            // spread over three seconds, so that there is something to hold back
            while started.elapsed() < Duration::from_millis(30 * number) {
                crate::harness::wait::poll_pause().await;
            }
        }
    });
    let arrivals = events.until(clicks).await;
    clicking.await.unwrap();
    for pair in arrivals.windows(2) {
        let apart = pair[1] - pair[0];
        assert!(apart >= Duration::from_millis(850), "two events {apart:?} apart");
    }
}

/// A right that is lost ends what was begun with it, within seconds.
#[tokio::test]
async fn a_stream_ends_when_its_viewer_is_suspended() {
    let shared = shared().await;
    let admin = shared.admin();
    let gonggu = admin.open_gonggu().await;
    let viewer = Person::admin(&shared.deployment).await;
    let mut events = Events::of(&viewer.api, gonggu).await;
    events.next().await;
    let suspend = "UPDATE users SET status = 'suspended' WHERE id = $1";
    let mut database = shared.deployment.database().await;
    sqlx::query(suspend).bind(viewer.id).execute(&mut database).await.unwrap();
    let ended = async { while events.answer.chunk().await.unwrap().is_some() {} };
    tokio::time::timeout(SHORT, ended).await.expect("the stream goes on");
}
