//! Random logs: the judge against the reference, replay, and loading at every position.

use super::court::{Court, history, limit, settings};
use super::reference::{Reference, Said};
use crate::click::testing::{ClickBuilder, PHONE_AGENT, TEST_EPOCH, test_gonggu};
use crate::click::{ClickMethod, Device, JudgedClick, Judgement, OriginKind, RawClick, Verdict};
use crate::ids::{FlagId, Position};
use crate::judge::rules::LimitScope::{Address, Network};
use crate::judge::rules::{RulesHistory, RulesSettings};
use crate::judge::totals::{Counts, RollupLevel};
use proptest::prelude::*;
use std::collections::BTreeMap;

const DESKTOP_AGENT: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:131.0) Gecko/20100101 Firefox/131.0";

/// A click of a random log, with whether the judge fails on it.
#[derive(Clone, Debug)]
struct Step {
    click: RawClick,
    quarantined: bool,
}

/// Few visitors and times that like to fall on the borders of the windows below.
fn steps(count: usize) -> impl Strategy<Value = Vec<Step>> {
    let gap = prop_oneof![
        4 => Just(0i64), 8 => 1..2_000i64, 2 => Just(9_999i64), 2 => Just(10_000i64), 2 => Just(29_999i64),
        2 => Just(30_000i64), 1 => 1..40_000i64,
    ];
    let behind = prop_oneof![12 => Just(0i64), 1 => Just(5_000i64), 1 => Just(5_001i64), 1 => 1..100_000i64];
    let member = prop_oneof![3 => Just(None), 4 => (0..4u64, prop::bool::weighted(0.8)).prop_map(Some)];
    let agent = prop_oneof![
        9 => Just(PHONE_AGENT), 3 => Just(DESKTOP_AGENT), 1 => Just("curl/8"), 1 => Just("Googlebot/2.1"),
    ];
    let oddity = prop_oneof![30 => Just(0u8), 1 => 1..6u8];
    let host = prop_oneof![Just("instagram.com"), Just("blog.naver.com")];
    let step = (gap, behind, member, 0..3u32, agent, oddity, host, prop::bool::weighted(0.03));
    prop::collection::vec(step, 1..count).prop_map(|raw| {
        let mut now = 0;
        let build = |(index, (gap, behind, member, from, agent, oddity, host, quarantined)): (usize, _)| {
            now += gap;
            // Three addresses, two of them in one network.
            let address = format!("10.0.{}.{}", from / 2, from).parse().unwrap();
            let mut click = ClickBuilder::new(index as u64 + 1)
                .at(now - behind)
                .address(address)
                .agent(agent)
                .referer(&format!("https://www.{host}/"));
            if let Some((number, old)) = member {
                let age = if old { 86_400_001 } else { 3_600_000 };
                click = click.member_since(number, TEST_EPOCH.plus_millis(-age));
            }
            let click = match oddity {
                1 => click.with(|click| click.method = ClickMethod::Head),
                2 => click.with(|click| click.purpose = "prefetch".into()),
                3 => click.with(|click| click.fetch_dest = "image".into()),
                4 => click.post(OriginKind::Foreign),
                5 => click.with(|click| click.closes_at = click.clicked_at),
                _ => click,
            };
            Step { click: click.build(), quarantined }
        };
        raw.into_iter().enumerate().map(build).collect()
    })
}

/// Three versions whose windows and limits differ in every way that may matter.
fn versions(second: u64, third: u64) -> RulesHistory {
    let rules = |dedup_window_millis, limits: &[_]| RulesSettings {
        dedup_window_millis,
        limits: limits.to_vec(),
        ..settings()
    };
    let first = rules(30_000, &[limit(Address, 10_000, 4, 3)]);
    let wider = rules(10_000, &[limit(Address, 30_000, 5, 2), limit(Network, 10_000, 6, 3)]);
    let other = rules(60_000, &[limit(Network, 30_000, 7, 4), limit(Network, 60_000, 8, 8)]);
    history(&[(0, first), (second, wider), (second + third, other)])
}

fn said(judgement: &Judgement, names: &mut BTreeMap<u64, String>, expected: &Said) -> Said {
    let name = names.entry(judgement.visitor).or_insert_with(|| expected.visitor.clone());
    Said {
        verdict: judgement.verdict,
        judged_at: judgement.judged_at.0,
        duplicate_of: judgement.duplicate_of,
        took_mark: judgement.took_mark,
        burst: judgement.burst.to_vec(),
        flag: judgement.flag_id.map(|FlagId(id)| crate::ids::ClickId(id)),
        visitor: name.clone(),
    }
}

fn check_figures(court: &Court, reference: &Reference) -> Result<(), TestCaseError> {
    let mut counts = Counts::default();
    reference.verdicts.iter().for_each(|verdict| counts.add(*verdict));
    prop_assert_eq!(court.state.counts(), &counts);
    prop_assert_eq!(counts.gross(), reference.verdicts.len() as u64);
    prop_assert_eq!(court.state.unique_visitors(), reference.visitors.len() as u64);
    let mut hosts = BTreeMap::new();
    for level in RollupLevel::ALL {
        let rows = court.store.rollups.values().filter(|row| row.key.level == level);
        let mut gross = 0;
        for row in rows {
            gross += row.counts.gross();
            prop_assert_eq!(row.referrers.values().sum::<u64>(), row.counts.billable);
            prop_assert_eq!(row.devices.iter().sum::<u64>(), row.counts.billable);
            if level == RollupLevel::Hour {
                let hour = &reference.hours[&row.key.at.0];
                let told = (row.counts.gross(), row.counts.billable, row.visitors.estimate());
                prop_assert_eq!(told, (hour.0, hour.1, hour.2.len() as u64));
                for (host, billable) in &row.referrers {
                    *hosts.entry(host.to_string()).or_insert(0u64) += billable;
                }
            }
        }
        prop_assert_eq!(gross, counts.gross());
    }
    prop_assert_eq!(&hosts, &reference.hosts);
    let held: u64 = court.store.flags.values().map(|flag| flag.clicks).sum();
    prop_assert_eq!(held, counts.held);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Every verdict and figure is the reference's, whatever is stored and loaded in between.
    #[test]
    fn the_judge_says_what_the_reference_says(
        steps in steps(120), second in 2..60u64, third in 1..60u64, store_every in 1..20usize, loads in any::<bool>(),
    ) {
        let mut court = Court::with_history(versions(second, third));
        let mut reference = Reference::default();
        let mut names = BTreeMap::new();
        for (index, step) in steps.iter().enumerate() {
            let position = Position(court.next());
            let rules = court.history.at(position).clone();
            let expected = if step.quarantined {
                reference.quarantine(&step.click, rules.settings())
            } else {
                reference.judge(position, &step.click, rules.settings())
            };
            let judgement = court.take(step.click.clone(), step.quarantined);
            prop_assert_eq!(said(&judgement, &mut names, &expected), expected, "at {}", position);
            let device = if step.quarantined { Device::Other } else { Reference::device(&step.click) };
            prop_assert_eq!((judgement.device, judgement.rules_version), (device, rules.version()));
            if index % store_every == 0 {
                court.store();
                if loads {
                    court.restart();
                }
            }
        }
        court.store();
        let distinct: std::collections::BTreeSet<_> = names.values().collect();
        prop_assert_eq!(distinct.len(), names.len(), "one hash, one visitor");
        check_figures(&court, &reference)?;
    }

    /// Loaded after any position, the state is the continuous one, byte for byte, and goes on alike.
    #[test]
    fn loaded_after_any_position_it_is_the_continuous_state(
        steps in steps(60), second in 2..40u64, third in 1..30u64, batch in 1..6usize,
    ) {
        let mut court = Court::with_history(versions(second, third));
        for chunk in steps.chunks(batch) {
            for step in chunk {
                court.take(step.click.clone(), step.quarantined);
            }
            court.store();
            let loaded = court.loaded();
            prop_assert_eq!(loaded.canonical_bytes(), court.state.canonical_bytes());
            prop_assert_eq!(loaded.applied_through(), court.state.applied_through());
        }
    }

    /// The same log judged again gives the same judgements and rows, with other batches and loads.
    #[test]
    fn replay_gives_the_same_bytes_across_changes_of_rules(
        steps in steps(80), second in 2..40u64, third in 1..40u64, cut in 0..80usize,
    ) {
        let mut once = Court::with_history(versions(second, third));
        let mut again = Court::with_history(versions(second, third));
        for (index, step) in steps.iter().enumerate() {
            let first = once.take(step.click.clone(), step.quarantined);
            prop_assert_eq!(first, again.take(step.click.clone(), step.quarantined));
            if index == cut {
                again.restart();
            }
        }
        once.store();
        again.store();
        prop_assert_eq!(&once.store, &again.store);
        prop_assert_eq!(once.state.canonical_bytes(), again.state.canonical_bytes());
    }

    /// Begun anywhere: after two of the longest windows of clicks that were taken over, every verdict is the one that
    /// the whole log leads to.
    #[test]
    fn a_log_without_its_beginning_is_judged_like_the_whole(
        steps in steps(200), second in 2..60u64, third in 1..60u64, cut in 0..100usize,
    ) {
        let mut court = Court::with_history(versions(second, third));
        let whole: Vec<Judgement> =
            steps.iter().map(|step| court.take(step.click.clone(), step.quarantined)).collect();
        let Some(begin) = whole.get(cut) else { return Ok(()) };
        let judged_from = begin.judged_at.plus_millis(2 * 60_000);
        let gone: Vec<_> = steps[..cut].iter().map(|step| FlagId(step.click.id.0)).collect();
        let mut state = crate::judge::GongguState::new(test_gonggu());
        for (index, (step, expected)) in steps.iter().zip(&whole).enumerate().skip(cut) {
            let position = Position(index as u64 + 1);
            let rules = court.history.at(position).clone();
            let click = step.click.clone();
            if state.last_judged_at().max(click.clicked_at) < judged_from {
                state.adopt(&JudgedClick { position, click, judgement: expected.clone() }, &rules).unwrap();
                continue;
            }
            let mut judgement = if step.quarantined {
                state.quarantine(position, &click, &rules)
            } else {
                state.fold(position, &click, &rules)
            };
            // A flag that grows unbroken since before the beginning may have had another version's window.
            if expected.flag_id.is_some_and(|id| gone.contains(&id)) {
                judgement.flag_id = expected.flag_id;
            }
            prop_assert_eq!(&judgement, expected, "at {}", position);
        }
    }

    /// Promise 4, told without the reference: counted clicks of one user are a window apart.
    #[test]
    fn no_visitor_is_counted_twice_within_a_window(steps in steps(120), store_every in 1..9usize) {
        let mut court = Court::new(settings());
        let mut last: BTreeMap<u64, i64> = BTreeMap::new();
        for (index, step) in steps.iter().enumerate() {
            let judged = court.take(step.click.clone(), false);
            if judged.verdict.is_counted() {
                let before = last.insert(judged.visitor, judged.judged_at.0);
                prop_assert!(before.is_none_or(|before| judged.judged_at.0 - before >= 300_000));
            }
            if index % store_every == 0 {
                court.restart();
            }
        }
    }
}

#[test]
fn an_empty_snapshot_is_a_new_gonggu_and_damaged_ones_are_refused() {
    let mut court = Court::new(settings());
    let fresh = court.loaded();
    assert_eq!(fresh.canonical_bytes(), court.state.canonical_bytes());
    court.judge(court.click());
    court.judge(court.click().from(2));
    court.store();
    let good = court.store.snapshot(300_000);
    let restore = |snapshot| crate::judge::GongguState::restore(test_gonggu(), &snapshot, &court.history);
    let mut swapped = good.clone();
    swapped.clicks.swap(0, 1);
    assert!(restore(swapped).unwrap_err().to_string().contains("out of order"));
    let mut headless = good.clone();
    headless.head = None;
    assert!(restore(headless).unwrap_err().to_string().contains("no head"));
    let mut unknown = good.clone();
    unknown.clicks[1].judgement.rules_version = 9;
    assert!(restore(unknown).unwrap_err().to_string().contains("rules version 9"));
    let mut short = good;
    short.clicks[0].judgement.burst = Box::default();
    let error = restore(short).unwrap_err();
    assert!(error.to_string().contains("do not match the limits") && !error.retryable());
}

#[test]
fn a_verdict_does_not_depend_on_the_store_forgetting() {
    let mut eager = Court::new(settings());
    let mut lazy = Court::new(settings());
    for number in 0..400u32 {
        let click = || ClickBuilder::new(number.into()).from(number % 7).at(i64::from(number) * 2_000);
        let (first, second) = (eager.judge(click()), lazy.judge(click()));
        assert_eq!(first, second);
        assert!(matches!(first.verdict, Verdict::Billable | Verdict::Duplicate));
        eager.store();
    }
    assert_eq!(eager.state.canonical_bytes(), lazy.state.canonical_bytes());
}
