#![allow(clippy::unwrap_used, clippy::expect_used)]
//! The document against the one list of what is public.

use super::*;
use serde_json::Value;
use std::collections::BTreeSet;

const METHODS: [&str; 7] = ["get", "put", "post", "delete", "patch", "head", "options"];

/// Every operation: method, path below the base, description.
fn operations() -> Vec<(String, String, Value)> {
    let document = document();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let path = path.strip_prefix(BASE).unwrap_or_else(|| panic!("{path} is not below {BASE}"));
        for (method, operation) in item.as_object().unwrap() {
            if METHODS.contains(&method.as_str()) {
                found.push((method.clone(), path.to_owned(), operation.clone()));
            }
        }
    }
    found
}

#[test]
fn every_operation_is_public_or_names_its_role_and_never_both() {
    let mut wrong = Vec::new();
    for (method, path, operation) in operations() {
        let is_public = PUBLIC.contains(&(&*method, &*path));
        let security = operation["security"].as_array().is_some_and(|list| !list.is_empty());
        let role = &operation["x-required-role"];
        let named = role.as_str().is_some_and(|role| ROLES.contains(&role));
        if is_public && (security || !role.is_null()) {
            wrong.push(format!("{method} {path} is public and names a role ({role}) or a sign-in"));
        }
        let holds = is_public || (security && named);
        if !holds {
            wrong.push(format!(
                "{method} {path} is neither in PUBLIC nor has a sign-in and an x-required-role of {ROLES:?}: {role}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_list_of_what_is_public_names_only_what_there_is_and_once() {
    let known: BTreeSet<(String, String)> =
        operations().into_iter().map(|(method, path, _)| (method, path)).collect();
    let mut seen = BTreeSet::new();
    for (method, path) in PUBLIC {
        assert!(
            known.contains(&((*method).to_owned(), (*path).to_owned())),
            "no such operation: {method} {path}"
        );
        assert!(seen.insert((method, path)), "twice: {method} {path}");
    }
}

#[test]
fn ids_are_unique_and_every_answer_is_described() {
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations() {
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id.to_owned()), "{method} {path}: {id} is taken");
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.contains_key("500"), "{method} {path}");
        for (status, response) in responses {
            let description = response["description"].as_str().unwrap();
            assert!(!description.is_empty(), "{method} {path} {status}");
            // what a program acts on stands in the code, not in the status
            let is_error = status.starts_with(['4', '5']);
            assert!(!is_error || description.contains('`'), "{method} {path} {status}: no code is named");
        }
    }
    assert!(ids.contains("post_auth_login") && ids.contains("get_gonggus_id"), "{ids:?}");
}

/// Where the snapshot stands.
const SNAPSHOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");

#[test]
fn the_snapshot_is_up_to_date() {
    let mut document = document();
    // a release changes the version and nothing else
    document["info"].as_object_mut().unwrap().remove("version");
    let now = serde_json::to_string_pretty(&document).unwrap() + "\n";
    if std::env::var_os("OPENAPI_WRITE").is_some() {
        std::fs::write(SNAPSHOT, &now).unwrap();
    }
    let before = std::fs::read_to_string(SNAPSHOT).unwrap_or_default();
    let line = now.lines().zip(before.lines()).position(|(now, before)| now != before);
    assert!(
        now == before,
        "the API differs from api/openapi.json (from line {line:?} on). If that is meant, run `make openapi` \
         and commit the file: its difference is what clients will see"
    );
}

#[test]
fn every_reference_leads_somewhere() {
    fn walk(value: &Value, document: &Value) {
        match value {
            Value::Object(map) => {
                if let Some(to) = map.get("$ref").and_then(Value::as_str) {
                    let found = document.pointer(to.strip_prefix('#').unwrap());
                    assert!(found.is_some(), "{to} does not exist");
                }
                map.values().for_each(|value| walk(value, document));
            }
            Value::Array(list) => list.iter().for_each(|value| walk(value, document)),
            _ => {}
        }
    }
    let document = document();
    walk(&document, &document);
}

#[test]
fn every_limit_and_sort_has_its_place() {
    let document = document();
    for (names, field, limit) in limits::of_bodies() {
        for name in names {
            let property = &document["components"]["schemas"][name]["properties"][field];
            for (word, value) in limit.as_object().unwrap() {
                assert_eq!(&property[word], value, "{name}.{field} {word}");
            }
        }
    }
    let mut sorted = BTreeSet::new();
    for (_, path, operation) in operations() {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let (name, schema) = (&parameter["name"], &parameter["schema"]);
            if name == "sort" {
                assert!(schema["enum"].is_array(), "{path}: what can it be sorted by?");
                sorted.insert(path.clone());
            }
            if name == "page" || name == "size" || name == "hours" {
                assert!(schema["maximum"].is_number(), "{path} {name}");
            }
            assert_ne!(schema["type"], serde_json::json!(["string", "null"]), "{path} {name}");
        }
    }
    let known: BTreeSet<String> = limits::SORTS.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(known, sorted);
}

#[test]
fn the_described_sorts_are_those_that_lists_know() {
    type Knows = fn(&str) -> bool;
    let lists: [(&str, Knows); 6] = [
        ("/gonggus", |name| crate::gonggus::lists::Sort::parse(Some(name)).is_some()),
        ("/gonggus/{id}/reviews", |name| crate::reviews::queries::Sort::parse(Some(name)).is_some()),
        ("/influencers", |name| crate::influencers::queries::Sort::parse(Some(name)).is_some()),
        ("/admin/users", |name| crate::admin::queries::UserSort::parse(Some(name)).is_some()),
        ("/admin/coupons", |name| crate::coupons::queries::Sort::parse(Some(name)).is_some()),
        ("/admin/banners", |name| crate::banners::queries::Sort::parse(Some(name)).is_some()),
    ];
    for (path, knows) in lists {
        for name in limits::sorts(path).unwrap() {
            assert!(knows(name), "{path} cannot be sorted by {name}");
        }
    }
}

#[test]
fn every_tag_is_described() {
    let document = document();
    let described: BTreeSet<&str> = document["tags"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|tag| tag["description"].as_str().is_some_and(|text| !text.is_empty()))
        .map(|tag| tag["name"].as_str().unwrap())
        .collect();
    for (method, path, operation) in operations() {
        let tags = operation["tags"].as_array().unwrap();
        assert!(!tags.is_empty(), "{method} {path}");
        for tag in tags {
            assert!(described.contains(tag.as_str().unwrap()), "{method} {path}: {tag}");
        }
    }
}

mod examples;
