//! Completes the API's description with what holds for every operation.
//!
//! Problem: forty handlers share what extractors, middleware and the server answer for them: malformed
//! bodies, missing tokens, limits, faults. Written beside each handler that would be forgotten or drift
//! apart, and a client made from the document would meet answers it was never told of.
//!
//! So handlers declare only what is theirs, and the rest is added here from facts that the document holds:
//! an operation with a body can be refused for the body, one that asks for a token for the token, and so on.
//! What a handler has declared itself is never replaced.

use crate::http::request_id::REQUEST_ID;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, ParameterIn, PathItem};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr};

/// Adds the common answers and headers, and gives every operation an id of its own.
pub(super) fn complete(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            operation.operation_id = Some(operation_id(method, path));
            complete_operation(operation);
        }
    }
}

/// The operations of a path with their methods, lower case.
fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    [
        ("get", item.get.as_mut()),
        ("head", item.head.as_mut()),
        ("post", item.post.as_mut()),
        ("put", item.put.as_mut()),
        ("patch", item.patch.as_mut()),
        ("delete", item.delete.as_mut()),
    ]
    .into_iter()
    .filter_map(|(method, operation)| operation.map(|operation| (method, operation)))
}

/// `get` of `/api/v1/gonggus/{id}` is `get_gonggus_id`: client generators name functions by it, and handler
/// names repeat from domain to domain.
fn operation_id(method: &str, path: &str) -> String {
    let words = path.trim_start_matches("/api/v1").split(['/', '-', '.']).filter(|word| !word.is_empty());
    words.fold(method.to_owned(), |id, word| id + "_" + word.trim_matches(['{', '}']))
}

fn complete_operation(operation: &mut Operation) {
    let body = operation.request_body.is_some();
    let asks_for_token = operation.security.as_ref().is_some_and(|ways| !ways.is_empty());
    let parameters = operation.parameters.as_deref().unwrap_or_default();
    let stands_in = |place: ParameterIn| {
        let place = &place;
        parameters.iter().any(|parameter| matches!(parameter, RefOr::T(one) if one.parameter_in == *place))
    };
    let path = stands_in(ParameterIn::Path);
    let query = stands_in(ParameterIn::Query);
    let responses = &mut operation.responses.responses;
    let common = [
        (body || path, "400", "요청 형식이 올바르지 않음: `MALFORMED_REQUEST`, `DUPLICATE_KEY`"),
        (asks_for_token, "401", "토큰이 없거나 유효하지 않음: `UNAUTHORIZED`"),
        (asks_for_token, "403", "권한 없음: `FORBIDDEN`, `ACCOUNT_SUSPENDED`"),
        (body, "413", "본문이 너무 큼: `PAYLOAD_TOO_LARGE`"),
        (body, "415", "지원하지 않는 본문 형식: `UNSUPPORTED_MEDIA_TYPE`"),
        (body || query, "422", "입력값 오류: `VALIDATION_ERROR`"),
        (responses.contains_key("429"), "429", "요청이 너무 많음: `RATE_LIMITED`"),
        (true, "500", "서버 오류: `INTERNAL_ERROR`"),
        (true, "503", "일시적으로 이용 불가: `SERVICE_UNAVAILABLE`, `TIMED_OUT`"),
    ];
    for (applies, status, description) in common {
        if applies {
            let response = responses.entry(status.to_owned()).or_insert_with(|| RefOr::T(error(description)));
            if let RefOr::T(response) = response
                && response.description.is_empty()
            {
                description.clone_into(&mut response.description);
            }
        }
    }
    for (status, response) in responses {
        if let RefOr::T(response) = response {
            describe(status, response);
        }
    }
}

fn error(description: &str) -> Response {
    let body = ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorBody"))).build();
    ResponseBuilder::new().description(description).content("application/json", body).build()
}

/// Headers that come with every answer, or with every answer of this status.
fn describe(status: &str, response: &mut Response) {
    if response.description.is_empty() {
        // the specification requires one
        response.description = match status {
            "200" | "201" | "202" | "204" => "성공",
            "304" => "변경 없음",
            _ => "오류",
        }
        .to_owned();
    }
    let text = ObjectBuilder::new().schema_type(Type::String).build();
    let request_id = HeaderBuilder::new().schema(Some(text)).description(Some("요청 ID")).build();
    response.headers.entry(REQUEST_ID.as_str().to_owned()).or_insert(RefOr::T(request_id));
    if matches!(status, "429" | "503") {
        let seconds = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
            .build();
        let retry =
            HeaderBuilder::new().schema(Some(seconds)).description(Some("다시 시도할 때까지의 초")).build();
        response.headers.entry("retry-after".to_owned()).or_insert(RefOr::T(retry));
    }
}
