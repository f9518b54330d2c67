//! Rules versions: stored, hashed, immutable sets of everything a verdict depends on besides the log.

mod compiled;

pub use compiled::{Rules, RulesError, RulesHistory};

use serde::{Deserialize, Serialize};

/// The revision of the fold's own code. A change of the code that can change any verdict makes the
/// next number, and the old revision stays runnable for 13 months.
pub const FOLD_REVISION: u32 = 1;

/// Which hash a mass-click limit counts by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitScope {
    /// The normalised address.
    Address,
    /// Its wider network.
    Network,
}

/// One mass-click limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub struct BurstLimit {
    /// What is counted together.
    pub scope: LimitScope,
    /// Length of the sliding window.
    pub window_millis: i64,
    /// The click that reaches this number is held, and those after it.
    pub limit: u32,
    /// The limit of members' first clicks, counted apart.
    pub member_limit: u32,
}

/// Everything that a rules version fixes. Two equal settings are one version.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RulesSettings {
    /// [`FOLD_REVISION`] of the code that judges by it.
    pub fold_revision: u32,
    /// Length of the duplicate window.
    pub dedup_window_millis: i64,
    /// Mass-click limits, at most [`RulesSettings::LIMITS_MAX`].
    pub limits: Vec<BurstLimit>,
    /// Members whose account is older than this get the members' limit.
    pub member_age_millis: i64,
    /// A click more than this behind its gonggu is neither counted nor held for mass clicks.
    pub late_after_millis: i64,
    /// Which revision of our own user-agent rules applies.
    pub agent_rules_revision: u32,
    /// Crawler patterns (regular expressions) from the maintained list.
    pub bot_patterns: Vec<String>,
    /// Name and version of that list.
    pub bot_patterns_source: String,
    /// Fingerprint of the key that made the address hashes.
    pub address_key_fingerprint: String,
}

impl RulesSettings {
    /// More limits than these make no sense and would bloat every row.
    pub const LIMITS_MAX: usize = 8;
    /// The longest window that the judge's memory is laid out for: one day.
    pub const WINDOW_MILLIS_MAX: i64 = crate::kst::DAY_MILLIS;
    /// The highest number that a mass-click limit may have.
    pub const LIMIT_CLICKS_MAX: u32 = 1_000_000_000;

    /// What a new deployment judges by: repeated within 300 s; 60 clicks of one address in 60 s, or
    /// 1,000 first clicks of members older than 24 h; late after 5 s; the shipped crawler list.
    pub fn standard(address_key_fingerprint: String) -> Self {
        Self {
            fold_revision: FOLD_REVISION,
            dedup_window_millis: 300_000,
            limits: vec![BurstLimit {
                scope: LimitScope::Address,
                window_millis: 60_000,
                limit: 60,
                member_limit: 1_000,
            }],
            member_age_millis: crate::kst::DAY_MILLIS,
            late_after_millis: 5_000,
            agent_rules_revision: crate::bots::AGENT_RULES_REVISION,
            bot_patterns: crate::bots::shipped_patterns().map(str::to_owned).collect(),
            bot_patterns_source: crate::bots::shipped_source().to_owned(),
            address_key_fingerprint,
        }
    }
}

/// A stored version.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StoredRules {
    /// Its number, from 1.
    pub version: u32,
    /// What it fixes.
    pub settings: RulesSettings,
}

/// From this position on (inclusive), this version judges the partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RulesActivation {
    /// The partition.
    pub partition: crate::ids::PartitionId,
    /// The first position judged by it.
    pub from: crate::ids::Position,
    /// The version.
    pub version: u32,
}

#[cfg(test)]
mod tests;
