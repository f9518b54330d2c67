//! An example for every schema.
//!
//! Examples that are written beside each type repeat each other a hundred times and contradict each other soon.
//! Here a field has one example, by its name, and the example of an object is made of its fields', of a
//! list one item's: all of them tell of the same gonggu, person and coupon. Tests hold the examples of requests
//! to the checks that requests meet.

use super::refine::names;
use serde_json::{Map, Value, json};

const SCHEMA: &str = "#/components/schemas/";
const GONGGU: &str = "01930000-0000-7000-8000-000000000001";
const PERSON: &str = "01930000-0000-7000-8000-000000000002";
const CATEGORY: &str = "01930000-0000-7000-8000-000000000003";
const OTHER: &str = "01930000-0000-7000-8000-000000000004";
/// Deep enough for every answer; a category's children have none.
const DEPTH_MAX: usize = 16;

/// Gives every schema its example.
pub(super) fn add(document: &mut Value) {
    let Some(schemas) = document["components"]["schemas"].as_object().cloned() else { return };
    for name in schemas.keys() {
        let example = of_schema(name, &schemas, 0);
        if let Some(schema) = document["components"]["schemas"][name].as_object_mut() {
            schema.insert("example".to_owned(), example);
        }
    }
}

fn of_schema(name: &str, schemas: &Map<String, Value>, depth: usize) -> Value {
    let null = Value::Null;
    of(schemas.get(name).unwrap_or(&null), name, "", schemas, depth)
}

/// `owner` is the schema in which the field stands.
fn of(schema: &Value, owner: &str, field: &str, schemas: &Map<String, Value>, depth: usize) -> Value {
    if let Some(example) = own(owner, field).or_else(|| schema.get("example").cloned()) {
        return example;
    }
    if depth > DEPTH_MAX {
        return Value::Null;
    }
    if let Some(name) = schema["$ref"].as_str().and_then(|to| to.strip_prefix(SCHEMA)) {
        return of_schema(name, schemas, depth + 1);
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let parts = parts.iter().filter_map(|part| match of(part, owner, field, schemas, depth + 1) {
            Value::Object(part) => Some(part),
            _ => None,
        });
        return parts.flatten().collect::<Map<String, Value>>().into();
    }
    if let Some(way) =
        schema["oneOf"].as_array().and_then(|ways| ways.iter().find(|way| way["type"] != "null"))
    {
        return of(way, owner, field, schemas, depth + 1);
    }
    if let Some(first) = schema["enum"].as_array().and_then(|values| values.first()) {
        return first.clone();
    }
    let kinds = match &schema["type"] {
        Value::String(kind) => vec![kind.clone()],
        kinds => names(Some(kinds)),
    };
    match kinds.iter().map(String::as_str).find(|kind| *kind != "null") {
        Some("object") => {
            let properties = schema["properties"].as_object().into_iter().flatten();
            let fields =
                properties.map(|(name, schema)| (name.clone(), of(schema, owner, name, schemas, depth + 1)));
            fields.collect::<Map<String, Value>>().into()
        }
        Some("array") => json!([of(&schema["items"], owner, &format!("{field}[]"), schemas, depth + 1)]),
        _ if by_name(field).is_some() => by_name(field).unwrap_or_default(),
        Some("boolean") => json!(true),
        Some("integer" | "number") => json!(12),
        _ => json!(of_format(schema["format"].as_str().unwrap_or_default())),
    }
}

fn of_format(format: &str) -> &'static str {
    match format {
        "uuid" => OTHER,
        "date-time" => "2026-11-23T01:02:03Z",
        "date" => "2026-11-23",
        _ => "text",
    }
}

/// Where the name of a field alone would give the wrong example, or none.
fn own(owner: &str, field: &str) -> Option<Value> {
    let special = match (owner, field) {
        ("CategoryNode", "children") => json!([]),
        ("CategoryNode" | "CategoryResponse", "id") => json!(CATEGORY),
        ("CategoryNode" | "CategoryResponse" | "CategoryCreate" | "CategoryUpdate", "parent_id") => {
            Value::Null
        }
        ("CategoryNode" | "CategoryResponse" | "CategoryCreate" | "CategoryUpdate", "name") => {
            json!("육아/키즈")
        }
        ("CategoryNode" | "CategoryResponse" | "CategoryCreate" | "CategoryUpdate", "sort_order") => json!(1),
        ("GongguResponse" | "CalendarGonggu", "id") => json!(GONGGU),
        ("GongguCreate", "influencer_id") => Value::Null,
        ("GongguUpdate", "closed") => json!(false),
        ("GongguResponse" | "GongguDetailResponse", "closed_at") => Value::Null,
        ("GongguResponse" | "CalendarGonggu" | "GongguFigures", "status") => json!("active"),
        ("SocialLoginRequest", "error") => Value::Null,
        ("BannerCreate" | "BannerUpdate" | "BannerResponse", "starts_at") => json!("2026-11-23T00:00:00Z"),
        ("BannerCreate" | "BannerUpdate" | "BannerResponse", "ends_at") => json!("2026-12-23T00:00:00Z"),
        ("PointEntryResponse" | "PointsCreate", "reason") => json!("이벤트 당첨"),
        ("FieldError", "message") => json!("1원 이상 2147483647원 이하여야 합니다"),
        ("FieldError", "field") => json!("gonggu_price"),
        ("ErrorBody", "request_id") => json!(OTHER),
        ("AuditEntryResponse", "details") => json!({"reason": "허위 공구 등록"}),
        ("AdminUserUpdate", "status") => json!("suspended"),
        ("AdminUserResponse", "suspended_at" | "suspended_reason") => Value::Null,
        ("InfluencerOwnResponse" | "AdminInfluencerResponse", "refusal_reason") => Value::Null,
        ("UserResponse" | "ProfileResponse", "role") => json!("buyer"),
        ("AuthorizeResponse", "state") | ("SocialLoginRequest", "state") => json!("q0w7K1yQmJ2v"),
        ("DeviceBody", "device") => json!("mobile"),
        ("StatsResponse" | "InfluencerStatsResponse", "interval") => json!("hour"),
        ("StatsResponse", "invalid_reasons") => {
            json!({"head": 0, "prefetch": 0, "bot": 1, "embedded": 0, "not_active": 0, "fraud": 0})
        }
        _ => return None,
    };
    Some(special)
}

/// What a field of this name holds, if it is text or a number.
fn by_name(field: &str) -> Option<Value> {
    Some(match field {
        "gonggu_id" => json!(GONGGU),
        "user_id" | "influencer_id" | "actor_id" => json!(PERSON),
        "category_ids[]" => json!(CATEGORY),
        "nickname" | "actor_nickname" => json!("공구러버"),
        "email" => json!("buyer@example.com"),
        "title" => json!("제주 감귤 5kg"),
        "description" => json!("산지 직송"),
        "original_price" => json!(29_000),
        "gonggu_price" => json!(19_900),
        "discount_rate" => json!(31.38),
        "open_at" | "starts_at" => json!("2026-11-20T00:00:00Z"),
        "close_at" | "ends_at" => json!("2026-12-20T00:00:00Z"),
        "external_url" => json!("https://shop.example.com/items/1"),
        "redirect_url" => json!("https://shop.example.com/items/1?utm_source=gonggumoa"),
        "thumbnail" | "profile_image" | "banner_image" | "icon" | "image_url" | "images[]" => {
            json!("https://cdn.example.com/images/1.webp")
        }
        "link_url" => json!("/gonggus"),
        "instagram_url" => json!("https://www.instagram.com/someone"),
        "tiktok_url" => json!("https://www.tiktok.com/@someone"),
        "bio" => json!("제철 과일을 산지에서 소개합니다"),
        "content" => json!("배송도 빠르고 맛있어요"),
        "rating" => json!(5),
        "slot" => json!("home-top"),
        "code" => json!("WELCOME-2026"),
        "name" => json!("신규 가입 쿠폰"),
        "password" => json!("correct horse battery"),
        "access_token" => json!("eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl"),
        "refresh_token" => json!("b3BhcXVlLXJlZnJlc2gtdG9rZW4"),
        "phone_number" => json!("+821012345678"),
        "minutes_before" | "alarm_minutes_before" => json!(10),
        "tz" => json!("Asia/Seoul"),
        "host" => json!("instagram.com"),
        "action" => json!("user.suspend"),
        "target_type" => json!("user"),
        "target_id" => json!(PERSON),
        "reason" => json!("허위 공구 등록"),
        "source" => json!("admin"),
        "detail" => json!("입력값을 확인해 주세요"),
        "page" | "pages" | "total" => json!(1),
        "size" => json!(20),
        _ => return None,
    })
}
