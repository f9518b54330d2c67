#![allow(clippy::unwrap_used, clippy::expect_used)]
//! The edge against a sink whose disk the test holds in its hand; PostgreSQL is never reached.

use super::*;
use crate::auth::tokens::TokenSubject;
use crate::test_support::{FakeSink, OPEN_ID, app, tokens};
use crate::users::types::UserRole;
use futures::FutureExt;
use gonggumoa_core::click::OriginKind;
use gonggumoa_core::ids::UserId;
use gonggumoa_core::visitor::Member;
use http::HeaderMap;

fn headers(given: &[(&'static str, &[u8])]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        headers.append(*name, HeaderValue::from_bytes(value).unwrap());
    }
    headers
}

async fn get(app: &App, sink: &FakeSink, id: &str, given: &[(&'static str, &[u8])]) -> Response {
    let headers = headers(given);
    let facts = HeaderFacts::read(&headers);
    let aside = Handle::current();
    let address = app.proxies.client_by("10.0.0.1".parse().unwrap(), &headers);
    let mut answer = Box::pin(go(app, &aside, id, ClickMethod::Get, &facts, address));
    let at_once = answer.as_mut().now_or_never();
    sink.settle(&Ok(()));
    match at_once {
        Some(response) => response,
        None => answer.await,
    }
}

#[tokio::test]
async fn no_answer_before_the_disk_has_it() {
    let (app, sink) = app(None);
    let facts = HeaderFacts::default();
    let peer = "203.0.113.1".parse().unwrap();
    let aside = Handle::current();
    let mut answer = Box::pin(go(&app, &aside, OPEN_ID, ClickMethod::Get, &facts, peer));
    assert!(answer.as_mut().now_or_never().is_none(), "answered before it was durable");
    assert_eq!(sink.seen.lock().len(), 1);
    assert!(answer.as_mut().now_or_never().is_none());
    sink.settle(&Ok(()));
    let response = answer.await;
    assert_eq!(response.status(), 302);
    assert_eq!(
        response.headers()[header::LOCATION],
        format!("https://shop.kr/p?a=1&utm_source=gonggumoa&utm_campaign={OPEN_ID}#top")
    );
    assert_eq!(response.headers()[CLICK_ID], Uuid::from_u128(7).to_string());
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
}

#[tokio::test]
async fn what_was_not_recorded_is_redirected_without_an_id() {
    let (app, sink) = app(None);
    let facts = HeaderFacts::default();
    let peer = "203.0.113.1".parse().unwrap();
    let aside = Handle::current();
    let mut answer = Box::pin(go(&app, &aside, OPEN_ID, ClickMethod::Get, &facts, peer));
    assert!(answer.as_mut().now_or_never().is_none());
    sink.settle(&Err(AppendError::Poisoned("test".to_owned())));
    let failed = answer.await;
    *sink.refuses.lock() = true;
    let refused = go(&app, &Handle::current(), OPEN_ID, ClickMethod::Get, &facts, peer).await;
    for response in [failed, refused] {
        assert_eq!(response.status(), 302);
        assert!(response.headers().contains_key(header::LOCATION));
        assert!(!response.headers().contains_key(CLICK_ID));
    }
}

#[tokio::test]
async fn not_open_is_recorded_and_goes_to_the_page_or_409() {
    let (with_page, sink) = app(Some("https://gonggumoa.kr/"));
    *sink.clicked_at.lock() = UnixMillis(20);
    let response = get(&with_page, &sink, OPEN_ID, &[]).await;
    assert_eq!(response.status(), 302);
    assert_eq!(response.headers()[header::LOCATION], format!("https://gonggumoa.kr/gonggus/{OPEN_ID}"));
    assert!(response.headers().contains_key(CLICK_ID));
    let (without, sink) = app(None);
    *sink.clicked_at.lock() = UnixMillis(9);
    let response = get(&without, &sink, OPEN_ID, &[]).await;
    assert_eq!(response.status(), 409);
    assert!(response.headers().contains_key(CLICK_ID));
    assert_eq!(sink.seen.lock().len(), 1);
}

#[tokio::test]
async fn unknown_and_malformed_ids_are_not_recorded() {
    let (app, sink) = app(None);
    let huge = "a".repeat(8_000);
    for id in ["", "x", &huge, "00000000000000000000000000000001", "..%2f", "%00"] {
        assert_eq!(get(&app, &sink, id, &[]).await.status(), 404, "{id}");
    }
    // the database is down and the table may be behind: nobody can tell
    let unknown = Uuid::from_u128(99).to_string();
    let response = get(&app, &sink, &unknown, &[]).await;
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key(header::RETRY_AFTER));
    app.links.be_synced_for_tests();
    assert_eq!(get(&app, &sink, &unknown, &[]).await.status(), 404);
    assert!(sink.seen.lock().is_empty());
}

#[tokio::test]
async fn facts_are_taken_down_as_they_came() {
    let (app, sink) = app(None);
    let long = vec![b'a'; 16 * 1024];
    let given: &[(&'static str, &[u8])] = &[
        ("user-agent", b"Bot\xff\xfe\xed\x95\x9c"),
        ("referer", &long),
        ("purpose", b"prefetch"),
        ("sec-purpose", b"prefetch;prerender"),
        ("sec-fetch-dest", b"image"),
        ("x-forwarded-for", b"6.6.6.6, 198.51.100.7"),
        ("origin", b"https://evil.kr"),
    ];
    assert_eq!(get(&app, &sink, OPEN_ID, given).await.status(), 302);
    let seen = sink.seen.lock()[0].clone();
    assert_eq!(seen.user_agent, "Bot\u{fffd}\u{fffd}한");
    assert!(seen.referer.starts_with("aaaa") && seen.referer.len() >= 1_000);
    assert_eq!(seen.purpose, "prefetch, prefetch;prerender");
    assert_eq!(seen.fetch_dest, "image");
    assert_eq!(seen.address.to_string(), "198.51.100.7");
    assert_eq!((seen.origin, seen.method), (OriginKind::Foreign, ClickMethod::Get));
    assert!(seen.member.is_none());
}

#[tokio::test]
async fn tokens_identify_and_bad_ones_are_none() {
    let (app, sink) = app(None);
    let id = UserId(Uuid::from_u128(5));
    let subject = TokenSubject {
        id,
        role: UserRole::Buyer,
        token_version: 0,
        created_at: UnixMillis(3),
        session_id: id.0,
    };
    let good = tokens().issue(&subject, UnixMillis(chrono::Utc::now().timestamp_millis())).unwrap();
    let bearer = format!("Bearer {good}").into_bytes();
    let cookie = format!("theme=dark; access_token={good}; x=y").into_bytes();
    for (given, known) in [
        (vec![("authorization", &bearer[..])], true),
        (vec![("cookie", &cookie[..])], true),
        (vec![("authorization", &b"Bearer nonsense"[..]), ("cookie", &cookie[..])], true),
        (vec![("authorization", &b"Bearer nonsense"[..])], false),
        (vec![("cookie", &b"access_token=nonsense"[..])], false),
        (vec![("cookie", &b"xaccess_token=a; access_tokens=b"[..])], false),
    ] {
        assert_eq!(get(&app, &sink, OPEN_ID, &given).await.status(), 302);
        let member = sink.seen.lock().last().unwrap().member;
        let expected = known.then_some(Member { id, created_at: UnixMillis(3) });
        assert_eq!(member, expected);
    }
    // on POST the cookie counts from our own pages only
    for (origin, known) in [("https://gonggumoa.kr", true), ("https://evil.kr", false), ("null", false)] {
        let headers = headers(&[("cookie", &cookie), ("origin", origin.as_bytes())]);
        let request = EdgeRequest {
            gonggu_id: GongguId(Uuid::from_u128(1)),
            endpoint: Endpoint::Post,
            method: ClickMethod::Post,
            facts: &HeaderFacts::read(&headers),
            address: "203.0.113.1".parse().unwrap(),
        };
        let aside = Handle::current();
        let mut taking = Box::pin(take(&app, &aside, request));
        assert!(taking.as_mut().now_or_never().is_none());
        sink.settle(&Ok(()));
        taking.await.unwrap();
        assert_eq!(sink.seen.lock().last().unwrap().member.is_some(), known, "{origin}");
    }
}

#[test]
fn paths() {
    assert_eq!(go_path("/go/abc"), Some("abc"));
    assert_eq!(go_path("/api/v1/go/abc"), Some("abc"));
    for other in ["/go", "/go/a/b", "/gogo/a", "/api/v1/gonggus", "/x/go/a"] {
        assert_eq!(go_path(other), None, "{other}");
    }
}
