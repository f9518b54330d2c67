//! The second half of the description: what the derived schemas cannot say.
//!
//! Problem: the derive macros know types, not rules. They call every `Option` nullable, also in a query string,
//! where there is no null; take no constants as limits; and know nothing of the fields that an answer always
//! has. A client, or a test, that believes such a document asks for what is refused.
//!
//! Here the document is JSON, as it is served. Invariants: only rules that hold for every accepted request
//! and every answer are added; nothing that a type says is taken back, but for `null` where it is refused.

use super::{examples, limits};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

const SCHEMA: &str = "#/components/schemas/";
/// Its other fields come with some errors only.
const SOMETIMES_EMPTY: &str = "ErrorBody";

/// Makes the document precise.
pub(super) fn refine(document: &mut Value) {
    let asked = reachable(document, |operation| &operation["requestBody"]);
    let answered = reachable(document, |operation| &operation["responses"]);
    if let Some(paths) = document["paths"].as_object_mut() {
        for (path, item) in paths {
            for operation in item.as_object_mut().into_iter().flat_map(Map::values_mut) {
                optional_is_not_null(operation);
                for parameter in
                    operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten()
                {
                    refine_parameter(path, parameter);
                }
            }
        }
    }
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        for (name, schema) in &mut *schemas {
            if asked.contains(name) {
                walk(schema, &mut required_is_not_null);
            } else if answered.contains(name) && name != SOMETIMES_EMPTY {
                walk(schema, &mut all_is_present);
            }
        }
        for (names, field, limit) in limits::of_bodies() {
            for name in names {
                if let Some(schema) = schemas.get_mut(*name) {
                    restrict(schema, field, &limit);
                }
            }
        }
    }
    share_headers(document);
    examples::add(document);
}

/// Headers that hundreds of answers have stand once.
fn share_headers(document: &mut Value) {
    let mut shared = Map::new();
    let paths = document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut);
    for operation in paths.filter_map(Value::as_object_mut).flat_map(Map::values_mut) {
        for response in operation["responses"].as_object_mut().into_iter().flat_map(Map::values_mut) {
            let Some(headers) = response.get_mut("headers").and_then(Value::as_object_mut) else { continue };
            for name in ["x-request-id", "retry-after"] {
                if let Some(header) = headers.get_mut(name) {
                    let reference = json!({"$ref": format!("#/components/headers/{name}")});
                    shared.insert(name.to_owned(), std::mem::replace(header, reference));
                }
            }
        }
    }
    document["components"]["headers"] = Value::Object(shared);
}

/// Names of the schemas that a part of any operation leads to.
fn reachable(document: &Value, part: impl Fn(&Value) -> &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let items = document["paths"].as_object().into_iter().flat_map(Map::values);
    let mut open: Vec<&Value> = items.filter_map(Value::as_object).flat_map(Map::values).map(part).collect();
    while let Some(value) = open.pop() {
        match value {
            Value::Object(map) => {
                if let Some(name) =
                    map.get("$ref").and_then(Value::as_str).and_then(|to| to.strip_prefix(SCHEMA))
                    && found.insert(name.to_owned())
                {
                    open.push(&document["components"]["schemas"][name]);
                }
                open.extend(map.values());
            }
            Value::Array(list) => open.extend(list),
            _ => {}
        }
    }
    found
}

/// A body that may be absent is an object all the same.
fn optional_is_not_null(operation: &mut Value) {
    let Some(body) = operation.get_mut("requestBody") else { return };
    let mut is_required = true;
    for content in body["content"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        is_required = content["schema"]["oneOf"].is_null();
        not_null(&mut content["schema"]);
    }
    body["required"] = json!(is_required);
}

fn refine_parameter(path: &str, parameter: &mut Value) {
    let name = parameter["name"].as_str().unwrap_or_default().to_owned();
    let is_query = parameter["in"] == "query";
    let schema = &mut parameter["schema"];
    // what is not in the query string or among the headers is absent, never null
    not_null(schema);
    if let Some(limit) = limits::of_parameter(path, &name) {
        merge(schema, &limit);
    }
    if is_query
        && name == "sort"
        && let Some(names) = limits::sorts(path)
    {
        merge(schema, &json!({"enum": names}));
    }
}

/// Calls `change` on every object schema in `schema`.
fn walk(schema: &mut Value, change: &mut impl FnMut(&mut Map<String, Value>)) {
    match schema {
        Value::Object(map) => {
            if map.get("properties").is_some_and(Value::is_object) {
                change(map);
            }
            map.values_mut().for_each(|value| walk(value, change));
        }
        Value::Array(list) => list.iter_mut().for_each(|value| walk(value, change)),
        _ => {}
    }
}

/// Bodies are optional field by field so that one answer names all that is missing; that must not read as if
/// a required field could be null.
fn required_is_not_null(object: &mut Map<String, Value>) {
    let required: Vec<String> = names(object.get("required"));
    if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
        for name in required {
            if let Some(schema) = properties.get_mut(&name) {
                not_null(schema);
            }
        }
    }
}

/// Answers leave nothing out: what there is not is null.
fn all_is_present(object: &mut Map<String, Value>) {
    let all: Vec<String> = object
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::keys)
        .cloned()
        .collect();
    object.insert("required".to_owned(), json!(all));
}

pub(super) fn names(list: Option<&Value>) -> Vec<String> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Takes `null` out of what a schema allows.
fn not_null(schema: &mut Value) {
    if let Some(types) = schema["type"].as_array() {
        let mut types: Vec<Value> = types.iter().filter(|name| *name != "null").cloned().collect();
        schema["type"] = if types.len() == 1 { types.remove(0) } else { json!(types) };
    }
    let Some(ways) = schema["oneOf"].as_array() else { return };
    let mut ways: Vec<Value> = ways.iter().filter(|way| way["type"] != "null").cloned().collect();
    if let (1, Some(Value::Object(only))) = (ways.len(), ways.pop())
        && let Some(schema) = schema.as_object_mut()
    {
        schema.remove("oneOf");
        schema.extend(only);
    }
}

/// Adds words to a field of an object schema.
fn restrict(schema: &mut Value, field: &str, words: &Value) {
    let property = schema.get_mut("properties").and_then(|properties| properties.get_mut(field));
    if let Some(property) = property {
        merge(property, words);
    }
}

/// Adds words to a schema.
fn merge(schema: &mut Value, words: &Value) {
    if let (Some(schema), Some(words)) = (schema.as_object_mut(), words.as_object()) {
        for (word, value) in words {
            schema.insert(word.clone(), value.clone());
        }
    }
}
