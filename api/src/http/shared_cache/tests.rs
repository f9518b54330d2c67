use super::*;

const LONG: Duration = Duration::from_secs(600);

#[tokio::test]
async fn what_was_put_is_got_until_it_is_forgotten_or_replaced() {
    let cache = MemoryCache::new(1 << 20);
    assert_eq!(cache.get("a").await, None);
    cache.put("a", Bytes::from_static(b"1"), LONG).await;
    cache.put("b", Bytes::from_static(b"2"), LONG).await;
    assert_eq!(cache.get("a").await, Some(Bytes::from_static(b"1")));
    cache.put("a", Bytes::from_static(b"3"), LONG).await;
    assert_eq!(cache.get("a").await, Some(Bytes::from_static(b"3")));
    cache.forget("a").await;
    assert_eq!((cache.get("a").await, cache.get("b").await), (None, Some(Bytes::from_static(b"2"))));
}

#[tokio::test]
async fn a_value_does_not_outlive_its_time() {
    let cache = MemoryCache::new(1 << 20);
    cache.put("a", Bytes::from_static(b"1"), Duration::ZERO).await;
    assert_eq!(cache.get("a").await, None);
    // the life of the newest value counts
    cache.put("b", Bytes::from_static(b"1"), LONG).await;
    cache.put("b", Bytes::from_static(b"2"), Duration::ZERO).await;
    assert_eq!(cache.get("b").await, None);
}

#[tokio::test]
async fn what_is_too_large_for_it_is_not_kept() {
    let cache = MemoryCache::new(100);
    cache.put("large", Bytes::from(vec![0; 1_000]), LONG).await;
    cache.kept.run_pending_tasks();
    assert_eq!(cache.get("large").await, None);
}

/// Where the real Redis is. Without one the test is skipped, and says so; in CI it fails.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn redis_url() -> Option<String> {
    let found = std::env::var("TEST_REDIS_URL").ok().filter(|value| !value.trim().is_empty());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "TEST_REDIS_URL is not set: `make test` starts the server");
        eprintln!("skipped: TEST_REDIS_URL is not set");
    }
    found
}

#[tokio::test]
async fn processes_of_one_redis_share_what_was_put() {
    let Some(url) = redis_url() else { return };
    let prefix = format!("test-{}:", uuid::Uuid::new_v4().simple());
    let one = redis::RedisCache::new(&url, prefix.clone()).unwrap();
    let other = redis::RedisCache::new(&url, prefix).unwrap();
    let stranger = redis::RedisCache::new(&url, "test-other:".to_owned()).unwrap();
    // bytes of any kind, and none
    for value in [Bytes::from_static(b"\0\xff\r\n"), Bytes::new()] {
        one.put("a", value.clone(), LONG).await;
        assert_eq!(other.get("a").await, Some(value));
    }
    assert_eq!(stranger.get("a").await, None);
    other.forget("a").await;
    assert_eq!(one.get("a").await, None);
    one.put("b", Bytes::from_static(b"1"), LONG).await;
    one.put("b", Bytes::from_static(b"2"), Duration::from_millis(1)).await;
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while other.get("b").await.is_some() {
        assert!(std::time::Instant::now() < deadline, "a value outlived its time");
    }
}

#[tokio::test]
async fn a_redis_that_is_away_holds_nobody_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    // it takes connections and never answers
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let cache = redis::RedisCache::new(&url, String::new()).unwrap();
    let calls = async {
        for _ in 0..1_000 {
            cache.put("a", Bytes::from_static(b"1"), LONG).await;
            assert_eq!(cache.get("a").await, None);
            cache.forget("a").await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), calls).await.expect("only the first call waits");
}
