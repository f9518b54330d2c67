#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use axum::response::IntoResponse;
use serde::Deserialize;

#[derive(Debug, Deserialize, PartialEq)]
struct Sample {
    name: String,
    #[serde(default)]
    count: u32,
}

fn parse(text: &str) -> Result<Sample, ApiError> {
    parse_json(text.as_bytes())
}

#[test]
fn unknown_keys_are_ignored() {
    assert_eq!(parse(r#"{"name":"a","other":{"x":[1,null,true,1.5]}}"#).unwrap().name, "a");
}

#[test]
fn duplicate_keys_are_refused_anywhere() {
    for text in [
        r#"{"name":"a","name":"b"}"#,
        r#"{"name":"a","\u006eame":"b"}"#,
        r#"{"name":"a","x":{"y":1,"y":1}}"#,
        r#"{"name":"a","x":[{"y":1,"y":1}]}"#,
    ] {
        let error = parse(text).unwrap_err();
        assert!(matches!(error, ApiError::DuplicateKey(_)), "{text}: {error}");
        assert_eq!(error.into_response().status(), 400);
    }
    assert!(parse(r#"{"name":"a","x":[{"y":1},{"y":1}]}"#).is_ok());
}

#[test]
fn malformed_is_400_and_wrong_shape_is_422() {
    for text in ["", "{", "nonsense", r#"{"name":"a"} x"#, "{\"name\":\"\u{1}\"}"] {
        assert!(matches!(parse(text), Err(ApiError::MalformedJson { .. })), "{text}");
    }
    let deep = "[".repeat(100_000);
    assert!(matches!(parse(&deep), Err(ApiError::MalformedJson { .. })), "depth is bounded");
    let place = parse("{\"name\": \"a\",\n  \"count\": }");
    assert!(matches!(place, Err(ApiError::MalformedJson { line: 2, column: 12 })), "{place:?}");
    let Err(ApiError::Validation(fields)) = parse(r#"{"count":1}"#) else { panic!("not refused") };
    assert_eq!(fields[0].field, "name");
    let Err(ApiError::Validation(fields)) = parse(r#"{"name":1}"#) else { panic!("not refused") };
    assert_eq!((&*fields[0].field, &*fields[0].message), ("name", "값의 형식이 올바르지 않습니다"));
    assert!(matches!(parse("[]"), Err(ApiError::Validation(_))));
}

#[tokio::test]
async fn a_wrong_value_of_a_query_is_named() {
    #[derive(Debug, Deserialize)]
    struct Range {
        #[allow(dead_code)]
        from: Option<chrono::DateTime<chrono::Utc>>,
    }
    let asked = async |uri: &str| {
        let (mut parts, ()) = http::Request::get(uri).body(()).unwrap().into_parts();
        Query::<Range>::from_request_parts(&mut parts, &()).await
    };
    assert!(asked("/x?from=2026-11-01T09%3A00%3A00%2B09%3A00&other=1").await.unwrap().0.from.is_some());
    let Err(ApiError::Validation(fields)) = asked("/x?from=yesterday").await else { panic!("not refused") };
    assert_eq!(fields[0].field, "from");
    assert!(fields[0].message.contains("2026-11-01T09:00:00+09:00"), "{fields:?}");
}
