#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::log::conformance::facts;
use proptest::prelude::*;

fn round_trip(facts: &ClickFacts<'_>) -> RawClick {
    let mut bytes = Vec::new();
    encode_facts(facts, ClickId(Uuid::from_u128(5)), UnixMillis(1_234), &mut bytes);
    assert!(bytes.len() <= PAYLOAD_MAX_BYTES);
    assert_eq!(clicked_at(&bytes), Some(UnixMillis(1_234)));
    decode_facts(&bytes, RunId(Uuid::from_u128(6)), 77).unwrap()
}

#[test]
fn every_field_survives() {
    let mut written = facts("agent");
    written.member = Some(Member { id: UserId(Uuid::from_u128(8)), created_at: UnixMillis(-5) });
    written.address = "2001:db8:1:2::9".parse().unwrap();
    (written.endpoint, written.method, written.origin) =
        (Endpoint::Post, ClickMethod::Post, OriginKind::Foreign);
    written.purpose = "prefetch";
    let read = round_trip(&written);
    assert_eq!((read.sequence, read.id.0.as_u128(), read.run.0.as_u128()), (77, 5, 6));
    assert_eq!((read.member, read.address), (written.member, Some(written.address)));
    assert_eq!((read.endpoint, read.method, read.origin), (written.endpoint, written.method, written.origin));
    assert_eq!((read.opens_at, read.closes_at), (written.opens_at, written.closes_at));
    assert_eq!((read.address_hash, read.network_hash), (written.address_hash, written.network_hash));
    assert_eq!((&*read.user_agent, &*read.referer), (written.user_agent, written.referer));
    assert_eq!((&*read.purpose, &*read.fetch_site), (written.purpose, written.fetch_site));
    assert_eq!((&*read.fetch_mode, &*read.fetch_dest), (written.fetch_mode, written.fetch_dest));
    assert_eq!((&*read.fetch_user, &*read.address_masked), (written.fetch_user, "2001:db8:1::*"));
}

#[test]
fn texts_are_cut_between_characters() {
    let long = "가😀".repeat(8_192);
    let mut written = facts(&long);
    (written.referer, written.purpose, written.fetch_site) = (&long, &long, &long);
    (written.fetch_mode, written.fetch_dest, written.fetch_user) = (&long, &long, &long);
    let read = round_trip(&written);
    for text in [&read.user_agent, &read.referer] {
        assert_eq!(text.chars().count(), TEXT_MAX_CHARS);
        assert!(long.starts_with(&**text));
    }
    for token in [&read.purpose, &read.fetch_site, &read.fetch_mode, &read.fetch_dest, &read.fetch_user] {
        assert_eq!(token.chars().count(), TOKEN_MAX_CHARS);
    }
}

#[test]
fn the_archive_form_knows_no_address() {
    let click = round_trip(&facts("agent"));
    let (mut with, mut without, mut again) = (Vec::new(), Vec::new(), Vec::new());
    encode_click(&click, false, &mut with);
    assert_eq!(decode_click(&with).unwrap(), click);
    encode_click(&click, true, &mut without);
    let archived = decode_click(&without).unwrap();
    assert_eq!(archived, RawClick { address: None, ..click });
    encode_click(&archived, true, &mut again);
    assert_eq!(without, again);
    assert!(decode_facts(&without, RunId(Uuid::nil()), 1).is_err(), "the two forms are told apart");
}

proptest! {
    #[test]
    fn any_bytes_are_a_click_or_an_error(mut bytes in prop::collection::vec(any::<u8>(), 0..400), known in any::<bool>()) {
        if known && bytes.len() > 1 {
            bytes[0] = VERSION;
            bytes[1] &= FLAGS_KNOWN;
        }
        let _ = decode_click(&bytes);
        let _ = decode_facts(&bytes, RunId(Uuid::nil()), 1);
    }

    #[test]
    fn a_damaged_click_never_panics(offset in 0usize..200, value in any::<u8>(), length in 0usize..250) {
        let mut bytes = Vec::new();
        encode_click(&round_trip(&facts("agent")), false, &mut bytes);
        let offset = offset % bytes.len();
        bytes[offset] = value;
        bytes.truncate(length);
        if let Ok(click) = decode_click(&bytes) {
            let mut again = Vec::new();
            encode_click(&click, false, &mut again);
            prop_assert_eq!(decode_click(&again).unwrap(), click);
        }
    }
}
