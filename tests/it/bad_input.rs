//! Input that nobody should send: a clear answer to each, and nothing else happens.

use crate::harness::api::assert_error;
use crate::harness::database::number;
use crate::harness::process::resident_bytes;
use crate::harness::wire::{Connection, Reply};
use crate::harness::{Api, CHROME, Deployment, Gonggu, Visitor, shared};
use reqwest::{Method, StatusCode};
use serde_json::json;
use sqlx::Row;
use std::net::SocketAddr;
use std::time::Duration;
use uuid::Uuid;

#[tokio::test]
async fn malformed_and_huge_ids_are_not_found() {
    let admin = shared().await.admin();
    let visitor = Visitor::new();
    let huge = "9".repeat(6_000);
    let ids = [
        "x",
        "0",
        "-1",
        "null",
        "00000000-0000-0000-0000-000000000000",
        "0192f0c1-2c4e-7d3a-9b1f-3f1c2d4e5f6",
        &huge,
        "%00",
        "%ff%fe",
        "..%2f..%2fetc%2fpasswd",
        "'%20OR%201=1--",
        "%EA%B3%B5%EA%B5%AC",
    ];
    for id in ids {
        let answer = visitor.ask(&admin, Method::GET, &format!("/go/{id}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{id}: {}", answer.body);
        assert_error(&answer.body, "GONGGU_NOT_FOUND");
        assert!(answer.click_id().is_none());
    }
}

/// A body, what it claims to be, and what it is answered.
fn bodies(gonggu: Gonggu) -> Vec<(&'static str, String, u16, Option<&'static str>)> {
    let good = json!({"gonggu_id": gonggu.0}).to_string();
    vec![
        ("application/json", "not json".into(), 400, None),
        ("application/json", String::new(), 400, None),
        ("application/json", good[..good.len() - 1].to_owned(), 400, None),
        ("application/json", format!("{good}{good}"), 400, None),
        ("application/json", format!("{{\"gonggu_id\":\"{gonggu}\",\"gonggu_id\":\"{gonggu}\"}}"), 400, None),
        ("application/json", "[".repeat(10_000), 400, None),
        ("application/json", "{}".into(), 422, Some("VALIDATION_ERROR")),
        ("application/json", json!({"gonggu_id": 7}).to_string(), 422, Some("VALIDATION_ERROR")),
        ("application/json", json!([gonggu.0]).to_string(), 422, Some("VALIDATION_ERROR")),
        ("application/json", json!({"gonggu_id": Uuid::now_v7()}).to_string(), 404, Some("GONGGU_NOT_FOUND")),
        ("text/plain", good.clone(), 415, None),
        ("application/x-www-form-urlencoded", format!("gonggu_id={gonggu}"), 415, None),
        ("", good.clone(), 415, None),
        ("application/json; charset=utf-8", good.clone(), 201, None),
        (
            "application/json",
            json!({"gonggu_id": gonggu.0, "price": 1, "등급": "vip"}).to_string(),
            201,
            None,
        ),
    ]
}

#[tokio::test]
async fn each_bad_body_has_its_answer() {
    let shared = shared().await;
    let admin = shared.admin();
    let gonggu = admin.open_gonggu().await;
    let anyone = shared.anyone();
    for (kind, body, status, code) in bodies(gonggu) {
        let mut request = anyone
            .request(Method::POST, "/api/v1/tracking/click")
            .header("User-Agent", CHROME)
            .header("X-Forwarded-For", Visitor::new().address())
            .body(body.clone());
        if !kind.is_empty() {
            request = request.header("Content-Type", kind);
        }
        let shown = &body[..body.len().min(80)];
        let (found, answer) = crate::harness::api::answer(request).await;
        assert_eq!(found, status, "{kind} {shown}: {answer}");
        if status >= 400 {
            assert_error(&answer, code.unwrap_or_else(|| answer["code"].as_str().unwrap_or("none")));
        }
    }
    // only the two good ones were clicks
    assert_eq!(admin.settled(gonggu, 2).await.totals.verdicts(), (2, 0, 0, 0));
}

/// One request on a connection of its own.
async fn raw(address: SocketAddr, request: &[u8]) -> Reply {
    let mut connection = Connection::open(address).await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), connection.ask(request)).await.expect("an answer").unwrap()
}

#[tokio::test]
async fn bodies_that_are_too_large_are_refused_before_they_are_read() {
    let address = shared().await.deployment.address();
    let announced = b"POST /api/v1/tracking/click HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
        Content-Length: 50000000\r\n\r\n{\"gonggu_id\":\"";
    let reply = raw(address, announced).await;
    assert_eq!(reply.status, 413);
    assert!(reply.json()["detail"].is_string());
    // without saying so beforehand
    let mut chunked =
        b"POST /api/v1/tracking/click HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
        Transfer-Encoding: chunked\r\n\r\n"
            .to_vec();
    for _ in 0..64 {
        chunked.extend_from_slice(b"10000\r\n");
        chunked.resize(chunked.len() + 0x10000, b'"');
        chunked.extend_from_slice(b"\r\n");
    }
    let mut connection = Connection::open(address).await.unwrap();
    // the server may answer and close before it has read everything
    connection.send(&chunked).await.ok();
    if let Ok(reply) = connection.receive(false).await {
        assert_eq!(reply.status, 413);
    }
    assert_eq!(raw(address, b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n").await.status, 200);
}

#[tokio::test]
async fn long_headers_are_cut_and_counted() {
    let shared = shared().await;
    let admin = shared.admin();
    let gonggu = admin.open_gonggu().await;
    let agent = format!("{CHROME} {}", "가".repeat(5_000));
    let referer = format!("https://instagram.com/{}", "x".repeat(16_000));
    let request = format!(
        "GET /go/{gonggu} HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {}\r\nUser-Agent: {agent}\r\nReferer: {referer}\r\n\r\n",
        Visitor::new().address()
    );
    let reply = raw(shared.deployment.address(), request.as_bytes()).await;
    assert_eq!(reply.status, 302);
    let id = reply.click_id().unwrap();
    let stats = admin.settled(gonggu, 1).await;
    assert_eq!((stats.totals.billable, stats.referrer("instagram.com")), (1, 1));
    let mut database = shared.deployment.database().await;
    let row = sqlx::query("SELECT user_agent, referer FROM click_trackings WHERE id = $1")
        .bind(id)
        .fetch_one(&mut database)
        .await
        .unwrap();
    let (stored_agent, stored_referer): (String, String) = (row.get(0), row.get(1));
    assert_eq!(stored_agent, agent.chars().take(1_000).collect::<String>());
    assert_eq!(stored_referer, referer.chars().take(1_000).collect::<String>());
}

#[tokio::test]
async fn headers_that_are_no_text_are_counted_all_the_same() {
    let shared = shared().await;
    let admin = shared.admin();
    let gonggu = admin.open_gonggu().await;
    let mut request = format!("GET /go/{gonggu} HTTP/1.1\r\nHost: a\r\nUser-Agent: {CHROME} ").into_bytes();
    request.extend_from_slice(b"\xff\xfe\xc3\x28\r\nReferer: https://instagram.com/\xf0\x28\x8c\xbc\r\n");
    request.extend_from_slice(b"Cookie: access_token=\xff\xff\r\nAuthorization: Bearer \xfe\xfe\r\n");
    request.extend_from_slice(b"Origin: \xff\r\nSec-Fetch-Site: \xff\r\nX-Forwarded-For: \xff\xff\r\n\r\n");
    let reply = raw(shared.deployment.address(), &request).await;
    assert_eq!(reply.status, 302);
    let id = reply.click_id().unwrap();
    admin.settled(gonggu, 1).await;
    let line = &admin.evidence(gonggu).await[0];
    assert_eq!(line.click_id, id);
    assert!(line.user_agent.contains('\u{fffd}'), "{}", line.user_agent);
    assert_eq!(line.ip_address, "127.0.0.1");
}

#[tokio::test]
async fn what_is_not_http_ends_the_connection_and_nothing_else() {
    let address = shared().await.deployment.address();
    let nonsense: [&[u8]; 5] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET \xff\xff HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /api/v1/tracking/click HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
        b"GET /go/x HTTP/1.1\r\nno colon here\r\n\r\n",
    ];
    for bytes in nonsense {
        let mut connection = Connection::open(address).await.unwrap();
        let answer = tokio::time::timeout(Duration::from_secs(20), async {
            connection.send(bytes).await?;
            connection.receive(false).await
        });
        // answered with 400 (404 for a strange path), or closed
        if let Ok(reply) = answer.await.expect("neither answered nor closed") {
            assert!((400..500).contains(&reply.status), "{bytes:?}: {}", reply.status);
        }
    }
    let mut head = b"GET /health/live HTTP/1.1\r\nHost: a\r\n".to_vec();
    for number in 0..4_000 {
        head.extend_from_slice(format!("X-{number}: {}\r\n", "y".repeat(200)).as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    let mut connection = Connection::open(address).await.unwrap();
    connection.send(&head).await.ok();
    if let Ok(reply) = connection.receive(false).await {
        assert!(matches!(reply.status, 400 | 431), "{}", reply.status);
    }
    assert_eq!(raw(address, b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n").await.status, 200);
}

const COMMITS: &str =
    "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()";

/// Asks for this many different unknown ids over a few connections; all are answered 404.
async fn ask_for_unknown(address: SocketAddr, count: usize) {
    let workers = 8;
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..workers {
        asking.spawn(async move {
            let mut connection = Connection::open(address).await.unwrap();
            for _ in 0..count / workers {
                let id = Uuid::new_v4();
                let request = format!("GET /go/{id} HTTP/1.1\r\nHost: a\r\nUser-Agent: {CHROME}\r\n\r\n");
                let reply = connection.ask(request.as_bytes()).await.unwrap();
                assert_eq!(reply.status, 404, "{:?}", String::from_utf8_lossy(&reply.body));
                assert!(reply.header("x-click-id").is_none());
            }
        });
    }
    asking.join_all().await;
}

#[tokio::test]
async fn a_flood_of_unknown_ids_reaches_neither_memory_nor_database() {
    let mut deployment = Deployment::new();
    deployment.start().await;
    let admin = Api::new(&deployment).admin().await;
    let gonggu = admin.open_gonggu().await;
    let mut database = deployment.database().await;
    // what is remembered of unknown ids is bounded; let it fill before measuring
    ask_for_unknown(deployment.address(), 20_000).await;

    let (memory_before, commits_before) =
        (resident_bytes(deployment.pid()), number(&mut database, COMMITS).await);
    ask_for_unknown(deployment.address(), 100_000).await;
    let growth = resident_bytes(deployment.pid()).saturating_sub(memory_before);
    assert!(growth < 24 << 20, "memory grew by {growth} bytes");
    let commits = number(&mut database, COMMITS).await - commits_before;
    assert!(commits < 2_000, "{commits} transactions for ids that do not exist");

    // and the known ones, new ones too, are served as ever
    Visitor::new().go(&admin, gonggu).await.redirected();
    let fresh = admin.open_gonggu().await;
    Visitor::new().go(&admin, fresh).await.redirected();
    deployment.stop().await;
}

/// An id that was asked for before it existed is known as soon as it does.
#[tokio::test]
async fn an_id_remembered_as_unknown_is_found_once_it_exists() {
    let shared = shared().await;
    let admin = shared.admin();
    let gonggu = admin.open_gonggu().await;
    let mut database = shared.deployment.database().await;
    let hidden = Gonggu(Uuid::now_v7());
    let visitor = Visitor::new();
    assert_eq!(visitor.go(&admin, hidden).await.status, StatusCode::NOT_FOUND);
    sqlx::query(
        "INSERT INTO gonggus (id, influencer_id, title, original_price, gonggu_price, open_at, close_at, external_url)
         SELECT $1, influencer_id, title, original_price, gonggu_price, open_at, close_at, external_url
         FROM gonggus WHERE id = $2",
    )
    .bind(hidden.0)
    .bind(gonggu.0)
    .execute(&mut database)
    .await
    .unwrap();
    crate::harness::eventually("another process's gonggu is known", Duration::from_secs(5), async || {
        let status = visitor.go(&admin, hidden).await.status;
        if status == StatusCode::FOUND { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
}
