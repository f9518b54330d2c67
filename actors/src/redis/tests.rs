//! The counters on a real Redis, with the server coming and going.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::value::{decode, encode};
use super::{RedisCounters, RedisCountersConfig};
use crate::testing::redis_url;
use gonggumoa_core::ids::{GongguId, Position};
use gonggumoa_core::live::Counters;
use gonggumoa_core::live::conformance::{sees, totals, watchers_come_and_go, watchers_see_the_newest};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use uuid::Uuid;

fn config() -> RedisCountersConfig {
    RedisCountersConfig { prefix: format!("test-{}:", Uuid::new_v4().simple()), ..Default::default() }
}

#[test]
fn a_value_comes_back() {
    for position in [0, 7, u64::from(u32::MAX) << 20] {
        assert_eq!(decode(&encode(&totals(position))), Some(totals(position)));
    }
    for damaged in [
        "",
        "1",
        "2|1|1|1|0|0|0|0|0|0|0|0|0",
        "1|1|1|1|0|0|0|0|0|0|0|0",
        &format!("{}|1", encode(&totals(1))),
    ] {
        assert_eq!(decode(damaged), None, "{damaged}");
    }
}

#[test]
fn a_bad_address_is_named_without_its_password() {
    let error = RedisCounters::new("rediss-typo://user:secret@host", config()).unwrap_err();
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[tokio::test]
async fn counters_on_redis_keep_the_contract() {
    let Some(url) = redis_url() else { return };
    let config = config();
    let judge = RedisCounters::new(&url, config.clone()).unwrap();
    let node = RedisCounters::new(&url, config).unwrap();
    watchers_see_the_newest(&judge, &node).await;
    watchers_come_and_go(&judge, &node).await;
    watchers_see_the_newest(&judge, &judge).await;
}

/// A way to Redis that can be cut and mended.
struct Way {
    url: String,
    open: watch::Sender<bool>,
}

impl Way {
    async fn to(url: &str) -> Self {
        let server = url.trim_start_matches("redis://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let (open, _) = watch::channel(true);
        let state = open.clone();
        tokio::spawn(async move {
            while let Ok((mut inbound, _)) = listener.accept().await {
                let (server, mut state) = (server.clone(), state.subscribe());
                tokio::spawn(async move {
                    if !*state.borrow_and_update() {
                        return;
                    }
                    let Ok(mut outbound) = TcpStream::connect(&server).await else { return };
                    tokio::select! {
                        _ = copy_bidirectional(&mut inbound, &mut outbound) => {}
                        _ = state.wait_for(|open| !open) => {}
                    }
                });
            }
        });
        Self { url, open }
    }
}

#[tokio::test]
async fn what_was_missed_is_read_and_what_waited_goes_out() {
    let Some(url) = redis_url() else { return };
    let (way, config) = (Way::to(&url).await, config());
    let near = RedisCounters::new(&url, config.clone()).unwrap();
    let cut_off = RedisCounters::new(&way.url, config).unwrap();
    let (heard, told) = (GongguId(Uuid::new_v4()), GongguId(Uuid::new_v4()));
    let (mut hears, mut sees_told) = (cut_off.watch(heard).await, near.watch(told).await);
    near.publish(&[(heard, totals(1))]).await;
    cut_off.publish(&[(told, totals(1))]).await;
    sees(&mut hears, 1).await;
    sees(&mut sees_told, 1).await;

    way.open.send_replace(false);
    // While it is cut off: publishing returns at once, and others go on.
    for position in 2..500 {
        cut_off.publish(&[(told, totals(position))]).await;
        near.publish(&[(heard, totals(position))]).await;
    }
    assert_eq!(hears.borrow().unwrap().applied_through, Position(1));
    assert_eq!(sees_told.borrow().unwrap().applied_through, Position(1));

    way.open.send_replace(true);
    sees(&mut hears, 499).await;
    sees(&mut sees_told, 499).await;
}
