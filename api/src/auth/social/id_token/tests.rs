#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use serde_json::json;

/// An account of Google may keep, as verified, an address elsewhere that is somebody else's by now.
#[test]
fn google_vouches_for_mailboxes_of_its_own() {
    for (email, verified, hosted, proved) in [
        ("a@gmail.com", json!(true), None, true),
        ("A@GMail.com", json!("true"), None, true),
        ("a@shop.example", json!(true), Some("shop.example"), true),
        ("a@shop.example", json!(true), None, false),
        ("a@shop.example", json!(true), Some(""), false),
        ("a@gmail.com.evil.example", json!(true), None, false),
        ("a@gmail.com", json!(false), None, false),
        ("a@shop.example", json!(false), Some("shop.example"), false),
    ] {
        let claims = json!({"sub": "1", "email": email, "email_verified": verified, "hd": hosted});
        let person = person(Provider::Google, serde_json::from_value(claims).unwrap()).unwrap();
        assert_eq!(person.proved_email(), proved.then_some(email), "{email} {verified} {hosted:?}");
        assert_eq!(person.email.as_deref(), Some(email), "kept as an attribute");
    }
}
