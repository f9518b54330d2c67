//! What fields of requests may hold, in the words of JSON Schema.
//!
//! Problem: a limit that is written once for the check and once for the description drifts. So what stands
//! here is made from the constants that the checks use. A schema says only what holds for every accepted
//! value: texts are trimmed and brought into NFC before they are measured, passwords are measured in bytes,
//! and rules between fields have no words at all.

use crate::auth::email::EMAIL_CHARS_MAX;
use crate::auth::passwords::{PASSWORD_MAX_BYTES, PASSWORD_MIN_BYTES};
use crate::gonggus::marks::routes::ALARM_MAX_MINUTES;
use crate::http::page::{PAGE_MAX, SIZE_MAX};
use crate::http::text::TextRule;
use crate::{admin, auth, banners, coupons, gonggus, http, influencers, points, reviews, users};
use serde_json::{Value, json};

/// An http(s) address, or nothing.
const ADDRESS: &str = r"^([hH][tT][tT][pP][sS]?://[^\s\\]+)?$";
/// A path of ours, an http(s) address, or nothing.
const PICTURE: &str = r"^(/([^/\s\\][^\s\\]*)?|https?://[^\s\\]*)?$";
/// The same where the text is trimmed first.
const TRIMMED_PICTURE: &str = r"^\s*(/([^/\s\\][^\s\\]*)?|https?://\S*)?\s*$";

/// An uploaded picture, or an http(s) address.
const REVIEW_PICTURE: &str = concat!(
    r"^(/images/[0-9]{4}/[0-9]{2}/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\.webp",
    r"|https?://[^\s\\]+)$"
);

/// Schemas, a field that they share, and what holds for it.
pub(super) type FieldLimit = (&'static [&'static str], &'static str, Value);

/// The limits of bodies.
pub(super) fn of_bodies() -> Vec<FieldLimit> {
    [of_accounts(), of_catalog(), of_admin_bodies()].concat()
}

fn of_accounts() -> Vec<FieldLimit> {
    let password = json!({"minLength": PASSWORD_MIN_BYTES.div_ceil(4), "maxLength": PASSWORD_MAX_BYTES});
    let profile_address = json!({"maxLength": influencers::check::URL_MAX_CHARS, "pattern": ADDRESS});
    let banner = json!({"maxLength": gonggus::check::PICTURE_MAX_CHARS, "pattern": PICTURE});
    vec![
        (
            &["SignupRequest", "ForgotRequest"],
            "email",
            json!({"format": "idn-email", "maxLength": EMAIL_CHARS_MAX}),
        ),
        (&["LoginRequest"], "email", json!({"minLength": 1})),
        (&["SignupRequest", "ResetRequest"], "password", password),
        (&["SignupRequest", "UserUpdate"], "nickname", chars(1, users::check::NICKNAME_CHARS_MAX)),
        (&["SignupRequest"], "role", json!({"enum": ["buyer", "influencer", null]})),
        (
            &["UserUpdate"],
            "profile_image",
            json!({"maxLength": users::check::PICTURE_CHARS_MAX, "pattern": r"^https?://[^\s\\]+$"}),
        ),
        (&["DeviceCreate", "DeviceDelete"], "token", chars(1, users::devices::TOKEN_BYTES_MAX)),
        (&["SocialLoginRequest"], "code", chars(1, auth::social::routes::CODE_MAX_BYTES)),
        (&["InfluencerUpdate"], "bio", text(influencers::check::BIO)),
        (&["InfluencerUpdate"], "banner_image", banner),
        (&["InfluencerUpdate"], "instagram_url", profile_address.clone()),
        (&["InfluencerUpdate"], "tiktok_url", profile_address),
    ]
}

fn of_catalog() -> Vec<FieldLimit> {
    const GONGGU: &[&str] = &["GongguCreate", "GongguUpdate"];
    const REVIEW: &[&str] = &["ReviewCreate", "ReviewUpdate"];
    let external_url =
        json!({"maxLength": gonggus::destination::LENGTH_MAX_CHARS, "pattern": ADDRESS, "minLength": 1});
    let thumbnail = json!({"maxLength": gonggus::check::PICTURE_MAX_CHARS, "pattern": PICTURE});
    let image =
        json!({"type": "string", "maxLength": reviews::check::IMAGE_MAX_CHARS, "pattern": REVIEW_PICTURE});
    let categories = json!({"maxItems": gonggus::check::CATEGORIES_MAX, "uniqueItems": true});
    vec![
        (GONGGU, "title", text(gonggus::check::TITLE)),
        (GONGGU, "description", text(gonggus::check::DESCRIPTION)),
        (GONGGU, "original_price", numbers(1, i32::MAX.into())),
        (GONGGU, "gonggu_price", numbers(1, i32::MAX.into())),
        (GONGGU, "external_url", external_url),
        (GONGGU, "thumbnail", thumbnail),
        (GONGGU, "category_ids", categories),
        (&["AlarmUpdate"], "minutes_before", numbers(0, ALARM_MAX_MINUTES.into())),
        (REVIEW, "rating", numbers(1, 5)),
        (REVIEW, "content", text(reviews::check::CONTENT)),
        (REVIEW, "images", json!({"maxItems": reviews::check::IMAGES_MAX, "items": image})),
    ]
}

fn of_admin_bodies() -> Vec<FieldLimit> {
    let (code, worth) = (coupons::check::CODE_CHARS, coupons::check::POINTS);
    let picture = json!({"maxLength": gonggus::check::PICTURE_MAX_CHARS, "pattern": TRIMMED_PICTURE});
    let reason = chars(0, admin::routes::REASON_MAX_CHARS);
    vec![
        (&["CategoryCreate"], "name", chars(1, 50)),
        (&["CategoryCreate"], "icon", picture.clone()),
        (&["CategoryCreate"], "sort_order", numbers(i32::MIN.into(), i32::MAX.into())),
        (&["CouponCreate"], "code", chars(*code.start(), *code.end())),
        (&["CouponCreate"], "name", chars(1, 100)),
        (&["CouponCreate"], "points", numbers((*worth.start()).into(), (*worth.end()).into())),
        (&["CouponCreate"], "total_limit", numbers(1, i32::MAX.into())),
        (&["BannerCreate"], "slot", slot()),
        (&["BannerCreate"], "image_url", picture),
        (&["BannerCreate"], "link_url", chars(0, banners::check::LINK_MAX_CHARS)),
        (&["BannerCreate"], "sort_order", numbers(i32::MIN.into(), i32::MAX.into())),
        (&["PointsCreate"], "amount", numbers(-points::routes::AMOUNT_MAX, points::routes::AMOUNT_MAX)),
        (&["PointsCreate"], "reason", chars(1, points::routes::REASON_MAX_CHARS)),
        (&["AdminUserUpdate", "ApplicationDecision"], "reason", reason),
    ]
}

/// What holds for a parameter of this name, wherever it stands; `None`: its type says all.
pub(super) fn of_parameter(path: &str, name: &str) -> Option<Value> {
    Some(match name {
        "page" => numbers(1, PAGE_MAX),
        "size" => numbers(1, SIZE_MAX),
        "hours" => numbers(1, gonggus::routes::CLOSING_SOON_MAX_HOURS),
        "slot" => slot(),
        "q" if path.ends_with("/admin/users") => one_line(admin::routes::QUERY_MAX_CHARS),
        "q" if path.ends_with("/influencers") => chars(0, influencers::routes::Q_MAX_CHARS),
        "q" => chars(0, gonggus::lists::Q_MAX_CHARS),
        "action" => one_line(admin::routes::ACTION_MAX_CHARS),
        http::idempotency::HEADER => {
            json!({"minLength": 1, "maxLength": http::idempotency::KEY_MAX_CHARS, "pattern": "^[!-~]+$"})
        }
        _ => return None,
    })
}

/// By what the list at this path can be sorted; the first is the default.
pub(super) fn sorts(path: &str) -> Option<&'static [&'static str]> {
    let below = path.strip_prefix(super::BASE).unwrap_or(path);
    SORTS.iter().find(|(path, _)| *path == below).map(|(_, names)| *names)
}

const GONGGU_SORTS: &[&str] =
    &["created_at", "open_at", "close_at", "gonggu_price", "discount_rate", "click_count"];

/// The sorts of each list; a test holds them to the functions that read them.
pub(super) const SORTS: &[(&str, &[&str])] = &[
    ("/gonggus", GONGGU_SORTS),
    ("/gonggus/active", GONGGU_SORTS),
    ("/gonggus/upcoming", GONGGU_SORTS),
    ("/gonggus/closing-soon", GONGGU_SORTS),
    ("/gonggus/{id}/reviews", &["created_at", "rating"]),
    ("/influencers", &["subscriber_count", "created_at", "nickname"]),
    ("/points", &["created_at"]),
    ("/coupons", &["redeemed_at"]),
    ("/admin/users", &["created_at", "email", "nickname"]),
    ("/admin/influencers", &["created_at"]),
    ("/admin/audit-log", &["at"]),
    ("/admin/coupons", &["created_at", "starts_at", "ends_at", "redeemed_count"]),
    ("/admin/banners", &["created_at", "sort_order", "starts_at", "ends_at"]),
];

/// Text without control characters, of so many characters once what is around it is trimmed away.
fn one_line(max: usize) -> Value {
    const AROUND: &str = r"[\t-\r \u0085]*";
    json!({"pattern": format!(r"^{AROUND}[^\u0000-\u001f\u007f-\u009f]{{0,{max}}}{AROUND}$")})
}

fn slot() -> Value {
    json!({"pattern": format!("^[a-z0-9_-]{{1,{}}}$", banners::check::SLOT_MAX_CHARS)})
}

fn text(rule: TextRule) -> Value {
    chars(rule.chars_min, rule.chars_max)
}

fn chars(min: usize, max: usize) -> Value {
    if min == 0 { json!({"maxLength": max}) } else { json!({"minLength": min, "maxLength": max}) }
}

fn numbers(min: i64, max: i64) -> Value {
    json!({"minimum": min, "maximum": max})
}
