//! Mass-click flags: what an admin reviews. One per gonggu, limit and address, opened by the first
//! held click after a full window without one; its id is that click's id.
//!
//! A click over several limits at once is held under the first of them only: it can be decided once.

use super::dedup::Identity;
use super::rules::{BurstLimit, LimitScope};
use super::totals::{Flag, QUARANTINE_LIMIT_INDEX, VisitorSketch};
use crate::click::RawClick;
use crate::clock::UnixMillis;
use crate::ids::{FlagId, Position};
use crate::visitor::AddressHash;
use std::collections::BTreeMap;

type FlagKey = (u8, u8, AddressHash);

#[derive(Clone, Debug)]
struct Open {
    flag: Flag,
    changed: bool,
}

/// Flags that may still grow, and those that changed since they were last taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Flags {
    open: BTreeMap<FlagKey, Open>,
    /// Changed ones that will not grow any more.
    closed: Vec<Flag>,
}

/// Where and when a click is held.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held<'a> {
    pub(super) position: Position,
    pub(super) judged_at: UnixMillis,
    pub(super) click: &'a RawClick,
    pub(super) identity: &'a Identity,
}

impl Held<'_> {
    fn new_flag(&self, scope: LimitScope, limit_index: u8, window_millis: i64, limit: u32) -> Flag {
        let address_hash = match scope {
            LimitScope::Address => self.click.address_hash,
            LimitScope::Network => self.click.network_hash,
        };
        Flag {
            id: FlagId(self.click.id.0),
            gonggu_id: self.click.gonggu_id,
            scope,
            limit_index,
            address_hash,
            address_masked: self.click.address_masked.clone(),
            window_millis,
            limit,
            opened_at: self.judged_at,
            last_held_at: self.judged_at,
            first_position: self.position,
            last_position: self.position,
            clicks: 0,
            visitors: VisitorSketch::default(),
        }
    }

    fn enter(&self, flag: &mut Flag) {
        flag.last_held_at = self.judged_at;
        flag.last_position = self.position;
        flag.clicks += 1;
        flag.visitors.insert(self.identity.strongest());
    }
}

fn key_of(flag: &Flag) -> FlagKey {
    (flag.limit_index, flag.scope as u8, flag.address_hash)
}

fn may_grow(flag: &Flag, now: UnixMillis) -> bool {
    now.millis_since(flag.last_held_at) < flag.window_millis
}

impl Flags {
    /// Takes back a stored flag; of several for one address the last counts.
    pub(super) fn restore(&mut self, flag: Flag) {
        if flag.limit_index == QUARANTINE_LIMIT_INDEX {
            return;
        }
        let key = key_of(&flag);
        if self.open.get(&key).is_none_or(|known| known.flag.last_position < flag.last_position) {
            self.open.insert(key, Open { flag, changed: false });
        }
    }

    /// Holds a click under the flag of this limit; `number` is the one it reached.
    pub(super) fn hold(&mut self, held: &Held<'_>, index: u8, limit: &BurstLimit, number: u32) -> FlagId {
        let fresh = held.new_flag(limit.scope, index, limit.window_millis, number);
        let open =
            self.open.entry(key_of(&fresh)).or_insert_with(|| Open { flag: fresh.clone(), changed: false });
        if !may_grow(&open.flag, held.judged_at) {
            let old = std::mem::replace(&mut open.flag, fresh);
            if open.changed {
                self.closed.push(old);
            }
        }
        open.changed = true;
        held.enter(&mut open.flag);
        open.flag.id
    }

    /// Holds a click under the flag that it was held under.
    pub(super) fn hold_again(
        &mut self,
        held: &Held<'_>,
        index: u8,
        limit: &BurstLimit,
        number: u32,
        id: FlagId,
    ) {
        let mut fresh = held.new_flag(limit.scope, index, limit.window_millis, number);
        fresh.id = id;
        let open =
            self.open.entry(key_of(&fresh)).or_insert_with(|| Open { flag: fresh.clone(), changed: false });
        if open.flag.id != id {
            open.flag = fresh;
        }
        held.enter(&mut open.flag);
    }

    /// The flag of its own that a quarantined click gets.
    pub(super) fn quarantine(&mut self, held: &Held<'_>) -> FlagId {
        let mut flag = held.new_flag(LimitScope::Address, QUARANTINE_LIMIT_INDEX, 0, 0);
        held.enter(&mut flag);
        let id = flag.id;
        self.closed.push(flag);
        id
    }

    /// Flags changed since the last call, by id.
    pub(super) fn take_changed(&mut self) -> Vec<Flag> {
        let mut changed = std::mem::take(&mut self.closed);
        for open in self.open.values_mut().filter(|open| open.changed) {
            open.changed = false;
            changed.push(open.flag.clone());
        }
        changed.sort_unstable_by_key(|flag| flag.id);
        changed
    }

    /// Forgets flags that cannot grow and were taken.
    pub(super) fn forget(&mut self, now: UnixMillis) {
        self.open.retain(|_, open| open.changed || may_grow(&open.flag, now));
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let held = |flag: &Flag| {
            size_of::<(FlagKey, Open)>() + flag.address_masked.len() + flag.visitors.as_bytes().len()
        };
        self.open.values().map(|open| held(&open.flag)).sum::<usize>()
            + self.closed.iter().map(held).sum::<usize>()
    }

    /// Flags that can grow, sorted.
    pub(super) fn canonical_bytes(&self, now: UnixMillis, out: &mut Vec<u8>) {
        let live: Vec<&Flag> =
            self.open.values().map(|open| &open.flag).filter(|flag| may_grow(flag, now)).collect();
        out.extend_from_slice(&(live.len() as u64).to_le_bytes());
        for flag in live {
            // Every field of a flag is in its debug form, and it is only ever compared.
            out.extend_from_slice(format!("{flag:?}").as_bytes());
        }
    }
}
