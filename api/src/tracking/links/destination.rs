//! The address that a buyer is sent to: the shop's own, with our two campaign keys merged in.
//!
//! Bytes that are not ours stay as they are; only what may not stand in a header or URL at all
//! (controls, spaces, non-ASCII) is percent-encoded, which means the same.

use std::fmt::Write;

/// `external_url` with `utm_source=gonggumoa&utm_campaign={campaign}`: the same keys replaced, every
/// other part of the query kept, the fragment last.
pub fn with_campaign(external_url: &str, campaign: &str) -> String {
    let (rest, fragment) = match external_url.split_once('#') {
        Some((rest, fragment)) => (rest, Some(fragment)),
        None => (external_url, None),
    };
    let (base, query) = match rest.split_once('?') {
        Some((base, query)) => (base, query),
        None => (rest, ""),
    };
    let mut merged = String::with_capacity(external_url.len() + 80);
    merged.push_str(base);
    merged.push('?');
    let start = merged.len();
    for part in query.split('&').filter(|part| !part.is_empty() && !is_campaign_key(part)) {
        if merged.len() > start {
            merged.push('&');
        }
        merged.push_str(part);
    }
    if merged.len() > start {
        merged.push('&');
    }
    merged.push_str("utm_source=gonggumoa&utm_campaign=");
    merged.push_str(campaign);
    if let Some(fragment) = fragment {
        merged.push('#');
        merged.push_str(fragment);
    }
    encode_unprintable(&merged)
}

/// Whether a part of a query sets one of our keys, however it is spelled.
fn is_campaign_key(part: &str) -> bool {
    let key = part.split('=').next().unwrap_or_default();
    url::form_urlencoded::parse(key.as_bytes())
        .next()
        .is_some_and(|(key, _)| key == "utm_source" || key == "utm_campaign")
}

fn encode_unprintable(text: &str) -> String {
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return text.to_owned();
    }
    text.bytes().fold(String::with_capacity(text.len() * 2), |mut encoded, byte| {
        if byte.is_ascii_graphic() {
            encoded.push(char::from(byte));
        } else {
            // writing to a String cannot fail
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging() {
        let ours = "utm_source=gonggumoa&utm_campaign=ID";
        for (given, wanted) in [
            ("https://shop.kr", format!("https://shop.kr?{ours}")),
            ("https://shop.kr/", format!("https://shop.kr/?{ours}")),
            ("https://shop.kr/p?", format!("https://shop.kr/p?{ours}")),
            ("https://shop.kr/p?a=1&b=%20+x", format!("https://shop.kr/p?a=1&b=%20+x&{ours}")),
            ("https://shop.kr/p#top", format!("https://shop.kr/p?{ours}#top")),
            ("https://shop.kr/p?a=1#t?u#v", format!("https://shop.kr/p?a=1&{ours}#t?u#v")),
            ("https://shop.kr/p?utm_source=x&a=1&utm_campaign=y", format!("https://shop.kr/p?a=1&{ours}")),
            ("https://shop.kr/p?utm%5Fsource=x&utm_campaign", format!("https://shop.kr/p?{ours}")),
            (
                "https://shop.kr/p?utm_medium=m&xutm_source=1",
                format!("https://shop.kr/p?utm_medium=m&xutm_source=1&{ours}"),
            ),
            ("https://shop.kr/p?UTM_SOURCE=x", format!("https://shop.kr/p?UTM_SOURCE=x&{ours}")),
            (
                "https://shop.kr/p?next=https://b.kr/?c=d",
                format!("https://shop.kr/p?next=https://b.kr/?c=d&{ours}"),
            ),
            (
                "https://shop.kr/공구?q=가 나",
                format!("https://shop.kr/%EA%B3%B5%EA%B5%AC?q=%EA%B0%80%20%EB%82%98&{ours}"),
            ),
        ] {
            assert_eq!(with_campaign(given, "ID"), wanted, "{given}");
        }
    }
}
