//! What each click is judged to be, by what its request says.

use crate::harness::database::{Role, make_account};
use crate::harness::deployment::OUR_ORIGIN;
use crate::harness::{
    Api, BOTS, CHROME, Deployment, IN_APP_BROWSERS, SAFARI_PHONE, Visitor, browser, shared,
};
use reqwest::StatusCode;

#[tokio::test]
async fn prefetches_are_invalid() {
    let admin = shared().await.admin();
    let gonggu = admin.open_gonggu().await;
    let headers = [
        ("Sec-Purpose", "prefetch"),
        ("Sec-Purpose", "prefetch;prerender"),
        ("Purpose", "prefetch"),
        ("X-Purpose", "preview"),
        ("X-Moz", "prefetch"),
    ];
    for (name, value) in headers {
        Visitor::new().header(name, value).go(&admin, gonggu).await.redirected();
    }
    let stats = admin.settled(gonggu, 5).await;
    assert_eq!(stats.totals.verdicts(), (0, 0, 5, 0), "{:?}", stats.invalid_reasons);
    assert_eq!(stats.reason("prefetch"), 5);
    assert_eq!(stats.totals.unique_visitors, 0);
}

#[tokio::test]
async fn bots_are_invalid_and_in_app_browsers_are_people() {
    let admin = shared().await.admin();
    let gonggu = admin.open_gonggu().await;
    for (_, agent) in BOTS {
        Visitor::new().agent(agent).go(&admin, gonggu).await.redirected();
    }
    Visitor::new().no_agent().go(&admin, gonggu).await.redirected();
    for (_, agent) in IN_APP_BROWSERS {
        Visitor::new().agent(agent).go(&admin, gonggu).await.redirected();
    }
    let stats = admin.settled(gonggu, 10).await;
    let lines = admin.evidence(gonggu).await;
    for (name, agent) in BOTS {
        let line = lines.iter().find(|line| line.user_agent == agent).unwrap();
        assert_eq!((line.verdict.as_str(), line.reason.as_str()), ("invalid", "bot"), "{name}");
    }
    for (name, agent) in IN_APP_BROWSERS {
        let line = lines.iter().find(|line| line.user_agent == agent).unwrap();
        assert_eq!(line.verdict, "billable", "{name}");
    }
    assert_eq!((stats.totals.billable, stats.reason("bot")), (4, 6));
    assert_eq!(stats.device("mobile"), 4, "{:?}", stats.devices);
}

#[tokio::test]
async fn what_somebody_elses_page_loads_is_invalid() {
    let admin = shared().await.admin();
    let gonggu = admin.open_gonggu().await;
    for (name, value) in [
        ("Sec-Fetch-Dest", "image"),
        ("Sec-Fetch-Dest", "iframe"),
        ("Sec-Fetch-Mode", "no-cors"),
        ("Sec-Fetch-Mode", "cors"),
    ] {
        Visitor::new().header(name, value).go(&admin, gonggu).await.redirected();
    }
    let foreign = Visitor::new().header("Origin", "https://evil.example").post(&admin, gonggu).await;
    assert_eq!(foreign.status, StatusCode::CREATED);
    // a person who follows a link, and our own page
    let person = Visitor::new()
        .header("Sec-Fetch-Dest", "document")
        .header("Sec-Fetch-Mode", "navigate")
        .header("Sec-Fetch-Site", "cross-site")
        .header("Sec-Fetch-User", "?1");
    person.go(&admin, gonggu).await.redirected();
    let ours = Visitor::new()
        .header("Origin", OUR_ORIGIN)
        .header("Sec-Fetch-Mode", "cors")
        .post(&admin, gonggu)
        .await;
    assert_eq!(ours.status, StatusCode::CREATED);
    let stats = admin.settled(gonggu, 7).await;
    assert_eq!(stats.totals.verdicts(), (2, 0, 5, 0), "{:?}", stats.invalid_reasons);
    assert_eq!(stats.reason("embedded"), 5);
}

#[tokio::test]
async fn reasons_are_tried_in_their_order() {
    let admin = shared().await.admin();
    let gonggu = admin.gonggu(&crate::harness::GongguSpec::not_open()).await;
    let all =
        Visitor::new().agent("curl/8.9.1").header("Purpose", "prefetch").header("Sec-Fetch-Dest", "image");
    all.head(&admin, gonggu).await;
    all.go(&admin, gonggu).await;
    Visitor::new().agent("curl/8.9.1").header("Sec-Fetch-Dest", "image").go(&admin, gonggu).await;
    Visitor::new().header("Sec-Fetch-Dest", "image").go(&admin, gonggu).await;
    Visitor::new().go(&admin, gonggu).await;
    let stats = admin.settled(gonggu, 5).await;
    for reason in ["head", "prefetch", "bot", "embedded", "not_active"] {
        assert_eq!(stats.reason(reason), 1, "{reason}: {:?}", stats.invalid_reasons);
    }
    assert_eq!(stats.reason("fraud"), 0);
}

#[tokio::test]
async fn one_visitor_counts_once_in_the_window() {
    let admin = shared().await.admin();
    let gonggu = admin.open_gonggu().await;
    let other = admin.open_gonggu().await;
    let visitor = Visitor::new();
    for _ in 0..3 {
        visitor.go(&admin, gonggu).await.redirected();
    }
    visitor.post(&admin, gonggu).await;
    // another browser at the same address is another visitor; another gonggu is another count
    visitor.clone().agent(SAFARI_PHONE).go(&admin, gonggu).await.redirected();
    visitor.go(&admin, other).await.redirected();
    let stats = admin.settled(gonggu, 5).await;
    assert_eq!(stats.totals.verdicts(), (2, 3, 0, 0));
    assert_eq!(stats.totals.unique_visitors, 2);
    assert_eq!(admin.settled(other, 1).await.totals.billable, 1);
}

#[tokio::test]
async fn invalid_clicks_leave_no_mark() {
    let admin = shared().await.admin();
    let gonggu = admin.open_gonggu().await;
    let visitor = Visitor::new();
    visitor.head(&admin, gonggu).await;
    visitor.clone().header("Purpose", "prefetch").go(&admin, gonggu).await.redirected();
    visitor.go(&admin, gonggu).await.redirected();
    assert_eq!(admin.settled(gonggu, 3).await.totals.verdicts(), (1, 0, 2, 0));
}

#[tokio::test]
async fn signed_in_and_signed_out_are_one_person_in_both_directions() {
    let shared = shared().await;
    let admin = shared.admin();
    let mut database = shared.deployment.database().await;
    let (_, email) = make_account(&mut database, Role::Buyer).await;
    let (_, other_email) = make_account(&mut database, Role::Buyer).await;
    let token = shared.anyone().signed_in(&email).await.token().to_owned();
    let other_token = shared.anyone().signed_in(&other_email).await.token().to_owned();

    // signed in first, then signed out in the same browser
    let gonggu = admin.open_gonggu().await;
    let visitor = Visitor::new();
    assert_eq!(visitor.clone().token(&token).post(&admin, gonggu).await.status, StatusCode::CREATED);
    visitor.go(&admin, gonggu).await.redirected();
    assert_eq!(admin.settled(gonggu, 2).await.totals.verdicts(), (1, 1, 0, 0));

    // signed out first: one member takes the mark, the next one counts for itself
    let gonggu = admin.open_gonggu().await;
    let visitor = Visitor::new();
    visitor.go(&admin, gonggu).await.redirected();
    visitor.clone().token(&token).post(&admin, gonggu).await;
    visitor.clone().token(&other_token).post(&admin, gonggu).await;
    // and the first member is known at another address now
    Visitor::new().token(&token).go(&admin, gonggu).await.redirected();
    assert_eq!(admin.settled(gonggu, 4).await.totals.verdicts(), (2, 2, 0, 0));

    // the cookie identifies on /go; a bad token is the same as none
    let gonggu = admin.open_gonggu().await;
    let cookie = format!("access_token={token}");
    Visitor::new().header("Cookie", &cookie).go(&admin, gonggu).await.redirected();
    Visitor::new().token(&token).go(&admin, gonggu).await.redirected();
    Visitor::new().token("not.a.token").go(&admin, gonggu).await.redirected();
    Visitor::new().header("Cookie", "access_token=nonsense").go(&admin, gonggu).await.redirected();
    assert_eq!(admin.settled(gonggu, 4).await.totals.verdicts(), (3, 1, 0, 0));
}

#[tokio::test]
async fn many_from_one_address_are_held() {
    let shared = shared().await;
    let admin = shared.admin();
    let gonggu = admin.open_gonggu().await;
    let address = Visitor::new().address().to_owned();
    for number in 0..70 {
        Visitor::at(&address).agent(&browser(number)).go(&admin, gonggu).await.redirected();
    }
    Visitor::new().go(&admin, gonggu).await.redirected();
    let stats = admin.settled(gonggu, 71).await;
    // the sixtieth reaches the limit and is held; another address is not concerned
    assert_eq!(stats.totals.verdicts(), (60, 0, 0, 11));
    let mut database = shared.deployment.database().await;
    let flag: (i64, String) =
        sqlx::query_as("SELECT clicks, address_masked FROM click_flags WHERE gonggu_id = $1")
            .bind(gonggu.0)
            .fetch_one(&mut database)
            .await
            .unwrap();
    let network = address.rsplit_once('.').unwrap().0;
    assert_eq!(flag, (11, format!("{network}.*")));
}

#[tokio::test]
async fn members_behind_one_address_are_not_held() {
    let mut deployment = Deployment::new();
    deployment.set("FRAUD_IP_LIMIT", "3").set("FRAUD_IP_MEMBER_LIMIT", "6").start().await;
    let admin = Api::new(&deployment).admin().await;
    let gonggu = admin.open_gonggu().await;
    let mut database = deployment.database().await;
    let address = Visitor::new().address().to_owned();
    for _ in 0..7 {
        let (_, email) = make_account(&mut database, Role::Buyer).await;
        let token = admin.signed_in(&email).await.token().to_owned();
        Visitor::at(&address).agent(CHROME).token(&token).go(&admin, gonggu).await.redirected();
    }
    // the sixth and seventh member reach the members' own limit
    assert_eq!(admin.settled(gonggu, 7).await.totals.verdicts(), (5, 0, 0, 2));
    deployment.stop().await;
}
