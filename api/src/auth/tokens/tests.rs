#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use base64::Engine;
use serde_json::{Value, json};

const SECRET: &[u8] = b"a secret of more than thirty-two bytes for tests";

fn tokens() -> AccessTokens {
    AccessTokens::new(SECRET, Algorithm::HS256, 30)
}

fn now_seconds() -> i64 {
    chrono::Utc::now().timestamp()
}

fn good_claims() -> Value {
    let now = now_seconds();
    json!({"sub": Uuid::nil(), "role": "buyer", "ver": 0, "uca": 5, "sid": Uuid::nil(), "iss": ISSUER, "aud": AUDIENCE,
           "iat": now, "nbf": now, "exp": now + 60})
}

fn signed(algorithm: Algorithm, secret: &[u8], claims: &Value) -> String {
    jsonwebtoken::encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret)).unwrap()
}

fn with(key: &str, value: Value) -> String {
    let mut claims = good_claims();
    claims[key] = value;
    signed(Algorithm::HS256, SECRET, &claims)
}

#[test]
fn what_is_issued_is_accepted() {
    let id = UserId(Uuid::now_v7());
    let session_id = Uuid::now_v7();
    let created_at = UnixMillis(1_234);
    let subject = TokenSubject { id, role: UserRole::Admin, token_version: 7, created_at, session_id };
    let token = tokens().issue(&subject, UnixMillis(now_seconds() * 1_000)).unwrap();
    let claims = tokens().verify(&token).unwrap();
    assert_eq!(claims.member(), Member { id, created_at: UnixMillis(1_234) });
    assert_eq!((claims.ver, claims.role, claims.sid), (7, UserRole::Admin, session_id));
    assert!(tokens().verify(&signed(Algorithm::HS256, SECRET, &good_claims())).is_ok());
}

#[test]
fn only_the_pinned_algorithm_and_key() {
    assert!(tokens().verify(&signed(Algorithm::HS384, SECRET, &good_claims())).is_err());
    assert!(tokens().verify(&signed(Algorithm::HS256, b"another secret", &good_claims())).is_err());
    let encode = |value: &Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string());
    for algorithm in ["none", "None", "RS256"] {
        let head = encode(&json!({"alg": algorithm, "typ": "JWT"}));
        assert!(tokens().verify(&format!("{head}.{}.", encode(&good_claims()))).is_err(), "{algorithm}");
        assert!(tokens().verify(&format!("{head}.{}.c2ln", encode(&good_claims()))).is_err());
    }
}

#[test]
fn every_time_and_name_is_checked() {
    let now = now_seconds();
    for (key, value) in [
        ("aud", json!("another")),
        ("aud", Value::Null),
        ("iss", json!("another")),
        ("nbf", json!(now + 3_600)),
        ("exp", json!(now - 3_600)),
        ("exp", json!((now + 3_600).to_string())),
        ("nbf", json!(now.to_string())),
        ("sub", json!("not a uuid")),
        ("role", json!("root")),
    ] {
        assert!(tokens().verify(&with(key, value.clone())).is_err(), "{key}: {value}");
    }
    for key in ["aud", "iss", "nbf", "exp", "sub", "ver", "uca", "sid"] {
        let mut claims = good_claims();
        claims.as_object_mut().unwrap().remove(key);
        assert!(tokens().verify(&signed(Algorithm::HS256, SECRET, &claims)).is_err(), "without {key}");
    }
}

#[test]
fn nonsense_is_refused() {
    for text in ["", ".", "a.b.c", "한글", &"a".repeat(100_000)] {
        assert!(tokens().verify(text).is_err());
    }
}
