//! Whose address a click is given: the peer's, unless a proxy that we trust says otherwise.

use crate::harness::ledger::stored_clicks;
use crate::harness::{Api, Deployment, Gonggu, Visitor, shared};
use sqlx::Row;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

async fn stored_address(database: &mut PgConnection, click: Uuid) -> String {
    sqlx::query("SELECT ip_address FROM click_trackings WHERE id = $1")
        .bind(click)
        .fetch_one(database)
        .await
        .unwrap()
        .get(0)
}

/// Clicks with each `X-Forwarded-For`, and what was stored for it.
async fn stored_for(deployment: &Deployment, admin: &Api, gonggu: Gonggu, forwarded: &[&str]) -> Vec<String> {
    let mut ids = Vec::new();
    for value in forwarded {
        ids.push(Visitor::at(value).go(admin, gonggu).await.redirected());
    }
    admin.settled(gonggu, forwarded.len() as u64).await;
    let mut database = deployment.database().await;
    assert_eq!(stored_clicks(&mut database, &[gonggu]).await.len(), forwarded.len());
    let mut stored = Vec::new();
    for id in ids {
        stored.push(stored_address(&mut database, id).await);
    }
    stored
}

#[tokio::test]
async fn without_trusted_proxies_a_forwarded_address_is_a_forgery() {
    let mut deployment = Deployment::new();
    deployment.unset("TRUSTED_PROXIES").start().await;
    let admin = Api::new(&deployment).admin().await;
    let gonggu = admin.open_gonggu().await;
    let forged = ["203.0.113.7", "203.0.113.8, 127.0.0.1", "::1", "nonsense"];
    let stored = stored_for(&deployment, &admin, gonggu, &forged).await;
    assert!(stored.iter().all(|address| address == "127.0.0.1"), "{stored:?}");
    // and so they are one visitor, however they name themselves
    assert_eq!(admin.stats(gonggu).await.totals.verdicts(), (1, 3, 0, 0));
    deployment.stop().await;
}

#[tokio::test]
async fn hops_are_counted_from_the_right() {
    let mut deployment = Deployment::new();
    deployment.set("TRUSTED_PROXIES", "127.0.0.1/32,10.0.0.0/8").start().await;
    let admin = Api::new(&deployment).admin().await;
    let gonggu = admin.open_gonggu().await;
    let cases = [
        ("203.0.113.7", "203.0.113.7"),
        // what a client says about itself stands left of what the proxy saw
        ("6.6.6.6, 203.0.113.8", "203.0.113.8"),
        // trusted hops are skipped
        ("6.6.6.6, 203.0.113.9, 10.1.2.3, 127.0.0.1", "203.0.113.9"),
        // a hop that is no address ends the chain of trust
        ("6.6.6.6, nonsense, 10.1.2.3", "10.1.2.3"),
        ("nonsense", "127.0.0.1"),
        ("", "127.0.0.1"),
    ];
    let forwarded: Vec<&str> = cases.iter().map(|(value, _)| *value).collect();
    let stored = stored_for(&deployment, &admin, gonggu, &forwarded).await;
    let expected: Vec<&str> = cases.iter().map(|(_, address)| *address).collect();
    assert_eq!(stored, expected);
    deployment.stop().await;
}

#[tokio::test]
async fn one_household_is_one_address() {
    let shared = shared().await;
    let admin = shared.admin();
    // one /64
    let gonggu = admin.open_gonggu().await;
    for address in ["2001:db8:1:2::1", "2001:db8:1:2:ffff::9"] {
        Visitor::at(address).go(&admin, gonggu).await.redirected();
    }
    assert_eq!(admin.settled(gonggu, 2).await.totals.verdicts(), (1, 1, 0, 0));
    Visitor::at("2001:db8:1:3::1").go(&admin, gonggu).await.redirected();
    assert_eq!(admin.settled(gonggu, 3).await.totals.verdicts(), (2, 1, 0, 0));
    // IPv4 in IPv6 is IPv4
    let gonggu = admin.open_gonggu().await;
    for address in ["203.0.113.40", "::ffff:203.0.113.40", "::ffff:cb00:7128"] {
        Visitor::at(address).go(&admin, gonggu).await.redirected();
    }
    assert_eq!(admin.settled(gonggu, 3).await.totals.verdicts(), (1, 2, 0, 0));
}
