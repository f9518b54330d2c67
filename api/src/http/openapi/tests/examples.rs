//! Examples are true: those of requests are accepted, those of answers are what answers may be.

use super::document;
use crate::http::error::ApiError;
use crate::http::extract::parse_json;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeSet;

type Accepts = fn(&[u8]) -> Result<(), ApiError>;

fn parses<T: DeserializeOwned>(body: &[u8]) -> Result<(), ApiError> {
    parse_json::<T>(body).map(drop)
}

/// Every body that a request can have, with what it meets.
const BODIES: &[(&str, Accepts)] = &[
    ("AdminUserUpdate", parses::<crate::admin::types::AdminUserUpdate>),
    ("AlarmUpdate", parses::<crate::gonggus::marks::types::AlarmUpdate>),
    ("AppleCallbackForm", parses::<crate::auth::social::types::AppleCallbackForm>),
    ("ApplicationDecision", parses::<crate::admin::types::ApplicationDecision>),
    ("BannerCreate", |body| crate::banners::check::check(parse_json(body)?).map(drop)),
    ("BannerUpdate", |body| crate::banners::check::check(parse_json(body)?).map(drop)),
    ("CategoryCreate", |body| crate::categories::check::check(parse_json(body)?).map(drop)),
    ("CategoryUpdate", |body| crate::categories::check::check(parse_json(body)?).map(drop)),
    ("ClickCreate", parses::<crate::tracking::types::ClickCreate>),
    ("CouponCreate", |body| crate::coupons::check::check(parse_json(body)?).map(drop)),
    ("CouponUpdate", |body| crate::coupons::check::check(parse_json(body)?).map(drop)),
    ("DeviceCreate", parses::<crate::users::devices::DeviceCreate>),
    ("DeviceDelete", parses::<crate::users::devices::DeviceDelete>),
    ("ForgotRequest", parses::<crate::auth::types::ForgotRequest>),
    ("GongguCreate", |body| crate::gonggus::check::create(&parse_json(body)?).map(drop)),
    ("GongguUpdate", parses::<crate::gonggus::types::GongguUpdate>),
    ("InfluencerUpdate", |body| crate::influencers::check::profile(parse_json(body)?).map(drop)),
    ("LoginRequest", parses::<crate::auth::types::LoginRequest>),
    ("NotificationSettingsUpdate", parses::<crate::users::notification_settings::NotificationSettingsUpdate>),
    ("PointsCreate", parses::<crate::points::types::PointsCreate>),
    ("RefreshRequest", parses::<crate::auth::types::RefreshRequest>),
    ("ResetRequest", parses::<crate::auth::types::ResetRequest>),
    ("ReviewCreate", |body| crate::reviews::check::create(parse_json(body)?).map(drop)),
    ("ReviewUpdate", parses::<crate::reviews::types::ReviewUpdate>),
    ("SignupRequest", parses::<crate::auth::types::SignupRequest>),
    ("SocialLoginRequest", parses::<crate::auth::social::types::SocialLoginRequest>),
    ("SubscriptionUpdate", parses::<crate::subscriptions::types::SubscriptionUpdate>),
    ("VerifyRequest", parses::<crate::auth::types::VerifyRequest>),
    ("UserUpdate", |body| crate::users::check::update(parse_json(body)?).map(drop)),
];

#[test]
fn examples_of_requests_are_accepted() {
    let document = document();
    let bodies = super::operations().into_iter().filter_map(|(_, _, operation)| {
        let content = operation["requestBody"]["content"].as_object()?.values().next()?.clone();
        let schema = &content["schema"];
        let named = schema["$ref"].as_str().unwrap_or_else(|| panic!("a body without a name: {schema}"));
        Some(named.rsplit('/').next()?.to_owned())
    });
    let bodies: BTreeSet<String> = bodies.collect();
    let known: BTreeSet<String> = BODIES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(bodies, known);
    for (name, accepts) in BODIES {
        let example = &document["components"]["schemas"][name]["example"];
        assert!(example.is_object(), "{name} has no example");
        let accepted = accepts(&serde_json::to_vec(example).unwrap());
        assert!(accepted.is_ok(), "{name}: {accepted:?}\n{example}");
    }
}

#[test]
fn every_example_is_what_its_schema_says() {
    let document = document();
    let mut wrong = Vec::new();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        match schema.get("example") {
            Some(example) => check(example, schema, &document, name, &mut wrong),
            None => wrong.push(format!("{name} has no example")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The words of JSON Schema that the document uses.
fn check(value: &Value, schema: &Value, document: &Value, at: &str, wrong: &mut Vec<String>) {
    if let Some(to) = schema["$ref"].as_str() {
        return check(value, document.pointer(&to[1..]).unwrap(), document, at, wrong);
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        check(value, part, document, at, wrong);
    }
    if let Some(ways) = schema["oneOf"].as_array() {
        let fits = |way: &&Value| {
            let mut wrong = Vec::new();
            check(value, way, document, at, &mut wrong);
            wrong.is_empty()
        };
        if ways.iter().filter(fits).count() != 1 {
            wrong.push(format!("{at}: {value} is not one of its kinds"));
        }
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let types = match &schema["type"] {
        Value::String(only) => vec![only.as_str()],
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let fits = types.is_empty() || types.contains(&kind) || (kind == "integer" && types.contains(&"number"));
    if !fits {
        wrong.push(format!("{at}: {value} is no {types:?}"));
    }
    if schema["enum"].as_array().is_some_and(|values| !values.contains(value)) {
        wrong.push(format!("{at}: {value} is not in {}", schema["enum"]));
    }
    let bounded = |word: &str, holds: fn(f64, f64) -> bool, size: Option<f64>| {
        size.zip(schema[word].as_f64()).is_none_or(|(size, bound)| holds(size, bound))
    };
    let chars = value.as_str().map(|text| text.chars().count() as f64);
    let items = value.as_array().map(|items| items.len() as f64);
    let is_bounded = bounded("minimum", |a, b| a >= b, value.as_f64())
        && bounded("maximum", |a, b| a <= b, value.as_f64())
        && bounded("minLength", |a, b| a >= b, chars)
        && bounded("maxLength", |a, b| a <= b, chars)
        && bounded("maxItems", |a, b| a <= b, items);
    if !is_bounded {
        wrong.push(format!("{at}: {value} is out of bounds"));
    }
    for name in super::refine::names(schema.get("required")) {
        if value.is_object() && value.get(&name).is_none() {
            wrong.push(format!("{at}.{name} is missing"));
        }
    }
    for (name, value) in value.as_object().into_iter().flatten() {
        check(value, &schema["properties"][name], document, &format!("{at}.{name}"), wrong);
    }
    for item in value.as_array().into_iter().flatten() {
        check(item, &schema["items"], document, &format!("{at}[]"), wrong);
    }
}
