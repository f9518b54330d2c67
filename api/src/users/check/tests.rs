use super::*;

fn is_refused(body: serde_json::Value) -> bool {
    serde_json::from_value(body).map_or(true, |body| update(body).is_err())
}

#[test]
fn profiles_hold_what_they_should() {
    for good in [
        serde_json::json!({}),
        serde_json::json!({"nickname": " 공구러버 ", "profile_image": "https://cdn.example/a.webp"}),
        serde_json::json!({"profile_image": null, "phone_number": null}),
        serde_json::json!({"phone_number": "+821012345678", "role": "admin"}),
    ] {
        assert!(!is_refused(good.clone()), "{good}");
    }
    for bad in [
        serde_json::json!({"nickname": null}),
        serde_json::json!({"nickname": "  "}),
        serde_json::json!({"nickname": "가".repeat(51)}),
        serde_json::json!({"nickname": "a\u{0}b"}),
        serde_json::json!({"nickname": "a\nb"}),
        serde_json::json!({"profile_image": "javascript:alert(1)"}),
        serde_json::json!({"profile_image": "https://user:pass@cdn.example/a"}),
        serde_json::json!({"profile_image": "https:cdn.example"}),
        serde_json::json!({"profile_image": "https://cdn.example/a b"}),
        serde_json::json!({"profile_image": format!("https://cdn.example/{}", "a".repeat(500))}),
        serde_json::json!({"phone_number": "01012345678"}),
        serde_json::json!({"phone_number": "+0101234567"}),
        serde_json::json!({"phone_number": "+82 10 1234 5678"}),
        serde_json::json!({"phone_number": "+8210123456789012"}),
        serde_json::json!({"phone_number": "+８２1012345678"}),
    ] {
        assert!(is_refused(bad.clone()), "{bad}");
    }
}
