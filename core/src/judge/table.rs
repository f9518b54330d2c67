//! What a window remembers: entries found by hash, each with the time that it lasts from.
//!
//! Problem: one gonggu may have millions of visitors inside its windows, at no more than 32 bytes each
//! for all that is remembered of them, and looking one up should cost one miss of the cache. So the
//! entries stand in open-addressing tables themselves, without pointers or an order of arrival: many
//! small tables (shards, chosen by the first bits of the hash), each of which grows by a sixth when it
//! is seven eighths full. That is done inside the processor's cache, and never all at once.
//!
//! Times are kept in as few bits as tell them apart within a little more than two windows
//! ([`WindowClock`]). Invariant: an entry older than that is never in a table. [`Table::expire`], which
//! must be called whenever time moves, sweeps out what has expired every eighth of a window, and drops
//! everything after a window without an entry. Between sweeps expired entries are dead weight, whose
//! place the next entry takes: whoever reads one asks whether it is live.

use crate::clock::UnixMillis;

/// Entries of a shard on average, at most, before the number of shards doubles.
const SHARD_ENTRIES_MAX: usize = 512;
/// Fewer than these on average, and it is halved.
const SHARD_ENTRIES_MIN: usize = 64;
/// Bytes of a group of slots: a line of the cache. An entry goes into the first free slot from the
/// start of its group on, so that a full table is still searched in few lines.
const GROUP_BYTES: usize = 64;

/// Times of one window in few bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct WindowClock {
    window_millis: i64,
    bits: u32,
}

impl WindowClock {
    pub(super) fn new(window_millis: i64) -> Self {
        // What was live at the last sweep, was entered up to the next, and a window after that.
        let span_millis = 2 * window_millis + window_millis / 8 + 2;
        Self { window_millis, bits: u64::BITS - span_millis.leading_zeros() }
    }

    pub(super) fn window_millis(self) -> i64 {
        self.window_millis
    }

    /// Bits of a stamp.
    pub(super) fn bits(self) -> u32 {
        self.bits
    }

    /// The bits that a stamp may have.
    pub(super) fn mask(self) -> u64 {
        (1 << self.bits) - 1
    }

    /// The last bits of a time.
    pub(super) fn stamp(self, at: UnixMillis) -> u64 {
        at.0.cast_unsigned() & self.mask()
    }

    /// The time of a stamp, which is in a table at `now`.
    pub(super) fn at(self, stamp: u64, now: UnixMillis) -> UnixMillis {
        now.plus_millis(-self.age_millis(stamp, now))
    }

    /// Whether a stamp still counts at `now`: at exactly one window it no longer does.
    pub(super) fn is_live(self, stamp: u64, now: UnixMillis) -> bool {
        self.age_millis(stamp, now) < self.window_millis
    }

    /// A stamp that no longer counts.
    pub(super) fn expired(self, now: UnixMillis) -> u64 {
        self.stamp(now.plus_millis(-self.window_millis))
    }

    fn age_millis(self, stamp: u64, now: UnixMillis) -> i64 {
        (now.0.cast_unsigned().wrapping_sub(stamp) & self.mask()).cast_signed()
    }
}

/// An entry, or the lack of one.
pub(super) trait Slot: Copy + std::fmt::Debug {
    /// No entry.
    const EMPTY: Self;
    /// Whether this is none.
    fn is_empty(self) -> bool;
    /// Where it belongs: a hash whose first bits are uniform.
    fn hash(self, clock: WindowClock) -> u64;
    /// The stamp of its time.
    fn stamp(self, clock: WindowClock) -> u64;
}

#[derive(Clone, Debug)]
struct Shard<S> {
    slots: Box<[S]>,
    /// Slots that are not empty, expired ones among them.
    used: u32,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Table<S> {
    clock: WindowClock,
    /// A power of two of them, or none.
    shards: Vec<Shard<S>>,
    swept_at: UnixMillis,
    newest_at: UnixMillis,
}

impl<S: Slot> Shard<S> {
    const GROUP: usize = GROUP_BYTES / size_of::<S>();

    /// Room for this many entries at a load of three quarters. A lone small shard takes what it needs.
    fn with_room(entries: usize) -> Self {
        let wanted = entries + entries / 3 + 1;
        let slots = if wanted < Self::GROUP { wanted + 1 } else { wanted.next_multiple_of(Self::GROUP) };
        Self { slots: vec![S::EMPTY; slots].into_boxed_slice(), used: 0 }
    }

    fn is_full(&self) -> bool {
        let (used, slots) = (self.used as usize, self.slots.len());
        used + 1 >= slots || (used + 1) * 8 > slots * 7
    }

    /// The first slot to look at. `rest` is the hash without the bits that chose the shard.
    fn home(&self, rest: u64) -> usize {
        let groups = self.slots.len().div_ceil(Self::GROUP);
        ((u128::from(rest) * groups as u128) >> 64) as usize * Self::GROUP
    }

    /// Where `stop` says so, from home on, or the first empty slot is; there always is one.
    fn walk(&self, rest: u64, mut stop: impl FnMut(usize, S) -> bool) -> usize {
        let home = self.home(rest);
        for (offset, slot) in self.slots[home..].iter().enumerate() {
            if slot.is_empty() || stop(home + offset, *slot) {
                return home + offset;
            }
        }
        let mut before = self.slots[..home].iter().enumerate();
        before.position(|(index, slot)| slot.is_empty() || stop(index, *slot)).unwrap_or(0)
    }

    /// Into the first empty slot. The caller has seen that there is room.
    fn add(&mut self, slot: S, rest: u64) {
        let empty = self.walk(rest, |_, _| false);
        self.slots[empty] = slot;
        self.used += 1;
    }
}

impl<S: Slot> Table<S> {
    pub(super) fn new(window_millis: i64) -> Self {
        let clock = WindowClock::new(window_millis);
        Self { clock, shards: Vec::new(), swept_at: UnixMillis::MIN, newest_at: UnixMillis::MIN }
    }

    pub(super) fn clock(&self) -> WindowClock {
        self.clock
    }

    pub(super) fn is_empty(&self) -> bool {
        self.shards.is_empty()
    }

    /// The first entry of this hash's run that `is_it` accepts.
    pub(super) fn find(&self, hash: u64, mut is_it: impl FnMut(S) -> bool) -> Option<S> {
        let shard = self.shards.get(self.shard_of(hash))?;
        let end = shard.walk(self.rest_of(hash), |_, slot| is_it(slot));
        Some(shard.slots[end]).filter(|slot| !slot.is_empty())
    }

    /// Enters `slot`, in the place of the one that `is_it` accepts, if there is one; it is shown every
    /// entry of the hash's run up to there. `at` is the new one's time.
    pub(super) fn put(&mut self, slot: S, at: UnixMillis, now: UnixMillis, mut is_it: impl FnMut(S) -> bool) {
        let clock = self.clock;
        self.newest_at = self.newest_at.max(at);
        if self.shards.is_empty() {
            self.shards.reserve_exact(1);
            self.shards.push(Shard::with_room(1));
        }
        let hash = slot.hash(clock);
        let (number, rest) = (self.shard_of(hash), self.rest_of(hash));
        let shard = &mut self.shards[number];
        let mut dead = None;
        let end = shard.walk(rest, |index, other| {
            let found = is_it(other);
            if !found && dead.is_none() && !clock.is_live(other.stamp(clock), now) {
                dead = Some(index);
            }
            found
        });
        let is_found = !shard.slots[end].is_empty();
        if let (false, Some(index)) = (is_found, dead) {
            shard.slots[index] = slot;
        } else if is_found {
            shard.slots[end] = slot;
        } else if !shard.is_full() {
            shard.slots[end] = slot;
            shard.used += 1;
        } else {
            self.rebuild(number, now);
            // Another number of shards sends the entry elsewhere.
            let (number, rest) = (self.shard_of(hash), self.rest_of(hash));
            self.shards[number].add(slot, rest);
        }
    }

    /// Changes in place every entry of this hash's run that `change` gives another form.
    pub(super) fn change(&mut self, hash: u64, change: impl Fn(S) -> Option<S>) {
        let (shard, rest) = (self.shard_of(hash), self.rest_of(hash));
        let Some(shard) = self.shards.get_mut(shard) else { return };
        let home = shard.home(rest);
        let (before, from) = shard.slots.split_at_mut(home);
        for slot in from.iter_mut().chain(before).take_while(|slot| !slot.is_empty()) {
            *slot = change(*slot).unwrap_or(*slot);
        }
    }

    /// Gives back what no longer counts. See the module for when it must be called.
    pub(super) fn expire(&mut self, now: UnixMillis) {
        if now.millis_since(self.swept_at) >= (self.clock.window_millis / 8).max(1) {
            self.sweep(now);
        }
    }

    /// Every live entry, in no order.
    pub(super) fn live(&self, now: UnixMillis) -> impl Iterator<Item = S> {
        let clock = self.clock;
        let slots = self.shards.iter().flat_map(|shard| shard.slots.iter().copied());
        slots.filter(move |slot| !slot.is_empty() && clock.is_live(slot.stamp(clock), now))
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let slots: usize = self.shards.iter().map(|shard| shard.slots.len()).sum();
        self.shards.capacity() * size_of::<Shard<S>>() + slots * size_of::<S>()
    }

    fn shard_bits(&self) -> u32 {
        self.shards.len().trailing_zeros()
    }

    fn shard_of(&self, hash: u64) -> usize {
        let bits = self.shard_bits() & 63;
        (hash.rotate_left(bits) & ((1 << bits) - 1)) as usize
    }

    fn rest_of(&self, hash: u64) -> u64 {
        hash << (self.shard_bits() & 63)
    }

    /// Throws out of one shard what has expired, and makes room for more.
    fn rebuild(&mut self, shard: usize, now: UnixMillis) {
        let live = self.live_in(shard, now);
        if live > SHARD_ENTRIES_MAX {
            self.reshard(self.shards.len() * 2, now);
        } else {
            self.refill(shard, live, now);
        }
    }

    fn live_in(&self, shard: usize, now: UnixMillis) -> usize {
        let clock = self.clock;
        let slots = self.shards[shard].slots.iter();
        slots.filter(|slot| !slot.is_empty() && clock.is_live(slot.stamp(clock), now)).count()
    }

    fn refill(&mut self, shard: usize, live: usize, now: UnixMillis) {
        let (clock, bits) = (self.clock, self.shard_bits());
        let old = std::mem::replace(&mut self.shards[shard], Shard::with_room(live));
        for slot in old.slots {
            if !slot.is_empty() && clock.is_live(slot.stamp(clock), now) {
                self.shards[shard].add(slot, slot.hash(clock) << bits);
            }
        }
    }

    /// Spreads everything live over another number of shards.
    fn reshard(&mut self, count: usize, now: UnixMillis) {
        let clock = self.clock;
        let old = std::mem::take(&mut self.shards);
        let bits = count.trailing_zeros();
        // The order of shards is that of the hashes, so each new one is filled from neighbours.
        let mut live: Vec<S> = Vec::new();
        self.shards.reserve_exact(count);
        let mut fill = |live: &mut Vec<S>, parts: usize| {
            let first_bits = parts.trailing_zeros();
            for part in 0..parts {
                let is_of = |slot: &&S| {
                    let rest = slot.hash(clock) << (bits - first_bits);
                    (rest.rotate_left(first_bits) & (parts as u64 - 1)) as usize == part
                };
                let mut shard = Shard::with_room(live.iter().filter(is_of).count());
                for slot in live.iter().filter(is_of) {
                    shard.add(*slot, slot.hash(clock) << bits);
                }
                self.shards.push(shard);
            }
            live.clear();
        };
        let (parts, joined) = ((count / old.len()).max(1), (old.len() / count).max(1));
        for (index, shard) in old.into_iter().enumerate() {
            let slots = shard.slots.into_iter();
            live.extend(slots.filter(|slot| !slot.is_empty() && clock.is_live(slot.stamp(clock), now)));
            if (index + 1).is_multiple_of(joined) {
                fill(&mut live, parts);
            }
        }
    }

    fn sweep(&mut self, now: UnixMillis) {
        self.swept_at = now;
        if now.millis_since(self.newest_at) >= self.clock.window_millis {
            self.shards = Vec::new();
            return;
        }
        let mut all = 0;
        for shard in 0..self.shards.len() {
            let live = self.live_in(shard, now);
            all += live;
            // Not even one may stay, or its stamp would in the end be taken for a newer one.
            if live < self.shards[shard].used as usize {
                self.refill(shard, live, now);
            }
        }
        let mut count = self.shards.len();
        while count > 1 && all < count * SHARD_ENTRIES_MIN {
            count /= 2;
        }
        if count < self.shards.len() {
            self.reshard(count, now);
        }
    }
}

/// Something that remembers for one window.
pub(super) trait Windowed {
    /// Remembers nothing yet.
    fn new(window_millis: i64) -> Self;
    /// Its window.
    fn window_millis(&self) -> i64;
    /// Whether it holds nothing, live or expired.
    fn is_empty(&self) -> bool;
    /// See [`Table::expire`].
    fn expire(&mut self, now: UnixMillis);
    /// Bytes held elsewhere.
    fn memory_bytes(&self) -> usize;
}

/// One for each window in use. Rules rarely change, so there is nearly always one; an entry keeps the
/// window of the version that judged it by standing where it stands.
#[derive(Clone, Debug)]
pub(super) struct Generations<T>(Vec<T>);

impl<T> Default for Generations<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Windowed> Generations<T> {
    /// The first of this window that `fits`, made if there is none.
    pub(super) fn of_window(&mut self, window_millis: i64, fits: impl Fn(&T) -> bool) -> &mut T {
        let known = self.0.iter().position(|one| one.window_millis() == window_millis && fits(one));
        let at = known.unwrap_or_else(|| {
            self.0.reserve_exact(1);
            self.0.push(T::new(window_millis));
            self.0.len() - 1
        });
        &mut self.0[at]
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }

    /// All of them, to change.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut()
    }

    /// Lets everything leave that no longer counts.
    pub(super) fn expire(&mut self, now: UnixMillis) {
        self.0.iter_mut().for_each(|one| one.expire(now));
        if self.0.len() > 1 {
            self.0.retain(|one| !one.is_empty());
        }
    }

    /// Gives memory back.
    pub(super) fn shrink(&mut self) {
        self.0.retain(|one| !one.is_empty());
        self.0.shrink_to_fit();
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.0.capacity() * size_of::<T>() + self.0.iter().map(T::memory_bytes).sum::<usize>()
    }
}

#[cfg(test)]
mod tests;
