//! A log judged by revision 1 of the fold, kept as it was judged then. Whatever is changed later, these
//! verdicts, marks, counts, hashes and flags must come out again; a change that means to alter them is
//! a new revision with a file of its own, beside this one.
//!
//! `golden/revision-1.tsv`: lines `rules FROM JSON` put a version in force, `agent TEXT` names user
//! agents by number, then one click a line with what was said of it, and the totals at the end.

use super::court::{Court, history};
use crate::click::testing::{ClickBuilder, TEST_EPOCH};
use crate::click::{BurstCount, ClickMethod, Judgement, OriginKind};
use crate::judge::rules::RulesSettings;
use crate::judge::totals::Counts;
use std::fmt::Write;

const REVISION_1: &str = include_str!("golden/revision-1.tsv");

/// A click from its columns: position, time, member, account age, address, agent, what is odd about it.
fn click(columns: &[&str], agents: &[String]) -> (ClickBuilder, bool) {
    let number = |column: usize| columns[column].parse::<i64>().unwrap();
    let click = ClickBuilder::new(number(0) as u64)
        .at(number(1))
        .address(columns[4].parse().unwrap())
        .agent(&agents[number(5) as usize]);
    let click = match columns[2] {
        "-" => click,
        _ => click.member_since(number(2) as u64, TEST_EPOCH.plus_millis(-number(3))),
    };
    let click = match columns[6] {
        "head" => click.with(|click| click.method = ClickMethod::Head),
        "prefetch" => click.with(|click| click.purpose = "prefetch;prerender".into()),
        "frame" => click.with(|click| click.fetch_dest = "iframe".into()),
        "foreign" => click.post(OriginKind::Foreign),
        "ours" => click.post(OriginKind::Ours),
        "closed" => click.with(|click| click.closes_at = click.clicked_at),
        "-" | "quarantined" => click,
        other => panic!("{other} is not known"),
    };
    (click, columns[6] == "quarantined")
}

fn told(judgement: &Judgement) -> String {
    let mut line = String::new();
    let dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let burst = judgement.burst.iter().map(|count| match count {
        BurstCount::None => '0',
        BurstCount::Click => '1',
        BurstCount::MemberFirst => '2',
    });
    let of =
        judgement.duplicate_of.map(|of| format!("{}@{}", of.position, of.judged_at.millis_since(TEST_EPOCH)));
    write!(
        line,
        "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{:016x}",
        judgement.verdict.as_str(),
        judgement.verdict.reason().unwrap_or("-"),
        judgement.judged_at.millis_since(TEST_EPOCH),
        judgement.rules_version,
        dash(of),
        if judgement.took_mark { "took" } else { "-" },
        burst.collect::<String>(),
        // Test clicks carry their position in the last digits of their id.
        dash(judgement.flag_id.map(|flag| (flag.0.as_u128() & 0xffff_ffff).to_string())),
        judgement.device.as_str(),
        judgement.visitor,
    )
    .unwrap();
    line
}

fn totals(court: &Court) -> String {
    let head = court.store.head.as_ref().unwrap();
    let visitors = blake3::hash(head.visitors.as_bytes());
    format!("{:?}\t{}\t{}", Counts::to_array(&head.counts), head.visitors.estimate(), visitors.to_hex())
}

#[test]
fn revision_one_judges_as_it_always_did() {
    let lines: Vec<Vec<&str>> = REVISION_1
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split('\t').collect())
        .collect();
    let of_kind = |kind: &str| lines.iter().filter(move |line| line[0] == kind).cloned().collect::<Vec<_>>();
    let rules = of_kind("rules");
    let versions: Vec<(u64, RulesSettings)> =
        rules.iter().map(|line| (line[1].parse().unwrap(), serde_json::from_str(line[2]).unwrap())).collect();
    let agents: Vec<String> = of_kind("agent").iter().map(|line| line[1].to_owned()).collect();
    for restarts in [false, true] {
        let mut court = Court::with_history(history(&versions));
        for line in of_kind("click") {
            let (click, quarantined) = click(&line[1..8], &agents);
            let judgement = court.take(click.build(), quarantined);
            assert_eq!(told(&judgement), line[8..].join("\t"), "click {}", line[1]);
            if restarts && court.next().is_multiple_of(7) {
                court.restart();
            }
        }
        court.store();
        assert_eq!(totals(&court), of_kind("totals")[0][1..].join("\t"));
    }
}
