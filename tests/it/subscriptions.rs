//! Subscriptions over HTTP: who may subscribe to whom, counts under concurrency, the feed.

use crate::harness::api::assert_error;
use crate::harness::catalog::{Person, person};
use crate::harness::database::Role;
use crate::harness::{GongguSpec, shared};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

/// The same call by each of them, `times` times, all at once.
async fn at_once(people: &[Person], times: usize, method: Method, path: &str) -> Vec<StatusCode> {
    let mut calls = JoinSet::new();
    for person in people {
        for _ in 0..times {
            let (api, method, path) = (person.api.clone(), method.clone(), path.to_owned());
            calls.spawn(async move { api.call(method, &path, &Value::Null).await.0 });
        }
    }
    calls.join_all().await
}

#[tokio::test]
async fn a_hundred_at_once_are_one_and_the_count_is_that_of_the_rows() {
    let shared = shared().await;
    let influencer = person(shared, Role::Influencer).await;
    let path = format!("/subscriptions/{}", influencer.id);
    let count = async || {
        let seen = shared.anyone().read(&format!("/influencers/{}", influencer.id)).await;
        seen["subscriber_count"].as_i64().unwrap()
    };
    let one = [person(shared, Role::Buyer).await];
    let answers = at_once(&one, 100, Method::POST, &path).await;
    assert_eq!(answers.iter().filter(|status| **status == StatusCode::CREATED).count(), 1, "{answers:?}");
    assert!(answers.iter().all(StatusCode::is_success), "{answers:?}");
    assert_eq!(count().await, 1);
    let mut crowd = Vec::new();
    for _ in 0..10 {
        crowd.push(person(shared, Role::Buyer).await);
    }
    at_once(&crowd, 10, Method::POST, &path).await;
    assert_eq!(count().await, 11);
    let gone = at_once(&crowd, 10, Method::DELETE, &path).await;
    assert!(gone.iter().all(|status| *status == StatusCode::NO_CONTENT), "{gone:?}");
    assert_eq!(count().await, 1, "never below what is there");
    // there and back at the same time
    let (there, back) =
        tokio::join!(at_once(&crowd, 10, Method::POST, &path), at_once(&crowd, 10, Method::DELETE, &path));
    assert!(there.iter().chain(&back).all(StatusCode::is_success), "{there:?} {back:?}");
    let mut rows = 0;
    for person in crowd.iter().chain(&one) {
        rows += person.api.read("/subscriptions").await["total"].as_i64().unwrap();
    }
    assert_eq!(count().await, rows);
}

#[tokio::test]
async fn a_feed_follows_the_subscriptions() {
    let shared = shared().await;
    let (first, second) = (person(shared, Role::Influencer).await, person(shared, Role::Influencer).await);
    let buyer = person(shared, Role::Buyer).await;
    let mut made = Vec::new();
    for owner in [&first, &second, &first] {
        made.push(owner.api.gonggu(&GongguSpec::default()).await.0);
    }
    assert_eq!(buyer.api.read("/subscriptions/feed").await["total"], 0);
    for owner in [&first, &second] {
        let path = format!("/subscriptions/{}", owner.id);
        let subscription = buyer.api.expect(Method::POST, &path, &Value::Null, 201).await;
        assert_eq!(
            (&subscription["notify_enabled"], &subscription["subscriber_count"]),
            (&json!(true), &json!(1))
        );
        buyer.api.expect(Method::POST, &path, &Value::Null, 200).await;
    }
    let feed = buyer.api.read("/subscriptions/feed").await;
    let ids: Vec<Uuid> = feed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["id"].as_str().unwrap().parse().unwrap())
        .collect();
    assert_eq!(ids, [made[2], made[1], made[0]]);
    let seen = buyer.api.read(&format!("/influencers/{}", first.id)).await;
    assert_eq!((&seen["subscribed"], &seen["subscriber_count"]), (&json!(true), &json!(1)));
    let path = format!("/subscriptions/{}", first.id);
    let quiet = buyer
        .api
        .expect(Method::PATCH, &path, &json!({"notify_enabled": false, "buyer_id": second.id}), 200)
        .await;
    assert_eq!(quiet["notify_enabled"], false);
    for bad in [json!({}), json!({"notify_enabled": "no"}), json!({"notify_enabled": null})] {
        buyer.api.expect(Method::PATCH, &path, &bad, 422).await;
    }
    for _ in 0..2 {
        buyer.api.expect(Method::DELETE, &path, &Value::Null, 204).await;
    }
    assert_eq!(buyer.api.read("/subscriptions/feed").await["total"], 1);
    let gone = buyer.api.expect(Method::PATCH, &path, &json!({"notify_enabled": true}), 404).await;
    assert_error(&gone, "SUBSCRIPTION_NOT_FOUND");
}

#[tokio::test]
async fn not_to_oneself_not_to_buyers_not_signed_out() {
    let shared = shared().await;
    let (influencer, buyer) = (person(shared, Role::Influencer).await, person(shared, Role::Buyer).await);
    let own = format!("/subscriptions/{}", influencer.id);
    assert_error(&influencer.api.expect(Method::POST, &own, &Value::Null, 409).await, "SELF_SUBSCRIPTION");
    for id in [buyer.id.to_string(), Uuid::now_v7().to_string(), "x".to_owned(), "%00".to_owned()] {
        let answer =
            influencer.api.expect(Method::POST, &format!("/subscriptions/{id}"), &Value::Null, 404).await;
        assert_error(&answer, "INFLUENCER_NOT_FOUND");
    }
    for (method, path) in [
        (Method::GET, "/subscriptions"),
        (Method::GET, "/subscriptions/feed"),
        (Method::POST, own.as_str()),
        (Method::DELETE, own.as_str()),
        (Method::PATCH, own.as_str()),
    ] {
        shared.anyone().expect(method, path, &json!({"notify_enabled": true}), 401).await;
    }
    for query in ["size=1000000", "page=0", "size=x"] {
        buyer.api.expect(Method::GET, &format!("/subscriptions/feed?{query}"), &Value::Null, 422).await;
    }
}
