//! The promises in cluster form: several processes of ours on Kafka, a CQL store, Redis and PostgreSQL. The short
//! form, on the single servers that all tests share; `chaos` has the long one.

mod growing;
mod outages;
mod records;
mod refusals;

use crate::harness::books::{Proof, balance};
use crate::harness::{Api, Cluster, Gonggu, GongguSpec, Load, LoadPlan, Servers, Visitor};
use crate::live::Events;
use reqwest::StatusCode;
use std::sync::atomic::Ordering;
use uuid::Uuid;

/// Loads on several edges at once, as one.
pub(crate) struct Loads(Vec<Load>);

impl Loads {
    pub(crate) fn start(cluster: &Cluster, edges: &[&str], gonggus: &[Gonggu]) -> Self {
        let plan = |edge: &&str| LoadPlan {
            // slow enough that what is killed next still has something to do
            connections: 3,
            visitors: 300,
            ..LoadPlan::new(cluster.get(edge).address(), gonggus)
        };
        Self(edges.iter().map(|edge| Load::start(&plan(edge))).collect())
    }

    /// Until each edge gave this many ids more.
    pub(crate) async fn more_given(&self, count: usize) {
        for load in &self.0 {
            load.more_given(count).await;
        }
    }

    /// The ids given and the clicks made; every buyer was redirected as always.
    pub(crate) async fn stop(self) -> (Vec<(Uuid, Gonggu)>, u64) {
        let (mut given, mut sent) = (Vec::new(), 0);
        for load in self.0 {
            let tally = load.stop().await;
            assert!(tally.strange().is_empty(), "answers that no click should get: {:?}", tally.strange());
            assert_eq!(tally.unrecorded.load(Ordering::Relaxed), 0, "redirected without an id");
            given.extend(tally.given());
            sent += tally.sent.load(Ordering::Relaxed);
        }
        (given, sent)
    }
}

/// Some that are open and one that is not.
pub(crate) async fn some_gonggus(admin: &Api) -> Vec<Gonggu> {
    let mut gonggus = admin.open_gonggus(7).await;
    gonggus.push(admin.gonggu(&GongguSpec::not_open()).await);
    gonggus
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_are_killed_join_and_leave_lose_nothing_and_count_nothing_twice() {
    let Some(servers) = Servers::shared() else { return };
    let mut cluster = Cluster::new(servers).await;
    cluster.start(&["edge-1", "edge-2", "judge-1", "judge-2", "api-1"]).await;
    let admin = cluster.admin_at("api-1").await;
    each_serves_what_is_its_own(&cluster).await;
    let (mut given, watched) = live_figures_add_up(&cluster, &admin).await;
    let mut gonggus = some_gonggus(&admin).await;

    let edges = ["edge-1", "edge-2"];
    let load = Loads::start(&cluster, &edges, &gonggus);
    load.more_given(200).await;
    for victim in ["edge-1", "judge-1", "edge-2", "api-1", "judge-2"] {
        cluster.kill_and_restart(victim);
        load.more_given(150).await;
    }
    cluster.add("judge-3");
    cluster.get_mut("judge-3").ready().await;
    load.more_given(200).await;
    cluster.get_mut("judge-1").ready().await;
    cluster.remove("judge-1").stop().await;
    load.more_given(200).await;
    let (more, mut sent) = load.stop().await;
    sent += given.len() as u64;
    given.extend(more);
    gonggus.push(watched);
    cluster.all_ready().await;
    let stored = balance(&mut cluster, "api-1", &gonggus, &given, sent).await;
    cluster.stop_all("judge").await;
    let proof = Proof::of(&cluster).await;
    proof.holds(stored.len()).await;
    proof.finds_one_too_many(&cluster, watched).await;
}

/// Clicks through both edges; a stream of live figures, opened before them at a process that neither took nor
/// judged them, shows them all.
async fn live_figures_add_up(cluster: &Cluster, admin: &Api) -> (Vec<(Uuid, Gonggu)>, Gonggu) {
    let gonggu = admin.open_gonggu().await;
    let mut events = Events::of(admin, gonggu).await;
    let edges = ["edge-1", "edge-2"].map(|edge| Api::new(cluster.get(edge)));
    let mut given = Vec::new();
    let visitor = Visitor::new();
    for edge in edges.iter().cycle().take(8) {
        given.push((visitor.go(edge, gonggu).await.redirected(), gonggu));
        given.push((Visitor::new().go(edge, gonggu).await.redirected(), gonggu));
    }
    events.until(16).await;
    let stats = admin.settled(gonggu, 16).await;
    assert_eq!(stats.totals.verdicts(), (9, 7, 0, 0), "one visitor at two edges is one visitor");
    (given, gonggu)
}

async fn each_serves_what_is_its_own(cluster: &Cluster) {
    let gonggu = Gonggu(Uuid::now_v7());
    for (name, clicks, api) in [("edge-1", true, false), ("judge-1", false, false), ("api-1", false, true)] {
        let client = Api::new(cluster.get(name));
        for (path, is_served) in [
            (format!("/go/{gonggu}"), clicks),
            (format!("/api/v1/go/{gonggu}"), clicks),
            ("/api/v1/gonggus".to_owned(), api),
            ("/health/live".to_owned(), true),
            ("/health/ready".to_owned(), true),
        ] {
            let (status, body) = client.get(&path).await;
            // an unknown gonggu is 404 too, and says so
            let is_known = status != StatusCode::NOT_FOUND || body["code"] == "GONGGU_NOT_FOUND";
            assert_eq!(is_known, is_served, "{path} at {name}: {status} {body}");
        }
    }
}
