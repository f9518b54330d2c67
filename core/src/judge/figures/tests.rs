#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::click::testing::ClickBuilder;

#[test]
fn the_host_of_a_referer() {
    for (referer, host) in [
        ("", ""),
        ("https://www.Instagram.com/p/abc?x=1", "instagram.com"),
        ("https://l.instagram.com", "l.instagram.com"),
        ("http://user:secret@blog.naver.com:8080/x", "blog.naver.com"),
        ("android-app://com.google.android.gm/", "com.google.android.gm"),
        ("https://[2001:db8::1]:443/", "2001:db8::1"),
        ("https://한글.kr/", "한글.kr"),
        ("https://example.com./", "example.com"),
        ("about:blank", ""),
        ("https://a b/", ""),
        ("://", ""),
        ("https://www.", "www"),
    ] {
        assert_eq!(host_of(referer), host, "{referer}");
    }
    assert_eq!(host_of(&format!("https://{}/", "a".repeat(254))), "");
}

fn billable(rows: &mut Rows, position: u64, host: &str) {
    let click = ClickBuilder::new(position).referer(&format!("https://{host}/")).build();
    let entry = Entry {
        position: Position(position),
        click: &click,
        verdict: Verdict::Billable,
        device: Device::Mobile,
        visitor: Some(position << 24),
    };
    rows.add(&entry, &mut VisitorSketch::default());
}

#[test]
fn a_row_names_64_hosts_and_counts_the_rest_together() {
    let mut rows = Rows::new(UnixMillis::MIN);
    for number in 0..70 {
        billable(&mut rows, number + 1, &format!("h{number}.kr"));
    }
    billable(&mut rows, 71, "h3.kr");
    let day = rows.take_changed(GongguId(uuid::Uuid::nil()), &mut VisitorSketch::default()).pop().unwrap();
    assert_eq!(day.key.level, RollupLevel::Day);
    assert_eq!(day.referrers.len(), 65);
    assert_eq!((day.referrers["(other)"], day.referrers["h3.kr"], day.devices), (6, 2, [71, 0, 0, 0]));
    assert_eq!(day.referrers.values().sum::<u64>(), day.counts.billable);
}

#[test]
#[should_panic(expected = "was not loaded")]
fn a_stored_row_is_never_begun_anew() {
    let mut rows = Rows::new(UnixMillis::MAX);
    billable(&mut rows, 1, "a.kr");
}
