//! Categories as admins keep them: two levels, no cycle, nothing taken away that is used.

use crate::harness::api::{answer, assert_error};
use crate::harness::people::{ask, audited, call, make, only_for_admins};
use crate::harness::{Api, GongguSpec, shared};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

fn category(parent: Option<&str>) -> Value {
    json!({"name": format!("분류 {}", Uuid::new_v4().simple()), "parent_id": parent})
}

/// A new one's id.
async fn made(admin: &Api, parent: Option<&str>) -> String {
    make(admin, "/admin/categories", &category(parent)).await["id"].as_str().unwrap().to_owned()
}

async fn refused_parent(admin: &Api, method: Method, path: &str, parent: &str) {
    let (status, body) = call(admin, method, path, &category(Some(parent))).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
    assert_eq!(body["errors"][0]["field"], "parent_id");
}

#[tokio::test]
async fn the_tree_has_two_levels_and_no_cycle() {
    let admin = shared().await.admin();
    let parent = made(&admin, None).await;
    let child = made(&admin, Some(&parent)).await;
    refused_parent(&admin, Method::POST, "/categories", &child).await;
    refused_parent(&admin, Method::POST, "/categories", &Uuid::now_v7().to_string()).await;
    refused_parent(&admin, Method::PUT, &format!("/categories/{parent}"), &parent).await;
    refused_parent(&admin, Method::PUT, &format!("/categories/{parent}"), &child).await;
    let other = made(&admin, None).await;
    refused_parent(&admin, Method::PUT, &format!("/categories/{parent}"), &other).await;
    let (_, tree) = ask(&admin, Method::GET, "/categories").await;
    let node = tree["items"].as_array().unwrap().iter().find(|node| node["id"] == parent.as_str()).unwrap();
    assert_eq!(node["children"][0]["id"], child.as_str());
    assert_eq!(
        ask(&admin, Method::GET, "/admin/categories").await.1,
        ask(&admin, Method::GET, "/categories").await.1
    );
    // a child may move to another parent, or to the top
    let path = format!("/admin/categories/{child}");
    let (status, moved) = call(&admin, Method::PUT, &path, &category(Some(&other))).await;
    assert_eq!((status, moved["parent_id"].as_str()), (StatusCode::OK, Some(other.as_str())));
    assert_eq!(call(&admin, Method::PUT, &path, &category(None)).await.1["parent_id"], Value::Null);
}

/// Each becomes the other's child at once: one may, or the tree would be a ring.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_moves_at_once_make_no_ring() {
    let admin = shared().await.admin();
    for _ in 0..5 {
        let (one, two) = (made(&admin, None).await, made(&admin, None).await);
        let moves = [(one.clone(), two.clone()), (two, one)].map(|(id, parent)| {
            let admin = admin.clone();
            let path = format!("/categories/{id}");
            tokio::spawn(async move { call(&admin, Method::PUT, &path, &category(Some(&parent))).await.0 })
        });
        let mut moved = 0;
        for task in moves {
            moved += usize::from(task.await.unwrap() == StatusCode::OK);
        }
        assert_eq!(moved, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_is_unique_among_siblings() {
    let admin = shared().await.admin();
    let (one, two) = (made(&admin, None).await, made(&admin, None).await);
    let body = |parent: &str| json!({"name": "육아/키즈", "parent_id": parent});
    let tries = (0..10).map(|_| {
        let (admin, body) = (admin.clone(), body(&one));
        tokio::spawn(async move { call(&admin, Method::POST, "/categories", &body).await })
    });
    let mut created = 0;
    for task in tries.collect::<Vec<_>>() {
        match task.await.unwrap() {
            (StatusCode::CREATED, _) => created += 1,
            (status, body) => {
                assert_eq!(status, StatusCode::CONFLICT);
                assert_error(&body, "CATEGORY_NAME_TAKEN");
            }
        }
    }
    assert_eq!(created, 1);
    assert_eq!(call(&admin, Method::POST, "/categories", &body(&two)).await.0, StatusCode::CREATED);
    // the same letters, decomposed
    let apart = json!({"name": "\u{110B}\u{1172}\u{11A8}\u{110B}\u{1161}/\u{110F}\u{1175}\u{110C}\u{1173}", "parent_id": two});
    assert_eq!(call(&admin, Method::POST, "/categories", &apart).await.0, StatusCode::CONFLICT);
}

#[tokio::test]
async fn what_is_used_is_not_deleted() {
    let shared = shared().await;
    let admin = shared.admin();
    let parent = made(&admin, None).await;
    let child = made(&admin, Some(&parent)).await;
    let in_use = async |id: &str| {
        let (status, body) = ask(&admin, Method::DELETE, &format!("/categories/{id}")).await;
        assert_eq!(status, StatusCode::CONFLICT, "{body}");
        assert_error(&body, "CATEGORY_IN_USE");
    };
    in_use(&parent).await;
    let mut body = GongguSpec::default().body();
    body["category_ids"] = json!([child]);
    let gonggu = make(&admin, "/gonggus", &body).await;
    in_use(&child).await;
    // a gonggu that is gone holds nothing
    let path = format!("/gonggus/{}", gonggu["id"].as_str().unwrap());
    assert_eq!(ask(&admin, Method::DELETE, &path).await.0, StatusCode::NO_CONTENT);
    for id in [&child, &parent] {
        assert_eq!(ask(&admin, Method::DELETE, &format!("/categories/{id}")).await.0, StatusCode::NO_CONTENT);
        let (status, body) = ask(&admin, Method::DELETE, &format!("/admin/categories/{id}")).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert_error(&body, "CATEGORY_NOT_FOUND");
    }
}

#[tokio::test]
async fn only_admins_change_categories_and_each_change_is_logged() {
    let shared = shared().await;
    let admin = shared.admin();
    let mut calls = vec![(Method::GET, "/admin/categories".to_owned())];
    for base in ["/categories", "/admin/categories"] {
        let id = make(&admin, base, &category(None)).await["id"].as_str().unwrap().to_owned();
        let path = format!("{base}/{id}");
        calls.extend([
            (Method::POST, base.to_owned()),
            (Method::PUT, path.clone()),
            (Method::DELETE, path.clone()),
        ]);
        assert_eq!(call(&admin, Method::PUT, &path, &category(None)).await.0, StatusCode::OK);
        assert_eq!(ask(&admin, Method::DELETE, &path).await.0, StatusCode::NO_CONTENT);
        let mut database = shared.deployment.database().await;
        for action in ["category.create", "category.update", "category.delete"] {
            assert_eq!(audited(&mut database, action, &id).await, 1, "{action}");
        }
    }
    only_for_admins(shared, &calls).await;
}

#[tokio::test]
async fn bad_categories_are_refused() {
    let admin = shared().await.admin();
    let cases = [
        ("name", json!("")),
        ("name", json!("가".repeat(51))),
        ("name", json!("a\u{0}b")),
        ("icon", json!("javascript:alert(1)")),
        ("sort_order", json!(-2_147_483_649_i64)),
    ];
    for (field, value) in cases {
        let mut body = category(None);
        body[field] = value.clone();
        let (status, answer) = call(&admin, Method::POST, "/categories", &body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{field} {value}");
        assert_eq!(answer["errors"][0]["field"], field);
    }
    // an id in the body is not believed, a key that stands twice is refused
    let id = Uuid::now_v7();
    let mut body = category(None);
    body["id"] = json!(id);
    assert_ne!(make(&admin, "/categories", &body).await["id"], json!(id));
    let twice = admin.request(Method::POST, "/api/v1/categories").header("Content-Type", "application/json");
    let (status, body) = answer(twice.body("{\"name\":\"a\",\"name\":\"b\"}")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_error(&body, "DUPLICATE_KEY");
}
