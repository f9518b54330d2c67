#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;

fn body() -> GongguCreate {
    GongguCreate {
        title: Some(" 맛있는 사과 ".to_owned()),
        original_price: Some(10_000),
        gonggu_price: Some(7_000),
        open_at: Some("2026-11-23T00:00:00.123456Z".parse().unwrap()),
        close_at: Some("2026-11-30T00:00:00Z".parse().unwrap()),
        external_url: Some("https://shop.kr/apple".to_owned()),
        ..GongguCreate::default()
    }
}

fn refused(change: impl FnOnce(&mut GongguCreate)) -> Vec<String> {
    let mut body = body();
    change(&mut body);
    match create(&body) {
        Err(ApiError::Validation(fields)) => fields.into_iter().map(|field| field.field.into()).collect(),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_good_one_is_trimmed_and_cut_to_milliseconds() {
    let checked = create(&body()).unwrap();
    assert_eq!(checked.title, "맛있는 사과");
    assert_eq!(checked.open_at.timestamp_subsec_micros(), 123_000);
}

#[test]
fn every_fault_is_named() {
    assert_eq!(refused(|b| b.title = Some("  ".to_owned())), ["title"]);
    assert_eq!(refused(|b| b.title = Some("가".repeat(201))), ["title"]);
    assert_eq!(refused(|b| b.gonggu_price = Some(10_001)), ["gonggu_price"]);
    assert_eq!(refused(|b| b.gonggu_price = Some(0)), ["gonggu_price"]);
    assert_eq!(refused(|b| b.original_price = Some(1 << 31)), ["original_price"]);
    assert_eq!(refused(|b| b.close_at = b.open_at), ["close_at"]);
    assert_eq!(refused(|b| b.close_at = Some("2100-01-01T00:00:00Z".parse().unwrap())), ["close_at"]);
    assert_eq!(refused(|b| b.external_url = Some("http://127.1/".to_owned())), ["external_url"]);
    assert_eq!(refused(|b| b.thumbnail = Some("//evil.kr/x".to_owned())), ["thumbnail"]);
    let everything = match create(&GongguCreate::default()) {
        Err(ApiError::Validation(fields)) => fields.len(),
        other => panic!("not refused: {other:?}"),
    };
    assert_eq!(everything, 6);
}

#[test]
fn two_different_categories_at_most() {
    let ids: Vec<Uuid> = (0..3).map(Uuid::from_u128).collect();
    assert!(categories(None).is_ok() && categories(Some(&ids[..2])).is_ok());
    assert!(matches!(categories(Some(&ids)), Err(ApiError::TooManyCategories)));
    assert!(matches!(categories(Some(&[ids[0], ids[0]])), Err(ApiError::Validation(_))));
}
