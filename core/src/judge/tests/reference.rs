//! The verdict rules written down a second time, as plainly as they read: lists that are searched from
//! the start, nothing ever dropped, names instead of hashes. Slow, and meant to be obviously right.

use crate::click::{
    BurstCount, ClickMethod, Device, DuplicateOf, Endpoint, HeldReason, InvalidReason, OriginKind, RawClick,
    Verdict,
};
use crate::clock::UnixMillis;
use crate::ids::{ClickId, Position, UserId};
use crate::judge::rules::{LimitScope, RulesSettings};
use crate::visitor::AddressHash;
use std::collections::{BTreeMap, BTreeSet};

/// What the reference says of a click.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) verdict: Verdict,
    pub(super) judged_at: i64,
    pub(super) duplicate_of: Option<DuplicateOf>,
    pub(super) took_mark: bool,
    pub(super) burst: Vec<BurstCount>,
    pub(super) flag: Option<ClickId>,
    pub(super) visitor: String,
}

struct Marked {
    whose: String,
    position: u64,
    at: i64,
    ends: i64,
    by_signed_out: bool,
    taken: bool,
}

/// One click's place in one limit's counts.
struct Counted {
    index: usize,
    scope: LimitScope,
    hash: AddressHash,
    user: Option<UserId>,
    how: BurstCount,
    ends: i64,
}

struct RaisedFlag {
    index: usize,
    scope: LimitScope,
    hash: AddressHash,
    id: ClickId,
    window: i64,
    last_held: i64,
}

/// Everything that ever happened to one gonggu.
#[derive(Default)]
pub(super) struct Reference {
    now: Option<i64>,
    marks: Vec<Marked>,
    counted: Vec<Counted>,
    flags: Vec<RaisedFlag>,
    pub(super) visitors: BTreeSet<String>,
    pub(super) verdicts: Vec<Verdict>,
    /// Per start of hour: gross, billable, and its distinct visitors.
    pub(super) hours: BTreeMap<i64, (u64, u64, BTreeSet<String>)>,
    pub(super) hosts: BTreeMap<String, u64>,
}

fn visitor_name(click: &RawClick) -> String {
    match click.member {
        Some(member) => format!("user {}", member.id),
        None => place_name(click),
    }
}

fn place_name(click: &RawClick) -> String {
    format!("place {:?} {}", click.address_hash, click.user_agent)
}

fn invalid(click: &RawClick) -> Option<InvalidReason> {
    let program = ["curl", "Googlebot"].iter().any(|name| click.user_agent.contains(name));
    let go = click.endpoint == Endpoint::Go;
    if click.method == ClickMethod::Head {
        return Some(InvalidReason::Head);
    }
    if click.purpose.contains("prefetch") {
        return Some(InvalidReason::Prefetch);
    }
    if program || click.user_agent.is_empty() {
        return Some(InvalidReason::Bot);
    }
    if go && !["", "document"].contains(&&*click.fetch_dest) || !go && click.origin == OriginKind::Foreign {
        return Some(InvalidReason::Embedded);
    }
    if click.clicked_at < click.opens_at || click.clicked_at >= click.closes_at {
        return Some(InvalidReason::NotActive);
    }
    None
}

impl Reference {
    pub(super) fn judge(&mut self, position: Position, click: &RawClick, rules: &RulesSettings) -> Said {
        let before = self.now.unwrap_or(i64::MIN);
        let now = before.max(click.clicked_at.0);
        let late = self.now.is_some_and(|before| before - click.clicked_at.0 > rules.late_after_millis);
        self.now = Some(now);
        let mut said = Said {
            verdict: Verdict::Billable,
            judged_at: now,
            duplicate_of: None,
            took_mark: false,
            burst: vec![BurstCount::None; rules.limits.len()],
            flag: None,
            visitor: visitor_name(click),
        };
        if let Some(reason) = invalid(click) {
            said.verdict = Verdict::Invalid(reason);
            self.figures(click, &said);
            return said;
        }
        let over = self.count(click, rules, now, late, &mut said);
        self.find_repeat(click, now, &mut said);
        if said.verdict == Verdict::Billable {
            if let Some(index) = over {
                said.verdict = Verdict::Held(HeldReason::MassClick);
                said.flag = Some(self.flag(click, rules, index, now));
            }
            self.mark(click, position, now, rules.dedup_window_millis);
        }
        self.figures(click, &said);
        said
    }

    pub(super) fn quarantine(&mut self, click: &RawClick, rules: &RulesSettings) -> Said {
        let said = Said {
            verdict: Verdict::Held(HeldReason::Quarantined),
            judged_at: self.now.unwrap_or(i64::MIN).max(click.clicked_at.0),
            duplicate_of: None,
            took_mark: false,
            burst: vec![BurstCount::None; rules.limits.len()],
            flag: Some(click.id),
            visitor: visitor_name(click),
        };
        self.figures(click, &said);
        said
    }

    /// Enters the click into every limit's count; the first limit that it is over.
    fn count(
        &mut self,
        click: &RawClick,
        rules: &RulesSettings,
        now: i64,
        late: bool,
        said: &mut Said,
    ) -> Option<usize> {
        let mut over = None;
        for (index, limit) in rules.limits.iter().enumerate() {
            let hash = match limit.scope {
                LimitScope::Address => click.address_hash,
                LimitScope::Network => click.network_hash,
            };
            let user = click.member.map(|member| member.id);
            let here = |counted: &&Counted| {
                counted.index == index
                    && counted.scope == limit.scope
                    && counted.hash == hash
                    && now < counted.ends
            };
            let known =
                user.is_some() && self.counted.iter().filter(here).any(|counted| counted.user == user);
            let old = click
                .member
                .is_some_and(|member| click.clicked_at.0 - member.created_at.0 > rules.member_age_millis);
            let how = if late {
                BurstCount::None
            } else if old && !known {
                BurstCount::MemberFirst
            } else {
                BurstCount::Click
            };
            let same =
                self.counted.iter().filter(here).filter(|counted| counted.how == how).count() as u32 + 1;
            let reached = match how {
                BurstCount::None => false,
                BurstCount::Click => same >= limit.limit,
                BurstCount::MemberFirst => same >= limit.member_limit,
            };
            if reached && over.is_none() {
                over = Some(index);
            }
            said.burst[index] = how;
            let ends = now + limit.window_millis;
            self.counted.push(Counted { index, scope: limit.scope, hash, user, how, ends });
        }
        over
    }

    fn find_repeat(&mut self, click: &RawClick, now: i64, said: &mut Said) {
        let find = |marks: &[Marked], name: &str| {
            marks.iter().rposition(|mark| mark.whose == name).filter(|index| now < marks[*index].ends)
        };
        let mut repeats = |mark: &Marked| {
            said.verdict = Verdict::Duplicate;
            said.duplicate_of =
                Some(DuplicateOf { position: Position(mark.position), judged_at: UnixMillis(mark.at) });
        };
        if let Some(index) = find(&self.marks, &visitor_name(click)) {
            return repeats(&self.marks[index]);
        }
        if click.member.is_none() {
            return;
        }
        let Some(index) = find(&self.marks, &place_name(click)) else { return };
        if !self.marks[index].by_signed_out || self.marks[index].taken {
            return;
        }
        repeats(&self.marks[index]);
        said.took_mark = true;
        self.marks[index].taken = true;
        let Marked { position, at, ends, .. } = self.marks[index];
        let whose = visitor_name(click);
        self.marks.push(Marked { whose, position, at, ends, by_signed_out: false, taken: false });
    }

    fn mark(&mut self, click: &RawClick, position: Position, now: i64, window: i64) {
        for whose in BTreeSet::from([visitor_name(click), place_name(click)]) {
            self.marks.push(Marked {
                whose,
                position: position.0,
                at: now,
                ends: now + window,
                by_signed_out: click.member.is_none(),
                taken: false,
            });
        }
    }

    fn flag(&mut self, click: &RawClick, rules: &RulesSettings, index: usize, now: i64) -> ClickId {
        let limit = rules.limits[index];
        let hash = match limit.scope {
            LimitScope::Address => click.address_hash,
            LimitScope::Network => click.network_hash,
        };
        let last =
            self.flags.iter_mut().rfind(|f| f.index == index && f.scope == limit.scope && f.hash == hash);
        if let Some(flag) = last
            && now - flag.last_held < flag.window
        {
            flag.last_held = now;
            return flag.id;
        }
        let window = limit.window_millis;
        self.flags.push(RaisedFlag { index, scope: limit.scope, hash, id: click.id, window, last_held: now });
        click.id
    }

    fn figures(&mut self, click: &RawClick, said: &Said) {
        self.verdicts.push(said.verdict);
        let hour = self.hours.entry(click.clicked_at.0.div_euclid(3_600_000) * 3_600_000).or_default();
        hour.0 += 1;
        if said.verdict == Verdict::Billable {
            hour.1 += 1;
            *self.hosts.entry(click.referer.replace("https://www.", "").replace('/', "")).or_default() += 1;
        }
        if !matches!(said.verdict, Verdict::Invalid(_)) {
            hour.2.insert(said.visitor.clone());
            self.visitors.insert(said.visitor.clone());
        }
    }

    /// The device that the reference's few agents run on.
    pub(super) fn device(click: &RawClick) -> Device {
        if click.user_agent.contains("iPhone") {
            Device::Mobile
        } else if click.user_agent.contains("Windows") {
            Device::Desktop
        } else {
            Device::Other
        }
    }
}
