//! A gonggu before its judge, with a store in memory that keeps what the contract says.

use crate::click::testing::{ClickBuilder, test_gonggu};
use crate::click::{JudgedClick, Judgement, RawClick};
use crate::ids::{FlagId, PartitionId, Position};
use crate::judge::rules::{
    BurstLimit, LimitScope, Rules, RulesActivation, RulesHistory, RulesSettings, StoredRules,
};
use crate::judge::state::GongguState;
use crate::judge::totals::{Flag, GongguHead, Rollup, RollupKey};
use crate::store::GongguSnapshot;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) fn settings() -> RulesSettings {
    RulesSettings {
        bot_patterns: vec!["Googlebot".to_owned()],
        bot_patterns_source: "a short list".to_owned(),
        ..RulesSettings::standard("key".to_owned())
    }
}

pub(super) fn with_limits(limits: &[BurstLimit]) -> RulesSettings {
    RulesSettings { limits: limits.to_vec(), ..settings() }
}

pub(super) fn limit(scope: LimitScope, window_millis: i64, limit: u32, member_limit: u32) -> BurstLimit {
    BurstLimit { scope, window_millis, limit, member_limit }
}

/// Versions 1, 2, … of these settings, each from its position on.
pub(super) fn history(versions: &[(u64, RulesSettings)]) -> RulesHistory {
    let mut rules = Vec::new();
    let mut activations = Vec::new();
    for (index, (from, settings)) in versions.iter().enumerate() {
        let version = index as u32 + 1;
        let stored = StoredRules { version, settings: settings.clone() };
        rules.push(Arc::new(Rules::compile(&stored).unwrap()));
        activations.push(RulesActivation { partition: PartitionId(0), from: Position(*from), version });
    }
    RulesHistory::new(rules, activations).unwrap()
}

/// What a store holds of one gonggu.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct MemoryStore {
    pub(super) clicks: BTreeMap<Position, JudgedClick>,
    pub(super) head: Option<GongguHead>,
    pub(super) rollups: BTreeMap<RollupKey, Rollup>,
    pub(super) flags: BTreeMap<FlagId, Flag>,
}

impl MemoryStore {
    pub(super) fn snapshot(&self, window_millis: i64) -> GongguSnapshot {
        let Some(head) = self.head.clone() else { return GongguSnapshot::default() };
        let after = head.last_judged_at.plus_millis(-window_millis);
        let clicks = self.clicks.values().filter(|c| c.judgement.judged_at > after).cloned().collect();
        let flags = self.flags.values().filter(|flag| flag.last_held_at > after).cloned().collect();
        GongguSnapshot { head: Some(head), clicks, rollups: Vec::new(), flags }
    }
}

/// One gonggu's state with the store that its changes go to.
#[derive(Clone)]
pub(super) struct Court {
    pub(super) history: RulesHistory,
    pub(super) state: GongguState,
    pub(super) store: MemoryStore,
    unstored: Vec<JudgedClick>,
    position: u64,
}

impl Court {
    pub(super) fn new(settings: RulesSettings) -> Self {
        Self::with_history(history(&[(0, settings)]))
    }

    pub(super) fn with_history(history: RulesHistory) -> Self {
        let state = GongguState::new(test_gonggu());
        Self { history, state, store: MemoryStore::default(), unstored: Vec::new(), position: 0 }
    }

    /// The position that the next click gets.
    pub(super) fn next(&self) -> u64 {
        self.position + 1
    }

    /// A builder whose identity fits the next position.
    pub(super) fn click(&self) -> ClickBuilder {
        ClickBuilder::new(self.next())
    }

    pub(super) fn judge(&mut self, click: ClickBuilder) -> Judgement {
        self.take(click.build(), false)
    }

    pub(super) fn quarantine(&mut self, click: ClickBuilder) -> Judgement {
        self.take(click.build(), true)
    }

    pub(super) fn take(&mut self, click: RawClick, quarantined: bool) -> Judgement {
        self.position += 1;
        let position = Position(self.position);
        for key in self.state.missing_rollups(&click) {
            self.state.insert_rollup(key, self.store.rollups.get(&key).cloned());
        }
        let rules = self.history.at(position).clone();
        let judgement = if quarantined {
            self.state.quarantine(position, &click, &rules)
        } else {
            self.state.fold(position, &click, &rules)
        };
        self.unstored.push(JudgedClick { position, click, judgement: judgement.clone() });
        judgement
    }

    /// Stores all that is not stored yet, and lets the state forget.
    pub(super) fn store(&mut self) {
        let changes = self.state.take_changes();
        let store = &mut self.store;
        store.clicks.extend(self.unstored.drain(..).map(|judged| (judged.position, judged)));
        store.head = Some(changes.head);
        store.rollups.extend(changes.rollups.into_iter().map(|row| (row.key, row)));
        store.flags.extend(changes.flags.into_iter().map(|flag| (flag.id, flag)));
        self.state.forget_stored(Position(self.position));
    }

    /// Throws the state away and loads it again from what is stored.
    pub(super) fn restart(&mut self) {
        self.store();
        self.state = self.loaded();
    }

    /// The state as another machine would load it.
    pub(super) fn loaded(&self) -> GongguState {
        let snapshot = self.store.snapshot(self.history.longest_window_millis());
        GongguState::restore(test_gonggu(), &snapshot, &self.history).unwrap()
    }
}
