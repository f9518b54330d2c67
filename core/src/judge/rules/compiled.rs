//! A rules version made ready to judge, and the history of versions that one partition was judged by.

use super::{FOLD_REVISION, RulesActivation, RulesSettings, StoredRules};
use crate::bots::{AGENT_RULES_REVISION, BotMatcher, BotMatcherError};
use crate::ids::Position;
use std::sync::Arc;

/// Why a stored version cannot judge. The process refuses to start on it.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// The version needs code that this binary does not have.
    #[error("rules version {version} needs revision {found} of the {part}; this binary runs up to {known}")]
    UnknownRevision {
        /// The version.
        version: u32,
        /// Which code.
        part: &'static str,
        /// The revision it asks for.
        found: u32,
        /// The newest one there is.
        known: u32,
    },
    /// A value is outside of what the judge can hold.
    #[error("rules version {version}: {problem}")]
    BadSettings {
        /// The version.
        version: u32,
        /// Which value, and what it may be.
        problem: String,
    },
    /// A crawler pattern cannot be compiled.
    #[error("rules version {version} has crawler patterns that cannot be compiled")]
    BadPattern {
        /// The version.
        version: u32,
        /// Which, and why.
        #[source]
        source: BotMatcherError,
    },
    /// A partition is judged by a version that is not stored, or by none at all.
    #[error("the partition's rules history is damaged: {0}")]
    BadHistory(String),
}

impl RulesError {
    /// Stored rules do not get better by trying again.
    pub fn retryable(&self) -> bool {
        false
    }
}

/// A rules version ready to judge: its settings and the compiled matcher.
#[derive(Debug)]
pub struct Rules {
    version: u32,
    settings: RulesSettings,
    agents: BotMatcher,
}

impl Rules {
    /// Checks and compiles a stored version. Takes some milliseconds for the crawler list.
    pub fn compile(stored: &StoredRules) -> Result<Self, RulesError> {
        let StoredRules { version, settings } = stored.clone();
        for (part, found, known) in [
            ("judge", settings.fold_revision, FOLD_REVISION),
            ("user-agent rules", settings.agent_rules_revision, AGENT_RULES_REVISION),
        ] {
            if found == 0 || found > known {
                return Err(RulesError::UnknownRevision { version, part, found, known });
            }
        }
        check(&settings).map_err(|problem| RulesError::BadSettings { version, problem })?;
        let agents = BotMatcher::compile(&settings.bot_patterns, settings.agent_rules_revision)
            .map_err(|source| RulesError::BadPattern { version, source })?;
        Ok(Self { version, settings, agents })
    }

    /// Its number.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// What it fixes.
    pub fn settings(&self) -> &RulesSettings {
        &self.settings
    }

    /// Its word on user agents.
    pub fn agents(&self) -> &BotMatcher {
        &self.agents
    }

    /// The longest of its windows: a state rebuilt from the clicks of this time is complete.
    pub fn longest_window_millis(&self) -> i64 {
        let limits = self.settings.limits.iter().map(|limit| limit.window_millis);
        limits.fold(self.settings.dedup_window_millis, i64::max)
    }
}

fn check(settings: &RulesSettings) -> Result<(), String> {
    let window = |name: &str, millis: i64| {
        let max = RulesSettings::WINDOW_MILLIS_MAX;
        if (1..=max).contains(&millis) { Ok(()) } else { Err(format!("{name} is {millis}, not 1 to {max}")) }
    };
    window("dedup_window_millis", settings.dedup_window_millis)?;
    if settings.limits.len() > RulesSettings::LIMITS_MAX {
        let max = RulesSettings::LIMITS_MAX;
        return Err(format!("{} mass-click limits, more than {max}", settings.limits.len()));
    }
    for limit in &settings.limits {
        window("a limit's window_millis", limit.window_millis)?;
        for (name, clicks) in [("limit", limit.limit), ("member_limit", limit.member_limit)] {
            let max = RulesSettings::LIMIT_CLICKS_MAX;
            if !(1..=max).contains(&clicks) {
                return Err(format!("{name} is {clicks}, not 1 to {max}"));
            }
        }
    }
    if settings.member_age_millis < 0 || settings.late_after_millis < 0 {
        return Err("member_age_millis and late_after_millis cannot be negative".to_owned());
    }
    Ok(())
}

/// All compiled versions, and from which position each judges one partition.
#[derive(Clone, Debug)]
pub struct RulesHistory {
    rules: Vec<Arc<Rules>>,
    /// Ascending by position, at least one; the second is an index into `rules`.
    activations: Vec<(Position, usize)>,
}

impl RulesHistory {
    /// The history of the partition that `activations` speak of, which must be of one partition and
    /// name versions of `rules`, at least one.
    pub fn new(rules: Vec<Arc<Rules>>, activations: Vec<RulesActivation>) -> Result<Self, RulesError> {
        let bad = |problem: String| RulesError::BadHistory(problem);
        let partition = activations.first().map(|activation| activation.partition);
        let mut borders = Vec::with_capacity(activations.len());
        for activation in activations {
            if Some(activation.partition) != partition {
                return Err(bad(format!("partition {} among those of another", activation.partition)));
            }
            let index = rules
                .iter()
                .position(|rules| rules.version() == activation.version)
                .ok_or_else(|| bad(format!("version {} is not stored", activation.version)))?;
            borders.push((activation.from, index));
        }
        borders.sort_unstable();
        if borders.is_empty() {
            return Err(bad("no version was ever put in force".to_owned()));
        }
        if borders.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(bad("two versions begin at one position".to_owned()));
        }
        Ok(Self { rules, activations: borders })
    }

    /// The version in force at a position; before the first border, the first one.
    pub fn at(&self, position: Position) -> &Arc<Rules> {
        let after = self.activations.partition_point(|(from, _)| *from <= position);
        &self.rules[self.activations[after.saturating_sub(1)].1]
    }

    /// The first position after this one at which another activation begins: batches are split there.
    pub fn next_border_after(&self, position: Position) -> Option<Position> {
        let after = self.activations.partition_point(|(from, _)| *from <= position);
        self.activations.get(after).map(|(from, _)| *from)
    }

    /// A version by its number.
    pub fn by_version(&self, version: u32) -> Option<&Arc<Rules>> {
        self.rules.iter().find(|rules| rules.version() == version)
    }

    /// The longest window of all versions: what a load request asks for.
    pub fn longest_window_millis(&self) -> i64 {
        self.rules.iter().map(|rules| rules.longest_window_millis()).max().unwrap_or(0)
    }
}
