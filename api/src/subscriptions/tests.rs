#![allow(clippy::unwrap_used, clippy::expect_used)]
use crate::gonggus::testing::{Catalog, Person};
use crate::users::types::UserRole;
use futures::future::join_all;
use http::{Method, StatusCode};
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

async fn counted(pool: &PgPool, influencer_id: Uuid) -> (i32, i64) {
    sqlx::query_as(
        "SELECT p.subscriber_count, (SELECT count(*) FROM subscriptions s WHERE s.influencer_id = p.user_id)
         FROM influencer_profiles p WHERE p.user_id = $1",
    )
    .bind(influencer_id)
    .fetch_one(pool)
    .await
    .unwrap()
}

async fn storm(catalog: &Catalog, method: Method, people: &[Person], influencer_id: Uuid) -> Vec<StatusCode> {
    let path = format!("/subscriptions/{influencer_id}");
    let calls = people.iter().map(|person| {
        let (catalog, path, method) = (catalog.clone(), path.clone(), method.clone());
        let person = person.clone();
        tokio::spawn(async move { catalog.call(method, &path, Some(&person), None).await.status })
    });
    join_all(calls).await.into_iter().map(Result::unwrap).collect()
}

#[sqlx::test(migrations = "../migrations/postgres")]
async fn counts_stay_right_in_a_storm(pool: PgPool) {
    let catalog = Catalog::new(pool.clone());
    let influencer = catalog.person(UserRole::Influencer).await;
    let one = catalog.person(UserRole::Buyer).await;
    // one person a hundred times: one row
    let answers = storm(&catalog, Method::POST, &vec![one.clone(); 100], influencer.id).await;
    assert_eq!(answers.iter().filter(|status| **status == StatusCode::CREATED).count(), 1);
    assert_eq!(answers.iter().filter(|status| **status == StatusCode::OK).count(), 99);
    assert_eq!(counted(&pool, influencer.id).await, (1, 1));
    // a hundred persons: a hundred more
    let mut people = Vec::new();
    for _ in 0..100 {
        people.push(catalog.person(UserRole::Buyer).await);
    }
    let answers = storm(&catalog, Method::POST, &people, influencer.id).await;
    assert!(answers.iter().all(|status| *status == StatusCode::CREATED), "{answers:?}");
    assert_eq!(counted(&pool, influencer.id).await, (101, 101));
    // some come while some go, each twice
    let coming = people.iter().map(|_| ()).count() / 2;
    let (leaving, staying) = people.split_at(coming);
    let (gone, gone_again, come_again) = tokio::join!(
        storm(&catalog, Method::DELETE, leaving, influencer.id),
        storm(&catalog, Method::DELETE, leaving, influencer.id),
        storm(&catalog, Method::POST, staying, influencer.id),
    );
    assert!(gone.iter().chain(&gone_again).all(|status| *status == StatusCode::NO_CONTENT));
    assert!(come_again.iter().all(|status| *status == StatusCode::OK));
    assert_eq!(counted(&pool, influencer.id).await, (51, 51));
    // back and forth, by the same people at the same time: whatever the order, the count is that of the rows
    let (there, back) = tokio::join!(
        storm(&catalog, Method::POST, leaving, influencer.id),
        storm(&catalog, Method::DELETE, leaving, influencer.id),
    );
    assert!(there.iter().chain(&back).all(StatusCode::is_success), "{there:?} {back:?}");
    let (count, rows) = counted(&pool, influencer.id).await;
    assert_eq!(i64::from(count), rows);
    // an account that goes takes its subscription with it
    sqlx::query("DELETE FROM users WHERE id = $1").bind(one.id).execute(&pool).await.unwrap();
    assert_eq!(counted(&pool, influencer.id).await, (count - 1, rows - 1));
}

#[sqlx::test(migrations = "../migrations/postgres")]
async fn only_influencers_and_not_oneself(pool: PgPool) {
    let catalog = Catalog::new(pool.clone());
    let (influencer, buyer) =
        (catalog.person(UserRole::Influencer).await, catalog.person(UserRole::Buyer).await);
    let subscribe = async |id: String, person: &Person| {
        let answer = catalog.call(Method::POST, &format!("/subscriptions/{id}"), Some(person), None).await;
        (answer.status.as_u16(), answer.body["code"].as_str().unwrap_or_default().to_owned())
    };
    let own = subscribe(influencer.id.to_string(), &influencer).await;
    assert_eq!(own, (409, "SELF_SUBSCRIPTION".to_owned()));
    let not_found = (404, "INFLUENCER_NOT_FOUND".to_owned());
    for id in [Uuid::now_v7().to_string(), "x".to_owned(), influencer.id.to_string() + "0"] {
        assert_eq!(subscribe(id, &buyer).await, not_found);
    }
    let other = catalog.person(UserRole::Buyer).await;
    assert_eq!(subscribe(other.id.to_string(), &buyer).await, not_found);
    for change in ["is_verified = false", "is_verified = true"] {
        let change = sqlx::AssertSqlSafe(format!("UPDATE influencer_profiles SET {change}"));
        sqlx::query(change).execute(&pool).await.unwrap();
        let answer = subscribe(influencer.id.to_string(), &buyer).await;
        assert!(answer == not_found || answer.0 == 201, "{answer:?}");
    }
    assert_eq!(counted(&pool, influencer.id).await, (1, 1));
    // the flag, and what is not there
    let path = format!("/subscriptions/{}", influencer.id);
    let quiet = json!({"notify_enabled": false});
    let patched = catalog.call(Method::PATCH, &path, Some(&buyer), Some(quiet.clone())).await;
    assert_eq!((patched.status, &patched.body["notify_enabled"]), (StatusCode::OK, &json!(false)));
    let again = catalog.call(Method::POST, &path, Some(&buyer), None).await;
    assert_eq!(
        (again.status, &again.body["notify_enabled"]),
        (StatusCode::OK, &json!(false)),
        "not set back"
    );
    let stranger = catalog.call(Method::PATCH, &path, Some(&other), Some(quiet)).await;
    assert_eq!(
        (stranger.status, &stranger.body["code"]),
        (StatusCode::NOT_FOUND, &json!("SUBSCRIPTION_NOT_FOUND"))
    );
    let list = catalog.get("/subscriptions", Some(&buyer)).await;
    assert_eq!(list.body["items"][0]["influencer_id"], json!(influencer.id));
}

/// Read from several influencers at once, the feed is the newest of all, page after page.
#[sqlx::test(migrations = "../migrations/postgres")]
async fn the_feed_is_newest_first_over_all_pages(pool: PgPool) {
    let catalog = Catalog::new(pool.clone());
    let buyer = catalog.person(UserRole::Buyer).await;
    let mut expected = Vec::new();
    for influencer in 0..3 {
        let owner = catalog.person(UserRole::Influencer).await;
        let path = format!("/subscriptions/{}", owner.id);
        assert_eq!(catalog.call(Method::POST, &path, Some(&buyer), None).await.status, StatusCode::CREATED);
        for number in 0..7 {
            // two influencers made theirs at the same times
            let made = number * 10 + influencer / 2;
            expected.push((made, catalog.gonggu(owner.id, (made, 4_000_000, None)).await));
        }
    }
    let stranger = catalog.person(UserRole::Influencer).await;
    catalog.gonggu(stranger.id, (1_000, 4_000_000, None)).await;
    expected.sort();
    expected.reverse();
    let mut seen = Vec::new();
    for page in 1..=5 {
        let answer = catalog.get(&format!("/subscriptions/feed?size=5&page={page}"), Some(&buyer)).await;
        assert_eq!((&answer.body["total"], &answer.body["pages"]), (&json!(21), &json!(5)));
        let items = answer.body["items"].as_array().unwrap().clone();
        seen.extend(items.iter().map(|item| item["id"].as_str().unwrap().parse::<Uuid>().unwrap()));
    }
    assert_eq!(seen, expected.into_iter().map(|(_, id)| id).collect::<Vec<_>>());
}
