//! Reasons for which a click is invalid, and their order.

use super::court::{Court, settings};
use crate::click::testing::{ClickBuilder, TEST_EPOCH};
use crate::click::{ClickMethod, InvalidReason, OriginKind, RawClick, Verdict};
use InvalidReason::{Bot, Embedded, Head, NotActive, Prefetch};

fn reason(click: ClickBuilder) -> Option<InvalidReason> {
    match Court::new(settings()).judge(click).verdict {
        Verdict::Invalid(reason) => Some(reason),
        _ => None,
    }
}

fn click() -> ClickBuilder {
    ClickBuilder::new(1)
}

#[test]
fn the_reasons_are_tried_in_their_order() {
    let all: [fn(&mut RawClick); 5] = [
        |click| click.method = ClickMethod::Head,
        |click| click.purpose = "prefetch".into(),
        |click| click.user_agent = "".into(),
        |click| click.fetch_dest = "image".into(),
        |click| click.closes_at = TEST_EPOCH,
    ];
    for (first, expected) in [Head, Prefetch, Bot, Embedded, NotActive].into_iter().enumerate() {
        let worst = all[first..].iter().fold(click(), |click, change| click.with(change));
        assert_eq!(reason(worst), Some(expected));
        assert_eq!(reason(click().with(all[first])), Some(expected), "alone");
    }
}

#[test]
fn headers_that_are_absent_decide_nothing() {
    assert_eq!(reason(click()), None);
    assert_eq!(reason(click().post(OriginKind::Absent)), None);
}

#[test]
fn any_purpose_header_that_says_prefetch_counts() {
    for purpose in
        ["prefetch", "Prefetch", "prefetch;prerender", "prerender", "preview", "x, prefetch", "a;PREVIEW"]
    {
        assert_eq!(reason(click().with(|click| click.purpose = purpose.into())), Some(Prefetch), "{purpose}");
    }
    for purpose in ["navigate", "prefetching", ";", "no-prefetch"] {
        assert_eq!(reason(click().with(|click| click.purpose = purpose.into())), None, "{purpose}");
    }
}

#[test]
fn on_go_only_a_navigated_document_is_a_click() {
    let fetch = |dest: &str, mode: &str| {
        let (dest, mode) = (dest.into(), mode.into());
        reason(click().with(|click| (click.fetch_dest, click.fetch_mode) = (dest, mode)))
    };
    for (dest, mode) in
        [("document", "navigate"), ("document", ""), ("", "navigate"), ("Document", "Navigate")]
    {
        assert_eq!(fetch(dest, mode), None, "{dest} {mode}");
    }
    for (dest, mode) in [
        ("image", "no-cors"),
        ("iframe", "navigate"),
        ("script", ""),
        ("document", "cors"),
        ("", "no-cors"),
        ("empty", "cors"),
    ] {
        assert_eq!(fetch(dest, mode), Some(Embedded), "{dest} {mode}");
    }
}

#[test]
fn on_post_the_origin_decides_and_fetch_headers_do_not() {
    assert_eq!(reason(click().post(OriginKind::Foreign)), Some(Embedded));
    let ours = click().post(OriginKind::Ours).with(|click| {
        click.fetch_dest = "empty".into();
        click.fetch_mode = "cors".into();
    });
    assert_eq!(reason(ours), None);
    assert_eq!(reason(click().with(|click| click.origin = OriginKind::Foreign)), None, "not on /go");
}

#[test]
fn open_from_the_opening_until_before_the_closing() {
    let open = |opens: i64, closes: i64| {
        let (opens_at, closes_at) = (TEST_EPOCH.plus_millis(opens), TEST_EPOCH.plus_millis(closes));
        reason(click().with(|click| (click.opens_at, click.closes_at) = (opens_at, closes_at)))
    };
    assert_eq!(open(0, 1), None);
    assert_eq!(open(1, 2), Some(NotActive));
    assert_eq!(open(-5, 0), Some(NotActive));
}

#[test]
fn openness_is_of_clicked_at_even_when_the_gonggu_is_ahead() {
    let mut court = Court::new(settings());
    court.judge(court.click().at(100_000));
    let late = court.click().from(2).at(0).with(|click| click.closes_at = TEST_EPOCH.plus_millis(1));
    assert_eq!(court.judge(late).verdict, Verdict::Billable);
}

#[test]
fn invalid_clicks_enter_no_count_and_are_no_visitors() {
    let mut court = Court::new(settings());
    for _ in 0..200 {
        let judged = court.judge(court.click().agent("curl/8"));
        assert!(judged.burst.iter().all(|count| *count == crate::click::BurstCount::None));
    }
    assert_eq!(court.judge(court.click()).verdict, Verdict::Billable);
    assert_eq!((court.state.unique_visitors(), court.state.counts().gross()), (1, 201));
}
