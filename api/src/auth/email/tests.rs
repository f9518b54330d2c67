#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;

#[test]
fn what_is_the_same_address() {
    for (one, other) in [
        ("A@B.example", "a@b.EXAMPLE"),
        ("ÉCOLE@b.example", "école@b.example"),
        ("e\u{301}cole@b.example", "\u{e9}cole@b.example"),
        ("ΟΔΟΣ@b.example", "οδος@b.example"),
        ("οδοσ@b.example", "οδος@b.example"),
        ("STRASSE@b.example", "straße@b.example"),
        ("a@한국.kr", "a@xn--3e0b707e.kr"),
        ("\u{1100}\u{1161}@b.example", "가@b.example"),
        (" a@b.example ", "a@b.example"),
    ] {
        assert_eq!(fold(one), fold(other), "{one} {other}");
    }
    for (one, other) in [("i@b.example", "İ@b.example"), ("a@b.example", "a@c.example"), ("a", "b")] {
        assert_ne!(fold(one), fold(other), "{one} {other}");
    }
    // PostgreSQL's lower() of an ASCII address is the same, for rows that come without the folded form
    assert_eq!(fold("Some.One+Tag@Mail.Example"), "some.one+tag@mail.example");
}

#[test]
fn what_is_an_address() {
    for good in ["a@b.example", "홍길동@b.example", "a+tag@b.co.kr", "a@한국.kr"] {
        assert_eq!(Email::parse(good).unwrap().text, good);
    }
    let long = format!("{}@b.example", "a".repeat(300));
    for bad in [
        "",
        "a",
        "@b.example",
        "a@",
        "a@b",
        "a@@b.example",
        "a b@c.example",
        "\"a b\"@c.example",
        "a@[127.0.0.1]",
        "a@b.example\r\nBcc: c@d.example",
        "a\0@b.example",
        "a@b..example",
        "a,c@b.example",
        "<a@b.example>",
        &long,
    ] {
        assert!(Email::parse(bad).is_err(), "{bad}");
    }
}
