//! Rebuilding a state from what the store keeps: the head, the judged clicks inside the longest window
//! and the flags of that time. Nothing is judged again; each click does once more what it did then.

use super::{Folding, GongguState, Rows};
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

    /// Takes in the next click with the judgement that it was given, instead of judging it: for a log whose beginning
    /// is gone, so that nobody can judge its first clicks again. `rules` is the version in force at its position.
    ///
    /// Marks, counts and figures move as they moved then. What the clicks before the first one left is missing: marks
    /// and counts until the longest window has passed; of which limit an open flag is, until that long after the
    /// counts are whole. From then on the state judges as one that folded the whole log.
    pub fn adopt(&mut self, judged: &JudgedClick, rules: &Rules) -> Result<(), RestoreError> {
        let JudgedClick { position, click, judgement } = judged;
        let damaged =
            |problem: &str| RestoreError::Damaged { gonggu_id: click.gonggu_id, problem: problem.to_owned() };
        if *position <= self.head.applied_through || judgement.judged_at < self.head.last_judged_at {
            return Err(damaged("its clicks are out of order"));
        }
        let over = self.redo(judged, rules).map_err(damaged)?;
        let digest = rules.agents().classify(&click.user_agent).digest;
        let folding = Folding {
            position: *position,
            click,
            rules,
            identity: Identity::of(click, digest),
            judged_at: judgement.judged_at,
            late: false,
        };
        if let (Verdict::Held(HeldReason::MassClick), Some(id)) = (judgement.verdict, judgement.flag_id) {
            let limits = &rules.settings().limits;
            // Held although the counts that are here reach nothing: some are missing yet. One limit is the usual case.
            let over = over.or_else(|| limits.first().map(|limit| (0, limit.limit)));
            if let Some((index, number)) = over {
                self.flags.hold_again(&folding.held(), index as u8, &limits[index], number, id);
            }
        }
        if judgement.verdict != Verdict::Held(HeldReason::Quarantined) {
            self.head.last_judged_at = judgement.judged_at;
        }
        self.enter_figures(&folding, judgement);
        Ok(())
    }

    /// Leaves the marks and counts that this click left when it was judged; the first limit that it is over by the
    /// counts that are here, and the number it reached.
    fn redo(&mut self, judged: &JudgedClick, rules: &Rules) -> Result<Option<(usize, u32)>, &'static str> {
        let JudgedClick { position, click, judgement } = judged;
        let at = judgement.judged_at;
        if matches!(judgement.verdict, Verdict::Invalid(_) | Verdict::Held(HeldReason::Quarantined)) {
            return Ok(None);
        }
        let limits = &rules.settings().limits;
        if judgement.burst.len() != limits.len() {
            return Err("a click's counts do not match the limits of its rules");
        }
        let user = click.member.map(|member| user_key(member.id));
        let who = Burster::of(click, user, rules.settings().member_age_millis, false);
        self.marks.expire(at);
        self.bursts.expire(at);
        let mut over = None;
        for (index, limit) in limits.iter().enumerate() {
            let count: BurstCount = judgement.burst[index];
            let number = self.bursts.recount(index, limit, &who, count, at);
            over = over.or(number.map(|number| (index, number)));
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
        Ok(over)
    }
}
