#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::ids::{PartitionId, Position};
use std::sync::Arc;

fn settings() -> RulesSettings {
    RulesSettings { bot_patterns: vec!["Googlebot".to_owned()], ..RulesSettings::standard("key".to_owned()) }
}

fn compile(settings: RulesSettings) -> Result<Rules, RulesError> {
    Rules::compile(&StoredRules { version: 1, settings })
}

#[test]
fn the_standard_settings_are_the_designs() {
    let standard = RulesSettings::standard("key".to_owned());
    assert_eq!(standard.dedup_window_millis, 300_000);
    assert_eq!(
        standard.limits,
        [BurstLimit { scope: LimitScope::Address, window_millis: 60_000, limit: 60, member_limit: 1_000 }]
    );
    assert_eq!((standard.member_age_millis, standard.late_after_millis), (86_400_000, 5_000));
    assert!(standard.bot_patterns.len() > 1_000);
    assert!(standard.bot_patterns_source.starts_with("crawler-user-agents "));
    assert_eq!(compile(standard).unwrap().longest_window_millis(), 300_000);
}

#[test]
fn a_version_of_unknown_code_is_refused() {
    let next = RulesSettings { fold_revision: FOLD_REVISION + 1, ..settings() };
    let error = compile(next).unwrap_err();
    assert_eq!(error.to_string(), "rules version 1 needs revision 2 of the judge; this binary runs up to 1");
    let agents = RulesSettings { agent_rules_revision: 9, ..settings() };
    assert!(matches!(compile(agents), Err(RulesError::UnknownRevision { .. })));
}

#[test]
fn settings_that_the_judge_cannot_hold_are_refused() {
    let limit = settings().limits[0];
    let bad = [
        RulesSettings { dedup_window_millis: 0, ..settings() },
        RulesSettings { dedup_window_millis: RulesSettings::WINDOW_MILLIS_MAX + 1, ..settings() },
        RulesSettings { limits: vec![limit; RulesSettings::LIMITS_MAX + 1], ..settings() },
        RulesSettings { limits: vec![BurstLimit { limit: 0, ..limit }], ..settings() },
        RulesSettings { limits: vec![BurstLimit { window_millis: -1, ..limit }], ..settings() },
        RulesSettings { member_age_millis: -1, ..settings() },
    ];
    for settings in bad {
        assert!(matches!(compile(settings), Err(RulesError::BadSettings { .. })));
    }
    let pattern = RulesSettings { bot_patterns: vec!["(".to_owned()], ..settings() };
    assert!(matches!(compile(pattern), Err(RulesError::BadPattern { .. })));
}

#[test]
fn a_history_names_the_version_of_every_position() {
    let rules = |version| Arc::new(Rules::compile(&StoredRules { version, settings: settings() }).unwrap());
    let from = |from, version| RulesActivation { partition: PartitionId(0), from: Position(from), version };
    let history = RulesHistory::new(vec![rules(1), rules(2)], vec![from(1, 1), from(10, 2)]).unwrap();
    assert_eq!([0, 1, 9, 10, 11].map(|at| history.at(Position(at)).version()), [1, 1, 1, 2, 2]);
    assert_eq!(history.next_border_after(Position(1)), Some(Position(10)));
    assert_eq!(history.next_border_after(Position(10)), None);
    assert!(history.by_version(2).is_some() && history.by_version(3).is_none());
    for wrong in [vec![], vec![from(1, 3)], vec![from(1, 1), from(1, 2)]] {
        assert!(matches!(RulesHistory::new(vec![rules(1), rules(2)], wrong), Err(RulesError::BadHistory(_))));
    }
}
