//! Mass clicks and their flags, sentence by sentence.

use super::court::{Court, history, limit, settings, with_limits};
use crate::click::testing::TEST_EPOCH;
use crate::click::{BurstCount, HeldReason, Judgement, Verdict};
use crate::ids::{FlagId, Position};
use crate::judge::rules::LimitScope::{Address, Network};
use crate::judge::rules::RulesSettings;
use crate::kst::HOUR_MILLIS;
use Verdict::{Billable, Duplicate};

const HELD: Verdict = Verdict::Held(HeldReason::MassClick);

fn court(number: u32, member_limit: u32) -> Court {
    Court::new(with_limits(&[limit(Address, 60_000, number, member_limit)]))
}

/// A browser of its own, so that clicks of one address are no duplicates.
fn agent(number: u64) -> String {
    format!("Mozilla/5.0 (Windows NT 10.0) Gecko/20100101 Firefox/{number}.0")
}

fn signed_out(court: &mut Court, number: u64, at: i64) -> Judgement {
    court.judge(court.click().agent(&agent(number)).at(at))
}

#[test]
fn the_click_that_reaches_the_limit_is_held_and_those_after() {
    let mut court = Court::new(settings());
    for number in 1..=70 {
        let expected = if number < 60 { Billable } else { HELD };
        assert_eq!(signed_out(&mut court, number, number as i64).verdict, expected, "{number}");
    }
    assert_eq!((court.state.counts().billable, court.state.counts().held), (59, 11));
}

#[test]
fn clicks_of_any_agent_count_and_duplicates_too_but_only_billable_ones_are_held() {
    let mut court = court(4, 9);
    signed_out(&mut court, 1, 0);
    assert_eq!(signed_out(&mut court, 1, 1).verdict, Duplicate);
    assert_eq!(signed_out(&mut court, 1, 2).verdict, Duplicate);
    assert_eq!(signed_out(&mut court, 2, 3).verdict, HELD);
    let repeat = signed_out(&mut court, 1, 4);
    assert_eq!((repeat.verdict, repeat.flag_id, repeat.burst[0]), (Duplicate, None, BurstCount::Click));
}

#[test]
fn another_address_has_a_count_of_its_own() {
    let mut court = court(2, 9);
    signed_out(&mut court, 1, 0);
    assert_eq!(signed_out(&mut court, 2, 1).verdict, HELD);
    assert_eq!(court.judge(court.click().from(5).at(2)).verdict, Billable);
}

#[test]
fn the_window_slides_at_59_999_it_counts_at_60_000_no_more() {
    for restarts in [false, true] {
        for (at, expected) in [(59_999, HELD), (60_000, Billable)] {
            let mut court = court(2, 9);
            signed_out(&mut court, 1, 0);
            if restarts {
                court.restart();
            }
            assert_eq!(signed_out(&mut court, 2, at).verdict, expected);
        }
    }
}

#[test]
fn a_members_first_click_is_neither_counted_nor_held() {
    let mut court = court(3, 1_000);
    for member in 0..100 {
        let judged = court.judge(court.click().member(member).at(member as i64));
        assert_eq!((judged.verdict, judged.burst[0]), (Billable, BurstCount::MemberFirst));
    }
    for number in 0..2 {
        assert_eq!(signed_out(&mut court, number, 200).verdict, Billable, "members were not counted");
    }
    assert_eq!(signed_out(&mut court, 3, 201).verdict, HELD);
    assert_eq!(court.judge(court.click().member(500).at(202)).verdict, Billable, "nor is a first click held");
}

#[test]
fn a_members_next_click_within_the_window_counts() {
    let mut court = court(2, 1_000);
    let bursts: Vec<_> =
        [0, 59_999, 119_998, 179_998].map(|at| court.judge(court.click().member(1).at(at)).burst[0]).into();
    assert_eq!(
        bursts,
        [BurstCount::MemberFirst, BurstCount::Click, BurstCount::Click, BurstCount::MemberFirst]
    );
}

#[test]
fn a_member_is_first_again_from_another_address() {
    let mut court = court(9, 9);
    court.judge(court.click().member(1));
    assert_eq!(court.judge(court.click().member(1).from(7).at(1)).burst[0], BurstCount::MemberFirst);
}

#[test]
fn a_young_account_is_counted_like_anybody() {
    let mut court = court(9, 9);
    for (age, expected) in
        [(24 * HOUR_MILLIS, BurstCount::Click), (24 * HOUR_MILLIS + 1, BurstCount::MemberFirst)]
    {
        let click = court.click().member_since(age as u64, TEST_EPOCH.plus_millis(-age));
        assert_eq!(court.judge(click).burst[0], expected);
    }
}

#[test]
fn first_clicks_have_a_limit_of_their_own() {
    let mut court = court(60, 3);
    let verdicts: Vec<_> =
        (0..5).map(|m| court.judge(court.click().member(m).at(m as i64)).verdict).collect();
    assert_eq!(verdicts, [Billable, Billable, HELD, HELD, HELD]);
    assert_eq!(signed_out(&mut court, 1, 10).verdict, Billable, "the other count is untouched");
    assert_eq!(court.judge(court.click().member(9).at(60_002)).verdict, HELD);
    assert_eq!(court.judge(court.click().member(10).at(130_000)).verdict, Billable);
}

#[test]
fn an_invalid_click_does_not_use_up_a_members_first() {
    let mut court = court(9, 9);
    court.judge(court.click().member(1).agent("curl/8"));
    assert_eq!(court.judge(court.click().member(1).at(1)).burst[0], BurstCount::MemberFirst);
}

#[test]
fn a_late_click_is_neither_counted_nor_held() {
    let mut court = court(2, 1);
    signed_out(&mut court, 1, 100_000);
    let on_time = signed_out(&mut court, 2, 95_000);
    assert_eq!((on_time.verdict, on_time.burst[0]), (HELD, BurstCount::Click), "exactly 5 s behind");
    let late = signed_out(&mut court, 3, 94_999);
    assert_eq!((late.verdict, late.burst[0]), (Billable, BurstCount::None));
    let member = court.judge(court.click().member(1).at(94_999));
    assert_eq!((member.verdict, member.burst[0]), (Billable, BurstCount::None));
    // But it was a click: the member's next one is not his first.
    assert_eq!(court.judge(court.click().member(1).at(100_001)).burst[0], BurstCount::Click);
}

#[test]
fn limits_are_a_list_and_the_wider_network_is_one_of_them() {
    let limits = [limit(Address, 60_000, 3, 9), limit(Network, 120_000, 4, 9)];
    let mut court = Court::new(with_limits(&limits));
    for number in 0..3 {
        assert_eq!(court.judge(court.click().from(number).at(0)).verdict, Billable);
    }
    let judged = court.judge(court.click().from(3).at(1));
    assert_eq!((judged.verdict, judged.burst.len()), (HELD, 2));
    court.store();
    let flag = court.store.flags.values().next().unwrap();
    assert_eq!((flag.scope, flag.limit_index, flag.limit, flag.window_millis), (Network, 1, 4, 120_000));
}

#[test]
fn a_click_over_two_limits_is_held_under_the_first() {
    let limits = [limit(Address, 60_000, 1, 9), limit(Network, 60_000, 1, 9)];
    let mut court = Court::new(with_limits(&limits));
    court.judge(court.click());
    court.store();
    assert_eq!(court.store.flags.values().map(|flag| flag.limit_index).collect::<Vec<_>>(), [0]);
}

#[test]
fn a_flag_is_opened_by_the_first_held_click_and_holds_those_after() {
    for restarts in [false, true] {
        let mut court = court(2, 9);
        signed_out(&mut court, 1, 0);
        let first = court.click().build();
        let flag_id = FlagId(first.id.0);
        assert_eq!(signed_out(&mut court, 2, 10).flag_id, Some(flag_id));
        if restarts {
            court.restart();
        }
        assert_eq!(signed_out(&mut court, 3, 59_000).flag_id, Some(flag_id));
        court.restart();
        let flag = &court.store.flags[&flag_id];
        assert_eq!((flag.clicks, flag.visitors.estimate(), &*flag.address_masked), (2, 2, "203.0.113.*"));
        assert_eq!((flag.first_position, flag.last_position), (Position(2), Position(3)));
        assert_eq!(
            (flag.opened_at, flag.last_held_at),
            (TEST_EPOCH.plus_millis(10), TEST_EPOCH.plus_millis(59_000))
        );
        assert_eq!((flag.limit, flag.address_hash), (2, first.address_hash));
    }
}

#[test]
fn a_new_flag_opens_after_a_full_window_without_a_held_click() {
    for (gap, flags) in [(59_999, 1), (60_000, 2)] {
        let mut court = court(1, 9);
        signed_out(&mut court, 1, 0);
        court.restart();
        signed_out(&mut court, 2, gap);
        court.store();
        assert_eq!(court.store.flags.len(), flags, "after {gap}");
    }
}

#[test]
fn both_flags_of_one_batch_are_handed_out() {
    let mut court = court(1, 9);
    signed_out(&mut court, 1, 0);
    signed_out(&mut court, 2, 60_000);
    court.store();
    assert_eq!(court.store.flags.values().map(|flag| flag.clicks).collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn counts_go_on_across_a_change_of_rules_for_the_window_they_were_counted_under() {
    let wide = with_limits(&[limit(Address, 100_000, 3, 9)]);
    let narrow = with_limits(&[limit(Address, 10_000, 3, 9)]);
    for restarts in [false, true] {
        let mut court = Court::with_history(history(&[(0, wide.clone()), (3, narrow.clone())]));
        signed_out(&mut court, 1, 0);
        signed_out(&mut court, 2, 1);
        if restarts {
            court.restart();
        }
        let third = signed_out(&mut court, 3, 50_000);
        assert_eq!((third.verdict, third.rules_version), (HELD, 2), "two of the wide window still count");
        assert_eq!(signed_out(&mut court, 4, 99_999).verdict, HELD);
        assert_eq!(signed_out(&mut court, 5, 100_001).verdict, Billable);
    }
}

#[test]
fn a_quarantined_click_leaves_marks_and_counts_alone_and_has_a_flag_of_its_own() {
    let rules = RulesSettings { limits: vec![limit(Address, 60_000, 2, 9)], ..settings() };
    let mut court = Court::new(rules);
    court.judge(court.click().from(9));
    let quarantined = court.quarantine(court.click().member(1).at(500_000));
    assert_eq!(quarantined.verdict, Verdict::Held(HeldReason::Quarantined));
    assert!(quarantined.burst.iter().all(|count| *count == BurstCount::None));
    let second = court.quarantine(court.click().member(1).at(500_000));
    assert_ne!(quarantined.flag_id, second.flag_id);
    court.restart();
    // The time did not move, nobody is marked, nothing was counted.
    assert_eq!(court.judge(court.click().from(9).at(299_999)).verdict, Duplicate);
    let after = court.judge(court.click().member(1).at(300_000));
    assert_eq!((after.verdict, after.burst[0]), (Billable, BurstCount::MemberFirst));
    court.store();
    let head = court.store.head.clone().unwrap();
    assert_eq!((head.counts.held, head.counts.gross(), head.visitors.estimate()), (2, 5, 2));
    assert_eq!((head.applied_through, head.last_clicked_at), (Position(5), TEST_EPOCH.plus_millis(500_000)));
    let flags: Vec<_> =
        court.store.flags.values().map(|flag| (flag.limit_index, flag.limit, flag.clicks)).collect();
    assert_eq!(flags, [(255, 0, 1), (255, 0, 1)]);
}
