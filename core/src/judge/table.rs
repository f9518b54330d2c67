//! What a window remembers: entries found by hash, each with the time that it lasts from.
//!
//! Problem: one gonggu may have millions of visitors inside its windows, at no more than 32 bytes each
//! for all that is remembered of them, and entering one should cost a miss of the cache or two. So the
//! entries stand side by side without pointers or gaps, in the order of their hashes, cut into many short
//! lists (shards, by the first bits of the hash) of a few dozen each. Hashes are uniform, so where an
//! entry stands in its shard can be guessed within a few places, and one more is let in by moving half a
//! shard along. Twice as many shards are made by cutting each in two.
//!
//! Times are kept in as few bits as tell them apart within a little more than two windows
//! ([`WindowClock`]). Invariant: an entry older than that is never in a table. [`Table::expire`], which
//! must be called whenever time moves, sweeps out what has expired every eighth of a window, and drops
//! everything after a window without an entry, however long that was. Between sweeps expired entries are
//! dead weight: whoever reads one asks whether it is live.

use crate::clock::UnixMillis;

/// Entries of a shard on average, at most, before the number of shards doubles.
const SHARD_ENTRIES_MAX: usize = 48;
/// Fewer than these on average, and it is halved.
const SHARD_ENTRIES_MIN: usize = 12;
/// A full shard gets room for a sixth more: less would be given too often, more would stand empty.
const SHARD_GROWTH: usize = 6;
/// A shard that is emptier than this many quarters gives room back.
const SHARD_QUARTERS_MIN: usize = 3;

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

    fn age_millis(self, stamp: u64, now: UnixMillis) -> i64 {
        (now.0.cast_unsigned().wrapping_sub(stamp) & self.mask()).cast_signed()
    }
}

/// An entry.
pub(super) trait Slot: Copy + std::fmt::Debug {
    /// What it is found by: uniform in its first bits.
    fn hash(self, clock: WindowClock) -> u64;
    /// The stamp of its time.
    fn stamp(self, clock: WindowClock) -> u64;
}

/// See the module. The shards together are one ascending list of hashes.
#[derive(Clone, Debug)]
pub(super) struct Table<S> {
    clock: WindowClock,
    /// The first shard stands here: a small gonggu has no other, and so one pointer less to follow.
    first: Vec<S>,
    /// The other shards; with the first a power of two of them.
    others: Vec<Vec<S>>,
    /// Of all shards, expired ones among them.
    entries: usize,
    swept_at: UnixMillis,
    newest_at: UnixMillis,
}

impl<S: Slot> Table<S> {
    pub(super) fn new(window_millis: i64) -> Self {
        let clock = WindowClock::new(window_millis);
        let (swept_at, newest_at) = (UnixMillis::MIN, UnixMillis::MIN);
        Self { clock, first: Vec::new(), others: Vec::new(), entries: 0, swept_at, newest_at }
    }

    pub(super) fn clock(&self) -> WindowClock {
        self.clock
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// All entries of this hash, live or expired.
    pub(super) fn get(&self, hash: u64) -> &[S] {
        let shard = match self.shard_of(hash) {
            0 => &self.first,
            number => &self.others[number - 1],
        };
        let start = self.place_in(shard, hash);
        let same = shard[start..].iter().take_while(|slot| slot.hash(self.clock) == hash).count();
        &shard[start..start + same]
    }

    /// Enters `slot`, whose time is `at`, in the place of the one with its hash, if there is one.
    pub(super) fn set(&mut self, slot: S, at: UnixMillis) {
        self.newest_at = self.newest_at.max(at);
        let hash = slot.hash(self.clock);
        let (number, start) = self.find(hash);
        let clock = self.clock;
        match self.shard_mut(number).get_mut(start) {
            Some(other) if other.hash(clock) == hash => *other = slot,
            _ => self.insert(number, start, slot),
        }
    }

    /// Enters `slot`, whose time is now, beside those with its hash, or in the place of an expired one of
    /// them. Says how many of them are live then.
    pub(super) fn add(&mut self, slot: S, now: UnixMillis) -> usize {
        self.newest_at = self.newest_at.max(now);
        let clock = self.clock;
        let hash = slot.hash(clock);
        let (number, start) = self.find(hash);
        let (mut live, mut dead) = (1, None);
        for other in self.shard_mut(number)[start..].iter_mut().take_while(|other| other.hash(clock) == hash)
        {
            if clock.is_live(other.stamp(clock), now) {
                live += 1;
            } else {
                dead = Some(other);
            }
        }
        match dead {
            Some(dead) => *dead = slot,
            None => self.insert(number, start, slot),
        }
        live
    }

    /// Removes every entry of this hash.
    pub(super) fn remove(&mut self, hash: u64) {
        let same = self.get(hash).len();
        if same > 0 {
            let (number, start) = self.find(hash);
            self.shard_mut(number).drain(start..start + same);
            self.entries -= same;
        }
    }

    /// Gives back what no longer counts. See the module for when it must be called.
    pub(super) fn expire(&mut self, now: UnixMillis) {
        if self.entries > 0 && now.millis_since(self.swept_at) >= (self.clock.window_millis / 8).max(1) {
            self.sweep(now);
        }
    }

    /// Every live entry, in the order of their hashes.
    pub(super) fn live(&self, now: UnixMillis) -> impl Iterator<Item = S> {
        let clock = self.clock;
        let slots = self.first.iter().chain(self.others.iter().flatten()).copied();
        slots.filter(move |slot| clock.is_live(slot.stamp(clock), now))
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let others: usize = self.others.iter().map(Vec::capacity).sum();
        self.others.capacity() * size_of::<Vec<S>>() + (self.first.capacity() + others) * size_of::<S>()
    }

    fn shard_bits(&self) -> u32 {
        (self.others.len() + 1).trailing_zeros()
    }

    fn shard_of(&self, hash: u64) -> usize {
        let bits = self.shard_bits();
        (hash.rotate_left(bits) & ((1 << bits) - 1)) as usize
    }

    fn shard_mut(&mut self, number: usize) -> &mut Vec<S> {
        match number {
            0 => &mut self.first,
            _ => &mut self.others[number - 1],
        }
    }

    /// The shard of a hash, and the place in it of the first entry that is not before the hash.
    fn find(&mut self, hash: u64) -> (usize, usize) {
        let number = self.shard_of(hash);
        let shard = match number {
            0 => &self.first,
            _ => &self.others[number - 1],
        };
        (number, self.place_in(shard, hash))
    }

    /// Looks where the hash would stand if all were at equal distances, and on from there.
    fn place_in(&self, shard: &[S], hash: u64) -> usize {
        let rest = hash << self.shard_bits();
        let mut place = ((u128::from(rest) * shard.len() as u128) >> 64) as usize;
        while place > 0 && shard[place - 1].hash(self.clock) >= hash {
            place -= 1;
        }
        while place < shard.len() && shard[place].hash(self.clock) < hash {
            place += 1;
        }
        place
    }

    fn insert(&mut self, number: usize, place: usize, slot: S) {
        let shard = self.shard_mut(number);
        if shard.len() == shard.capacity() {
            shard.reserve_exact((shard.len() / SHARD_GROWTH).max(2));
        }
        shard.insert(place, slot);
        self.entries += 1;
        if self.entries > (self.others.len() + 1) * SHARD_ENTRIES_MAX {
            self.cut_shards();
        }
    }

    /// Cuts each shard in two.
    fn cut_shards(&mut self) {
        let (clock, bit) = (self.clock, 63 - self.shard_bits());
        let mut others = Vec::with_capacity(self.others.len() * 2 + 1);
        for (number, mut lower) in self.take_shards().into_iter().enumerate() {
            let upper = lower.split_off(lower.partition_point(|slot| slot.hash(clock) >> bit & 1 == 0));
            trim(&mut lower);
            match number {
                0 => self.first = lower,
                _ => others.push(lower),
            }
            others.push(upper);
        }
        self.others = others;
    }

    /// Joins each two shards.
    fn join_shards(&mut self) {
        let mut others = Vec::with_capacity(self.others.len() / 2);
        let mut shards = self.take_shards().into_iter();
        let mut number = 0;
        while let (Some(mut lower), Some(upper)) = (shards.next(), shards.next()) {
            lower.reserve_exact(upper.len());
            lower.extend(upper);
            match number {
                0 => self.first = lower,
                _ => others.push(lower),
            }
            number += 1;
        }
        self.others = others;
    }

    fn take_shards(&mut self) -> Vec<Vec<S>> {
        let mut shards = std::mem::take(&mut self.others);
        shards.insert(0, std::mem::take(&mut self.first));
        shards
    }

    /// Not even one expired entry may stay, or its stamp would in the end be taken for a newer one.
    fn sweep(&mut self, now: UnixMillis) {
        self.swept_at = now;
        if now.millis_since(self.newest_at) >= self.clock.window_millis {
            (self.first, self.others, self.entries) = (Vec::new(), Vec::new(), 0);
            return;
        }
        let clock = self.clock;
        let mut entries = 0;
        for shard in std::iter::once(&mut self.first).chain(&mut self.others) {
            shard.retain(|slot| clock.is_live(slot.stamp(clock), now));
            trim(shard);
            entries += shard.len();
        }
        self.entries = entries;
        while !self.others.is_empty() && self.entries < (self.others.len() + 1) * SHARD_ENTRIES_MIN {
            self.join_shards();
        }
    }
}

/// Gives back room that a shard will not need soon.
fn trim<S>(shard: &mut Vec<S>) {
    if shard.len() * 4 < shard.capacity() * SHARD_QUARTERS_MIN {
        shard.shrink_to(shard.len() + shard.len() / SHARD_GROWTH);
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

/// One for each window in use. Rules rarely change, so there is nearly always one, which stands here
/// without a pointer; an entry keeps the window of the version that judged it by standing where it stands.
#[derive(Clone, Debug)]
pub(super) struct Generations<T> {
    /// None only if there are no others.
    one: Option<T>,
    others: Vec<T>,
}

impl<T> Default for Generations<T> {
    fn default() -> Self {
        Self { one: None, others: Vec::new() }
    }
}

impl<T: Windowed> Generations<T> {
    /// The first of this window that `fits`, made if there is none.
    pub(super) fn of_window(&mut self, window_millis: i64, fits: impl Fn(&T) -> bool) -> &mut T {
        let is_it = |one: &T| one.window_millis() == window_millis && fits(one);
        if self.one.as_ref().is_none_or(is_it) {
            return self.one.get_or_insert_with(|| T::new(window_millis));
        }
        let known = self.others.iter().position(is_it);
        let at = known.unwrap_or_else(|| {
            self.others.reserve_exact(1);
            self.others.push(T::new(window_millis));
            self.others.len() - 1
        });
        &mut self.others[at]
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.one.is_none()
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.one.iter().chain(&self.others)
    }

    /// All of them, to change.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.one.iter_mut().chain(&mut self.others)
    }

    /// Lets everything leave that no longer counts.
    pub(super) fn expire(&mut self, now: UnixMillis) {
        self.iter_mut().for_each(|one| one.expire(now));
        if !self.others.is_empty() {
            self.drop_empty();
        }
    }

    /// Gives memory back.
    pub(super) fn shrink(&mut self) {
        self.drop_empty();
        self.others.shrink_to_fit();
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.others.capacity() * size_of::<T>() + self.iter().map(T::memory_bytes).sum::<usize>()
    }

    fn drop_empty(&mut self) {
        self.others.retain(|one| !one.is_empty());
        if self.one.as_ref().is_some_and(T::is_empty) {
            self.one = self.others.pop();
        }
    }
}

#[cfg(test)]
mod tests;
