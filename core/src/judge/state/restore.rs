//! Rebuilding a state from what the store keeps: the head, the judged clicks inside the longest window
//! and the flags of that time. Nothing is judged again; each click does once more what it did then.

use super::{GongguState, Rows};
use crate::click::{BurstCount, HeldReason, JudgedClick, Verdict};
use crate::ids::{GongguId, Position};
use crate::judge::burst::Burster;
use crate::judge::dedup::{Identity, user_key};
use crate::judge::rules::{Rules, RulesHistory};
use crate::store::GongguSnapshot;

/// Stored rows that no judge can have written. Trying again does not help.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum RestoreError {
    /// A click was judged by a version that is not stored.
    #[error("the click at {position} was judged by rules version {version}, which is not stored")]
    UnknownRules {
        /// Where it stands.
        position: Position,
        /// The version.
        version: u32,
    },
    /// Rows contradict each other.
    #[error("gonggu {gonggu_id}: {problem}")]
    Damaged {
        /// The gonggu.
        gonggu_id: GongguId,
        /// How.
        problem: String,
    },
}

impl RestoreError {
    /// Damaged rows do not get better by trying again.
    pub fn retryable(&self) -> bool {
        false
    }
}

impl GongguState {
    /// The state as of the snapshot's head: equal, by [`canonical_bytes`](Self::canonical_bytes), to
    /// one that folded the log up to `applied_through` itself.
    pub fn restore(
        gonggu_id: GongguId,
        snapshot: &GongguSnapshot,
        history: &RulesHistory,
    ) -> Result<Self, RestoreError> {
        let damaged = |problem: &str| RestoreError::Damaged { gonggu_id, problem: problem.to_owned() };
        let mut state = Self::new(gonggu_id);
        let Some(head) = &snapshot.head else {
            return if snapshot.clicks.is_empty() { Ok(state) } else { Err(damaged("clicks but no head")) };
        };
        if head.gonggu_id != gonggu_id {
            return Err(damaged("the head of another gonggu"));
        }
        state.head = head.clone();
        state.rows = Rows::new(head.last_clicked_at);
        let mut before = Position(0);
        for judged in &snapshot.clicks {
            if judged.position <= before || judged.position > head.applied_through {
                return Err(damaged("its clicks are out of order or after its head"));
            }
            before = judged.position;
            let version = judged.judgement.rules_version;
            let rules = history
                .by_version(version)
                .ok_or(RestoreError::UnknownRules { position: judged.position, version })?;
            state.redo(judged, rules).map_err(damaged)?;
        }
        state.marks.expire(head.last_judged_at);
        state.bursts.expire(head.last_judged_at);
        for flag in &snapshot.flags {
            state.flags.restore(flag.clone());
        }
        state.flags.forget(head.last_judged_at);
        for row in &snapshot.rollups {
            state.insert_rollup(row.key, Some(row.clone()));
        }
        Ok(state)
    }

    /// Leaves the marks and counts that this click left when it was judged.
    fn redo(&mut self, judged: &JudgedClick, rules: &Rules) -> Result<(), &'static str> {
        let JudgedClick { position, click, judgement } = judged;
        let at = judgement.judged_at;
        if matches!(judgement.verdict, Verdict::Invalid(_) | Verdict::Held(HeldReason::Quarantined)) {
            return Ok(());
        }
        let limits = &rules.settings().limits;
        if judgement.burst.len() != limits.len() {
            return Err("a click's counts do not match the limits of its rules");
        }
        let user = click.member.map(|member| user_key(member.id));
        let who = Burster::of(click, user, rules.settings().member_age_millis, false);
        self.marks.expire(at);
        self.bursts.expire(at);
        for (index, limit) in limits.iter().enumerate() {
            let count: BurstCount = judgement.burst[index];
            self.bursts.recount(index, limit, &who, count, at);
        }
        // A signed-out click's visitor is its address + agent; only the others need the agent again.
        let identity = match user {
            None => Identity { user, address_agent: judgement.visitor },
            Some(_) => Identity::of(click, rules.agents().classify(&click.user_agent).digest),
        };
        match (judgement.verdict, judgement.duplicate_of) {
            (Verdict::Duplicate, Some(of)) if judgement.took_mark => self.marks.retake(&identity, of, at),
            (Verdict::Duplicate, Some(_)) => {}
            (Verdict::Duplicate, None) => return Err("a duplicate of nothing"),
            _ => self.marks.count(&identity, *position, at, rules.settings().dedup_window_millis),
        }
        Ok(())
    }
}
