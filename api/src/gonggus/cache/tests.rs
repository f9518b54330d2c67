#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use crate::gonggus::testing::Catalog;
use crate::http::shared_cache::MemoryCache;
use crate::users::types::UserRole;
use async_trait::async_trait;
use http::{Method, StatusCode};
use serde_json::json;
use sqlx::PgPool;
use std::sync::atomic::AtomicU32;

fn memory() -> Arc<MemoryCache> {
    Arc::new(MemoryCache::new(1 << 20))
}

/// Asks, and makes a number that no one before was given.
async fn ask(cache: &CatalogCache, made: &Arc<AtomicU32>, question: &str, now: i64) -> String {
    let making = || {
        let made = Arc::clone(made);
        async move {
            tokio::task::yield_now().await;
            Prepared::of(&(made.fetch_add(1, Ordering::SeqCst) + 1))
        }
    };
    let prepared = cache.answer(question, 0, UnixMillis(now), making).await.unwrap();
    String::from_utf8(prepared.body().to_vec()).unwrap()
}

#[tokio::test]
async fn a_crowd_has_one_answer_until_the_clock_turns() {
    let (cache, made) = (CatalogCache::new(memory(), 1_000), Arc::default());
    let crowd = (0..50).map(|_| ask(&cache, &made, "a", 5_400));
    let answers = futures::future::join_all(crowd).await;
    assert!(answers.iter().all(|answer| answer == "1"), "{answers:?}");
    assert_eq!(ask(&cache, &made, "b", 5_400).await, "2", "another question");
    assert_eq!(ask(&cache, &made, "a", 5_999).await, "1");
    assert_eq!(ask(&cache, &made, "a", 6_000).await, "3", "a whole second is a border");
    assert!(cache.flights.lock().len() <= 1);
}

#[test]
fn what_is_asked_for_again_is_known() {
    let cache = CatalogCache::new(memory(), 1_000);
    assert_eq!(["a", "a", "a"].map(|question| cache.is_asked_again(question)), [false, true, true]);
    // a crowd of others takes its place
    for number in 0..100_000 {
        cache.is_asked_again(&number.to_string());
    }
    assert!(!cache.is_asked_again("a"));
}

#[tokio::test]
async fn nothing_is_kept_if_so_set() {
    let (cache, made) = (CatalogCache::new(memory(), 0), Arc::default());
    assert_eq!(ask(&cache, &made, "a", 0).await, "1");
    assert_eq!(ask(&cache, &made, "a", 0).await, "2");
}

/// Two processes on one cache: what the one changes, the other does not tell from before.
#[tokio::test]
async fn a_change_is_seen_by_all_who_share_the_cache() {
    let shared = memory();
    let (here, there) = (CatalogCache::new(shared.clone(), 1_000), CatalogCache::new(shared.clone(), 1_000));
    let made = Arc::default();
    assert_eq!(ask(&here, &made, "a", 0).await, "1");
    // whoever has just begun does not trust what he finds
    assert_eq!(ask(&there, &made, "a", 0).await, "2");
    assert_eq!(ask(&here, &made, "a", 0).await, "2", "made once for both");
    here.changed();
    assert_eq!(ask(&here, &made, "a", 0).await, "3");
    assert_eq!(ask(&there, &made, "a", 0).await, "3");
    // the version is lost: so are the answers, and nothing else
    shared.forget(VERSION_KEY).await;
    assert_eq!(ask(&there, &made, "a", 0).await, "4");
    assert_eq!(ask(&here, &made, "a", 0).await, "4");
}

/// Who asks after a change must not be given what was begun before it.
#[tokio::test]
async fn nobody_joins_what_was_begun_before_his_change() {
    let cache = Arc::new(CatalogCache::new(memory(), 1_000));
    let (release, released) = tokio::sync::oneshot::channel::<()>();
    let slow = {
        let cache = Arc::clone(&cache);
        tokio::spawn(async move {
            let making = || async {
                released.await.unwrap();
                Prepared::of(&"before")
            };
            cache.answer("a", 0, UnixMillis(0), making).await.unwrap()
        })
    };
    while cache.flights.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    cache.changed();
    let after = cache.answer("a", 0, UnixMillis(0), || async { Prepared::of(&"after") }).await.unwrap();
    assert_eq!(after.body(), "\"after\"");
    release.send(()).unwrap();
    assert_eq!(slow.await.unwrap().body(), "\"before\"");
    let again = cache.answer("a", 0, UnixMillis(0), || async { panic!("it is there") }).await.unwrap();
    assert_eq!(again.body(), "\"after\"");
}

#[tokio::test]
async fn a_failure_is_shared_and_not_kept() {
    let cache = CatalogCache::new(memory(), 1_000);
    let fail = || async {
        tokio::task::yield_now().await;
        Err(ApiError::Unavailable)
    };
    let two = futures::future::join(
        cache.answer("a", 0, UnixMillis(0), fail),
        cache.answer("a", 0, UnixMillis(0), fail),
    );
    assert!(matches!(two.await, (Err(ApiError::Unavailable), Err(ApiError::Unavailable))));
    let made = Arc::default();
    assert_eq!(ask(&cache, &made, "a", 0).await, "1");
}

/// A cache that is away.
struct Away;

#[async_trait]
impl SharedCache for Away {
    async fn get(&self, _: &str) -> Option<Bytes> {
        None
    }
    async fn put(&self, _: &str, _: Bytes, _: Duration) {}
    async fn forget(&self, _: &str) {}
}

#[tokio::test]
async fn without_its_cache_everything_is_made_anew() {
    let (cache, made) = (CatalogCache::new(Arc::new(Away), 1_000), Arc::default());
    assert_eq!(ask(&cache, &made, "a", 0).await, "1");
    assert_eq!(ask(&cache, &made, "a", 0).await, "2");
}

/// Each kind of change, through the API, and the next read.
#[sqlx::test(migrations = "../migrations/postgres")]
async fn whoever_changes_something_sees_it_at_once(pool: PgPool) {
    let catalog = Catalog::new(pool);
    let owner = catalog.person(UserRole::Influencer).await;
    let admin = catalog.person(UserRole::Admin).await;
    let category = json!({"name": "과일", "sort_order": 1});
    let category = catalog.make("/categories", &admin, Some(category)).await["id"].clone();
    let category_path = format!("/categories/{}", category.as_str().unwrap());
    let body = json!({
        "title": "공구", "original_price": 1_000, "gonggu_price": 900, "open_at": "2026-11-01T00:00:00Z",
        "close_at": "2026-12-01T00:00:00Z", "external_url": "https://shop.example.com/p", "category_ids": [category],
    });
    let list = async || catalog.get("/gonggus", None).await.body;
    assert_eq!(list().await["total"], 0);
    let id = catalog.make("/gonggus", &owner, Some(body)).await["id"].clone();
    let path = format!("/gonggus/{}", id.as_str().unwrap());
    let detail = async || catalog.get(&path, None).await;
    let change = async |method, path: &str, person, body| {
        let answer = catalog.call(method, path, Some(person), body).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.body);
    };
    assert_eq!((&list().await["total"], &list().await["items"][0]["id"]), (&json!(1), &id));
    assert_eq!(detail().await.body["title"], "공구");
    change(Method::PUT, &path, &owner, Some(json!({"title": "다른 공구"}))).await;
    assert_eq!(list().await["items"][0]["title"], "다른 공구");
    assert_eq!(detail().await.body["title"], "다른 공구");
    change(Method::PUT, &category_path, &admin, Some(json!({"name": "채소", "sort_order": 1}))).await;
    assert_eq!(detail().await.body["categories"][0]["name"], "채소");
    change(Method::PATCH, "/users/me", &owner, Some(json!({"nickname": "새 이름"}))).await;
    assert_eq!(detail().await.body["influencer"]["nickname"], "새 이름");
    assert_eq!(list().await["items"][0]["influencer"]["nickname"], "새 이름");
    let user_path = format!("/admin/users/{}", owner.id);
    change(Method::PATCH, &user_path, &admin, Some(json!({"status": "suspended", "reason": "x"}))).await;
    assert_eq!((list().await["total"].clone(), detail().await.status), (json!(0), StatusCode::NOT_FOUND));
    change(Method::PATCH, &user_path, &admin, Some(json!({"status": "active", "reason": "x"}))).await;
    assert_eq!((list().await["total"].clone(), detail().await.status), (json!(1), StatusCode::OK));
    change(Method::DELETE, &path, &admin, None).await;
    assert_eq!((list().await["total"].clone(), detail().await.status), (json!(0), StatusCode::NOT_FOUND));
}

/// What one person has made of a gonggu is nobody else's.
#[sqlx::test(migrations = "../migrations/postgres")]
async fn what_is_a_persons_is_not_told_to_others(pool: PgPool) {
    let catalog = Catalog::new(pool);
    let owner = catalog.person(UserRole::Influencer).await;
    let (one, other) = (catalog.person(UserRole::Buyer).await, catalog.person(UserRole::Buyer).await);
    let path = format!("/gonggus/{}", catalog.gonggu(owner.id, (10, 4_000_000, None)).await);
    let bookmarked = async |person| catalog.get(&path, person).await.body["bookmarked"].clone();
    for _ in 0..3 {
        assert_eq!(bookmarked(None).await, json!(null));
    }
    assert_eq!(bookmarked(Some(&one)).await, json!(false));
    catalog.make(&format!("{path}/bookmark"), &one, None).await;
    assert_eq!(bookmarked(Some(&one)).await, json!(true));
    assert_eq!(bookmarked(Some(&other)).await, json!(false));
    assert_eq!(bookmarked(None).await, json!(null));
}
