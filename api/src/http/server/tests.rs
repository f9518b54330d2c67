#![allow(clippy::unwrap_used, clippy::expect_used)]
//! The server over real sockets, in the words of HTTP itself.

use super::*;
use crate::http::openapi;
use crate::http::settings::HttpSettings;
use crate::test_support::{FakeSink, OPEN_ID, app_with};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

struct Running {
    address: std::net::SocketAddr,
    sink: Arc<FakeSink>,
    shutdown: CancellationToken,
    task: JoinHandle<io::Result<()>>,
}

async fn start() -> Running {
    start_with(|_| {}).await
}

async fn start_with(change: impl FnOnce(&mut HttpSettings)) -> Running {
    start_on(change, Router::new().route("/panics", axum::routing::get(panics))).await
}

async fn start_on(change: impl FnOnce(&mut HttpSettings), more: Router<App>) -> Running {
    let (app, sink) = app_with(change);
    *sink.at_once.lock() = true;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let router = openapi::router(&app, more);
    let deadline = Duration::from_secs(5);
    let task = tokio::spawn(serve(listener, app, router, shutdown.clone(), deadline));
    Running { address, sink, shutdown, task }
}

async fn panics() -> &'static str {
    let empty: Vec<u8> = Vec::new();
    assert!(!empty.is_empty(), "a secret of the inside");
    ""
}

/// Sends one request on a fresh connection and reads until the server closes it.
async fn exchange(running: &Running, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    tokio::time::timeout(Duration::from_secs(10), read).await.expect("no answer").ok();
    String::from_utf8_lossy(&answer).to_lowercase()
}

fn request(head: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("{head}\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

#[tokio::test]
async fn go_answers_at_both_places_and_to_head() {
    let running = start().await;
    for path in [format!("/go/{OPEN_ID}"), format!("/api/v1/go/{OPEN_ID}")] {
        for method in ["GET", "HEAD"] {
            let answer = exchange(&running, &request(&format!("{method} {path} HTTP/1.1"), "")).await;
            assert!(answer.starts_with("http/1.1 302"), "{answer}");
            for header in ["\r\nlocation: https://shop.kr/", "\r\nx-click-id: ", "\r\nx-request-id: "] {
                assert!(answer.contains(header), "{header} in {answer}");
            }
        }
        let answer = exchange(&running, &request(&format!("DELETE {path} HTTP/1.1"), "")).await;
        assert!(answer.starts_with("http/1.1 405") && answer.contains("method_not_allowed"), "{answer}");
    }
    assert_eq!(running.sink.seen.lock().len(), 4);
}

#[tokio::test]
async fn large_and_odd_headers_are_a_click() {
    let running = start().await;
    let long = "a".repeat(16 * 1024);
    let mut bytes = format!("GET /go/{OPEN_ID} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n").into_bytes();
    bytes.extend(format!("referer: {long}\r\nx-other: {long}\r\nuser-agent: {long}").into_bytes());
    bytes.extend(b"\xff\xfe\r\n\r\n");
    assert!(exchange(&running, &bytes).await.starts_with("http/1.1 302"));
    assert!(running.sink.seen.lock()[0].user_agent.starts_with("aaaa"));
}

#[tokio::test]
async fn every_error_has_the_same_shape() {
    let running = start().await;
    let json = "content-type: application/json";
    let click = "POST /api/v1/tracking/click HTTP/1.1";
    let huge = "x".repeat(300 * 1024);
    for (head, body, status, code) in [
        ("GET /nowhere HTTP/1.1".to_owned(), "", 404, "route_not_found"),
        ("PATCH /api/v1/categories HTTP/1.1".to_owned(), "", 405, "method_not_allowed"),
        (click.to_owned(), "{}", 415, "unsupported_media_type"),
        (format!("{click}\r\ncontent-type: text/plain"), "{}", 415, "unsupported_media_type"),
        (format!("{click}\r\n{json}"), "nonsense", 400, "malformed_request"),
        (format!("{click}\r\n{json}"), r#"{"gonggu_id":"x","gonggu_id":"y"}"#, 400, "duplicate_key"),
        (format!("{click}\r\n{json}"), r#"{"gonggu_id":"x"}"#, 422, "validation_error"),
        (format!("{click}\r\n{json}"), r#"{}"#, 422, "validation_error"),
        (format!("{click}\r\n{json}"), huge.as_str(), 413, "payload_too_large"),
        ("GET /api/v1/users/me HTTP/1.1".to_owned(), "", 401, "unauthorized"),
        ("GET /api/v1/gonggus?size=0 HTTP/1.1".to_owned(), "", 422, "validation_error"),
        ("GET /api/v1/gonggus?sort=x HTTP/1.1".to_owned(), "", 422, "validation_error"),
        ("GET /api/v1/categories HTTP/1.1".to_owned(), "", 503, "service_unavailable"),
        ("GET /panics HTTP/1.1".to_owned(), "", 500, "internal_error"),
    ] {
        let answer = exchange(&running, &request(&head, body)).await;
        assert!(answer.starts_with(&format!("http/1.1 {status}")), "{head}: {answer}");
        assert!(answer.contains(&format!(r#""code":"{code}""#)), "{head}: {answer}");
        assert!(answer.contains("\r\nx-request-id: "), "{head}: {answer}");
        assert!(!answer.contains("secret of the inside"));
    }
    assert!(running.sink.seen.lock().is_empty());
}

#[tokio::test]
async fn a_posted_click_is_recorded_and_leads_where_go_does() {
    let running = start().await;
    let head = "POST /api/v1/tracking/click HTTP/1.1\r\ncontent-type: application/json; charset=utf-8\r\n\
                origin: https://gonggumoa.kr";
    let body = format!(r#"{{"gonggu_id":"{OPEN_ID}","redirect_url":"https://evil.kr","user_id":1}}"#);
    let answer = exchange(&running, &request(head, &body)).await;
    assert!(answer.starts_with("http/1.1 201"), "{answer}");
    assert!(answer.contains(r#""redirect_url":"https://shop.kr/p?a=1&utm_source=gonggumoa"#), "{answer}");
    assert!(answer.contains("access-control-allow-origin: https://gonggumoa.kr"), "{answer}");
    *running.sink.refuses.lock() = true;
    let answer = exchange(&running, &request(head, &body)).await;
    assert!(answer.starts_with("http/1.1 503") && answer.contains("retry-after: 1"), "{answer}");
}

#[tokio::test]
async fn the_document_and_its_page_are_served() {
    let running = start().await;
    let answer = exchange(&running, &request("GET /api/v1/openapi.json HTTP/1.1", "")).await;
    assert!(answer.contains(r#""openapi":"3.1"#) && answer.contains("/api/v1/tracking/click"), "{answer}");
    let answer = exchange(&running, &request("GET /docs/ HTTP/1.1", "")).await;
    assert!(answer.starts_with("http/1.1 200") && answer.contains("swagger"), "{answer}");
}

#[tokio::test]
async fn shutdown_closes_kept_connections_and_ends() {
    let running = start().await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let keep = format!("GET /go/{OPEN_ID} HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(keep.as_bytes()).await.unwrap();
    let mut answer = vec![0u8; 4_096];
    assert!(stream.read(&mut answer).await.unwrap() > 0);
    // one more is under way when the stop comes
    *running.sink.at_once.lock() = false;
    stream.write_all(keep.as_bytes()).await.unwrap();
    while running.sink.seen.lock().len() < 2 {
        tokio::task::yield_now().await;
    }
    running.shutdown.cancel();
    tokio::task::yield_now().await;
    running.sink.settle(&Ok(()));
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    let rest = String::from_utf8_lossy(&rest).to_lowercase();
    assert!(rest.starts_with("http/1.1 302") && rest.contains("x-click-id"), "{rest}");
    tokio::time::timeout(Duration::from_secs(5), running.task).await.expect("did not end").unwrap().unwrap();
    assert!(TcpStream::connect(running.address).await.is_err(), "still accepts");
}

/// Reads one answer of a kept connection: its head, and as much body as it says.
async fn next_answer(stream: &mut TcpStream, head_only: bool) -> String {
    let mut answer = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&answer).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if head_only || body.len() >= length.parse().unwrap() {
                assert!(head_only || body.len() == length.parse::<usize>().unwrap(), "{text}");
                return text;
            }
        }
        let byte = tokio::time::timeout(Duration::from_secs(10), stream.read_u8()).await;
        answer.push(byte.expect("no answer").expect("closed"));
    }
}

#[tokio::test]
async fn redirects_and_everything_else_on_one_connection() {
    let running = start().await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let go = |method: &str, id: &str| format!("{method} /go/{id} HTTP/1.1\r\nHost: x\r\nReferer: r\r\n\r\n");
    let unknown = "00000000-0000-0000-0000-000000000002";
    // Two at once wait for each other.
    stream.write_all((go("GET", OPEN_ID) + &go("GET", OPEN_ID)).as_bytes()).await.unwrap();
    for _ in 0..2 {
        assert!(next_answer(&mut stream, false).await.starts_with("http/1.1 302 found\r\n"));
    }
    for (request, status) in [
        (go("HEAD", OPEN_ID), 302),
        (go("GET", unknown), 503),
        (go("GET", "nonsense"), 404),
        (go("GET", &OPEN_ID.replace('0', "%30")), 404),
        // From here on the library answers.
        ("GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 404),
        (go("GET", OPEN_ID), 302),
        ("GET /go/x y HTTP/1.1\r\n\r\n".to_owned(), 400),
    ] {
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = next_answer(&mut stream, request.starts_with("HEAD")).await;
        assert!(answer.starts_with(&format!("http/1.1 {status} ")), "{request}: {answer}");
    }
    let seen = running.sink.seen.lock();
    assert_eq!(seen.len(), 4);
    assert!(seen.iter().all(|click| click.referer == "r"));
}

#[tokio::test]
async fn a_head_in_pieces_and_bodies_are_the_librarys() {
    let running = start().await;
    let path = format!("/go/{OPEN_ID}");
    for (pieces, answers) in [
        (vec![format!("GET {path} HT"), "TP/1.1\r\nhost: x\r\n".to_owned(), "\r\n".to_owned()], 1),
        (vec![format!("GET {path} HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "a".repeat(8_000))], 1),
        (vec![format!("GET {path}?a=1 HTTP/1.1\r\nhost: x\r\n\r\n")], 1),
        // What looks like a second request is the first one's body.
        (
            vec![format!(
                "GET {path} HTTP/1.1\r\nContent-Length: 34\r\n\r\nGET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n"
            )],
            1,
        ),
        (
            vec![format!(
                "GET {path} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET {path} HTTP/1.1\r\n\r\n"
            )],
            2,
        ),
    ] {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        for piece in &pieces {
            stream.write_all(piece.as_bytes()).await.unwrap();
            tokio::task::yield_now().await;
        }
        for _ in 0..answers {
            let answer = next_answer(&mut stream, false).await;
            assert!(answer.starts_with("http/1.1 302"), "{pieces:?}: {answer}");
        }
        let more = tokio::time::timeout(Duration::from_millis(50), stream.read_u8()).await;
        assert!(!matches!(more, Ok(Ok(_))), "one answer too many: {pieces:?}");
    }
}

#[tokio::test]
async fn both_ways_give_the_same_answer() {
    let running = start().await;
    let mut heads = Vec::new();
    for more in ["Connection: Keep-Alive\r\n", "TE: trailers\r\n"] {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        let request = format!("GET /go/{OPEN_ID} HTTP/1.1\r\nHost: x\r\n{more}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = next_answer(&mut stream, false).await;
        let mut lines: Vec<String> = answer.lines().map(str::to_owned).collect();
        lines.retain(|line| !line.starts_with("x-request-id") && !line.starts_with("date"));
        lines.sort();
        assert!(answer.contains("\r\ndate: ") && answer.contains(" gmt\r\n"), "{answer}");
        heads.push(lines);
    }
    assert_eq!(heads[0], heads[1]);
}

/// Connects from another loopback address than the other tests, so that what it holds is counted alone.
async fn connect_from(address: [u8; 4], running: &Running) -> TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((address, 0).into()).unwrap();
    socket.connect(running.address).await.unwrap()
}

/// Whether a redirect comes back; `false`: the connection was closed.
async fn is_served(stream: &mut TcpStream) -> bool {
    let request = format!("GET /go/{OPEN_ID} HTTP/1.1\r\nHost: x\r\n\r\n");
    // a connection that was closed at once may refuse the bytes already
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = vec![0; 4_096];
    let read =
        tokio::time::timeout(Duration::from_secs(10), stream.read(&mut answer)).await.expect("no word");
    read.is_ok_and(|length| answer[..length].starts_with(b"HTTP/1.1 302"))
}

#[tokio::test]
async fn one_address_holds_so_many_connections_and_a_trusted_proxy_more() {
    let running = start_with(|settings| {
        settings.connections_per_address_max = 3;
        settings.trusted_proxies = vec!["127.0.0.9/32".parse().unwrap()];
    })
    .await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = connect_from([127, 0, 0, 2], &running).await;
        assert!(is_served(&mut stream).await);
        held.push(stream);
    }
    assert!(!is_served(&mut connect_from([127, 0, 0, 2], &running).await).await, "the fourth is closed");
    assert!(is_served(&mut connect_from([127, 0, 0, 3], &running).await).await, "others are served");
    for _ in 0..9 {
        let mut stream = connect_from([127, 0, 0, 9], &running).await;
        assert!(is_served(&mut stream).await, "many stand behind a proxy");
        held.push(stream);
    }
    drop(held.remove(0));
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while !is_served(&mut connect_from([127, 0, 0, 2], &running).await).await {
        assert!(std::time::Instant::now() < deadline, "the place that was left is not given again");
    }
}

/// A body without end; says by its drop that nobody sends it any more.
fn endless(ended: Arc<tokio::sync::Semaphore>) -> Router<App> {
    struct Tell(Arc<tokio::sync::Semaphore>);
    impl Drop for Tell {
        fn drop(&mut self) {
            self.0.add_permits(1);
        }
    }
    let body = move || {
        let tell = Tell(Arc::clone(&ended));
        std::future::ready(Body::from_stream(futures::stream::repeat_with(move || {
            let _ = &tell;
            Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 300_000]))
        })))
    };
    Router::new().route("/endless", axum::routing::get(body))
}

#[tokio::test]
async fn who_takes_nothing_of_an_answer_is_let_go_and_who_is_slow_is_not() {
    const STALL: Duration = Duration::from_millis(800);
    let ended = Arc::new(tokio::sync::Semaphore::new(0));
    let running =
        start_on(|settings| settings.write_stall_timeout = STALL, endless(Arc::clone(&ended))).await;
    let request = b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut slow = TcpStream::connect(running.address).await.unwrap();
    slow.write_all(request).await.unwrap();
    let mut idle = TcpStream::connect(running.address).await.unwrap();
    idle.write_all(request).await.unwrap();

    let begin = std::time::Instant::now();
    let mut some = vec![0; 128 * 1024];
    let mut let_go = None;
    // a few percent of what the line could carry, for many times as long as nothing may be taken
    while begin.elapsed() < STALL * 8 {
        assert!(slow.read(&mut some).await.unwrap() > 0);
        if let Ok(told) = tokio::time::timeout(STALL / 20, ended.acquire()).await {
            told.unwrap().forget();
            assert!(let_go.replace(begin.elapsed()).is_none(), "the slow one as well");
        }
    }
    let let_go = let_go.expect("the one that reads nothing is still there");
    assert!(let_go > STALL, "{let_go:?}");
    drop((slow, idle));
}

#[tokio::test]
async fn a_large_body_comes_whole_and_in_order() {
    let body: String = (0..60_000).map(|number| format!("{number:06} ")).collect();
    let length = body.len();
    let router = Router::new().route("/large", axum::routing::get(move || std::future::ready(body.clone())));
    let running = start_on(|_| {}, router).await;
    let answer = exchange(&running, &request("GET /large HTTP/1.1", "")).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("content-length: {length}")), "{head}");
    assert_eq!(body.len(), length);
    assert!(body.split_whitespace().enumerate().all(|(number, word)| word.parse() == Ok(number)));
}

#[tokio::test]
async fn the_root_leads_to_the_documentation() {
    let running = start().await;
    let answer = exchange(&running, &request("GET / HTTP/1.1", "")).await;
    assert!(answer.starts_with("http/1.1 302") && answer.contains("\r\nlocation: /docs\r\n"), "{answer}");
}
