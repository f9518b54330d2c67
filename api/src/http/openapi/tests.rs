#![allow(clippy::unwrap_used, clippy::expect_used)]
//! The document against the one list of what is public.

use super::*;
use serde_json::Value;
use std::collections::BTreeSet;

const METHODS: [&str; 7] = ["get", "put", "post", "delete", "patch", "head", "options"];

/// Every operation: method, path below the base, description.
fn operations() -> Vec<(String, String, Value)> {
    let document = serde_json::to_value(document()).unwrap();
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
