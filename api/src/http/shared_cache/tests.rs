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
