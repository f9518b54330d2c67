//! How often each address clicked inside one window, and which members did.
//!
//! Nearly every address clicks once or twice. Each such click is a slot of 8 bytes: the first bits of
//! the address's hash, and the stamp of its time in the others. Which bits belong to what depends on
//! the window alone (47 of the hash for a minute, 36 for a day), and only those are ever compared, so
//! what counts together does not depend on how it is kept. Hashes are keyed: nobody can choose
//! addresses that fall together, and that two of a million do by chance adds one to a count of one.
//!
//! An address with more clicks than [`SLOTS_MAX`] at once is *busy*: it has a list of its own, so that
//! counting a flood does not mean walking through it.

use crate::clock::UnixMillis;
use crate::judge::table::{Slot, Table, WindowClock, Windowed};
use hashbrown::HashTable;
use std::collections::VecDeque;

/// Clicks of one address that stand in the table.
const SLOTS_MAX: usize = 3;

/// One click: of whom, and when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct ClickSlot(u64);

impl ClickSlot {
    fn new(key: u64, stamp: u64) -> Self {
        Self(key | stamp)
    }

    fn key(self, clock: WindowClock) -> u64 {
        self.0 & !clock.mask()
    }
}

impl Slot for ClickSlot {
    fn hash(self, clock: WindowClock) -> u64 {
        self.key(clock)
    }

    fn stamp(self, clock: WindowClock) -> u64 {
        self.0 & clock.mask()
    }
}

/// The bits of a hash that are kept; never none.
fn key_of(hash: u64, clock: WindowClock) -> u64 {
    (hash & !clock.mask()).max(clock.mask() + 1)
}

/// An address with many clicks: how many at each time, the oldest first.
#[derive(Clone, Debug)]
struct Busy {
    key: u64,
    total: u32,
    clicks: VecDeque<(UnixMillis, u32)>,
}

impl Busy {
    fn add(&mut self, now: UnixMillis) {
        self.total = self.total.saturating_add(1);
        match self.clicks.back_mut() {
            Some((at, here)) if *at == now => *here = here.saturating_add(1),
            _ => self.clicks.push_back((now, 1)),
        }
    }

    fn expire(&mut self, now: UnixMillis, window_millis: i64) {
        while let Some(&(at, here)) = self.clicks.front()
            && now.millis_since(at) >= window_millis
        {
            self.total = self.total.saturating_sub(here);
            self.clicks.pop_front();
        }
    }
}

/// Clicks by address.
#[derive(Clone, Debug)]
pub(super) struct Tallies {
    table: Table<ClickSlot>,
    busy: HashTable<Busy>,
    busy_swept_at: UnixMillis,
}

impl Tallies {
    /// Counts one click more, and says how many of this address are live then.
    pub(super) fn add(&mut self, hash: u64, now: UnixMillis) -> u32 {
        let clock = self.table.clock();
        let key = key_of(hash, clock);
        if !self.busy.is_empty()
            && let Some(busy) = self.busy.find_mut(key, |busy| busy.key == key)
        {
            busy.expire(now, clock.window_millis());
            busy.add(now);
            return busy.total;
        }
        let standing = self.table.add(ClickSlot::new(key, clock.stamp(now)), now);
        if standing > SLOTS_MAX {
            self.make_busy(key, now);
        }
        standing as u32
    }

    /// Live clicks of this address.
    pub(super) fn count(&self, hash: u64, now: UnixMillis) -> u32 {
        let clock = self.table.clock();
        let key = key_of(hash, clock);
        if !self.busy.is_empty()
            && let Some(busy) = self.busy.find(key, |busy| busy.key == key)
        {
            let expired = busy.clicks.iter();
            let expired = expired.take_while(|(at, _)| now.millis_since(*at) >= clock.window_millis());
            return busy.total.saturating_sub(expired.map(|(_, here)| here).sum());
        }
        self.standing(key, now).count() as u32
    }

    /// Calls `each` with key, time and number of every live time.
    pub(super) fn each_live(&self, now: UnixMillis, mut each: impl FnMut(u64, UnixMillis, u64)) {
        let clock = self.table.clock();
        let mut standing: Vec<_> =
            (self.table.live(now)).map(|slot| (slot.key(clock), clock.at(slot.stamp(clock), now))).collect();
        standing.sort_unstable();
        for same in standing.chunk_by(|one, other| one == other) {
            each(same[0].0, same[0].1, same.len() as u64);
        }
        for busy in &self.busy {
            for (at, here) in &busy.clicks {
                if now.millis_since(*at) < clock.window_millis() {
                    each(busy.key, *at, u64::from(*here));
                }
            }
        }
    }

    /// Times of the live clicks of this address that stand in the table.
    fn standing(&self, key: u64, now: UnixMillis) -> impl Iterator<Item = UnixMillis> {
        let clock = self.table.clock();
        let stamps = self.table.get(key).iter().map(move |slot| slot.stamp(clock));
        stamps.filter(move |stamp| clock.is_live(*stamp, now)).map(move |stamp| clock.at(stamp, now))
    }

    /// Moves an address's clicks to a list of its own.
    fn make_busy(&mut self, key: u64, now: UnixMillis) {
        let mut times: Vec<_> = self.standing(key, now).collect();
        times.sort_unstable();
        let mut busy = Busy { key, total: 0, clicks: VecDeque::with_capacity(SLOTS_MAX + 1) };
        times.into_iter().for_each(|at| busy.add(at));
        self.table.remove(key);
        self.busy.insert_unique(key, busy, |busy| busy.key);
    }
}

impl Windowed for Tallies {
    fn new(window_millis: i64) -> Self {
        Self { table: Table::new(window_millis), busy: HashTable::new(), busy_swept_at: UnixMillis::MIN }
    }

    fn window_millis(&self) -> i64 {
        self.table.clock().window_millis()
    }

    fn is_empty(&self) -> bool {
        self.table.is_empty() && self.busy.is_empty()
    }

    fn expire(&mut self, now: UnixMillis) {
        self.table.expire(now);
        let window_millis = self.window_millis();
        if !self.busy.is_empty() && now.millis_since(self.busy_swept_at) >= (window_millis / 8).max(1) {
            self.busy_swept_at = now;
            self.busy.retain(|busy| {
                busy.expire(now, window_millis);
                !busy.clicks.is_empty()
            });
            self.busy.shrink_to(self.busy.len() * 2, |busy| busy.key);
        }
    }

    fn memory_bytes(&self) -> usize {
        let listed: usize = self.busy.iter().map(|busy| busy.clicks.capacity()).sum();
        self.table.memory_bytes() + self.busy.allocation_size() + listed * size_of::<(UnixMillis, u32)>()
    }
}

/// When each member last clicked, by address and user.
#[derive(Clone, Debug)]
pub(super) struct Seen(Table<ClickSlot>);

impl Seen {
    pub(super) fn has(&self, hash: u64, now: UnixMillis) -> bool {
        let clock = self.0.clock();
        let key = key_of(hash, clock);
        self.0.get(key).first().is_some_and(|slot| clock.is_live(slot.stamp(clock), now))
    }

    pub(super) fn add(&mut self, hash: u64, now: UnixMillis) {
        let clock = self.0.clock();
        let key = key_of(hash, clock);
        self.0.set(ClickSlot::new(key, clock.stamp(now)), now);
    }

    /// Calls `each` with key and time of every live one.
    pub(super) fn each_live(&self, now: UnixMillis, mut each: impl FnMut(u64, UnixMillis)) {
        let clock = self.0.clock();
        for slot in self.0.live(now) {
            each(slot.key(clock), clock.at(slot.stamp(clock), now));
        }
    }
}

impl Windowed for Seen {
    fn new(window_millis: i64) -> Self {
        Self(Table::new(window_millis))
    }

    fn window_millis(&self) -> i64 {
        self.0.clock().window_millis()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn expire(&mut self, now: UnixMillis) {
        self.0.expire(now);
    }

    fn memory_bytes(&self) -> usize {
        self.0.memory_bytes()
    }
}
