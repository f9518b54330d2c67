#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use crate::gonggus::testing::{Catalog, at};
use crate::users::types::UserRole;
use gonggumoa_core::clock::UnixMillis;
use http::StatusCode;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

fn of_status(status: Status) -> GongguFilter {
    GongguFilter { status: Some(status), size: Some(100), ..GongguFilter::default() }
}

/// To the millisecond, before, at and after every time there is.
#[sqlx::test(migrations = "../migrations/postgres")]
async fn lists_and_status_are_one_function(pool: PgPool) {
    let catalog = Catalog::new(pool.clone());
    let owner = catalog.person(UserRole::Influencer).await;
    let all_times = [
        (100, 200, None),
        (100, 300, None),
        (150, 200, Some(170)),
        (150, 200, Some(120)),
        (150, 200, Some(500)),
        (150, 151, None),
    ];
    let mut made = BTreeMap::new();
    for times in all_times {
        made.insert(catalog.gonggu(owner.id, times).await, times);
    }
    for now in 95..=305 {
        for status in [Status::Scheduled, Status::Active, Status::Closed] {
            let query = ListQuery::new(of_status(status), at(now)).unwrap();
            let rows = query.rows(&pool).await.unwrap();
            assert!(rows.iter().all(|row| {
                Status::at(UnixMillis(now), row.open_at, row.close_at, row.closed_at) == status
            }));
            let listed: BTreeSet<Uuid> = rows.iter().map(|row| row.id).collect();
            let expected: BTreeSet<Uuid> = made
                .iter()
                .filter(|(_, (open_at, close_at, closed_at))| {
                    Status::at(UnixMillis(now), at(*open_at), at(*close_at), closed_at.map(at)) == status
                })
                .map(|(id, _)| *id)
                .collect();
            assert_eq!(listed, expected, "{status:?} at {now}");
            assert_eq!(query.count(&pool).await.unwrap().total, expected.len() as i64);
        }
    }
}

#[sqlx::test(migrations = "../migrations/postgres")]
async fn a_suspended_accounts_gonggus_are_nowhere(pool: PgPool) {
    let catalog = Catalog::new(pool.clone());
    let owner = catalog.person(UserRole::Influencer).await;
    let (buyer, admin) = (catalog.person(UserRole::Buyer).await, catalog.person(UserRole::Admin).await);
    let id = catalog.gonggu(owner.id, (10, 4_000_000, None)).await;
    catalog.make(&format!("/gonggus/{id}/bookmark"), &buyer, None).await;
    catalog.make(&format!("/subscriptions/{}", owner.id), &buyer, None).await;
    let lists = [
        "/gonggus",
        "/gonggus/active",
        "/gonggus/closing-soon",
        "/users/me/bookmarks",
        "/subscriptions",
        "/subscriptions/feed",
    ];
    for path in lists {
        assert_eq!(catalog.get(path, Some(&buyer)).await.body["total"], 1, "{path}");
    }
    let calendar = "/calendar?from=1970-01-01&to=1970-01-01";
    assert_eq!(catalog.get(calendar, None).await.status, StatusCode::UNPROCESSABLE_ENTITY, "before 2000");
    sqlx::query("UPDATE users SET status = 'suspended' WHERE id = $1")
        .bind(owner.id)
        .execute(&pool)
        .await
        .unwrap();
    catalog.written_by_hand();
    for path in lists {
        let answer = catalog.get(path, Some(&buyer)).await;
        assert_eq!(
            (&answer.body["total"], answer.body["items"].as_array().unwrap().len()),
            (&json!(0), 0),
            "{path}"
        );
    }
    for path in
        [format!("/gonggus/{id}"), format!("/gonggus/{id}/reviews"), format!("/influencers/{}", owner.id)]
    {
        assert_eq!(catalog.get(&path, Some(&buyer)).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(catalog.get(&format!("/gonggus/{id}"), Some(&admin)).await.status, StatusCode::OK);
}

/// With ties in every column, no row is on two pages or on none.
#[sqlx::test(migrations = "../migrations/postgres")]
async fn pages_share_nothing_and_miss_nothing(pool: PgPool) {
    let catalog = Catalog::new(pool.clone());
    let owner = catalog.person(UserRole::Influencer).await;
    for number in 0..30 {
        catalog.gonggu(owner.id, (number / 10, 1_000 + number / 15, None)).await;
    }
    for sort in ["created_at", "open_at", "close_at", "gonggu_price", "discount_rate", "click_count"] {
        for order in [Order::Asc, Order::Desc] {
            let mut seen = Vec::new();
            for page in 1..=6 {
                let filter = GongguFilter {
                    page: Some(page),
                    size: Some(7),
                    sort: Some(sort.to_owned()),
                    order: Some(order),
                    ..GongguFilter::default()
                };
                let rows = ListQuery::new(filter, at(5)).unwrap().rows(&pool).await.unwrap();
                seen.extend(rows.into_iter().map(|row| row.id));
            }
            assert_eq!(seen.len(), 30, "{sort} {order:?}");
            assert_eq!(seen.into_iter().collect::<BTreeSet<_>>().len(), 30, "{sort} {order:?}");
        }
    }
}

#[sqlx::test(migrations = "../migrations/postgres")]
async fn a_parent_takes_its_children_and_the_depth_is_two(pool: PgPool) {
    let catalog = Catalog::new(pool.clone());
    let owner = catalog.person(UserRole::Influencer).await;
    let [parent, child, other] = [1, 2, 3].map(Uuid::from_u128);
    let add = "INSERT INTO categories (id, parent_id, name) VALUES ($1, $2, $1::text)";
    for (id, parent_id) in [(parent, None), (child, Some(parent)), (other, None)] {
        sqlx::query(add).bind(id).bind(parent_id).execute(&pool).await.unwrap();
    }
    let (in_parent, in_child) =
        (catalog.gonggu(owner.id, (10, 20, None)).await, catalog.gonggu(owner.id, (10, 20, None)).await);
    for (gonggu, category) in [(in_parent, parent), (in_child, child)] {
        sqlx::query("INSERT INTO gonggu_categories VALUES ($1, $2, 1)")
            .bind(gonggu)
            .bind(category)
            .execute(&pool)
            .await
            .unwrap();
    }
    catalog.written_by_hand();
    for (category, total) in [(parent, 2), (child, 1), (other, 0), (Uuid::nil(), 0)] {
        let answer = catalog.get(&format!("/gonggus?category={category}"), None).await;
        assert_eq!(answer.body["total"], total, "{category}");
    }
    let detail = catalog.get(&format!("/gonggus/{in_child}"), None).await;
    assert_eq!(detail.body["categories"][0]["id"], json!(child));
    assert_eq!(detail.body["bookmarked"], json!(null));
    // no third level, no circle, whichever way it is tried
    let moved = "UPDATE categories SET parent_id = $2 WHERE id = $1";
    assert!(sqlx::query(add).bind(Uuid::from_u128(4)).bind(child).execute(&pool).await.is_err());
    for (id, parent_id) in [(parent, other), (parent, child), (parent, parent), (other, child)] {
        assert!(sqlx::query(moved).bind(id).bind(parent_id).execute(&pool).await.is_err());
    }
    sqlx::query(moved).bind(other).bind(parent).execute(&pool).await.unwrap();
    // a third category has no slot
    let slot = "INSERT INTO gonggu_categories VALUES ($1, $2, $3)";
    sqlx::query(slot).bind(in_child).bind(other).bind(2i16).execute(&pool).await.unwrap();
    assert!(sqlx::query(slot).bind(in_child).bind(parent).bind(3i16).execute(&pool).await.is_err());
}

/// However much is on a page: one statement for it, one for its count.
#[sqlx::test(migrations = "../migrations/postgres")]
async fn reads_take_a_fixed_number_of_statements(pool: PgPool) {
    let catalog = Catalog::new(pool.clone());
    let owner = catalog.person(UserRole::Influencer).await;
    let buyer = catalog.person(UserRole::Buyer).await;
    let category = Uuid::from_u128(1);
    sqlx::query("INSERT INTO categories (id, name) VALUES ($1, 'category')")
        .bind(category)
        .execute(&pool)
        .await
        .unwrap();
    catalog.make(&format!("/subscriptions/{}", owner.id), &buyer, None).await;
    let mut last = Uuid::nil();
    for round in 0..3 {
        for _ in 0..10 {
            last = catalog.gonggu(owner.id, (10, 4_000_000, None)).await;
            sqlx::query("INSERT INTO gonggu_categories VALUES ($1, $2, 1)")
                .bind(last)
                .bind(category)
                .execute(&pool)
                .await
                .unwrap();
            catalog.make(&format!("/gonggus/{last}/bookmark"), &buyer, None).await;
            let reviewer = catalog.person(UserRole::Buyer).await;
            let review = json!({"rating": 4, "content": "좋아요"});
            catalog.make(&format!("/gonggus/{last}/reviews"), &reviewer, Some(review)).await;
        }
        let (detail, influencer) = (format!("/gonggus/{last}"), format!("/influencers/{}", owner.id));
        let reviews = format!("/gonggus/{last}/reviews");
        let expected = [
            ("/gonggus", 2),
            ("/gonggus/active", 2),
            ("/gonggus/upcoming", 2),
            ("/gonggus/closing-soon?hours=2", 2),
            ("/subscriptions", 2),
            ("/subscriptions/feed", 2),
            ("/users/me/bookmarks", 2),
            ("/influencers", 2),
            ("/categories", 1),
            ("/calendar", 1),
            (&detail, 1),
            (&influencer, 1),
            (&reviews, 2),
        ];
        for (path, statements) in expected {
            assert_eq!(
                catalog.statements_of(path, Some(&buyer)).await,
                statements,
                "{path} in round {round}"
            );
        }
        let feed = catalog.get("/subscriptions/feed?size=100", Some(&buyer)).await;
        assert_eq!(feed.body["items"].as_array().unwrap().len(), (round + 1) * 10);
    }
}

#[sqlx::test(migrations = "../migrations/postgres")]
async fn what_the_client_has_is_not_sent_again(pool: PgPool) {
    let catalog = Catalog::new(pool);
    let owner = catalog.person(UserRole::Influencer).await;
    let id = catalog.gonggu(owner.id, (10, 4_000_000, None)).await;
    for path in ["/gonggus".to_owned(), format!("/gonggus/{id}"), "/categories".to_owned()] {
        let first = catalog.get(&path, None).await;
        assert!(first.headers["cache-control"].to_str().unwrap().starts_with("public, max-age="), "{path}");
        let again = catalog.get(&path, None).await;
        assert_eq!(first.headers["etag"], again.headers["etag"], "{path}");
        let personal = catalog.get(&path, Some(&owner)).await;
        assert_eq!(personal.headers["cache-control"], "private, no-cache", "{path}");
    }
}

/// Typed jamo by jamo, as some systems do: the same text.
#[sqlx::test(migrations = "../migrations/postgres")]
async fn what_looks_the_same_is_found(pool: PgPool) {
    let catalog = Catalog::new(pool.clone());
    let owner = catalog.person(UserRole::Influencer).await;
    catalog.gonggu(owner.id, (10, 20, None)).await;
    for update in ["UPDATE gonggus SET title = '제주 감귤'", "UPDATE users SET nickname = '제주 농부'"]
    {
        sqlx::query(update).execute(&pool).await.unwrap();
    }
    catalog.written_by_hand();
    // ᄌ ᅦ ᄌ ᅮ, and the same in syllables with a NUL and spaces
    for q in ["%E1%84%8C%E1%85%A6%E1%84%8C%E1%85%AE", "%20%EC%A0%9C%00%EC%A3%BC%20"] {
        for path in ["/gonggus", "/influencers"] {
            assert_eq!(catalog.get(&format!("{path}?q={q}"), None).await.body["total"], 1, "{path} {q}");
        }
    }
}
