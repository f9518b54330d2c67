//! The state of one gonggu, and the fold that moves it on.
//!
//! Invariants: the state after a click depends on the clicks before it and on their rules versions
//! only; what it holds beyond the head can be rebuilt from the judged clicks inside the longest window
//! and the flags of that time ([`GongguState::restore`]); [`GongguState::canonical_bytes`] is equal
//! for equal futures. Nothing here knows of batches or stores: effects leave as data
//! ([`GongguState::take_changes`]).

mod restore;

pub use restore::RestoreError;

use super::burst::{Burster, Bursts};
use super::dedup::{AgentDigest, Identity, Marks};
use super::figures::{Entry, Rows};
use super::flags::{Flags, Held};
use super::invalid;
use super::rules::Rules;
use super::totals::{Counts, Flag, GongguHead, Rollup, RollupKey, VisitorSketch};
use crate::click::{BurstCount, Device, HeldReason, Judgement, RawClick, Verdict};
use crate::clock::UnixMillis;
use crate::ids::{FlagId, GongguId, Position};

/// Absolute values touched since they were last taken: what a batch stores of one gonggu.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Changes {
    /// The head.
    pub head: GongguHead,
    /// Rollup rows, by level and time.
    pub rollups: Vec<Rollup>,
    /// Flags, by id.
    pub flags: Vec<Flag>,
}

/// Verdict state, totals and rollup rows of one gonggu.
#[derive(Clone, Debug)]
pub struct GongguState {
    /// Its visitors lack those that `rows` has not yet entered.
    head: GongguHead,
    marks: Marks,
    bursts: Bursts,
    flags: Flags,
    rows: Rows,
}

/// A click at its place, as the steps of the fold hand it on.
struct Folding<'a> {
    position: Position,
    click: &'a RawClick,
    rules: &'a Rules,
    identity: Identity,
    judged_at: UnixMillis,
    late: bool,
}

impl GongguState {
    /// The state before the first click.
    pub fn new(gonggu_id: GongguId) -> Self {
        Self {
            head: GongguHead {
                gonggu_id,
                counts: Counts::default(),
                visitors: VisitorSketch::default(),
                last_judged_at: UnixMillis::MIN,
                last_clicked_at: UnixMillis::MIN,
                applied_through: Position(0),
            },
            marks: Marks::default(),
            bursts: Bursts::default(),
            flags: Flags::default(),
            rows: Rows::new(UnixMillis::MIN),
        }
    }

    /// Judges the next click. `rules` is the version in force at `position`, which must be greater
    /// than [`applied_through`](Self::applied_through), and the rows of
    /// [`missing_rollups`](Self::missing_rollups) must have been inserted.
    ///
    /// # Panics
    ///
    /// When a missing rollup row was not inserted: going on would overwrite stored figures.
    pub fn fold(&mut self, position: Position, click: &RawClick, rules: &Rules) -> Judgement {
        debug_assert!(position > self.head.applied_through, "{position} was folded before");
        let last = self.head.last_judged_at;
        let judged_at = last.max(click.clicked_at);
        let agent = rules.agents().classify(&click.user_agent);
        let folding = Folding {
            position,
            click,
            rules,
            identity: Identity::of(click, agent.digest),
            judged_at,
            late: last.millis_since(click.clicked_at) > rules.settings().late_after_millis,
        };
        if judged_at > last {
            self.marks.expire(judged_at);
            self.bursts.expire(judged_at);
        }
        let judgement = match invalid::reason(click, agent.is_bot) {
            Some(reason) => folding.judgement(Verdict::Invalid(reason), agent.device),
            None => self.judge_valid(&folding, agent.device),
        };
        self.head.last_judged_at = judged_at;
        self.enter_figures(&folding, &judgement);
        judgement
    }

    /// Takes in a click that the judge failed on twice: held, under a flag of its own, marks, counts
    /// and `last_judged_at` untouched. Nothing of it is looked at that could fail again.
    ///
    /// # Panics
    ///
    /// As [`fold`](Self::fold).
    pub fn quarantine(&mut self, position: Position, click: &RawClick, rules: &Rules) -> Judgement {
        let folding = Folding {
            position,
            click,
            rules,
            identity: Identity::of(click, AgentDigest::of(&click.user_agent)),
            judged_at: self.head.last_judged_at.max(click.clicked_at),
            late: false,
        };
        let mut judgement = folding.judgement(Verdict::Held(HeldReason::Quarantined), Device::Other);
        judgement.flag_id = Some(self.flags.quarantine(&folding.held()));
        self.enter_figures(&folding, &judgement);
        judgement
    }

    /// Duplicate, held or billable.
    fn judge_valid(&mut self, folding: &Folding<'_>, device: Device) -> Judgement {
        let settings = folding.rules.settings();
        let who = folding.burster();
        let mut judgement = folding.judgement(Verdict::Billable, device);
        let mut over = None;
        for (index, limit) in settings.limits.iter().enumerate() {
            let tallied = self.bursts.count(index, limit, &who, folding.judged_at);
            judgement.burst[index] = tallied.count;
            over = over.or(tallied.over.map(|number| (index, limit, number)));
        }
        if let Some(repeat) = self.marks.repeat(&folding.identity, folding.judged_at) {
            judgement.verdict = Verdict::Duplicate;
            judgement.duplicate_of = Some(repeat.of);
            judgement.took_mark = repeat.took_mark;
            return judgement;
        }
        if let Some((index, limit, number)) = over {
            judgement.verdict = Verdict::Held(HeldReason::MassClick);
            judgement.flag_id = Some(self.flags.hold(&folding.held(), index as u8, limit, number));
        }
        let window_millis = settings.dedup_window_millis;
        self.marks.count(&folding.identity, folding.position, folding.judged_at, window_millis);
        judgement
    }

    fn enter_figures(&mut self, folding: &Folding<'_>, judgement: &Judgement) {
        let Folding { position, click, .. } = *folding;
        let is_visitor = !matches!(judgement.verdict, Verdict::Invalid(_));
        let visitor = is_visitor.then_some(judgement.visitor);
        let Judgement { verdict, device, .. } = *judgement;
        self.rows.add(&Entry { position, click, verdict, device, visitor }, &mut self.head.visitors);
        self.head.counts.add(judgement.verdict);
        self.head.last_clicked_at = self.head.last_clicked_at.max(click.clicked_at);
        self.head.applied_through = position;
    }

    /// Rollup rows that this click is about to be added to, that the store may hold and memory does
    /// not. They are to be loaded and given to [`insert_rollup`](Self::insert_rollup) before the click
    /// is folded. Nearly always empty, and then free.
    pub fn missing_rollups(&self, click: &RawClick) -> Vec<RollupKey> {
        self.rows.missing(click)
    }

    /// Takes in a row of the store, `None` if it has none. A row that is already in memory stays.
    pub fn insert_rollup(&mut self, key: RollupKey, row: Option<Rollup>) {
        // Kept until a click folded after this moment is stored.
        let needed_through = Position(self.head.applied_through.0.saturating_add(1));
        self.rows.insert(key, row, needed_through);
    }

    /// Absolute values touched since the last call.
    pub fn take_changes(&mut self) -> Changes {
        let rollups = self.rows.take_changed(self.head.gonggu_id, &mut self.head.visitors);
        Changes { head: self.head.clone(), rollups, flags: self.flags.take_changed() }
    }

    /// Gives back the memory of what is stored through here and not needed for the next click:
    /// rollup rows other than the open buckets, flags that cannot grow, slack. No verdict or figure
    /// depends on whether or when it is called.
    pub fn forget_stored(&mut self, stored_through: Position) {
        self.rows.forget(stored_through, self.head.last_clicked_at, &mut self.head.visitors);
        self.flags.forget(self.head.last_judged_at);
        self.marks.expire(self.head.last_judged_at);
        self.bursts.expire(self.head.last_judged_at);
        self.marks.shrink();
        self.bursts.shrink();
    }

    /// The gonggu.
    pub fn gonggu_id(&self) -> GongguId {
        self.head.gonggu_id
    }

    /// Everything up to here is folded; a caller skips clicks at or before it.
    pub fn applied_through(&self) -> Position {
        self.head.applied_through
    }

    /// The last `judged_at`; the windows run from it.
    pub fn last_judged_at(&self) -> UnixMillis {
        self.head.last_judged_at
    }

    /// Totals by verdict.
    pub fn counts(&self) -> &Counts {
        &self.head.counts
    }

    /// Estimate of the distinct visitors.
    pub fn unique_visitors(&self) -> u64 {
        self.visitors().estimate()
    }

    /// The head's visitors and those that are not yet entered there.
    fn visitors(&self) -> VisitorSketch {
        let mut visitors = self.head.visitors.clone();
        for visitor in self.rows.fresh_visitors() {
            visitors.insert(*visitor);
        }
        visitors
    }

    /// Bytes held, without the allocator's own.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + self.head.visitors.memory_bytes()
            + self.marks.memory_bytes()
            + self.bursts.memory_bytes()
            + self.flags.memory_bytes()
            + self.rows.memory_bytes()
    }

    /// Everything that a future verdict depends on, and the head's figures, in one fixed form. Rollup
    /// rows are not in it (which of them are in memory depends on when they were stored); their
    /// equality shows in [`take_changes`](Self::take_changes).
    pub fn canonical_bytes(&self) -> Vec<u8> {
        let head = &self.head;
        let mut out = Vec::new();
        out.extend_from_slice(head.gonggu_id.0.as_bytes());
        head.counts.to_array().iter().for_each(|count| out.extend_from_slice(&count.to_le_bytes()));
        let visitors = self.visitors();
        out.extend_from_slice(&(visitors.as_bytes().len() as u64).to_le_bytes());
        out.extend_from_slice(visitors.as_bytes());
        for time in [head.last_judged_at, head.last_clicked_at] {
            out.extend_from_slice(&time.0.to_le_bytes());
        }
        out.extend_from_slice(&head.applied_through.0.to_le_bytes());
        self.marks.canonical_bytes(head.last_judged_at, &mut out);
        self.bursts.canonical_bytes(head.last_judged_at, &mut out);
        self.flags.canonical_bytes(head.last_judged_at, &mut out);
        out
    }
}

impl Folding<'_> {
    fn judgement(&self, verdict: Verdict, device: Device) -> Judgement {
        Judgement {
            verdict,
            judged_at: self.judged_at,
            rules_version: self.rules.version(),
            duplicate_of: None,
            took_mark: false,
            burst: vec![BurstCount::None; self.rules.settings().limits.len()].into_boxed_slice(),
            flag_id: None::<FlagId>,
            device,
            visitor: self.identity.strongest(),
        }
    }

    fn burster(&self) -> Burster {
        let member_age_millis = self.rules.settings().member_age_millis;
        Burster::of(self.click, self.identity.user, member_age_millis, self.late)
    }

    fn held(&self) -> Held<'_> {
        Held {
            position: self.position,
            judged_at: self.judged_at,
            click: self.click,
            identity: &self.identity,
        }
    }
}
