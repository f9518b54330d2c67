//! Mass clicks: how many clicks one address (or network) made on one gonggu inside a sliding window.
//!
//! Each limit counts apart. A member's first click from an address within the window counts only
//! toward the limit's second number, so that an office full of members is not punished; every other
//! click that is not invalid counts toward the first. The click that reaches a number is over it, and
//! so are those after while the count stays there. Late clicks neither count nor are held, but they
//! were clicks: a member who made one has no first click left.
//!
//! A limit of the next rules version goes on with the counts of the limit at the same place if both
//! have the same scope. What was counted stays for the window of the version that counted it.

mod tally;

use super::rules::{BurstLimit, LimitScope};
use super::table::{Generations, Windowed};
use crate::click::{BurstCount, RawClick};
use crate::clock::UnixMillis;
use crate::visitor::AddressHash;
use tally::{Seen, Tallies};

/// Who clicks, as the limits see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Burster {
    /// Hash of the normalised address.
    pub(super) address: AddressHash,
    /// Hash of its network.
    pub(super) network: AddressHash,
    /// The signed-in user's key.
    pub(super) user: Option<u64>,
    /// Whether the account is old enough for the members' number.
    pub(super) trusted: bool,
    /// Whether the click is too far behind the gonggu.
    pub(super) late: bool,
}

impl Burster {
    pub(super) fn of(click: &RawClick, user: Option<u64>, member_age_millis: i64, late: bool) -> Self {
        let trusted =
            click.member.is_some_and(|m| click.clicked_at.millis_since(m.created_at) > member_age_millis);
        Self { address: click.address_hash, network: click.network_hash, user, trusted, late }
    }

    pub(super) fn scoped(&self, scope: LimitScope) -> AddressHash {
        match scope {
            LimitScope::Address => self.address,
            LimitScope::Network => self.network,
        }
    }
}

/// A limit's word on a click.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Tallied {
    pub(super) count: BurstCount,
    /// The number that is reached, if one is.
    pub(super) over: Option<u32>,
}

/// What one limit remembers.
#[derive(Clone, Debug)]
struct Slot {
    index: usize,
    scope: LimitScope,
    clicks: Generations<Tallies>,
    /// Made with the first signed-in click: most gonggus are clicked signed out.
    members: Option<Box<Members>>,
}

/// What one limit remembers of signed-in clicks.
#[derive(Clone, Debug, Default)]
struct Members {
    firsts: Generations<Tallies>,
    seen: Generations<Seen>,
}

/// What all limits of a gonggu remember.
#[derive(Clone, Debug, Default)]
pub(super) struct Bursts(Vec<Slot>);

/// An address hash is uniform and keyed: its first half tells addresses apart.
fn key_of(hash: AddressHash) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = hash.0;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// Counts one click more, and says how many there are then.
fn add(counts: &mut Generations<Tallies>, window_millis: i64, key: u64, now: UnixMillis) -> u32 {
    let mut all = counts.of_window(window_millis, |_| true).add(key, now);
    for other in counts.iter().filter(|other| other.window_millis() != window_millis) {
        all = all.saturating_add(other.count(key, now));
    }
    all
}

impl Slot {
    fn decide(&self, limit: &BurstLimit, who: &Burster, now: UnixMillis) -> BurstCount {
        if who.late {
            return BurstCount::None;
        }
        match who.user {
            Some(user) if who.trusted => {
                let seen = key_of(who.scoped(limit.scope)) ^ user;
                let mut all = self.members.iter().flat_map(|members| members.seen.iter());
                let before = all.any(|members| members.has(seen, now));
                if before { BurstCount::Click } else { BurstCount::MemberFirst }
            }
            _ => BurstCount::Click,
        }
    }

    /// Enters a click that counts so; the count that it is part of.
    fn enter(&mut self, limit: &BurstLimit, who: &Burster, count: BurstCount, now: UnixMillis) -> u32 {
        let key = key_of(who.scoped(limit.scope));
        if let Some(user) = who.user {
            let members = self.members.get_or_insert_default();
            members.seen.of_window(limit.window_millis, |_| true).add(key ^ user, now);
        }
        match count {
            BurstCount::None => 0,
            BurstCount::Click => add(&mut self.clicks, limit.window_millis, key, now),
            BurstCount::MemberFirst => {
                let members = self.members.get_or_insert_default();
                add(&mut members.firsts, limit.window_millis, key, now)
            }
        }
    }
}

impl Bursts {
    /// Counts a click that is not invalid toward the limit at `index`.
    pub(super) fn count(
        &mut self,
        index: usize,
        limit: &BurstLimit,
        who: &Burster,
        now: UnixMillis,
    ) -> Tallied {
        let count = self.slot(index, limit.scope).decide(limit, who, now);
        Tallied { count, over: self.recount(index, limit, who, count, now) }
    }

    /// Enters a stored click as it was counted then; the number that is reached, if one is.
    pub(super) fn recount(
        &mut self,
        index: usize,
        limit: &BurstLimit,
        who: &Burster,
        count: BurstCount,
        at: UnixMillis,
    ) -> Option<u32> {
        let reached = self.slot(index, limit.scope).enter(limit, who, count, at);
        let number = match count {
            BurstCount::None => return None,
            BurstCount::Click => limit.limit,
            BurstCount::MemberFirst => limit.member_limit,
        };
        (reached >= number).then_some(number)
    }

    /// Lets everything leave that no longer counts.
    pub(super) fn expire(&mut self, now: UnixMillis) {
        for slot in &mut self.0 {
            slot.clicks.expire(now);
            if let Some(members) = &mut slot.members {
                members.firsts.expire(now);
                members.seen.expire(now);
            }
        }
    }

    pub(super) fn shrink(&mut self) {
        for slot in &mut self.0 {
            slot.clicks.shrink();
            if let Some(members) = &mut slot.members {
                members.firsts.shrink();
                members.seen.shrink();
                if members.firsts.is_empty() && members.seen.is_empty() {
                    slot.members = None;
                }
            }
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let of_members = |members: &Members| {
            size_of::<Members>() + members.firsts.memory_bytes() + members.seen.memory_bytes()
        };
        let held = |slot: &Slot| slot.clicks.memory_bytes() + slot.members.as_deref().map_or(0, of_members);
        self.0.capacity() * size_of::<Slot>() + self.0.iter().map(held).sum::<usize>()
    }

    /// Everything live, sorted: what future verdicts depend on.
    pub(super) fn canonical_bytes(&self, now: UnixMillis, out: &mut Vec<u8>) {
        let mut lines: Vec<[u64; 6]> = Vec::new();
        for slot in &self.0 {
            let head = (slot.index as u64) << 8 | slot.scope as u64;
            let mut line = |kind: u64, window_millis: i64, key: u64, at: UnixMillis, here: u64| {
                lines.push([head, kind, window_millis.cast_unsigned(), key, at.0.cast_unsigned(), here]);
            };
            let members = slot.members.as_deref();
            for (kind, counts) in [(1, Some(&slot.clicks)), (2, members.map(|members| &members.firsts))] {
                for tallies in counts.into_iter().flat_map(Generations::iter) {
                    let window_millis = tallies.window_millis();
                    tallies.each_live(now, |key, at, here| line(kind, window_millis, key, at, here));
                }
            }
            for seen in members.into_iter().flat_map(|members| members.seen.iter()) {
                seen.each_live(now, |key, at| line(3, seen.window_millis(), key, at, 1));
            }
        }
        lines.sort_unstable();
        out.extend_from_slice(&(lines.len() as u64).to_le_bytes());
        lines.iter().flatten().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
    }

    fn slot(&mut self, index: usize, scope: LimitScope) -> &mut Slot {
        let known = self.0.iter().position(|slot| slot.index == index && slot.scope == scope);
        let at = known.unwrap_or_else(|| {
            let slot = Slot { index, scope, clicks: Generations::default(), members: None };
            self.0.reserve_exact(1);
            self.0.push(slot);
            self.0.len() - 1
        });
        &mut self.0[at]
    }
}
