#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;

fn asked(name: header::HeaderName, value: &str) -> Conditional {
    let mut headers = HeaderMap::new();
    headers.insert(name, HeaderValue::from_str(value).unwrap());
    Conditional::new(&headers)
}

fn shown(response: &Response, name: header::HeaderName) -> String {
    response.headers()[name].to_str().unwrap().to_owned()
}

#[test]
fn what_the_client_has_is_not_sent_again() {
    let first = Conditional::new(&HeaderMap::new()).answer(&"a", 5).unwrap();
    assert_eq!(first.status(), StatusCode::OK);
    assert_eq!(shown(&first, header::CACHE_CONTROL), "public, max-age=5");
    let tag = shown(&first, header::ETAG);
    assert_eq!(tag.len(), TAG_CHARS + 2);
    for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
        let again = asked(header::IF_NONE_MATCH, &known).answer(&"a", 5).unwrap();
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{known}");
        assert_eq!(shown(&again, header::ETAG), tag);
    }
    let changed = asked(header::IF_NONE_MATCH, &tag).answer(&"b", 5).unwrap();
    assert_eq!(changed.status(), StatusCode::OK);
    assert_ne!(shown(&changed, header::ETAG), tag);
}

#[test]
fn what_is_a_persons_is_not_shared() {
    for personal in [asked(header::AUTHORIZATION, "Bearer x"), asked(header::COOKIE, "a=b; access_token=x")] {
        let response = personal.answer(&"a", 5).unwrap();
        assert_eq!(shown(&response, header::CACHE_CONTROL), "private, no-cache");
    }
    let other = asked(header::COOKIE, "theme=dark").answer(&"a", 5).unwrap();
    assert_eq!(shown(&other, header::CACHE_CONTROL), "public, max-age=5");
}
