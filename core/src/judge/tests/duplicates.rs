//! Visitors and their marks, sentence by sentence.

use super::court::{Court, history, limit, settings};
use crate::click::testing::{PHONE_AGENT, TEST_EPOCH};
use crate::click::{DuplicateOf, HeldReason, OriginKind, Verdict};
use crate::ids::Position;
use crate::judge::rules::{LimitScope, RulesSettings};
use Verdict::{Billable, Duplicate};

const OTHER_AGENT: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:131.0) Gecko/20100101 Firefox/131.0";

fn court() -> Court {
    Court::new(settings())
}

#[test]
fn at_299_999_ms_it_is_a_duplicate_and_at_300_000_it_counts_again() {
    for restarts in [false, true] {
        let mut court = court();
        assert_eq!(court.judge(court.click()).verdict, Billable);
        if restarts {
            court.restart();
        }
        let repeat = court.judge(court.click().at(299_999));
        assert_eq!(repeat.verdict, Duplicate);
        assert_eq!(repeat.duplicate_of, Some(DuplicateOf { position: Position(1), judged_at: TEST_EPOCH }));
        if restarts {
            court.restart();
        }
        assert_eq!(court.judge(court.click().at(300_000)).verdict, Billable);
    }
}

#[test]
fn the_window_is_fixed_from_the_counted_click_and_duplicates_do_not_extend_it() {
    let mut court = court();
    court.judge(court.click());
    for at in [100_000, 200_000, 299_000] {
        assert_eq!(court.judge(court.click().at(at)).verdict, Duplicate);
    }
    assert_eq!(court.judge(court.click().at(300_000)).verdict, Billable);
    assert_eq!(court.judge(court.click().at(599_999)).verdict, Duplicate);
}

#[test]
fn invalid_clicks_leave_no_mark() {
    let mut court = court();
    court.judge(court.click().agent("curl/8"));
    court.judge(court.click().with(|click| click.purpose = "prefetch".into()));
    assert_eq!(court.judge(court.click()).verdict, Billable);
}

#[test]
fn a_held_click_is_counted_and_marks() {
    let rules = RulesSettings { limits: vec![limit(LimitScope::Address, 60_000, 1, 1)], ..settings() };
    let mut court = Court::new(rules);
    assert_eq!(court.judge(court.click()).verdict, Verdict::Held(HeldReason::MassClick));
    assert_eq!(court.judge(court.click().at(1)).verdict, Duplicate);
}

#[test]
fn a_signed_out_visitor_is_address_and_agent() {
    let mut court = court();
    court.judge(court.click().from(1));
    assert_eq!(court.judge(court.click().from(2)).verdict, Billable);
    assert_eq!(court.judge(court.click().from(1).agent(OTHER_AGENT)).verdict, Billable);
    assert_eq!(court.judge(court.click().from(1)).verdict, Duplicate);
}

#[test]
fn ipv4_mapped_addresses_and_neighbours_in_a_64_are_one_visitor() {
    let mut court = court();
    let from = |court: &Court, address: &str| court.click().address(address.parse().unwrap());
    assert_eq!(court.judge(from(&court, "203.0.113.9")).verdict, Billable);
    assert_eq!(court.judge(from(&court, "::ffff:203.0.113.9")).verdict, Duplicate);
    assert_eq!(court.judge(from(&court, "2001:db8:1:2::1")).verdict, Billable);
    assert_eq!(court.judge(from(&court, "2001:db8:1:2:ffff::1")).verdict, Duplicate);
    assert_eq!(court.judge(from(&court, "2001:db8:1:3::1")).verdict, Billable);
}

#[test]
fn a_user_is_one_visitor_wherever_he_is() {
    let mut court = court();
    court.judge(court.click().member(1).from(1));
    assert_eq!(court.judge(court.click().member(1).from(2).agent(OTHER_AGENT)).verdict, Duplicate);
}

#[test]
fn a_post_signed_in_then_go_signed_out_counts_once() {
    let mut court = court();
    court.judge(court.click().member(1).post(OriginKind::Ours));
    let go = court.judge(court.click().at(800));
    assert_eq!((go.verdict, go.took_mark), (Duplicate, false));
}

#[test]
fn five_hundred_members_behind_one_carrier_address_count_500_times() {
    let mut court = court();
    for member in 0..500 {
        assert_eq!(court.judge(court.click().member(member).at(member as i64)).verdict, Billable);
    }
    assert_eq!(court.state.counts().billable, 500);
    assert!(court.state.unique_visitors().abs_diff(500) < 25);
}

#[test]
fn a_member_takes_the_mark_of_a_signed_out_click_once() {
    let mut court = court();
    court.judge(court.click());
    let taker = court.judge(court.click().member(1).at(1_000));
    assert_eq!((taker.verdict, taker.took_mark), (Duplicate, true));
    assert_eq!(taker.duplicate_of, Some(DuplicateOf { position: Position(1), judged_at: TEST_EPOCH }));
    // Another member on the same address and agent is somebody else.
    let second = court.judge(court.click().member(2).at(2_000));
    assert_eq!((second.verdict, second.took_mark), (Billable, false));
}

#[test]
fn the_taker_is_marked_with_the_taken_marks_time() {
    let mut court = court();
    court.judge(court.click());
    court.judge(court.click().member(1).at(200_000));
    // Elsewhere, so that only the user's own mark can speak.
    let repeat = court.judge(court.click().member(1).from(9).at(299_999));
    assert_eq!((repeat.verdict, repeat.took_mark), (Duplicate, false));
    assert_eq!(court.judge(court.click().member(1).from(9).at(300_000)).verdict, Billable);
}

#[test]
fn a_taken_mark_stays_with_its_time_for_signed_out_clicks() {
    let mut court = court();
    court.judge(court.click());
    court.judge(court.click().member(1).at(200_000));
    assert_eq!(court.judge(court.click().at(299_999)).verdict, Duplicate);
    assert_eq!(court.judge(court.click().at(300_000)).verdict, Billable);
}

#[test]
fn a_mark_made_by_a_member_cannot_be_taken() {
    let mut court = court();
    court.judge(court.click().member(1));
    let other = court.judge(court.click().member(2).at(1));
    assert_eq!((other.verdict, other.took_mark), (Billable, false));
}

#[test]
fn a_marked_user_takes_nothing() {
    let mut court = court();
    court.judge(court.click().member(1).from(9));
    court.judge(court.click().from(1).at(10));
    let repeat = court.judge(court.click().member(1).from(1).at(20));
    assert_eq!((repeat.verdict, repeat.took_mark), (Duplicate, false));
    assert_eq!(court.judge(court.click().member(2).from(1).at(30)).verdict, Duplicate);
}

#[test]
fn a_counted_click_replaces_an_older_mark_its_time_and_its_maker() {
    let mut court = court();
    court.judge(court.click());
    court.judge(court.click().member(1).at(100_000)); // takes the mark
    court.judge(court.click().member(2).at(200_000)); // counts: replaces it
    let signed_out = court.judge(court.click().at(400_000));
    assert_eq!(signed_out.verdict, Duplicate, "the mark is of 200 s now");
    assert_eq!(signed_out.duplicate_of.unwrap().position, Position(3));
    let third = court.judge(court.click().member(3).at(400_001));
    assert_eq!((third.verdict, third.took_mark), (Billable, false), "a member made it");
}

#[test]
fn a_retaken_place_can_be_taken_again_after_a_new_signed_out_click() {
    let mut court = court();
    court.judge(court.click());
    court.judge(court.click().member(1).at(1));
    court.judge(court.click().at(300_000));
    let taker = court.judge(court.click().member(2).at(300_001));
    assert_eq!((taker.verdict, taker.took_mark), (Duplicate, true));
}

#[test]
fn a_mark_lasts_for_the_window_of_the_version_that_judged_it() {
    let short = RulesSettings { dedup_window_millis: 10_000, ..settings() };
    for restarts in [false, true] {
        let mut court = Court::with_history(history(&[(0, settings()), (2, short.clone())]));
        court.judge(court.click()); // 300 s, by version 1
        if restarts {
            court.restart();
        }
        assert_eq!(court.judge(court.click().from(2).at(1)).rules_version, 2); // 10 s
        let taker = court.judge(court.click().member(1).at(2));
        assert!(taker.took_mark);
        if restarts {
            court.restart();
        }
        assert_eq!(court.judge(court.click().from(2).at(10_000)).verdict, Duplicate);
        assert_eq!(court.judge(court.click().from(2).at(10_001)).verdict, Billable);
        assert_eq!(court.judge(court.click().at(299_999)).verdict, Duplicate);
        // The taker's mark lasts as long as the one it took.
        assert_eq!(court.judge(court.click().member(1).from(9).at(299_999)).verdict, Duplicate);
        assert_eq!(court.judge(court.click().member(1).from(9).at(300_000)).verdict, Billable);
    }
}

#[test]
fn a_mark_is_replaced_across_a_change_of_rules_too() {
    let short = RulesSettings { dedup_window_millis: 10_000, ..settings() };
    for restarts in [false, true] {
        let mut court = Court::with_history(history(&[(0, settings()), (2, short.clone())]));
        court.judge(court.click().member(1)); // marks address + agent for 300 s
        court.judge(court.click().member(2).at(1)); // replaces that by one of 10 s
        if restarts {
            court.restart();
        }
        let repeat = court.judge(court.click().at(10_000));
        assert_eq!(repeat.duplicate_of.map(|of| of.position), Some(Position(2)));
        assert_eq!(court.judge(court.click().at(10_001)).verdict, Billable);
    }
}

#[test]
fn windows_run_on_judged_at_which_never_goes_back() {
    let mut court = court();
    court.judge(court.click().from(1).at(100_000));
    let behind = court.judge(court.click().from(2).at(40_000));
    assert_eq!(behind.judged_at, TEST_EPOCH.plus_millis(100_000));
    assert_eq!(court.judge(court.click().from(2).at(399_999)).verdict, Duplicate);
    assert_eq!(court.judge(court.click().from(2).at(400_000)).verdict, Billable);
}

#[test]
fn an_invalid_click_moves_the_time_on() {
    let mut court = court();
    court.judge(court.click());
    court.judge(court.click().agent("").at(300_000));
    assert_eq!(court.judge(court.click().agent(PHONE_AGENT).at(1)).verdict, Billable);
}
