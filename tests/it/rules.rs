//! Windows and rules versions across restarts.

use crate::harness::ledger::stored_clicks;
use crate::harness::{Api, Deployment, Load, LoadPlan, Visitor};
use std::collections::BTreeSet;

/// One browser clicks as fast as it can through several windows of a second and a kill -9. Told from
/// the stored rows alone: a click counts exactly when the last counted one is a whole window away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_window_is_exact_to_the_millisecond_across_a_restart() {
    let window_millis = 1_000;
    let mut deployment = Deployment::new();
    deployment
        .set("DEDUP_WINDOW_SECONDS", "1")
        .set("FRAUD_IP_LIMIT", "1000000")
        .set("FRAUD_IP_MEMBER_LIMIT", "1000000");
    deployment.start().await;
    let admin = Api::new(&deployment).admin().await;
    let gonggu = admin.open_gonggu().await;
    let plan = LoadPlan { connections: 2, visitors: 1, ..LoadPlan::new(deployment.address(), &[gonggu]) };
    let load = Load::start(&plan);
    windows_passed(&admin, gonggu, 3).await;
    deployment.kill();
    deployment.start().await;
    windows_passed(&admin, gonggu, 6).await;
    let tally = load.stop().await;

    let given = tally.given();
    let rows = crate::harness::ledger::balance(
        &deployment,
        &admin,
        &[gonggu],
        &given,
        tally.sent.load(std::sync::atomic::Ordering::Relaxed),
    )
    .await;
    let evidence = admin.evidence(gonggu).await;
    let verdict = |id| evidence.iter().find(|line| line.click_id == id).unwrap();
    let mut counted_at: Vec<(String, i64)> = Vec::new();
    for row in &rows {
        let line = verdict(row.id);
        if line.verdict == "invalid" {
            continue;
        }
        let last = counted_at.iter_mut().find(|(agent, _)| *agent == line.user_agent);
        let expected = match &last {
            Some((_, at)) if row.judged_at_millis - *at < window_millis => "duplicate",
            _ => "billable",
        };
        assert_eq!(line.verdict, expected, "{row:?}");
        match (expected, last) {
            ("billable", Some((_, at))) => *at = row.judged_at_millis,
            ("billable", None) => counted_at.push((line.user_agent.clone(), row.judged_at_millis)),
            _ => {}
        }
    }
    deployment.stop().await;
}

async fn windows_passed(admin: &Api, gonggu: crate::harness::Gonggu, billable: u64) {
    crate::harness::eventually("the visitor counts again", crate::harness::LONG, async || {
        let counted = admin.stats(gonggu).await.totals.billable;
        if counted >= billable { Ok(()) } else { Err(format!("{counted} of {billable}")) }
    })
    .await;
}

#[tokio::test]
async fn changed_rules_judge_what_comes_after_and_nothing_before() {
    let mut deployment = Deployment::new();
    deployment.start().await;
    let admin = Api::new(&deployment).admin().await;
    let gonggu = admin.open_gonggu().await;
    let visitor = Visitor::new();
    let mut versions = Vec::new();
    // the same settings are the same version, however often we start
    for seconds in ["300", "300", "200", "300"] {
        deployment.stop().await;
        deployment.set("DEDUP_WINDOW_SECONDS", seconds).start().await;
        let admin = Api::new(&deployment).admin().await;
        visitor.go(&admin, gonggu).await.redirected();
        admin.settled(gonggu, versions.len() as u64 + 1).await;
        let mut database = deployment.database().await;
        versions =
            stored_clicks(&mut database, &[gonggu]).await.iter().map(|row| row.rules_version).collect();
    }
    assert_eq!(versions[0], versions[1], "nothing changed: {versions:?}");
    assert!(versions[2] > versions[1], "a changed setting makes the next number: {versions:?}");
    // what the third kind of start is called is the product's choice: the old number or a new one
    assert_ne!(versions[3], versions[2]);
    let evidence: BTreeSet<u32> =
        admin.evidence(gonggu).await.iter().map(|line| line.rules_version).collect();
    assert!(evidence.len() >= 2, "{evidence:?}");
    // the mark of the first click lasts for the window of the version that judged it
    assert_eq!(admin.stats(gonggu).await.totals.verdicts(), (1, 3, 0, 0));
    deployment.stop().await;
}

/// A mark lasts for the window of the version that made it, not of the one that finds it.
#[tokio::test]
async fn a_shorter_window_does_not_shorten_marks_already_made() {
    let mut deployment = Deployment::new();
    deployment.start().await;
    let admin = Api::new(&deployment).admin().await;
    let gonggu = admin.open_gonggu().await;
    let visitor = Visitor::new();
    visitor.go(&admin, gonggu).await.redirected();
    let first = admin.settled(gonggu, 1).await;
    assert_eq!(first.totals.billable, 1);
    deployment.stop().await;
    deployment.set("DEDUP_WINDOW_SECONDS", "1").start().await;
    // a second later, by the clock that stamps clicks
    let made = admin.evidence(gonggu).await[0].clicked_at;
    crate::harness::eventually("the new window would be over", crate::harness::SHORT, async || {
        let age = chrono::Utc::now() - made;
        if age.num_milliseconds() > 1_200 { Ok(()) } else { Err(format!("{age}")) }
    })
    .await;
    visitor.go(&admin, gonggu).await.redirected();
    assert_eq!(admin.settled(gonggu, 2).await.totals.verdicts(), (1, 1, 0, 0));
    deployment.stop().await;
}
