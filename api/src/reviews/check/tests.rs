#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;

fn body() -> ReviewCreate {
    ReviewCreate {
        rating: Some(5),
        content: Some(" 맛있어요\n또 살게요 ".to_owned()),
        images: Some(vec!["https://cdn.shop.kr/1.webp".to_owned()]),
    }
}

fn refused(change: impl FnOnce(&mut ReviewCreate)) -> Vec<String> {
    let mut body = body();
    change(&mut body);
    match create(body) {
        Err(ApiError::Validation(fields)) => fields.into_iter().map(|field| field.field.into()).collect(),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_good_one_is_trimmed() {
    assert_eq!(create(body()).unwrap().content, "맛있어요\n또 살게요");
    let uploaded = vec!["/images/2026/11/0193a5f2-5d7c-7b3e-9a53-0d6f2b1c4e5f.webp".to_owned()];
    let with_own = ReviewCreate { images: Some(uploaded.clone()), ..body() };
    assert_eq!(create(with_own).unwrap().images, uploaded);
}

#[test]
fn every_fault_is_named() {
    for rating in [0, 6, -1, 1 << 40] {
        assert_eq!(refused(|b| b.rating = Some(rating)), ["rating"]);
    }
    for content in ["", "   ", "a\0b", &"가".repeat(2_001)] {
        assert_eq!(refused(|b| b.content = Some(content.to_owned())), ["content"]);
    }
    assert_eq!(refused(|b| b.images = Some(vec!["https://a.kr/".to_owned(); 11])), ["images"]);
    let long = format!("https://a.kr/{}", "a".repeat(500));
    for image in [
        "javascript:alert(1)",
        "/x.png",
        "/images/../admin",
        "/images/2026/11/x.webp",
        "/images/2026/11/../0193a5f2-5d7c-7b3e-9a53-0d6f2b1c4e5f.webp",
        "//images/2026/11/0193a5f2-5d7c-7b3e-9a53-0d6f2b1c4e5f.webp",
        "data:image/png;base64,",
        "https://",
        "ftp://a.kr/x",
        &long,
    ] {
        assert_eq!(refused(|b| b.images = Some(vec![image.to_owned()])), ["images"], "{image}");
    }
    assert_eq!(refused(|b| *b = ReviewCreate::default()), ["rating", "content"]);
}
