//! Keys: the providers' own, with which they sign id_tokens, and the one that Apple gave us.

use super::{APPLE_ID, APPLE_KEY, APPLE_TEAM, Fault, Grant, Vendors};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::Utc;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};

pub(super) struct Keys {
    /// Two are published at a time, as the real ones do.
    published: [EncodingKey; 2],
    /// Published once it has been used.
    next: EncodingKey,
    rotated: AtomicBool,
    /// Never published.
    foreign: EncodingKey,
    client_public: Vec<u8>,
    pub(super) client_pem: String,
}

impl Keys {
    pub(super) fn generate() -> Self {
        let client = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self {
            published: [rsa(), rsa()],
            next: rsa(),
            rotated: AtomicBool::new(false),
            foreign: rsa(),
            client_public: client.public_key().as_ref().to_vec(),
            client_pem: pem(client.to_pkcs8v1().unwrap().as_ref()),
        }
    }

    /// Apple's check of our client secret.
    pub(super) fn is_our_client_secret(&self, token: &str) -> bool {
        let header = jsonwebtoken::decode_header(token).unwrap_or_default();
        let key = DecodingKey::from_ec_der(&self.client_public);
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_audience(&["https://appleid.apple.com"]);
        validation.set_issuer(&[APPLE_TEAM]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let Ok(decoded) = jsonwebtoken::decode::<Value>(token, &key, &validation) else { return false };
        let (claims, now) = (decoded.claims, Utc::now().timestamp());
        let (issued, ends) = (claims["iat"].as_i64().unwrap_or(0), claims["exp"].as_i64().unwrap_or(0));
        header.kid.as_deref() == Some(APPLE_KEY)
            && claims["sub"] == APPLE_ID
            && (now - 600..=now + 5).contains(&issued)
            && ends <= issued + 15_777_000
    }
}

fn rsa() -> EncodingKey {
    let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'static>>::as_der(&pair).unwrap();
    EncodingKey::from_rsa_pem(pem(der.as_ref()).as_bytes()).unwrap()
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
}

fn issuer(grant: &Grant) -> &'static str {
    match (grant.fault, grant.provider) {
        (Fault::WrongIssuer, _) => "https://accounts.evil.example",
        (Fault::BareIssuer, _) => "accounts.google.com",
        (_, "kakao") => "https://kauth.kakao.com",
        (_, "google") => "https://accounts.google.com",
        _ => "https://appleid.apple.com",
    }
}

/// The id_token of a consent, or what its fault makes of it.
pub(super) fn id_token(vendors: &Vendors, grant: &Grant, client_id: &str) -> String {
    let now = Utc::now().timestamp();
    let human = &grant.human;
    let lived = if grant.fault == Fault::Expired { -7_200 } else { 0 };
    let mut claims = json!({
        "iss": issuer(grant),
        "aud": if grant.fault == Fault::WrongAudience { "another-app" } else { client_id },
        "sub": human.subject,
        "iat": now + lived,
        "exp": now + lived + 3_600,
        "auth_time": now + lived,
        "nonce": if grant.fault == Fault::WrongNonce { Some("another") } else { grant.nonce.as_deref() },
    });
    match grant.provider {
        "kakao" => {
            claims["nickname"] = json!(human.name);
            // in the token only when valid and verified
            if let (Some(email), true) = (&human.email, human.email_verified) {
                claims["email"] = json!(email);
            }
        }
        "google" => {
            claims["azp"] = json!(client_id);
            claims["name"] = json!(human.name);
            claims["picture"] = json!("https://lh3.googleusercontent.com/a/x");
            if let Some(email) = &human.email {
                claims["email"] = json!(email);
                claims["email_verified"] = json!(human.email_verified);
                if let (Some((_, domain)), true) = (email.split_once('@'), human.is_hosted) {
                    claims["hd"] = json!(domain);
                }
            }
        }
        _ => {
            claims["nonce_supported"] = json!(true);
            if let Some(email) = &human.email {
                claims["email"] = json!(email);
                // Apple's booleans are sometimes texts
                claims["email_verified"] = json!(human.email_verified.to_string());
                claims["is_private_email"] = json!(human.is_private_email.to_string());
            }
        }
    }
    sign(&vendors.keys, grant.fault, &claims)
}

fn sign(keys: &Keys, fault: Fault, claims: &Value) -> String {
    if fault == Fault::Unsigned {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        return format!("{}.{}.", part(&json!({"alg": "none", "kid": "key-1"})), part(claims));
    }
    let (id, key) = match fault {
        Fault::UnknownKey => ("key-unknown", &keys.foreign),
        Fault::ForgedSignature => ("key-1", &keys.foreign),
        Fault::RotatedKey => {
            keys.rotated.store(true, Ordering::SeqCst);
            ("key-2", &keys.next)
        }
        // both are in use
        _ if claims["sub"].as_str().is_some_and(|subject| subject.ends_with(['0', '2', '4', '6', '8'])) => {
            ("key-0", &keys.published[0])
        }
        _ => ("key-1", &keys.published[1]),
    };
    let header = Header { kid: Some(id.to_owned()), ..Header::new(Algorithm::RS256) };
    jsonwebtoken::encode(&header, claims, key).unwrap()
}

fn key_set(vendors: &Vendors, provider: &'static str) -> Response {
    *vendors.memory().key_fetches.entry(provider).or_default() += 1;
    if vendors.memory().keys_are_away {
        return (StatusCode::SERVICE_UNAVAILABLE, "try later").into_response();
    }
    let keys = &vendors.keys;
    let mut published = vec![("key-0", &keys.published[0]), ("key-1", &keys.published[1])];
    if keys.rotated.load(Ordering::SeqCst) {
        published.push(("key-2", &keys.next));
    }
    let mut set: Vec<Value> = published
        .into_iter()
        .map(|(id, key)| {
            let mut key =
                serde_json::to_value(Jwk::from_encoding_key(key, Algorithm::RS256).unwrap()).unwrap();
            key["kid"] = json!(id);
            key["use"] = json!("sig");
            key
        })
        .collect();
    // a key of a kind that nobody has heard of spoils nothing
    set.push(json!({"kty": "LATTICE", "kid": "key-9", "x": "AQAB"}));
    ([(header::CACHE_CONTROL, "public, max-age=19204, must-revalidate")], Json(json!({"keys": set})))
        .into_response()
}

pub(super) async fn kakao_keys(State(vendors): State<Vendors>) -> Response {
    key_set(&vendors, "kakao")
}

pub(super) async fn google_keys(State(vendors): State<Vendors>) -> Response {
    key_set(&vendors, "google")
}

pub(super) async fn apple_keys(State(vendors): State<Vendors>) -> Response {
    key_set(&vendors, "apple")
}
