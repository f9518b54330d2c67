//! What a sliding window remembers: entries in the order of their arrival, the newest of each key
//! found by hash, the old ones dropped as time moves.
//!
//! Problem: one gonggu may have millions of visitors inside its window, at no more than 32 bytes each.
//! So an entry is 16 bytes (key; time and payload packed relative to its block), blocks are plain
//! vectors, and the index is a table of 4-byte entry numbers that finds the key in the entry itself.
//!
//! Invariants: the index names the newest entry of each key and nothing else; an entry that a newer
//! one replaced is dead weight until it leaves at the front. Entries of one timeline share one window.
//! An entry may carry an older time than those before it (a mark that was taken over), so whoever
//! reads one asks whether it is still live; leaving at the front only gives memory back.

use crate::clock::UnixMillis;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as IndexEntry;
use std::collections::VecDeque;

/// Entries a block holds: 64 KiB, so that the last one's slack does not matter at a million entries.
const BLOCK_ENTRIES: usize = 1 << BLOCK_BITS;
const BLOCK_BITS: u32 = 12;
/// Block numbers wrap here. 2^32 entries alive at once would need 64 GiB first.
const BLOCK_NUMBERS: u32 = 1 << (32 - BLOCK_BITS);

/// What an entry carries besides key and time, packed into the bits that the time leaves.
pub(super) trait Payload: Copy {
    /// Bits of an entry's time, in milliseconds from about a third below its block's first.
    const TIME_BITS: u32;
    /// What a block's payloads are relative to.
    type Base: Copy + std::fmt::Debug;
    /// The base of a block that this payload is the first of.
    fn base(self) -> Self::Base;
    /// At most `64 - TIME_BITS` bits, or `None` if it does not fit this base.
    fn pack(self, base: Self::Base) -> Option<u64>;
    /// The reverse of `pack`.
    fn unpack(bits: u64, base: Self::Base) -> Self;
    /// This newest payload of a key after an older one of the key has left; `None`: unchanged.
    fn without(self, _older: Self) -> Option<Self> {
        None
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    key: u64,
    meta: u64,
}

#[derive(Clone, Debug)]
struct Block<B> {
    base_time: UnixMillis,
    base: B,
    entries: Vec<Entry>,
}

/// One entry, unpacked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Item<P> {
    pub(super) key: u64,
    pub(super) at: UnixMillis,
    pub(super) payload: P,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Timeline<P: Payload> {
    window_millis: i64,
    blocks: VecDeque<Block<P::Base>>,
    /// Number of the front block.
    first_block: u32,
    /// Entries of the front block that have left.
    left: usize,
    index: HashTable<u32>,
}

fn decode<P: Payload>(block: &Block<P::Base>, entry: Entry) -> Item<P> {
    let time = entry.meta & ((1 << P::TIME_BITS) - 1);
    Item {
        key: entry.key,
        at: block.base_time.plus_millis(time.cast_signed()),
        payload: P::unpack(entry.meta >> P::TIME_BITS, block.base),
    }
}

fn encode<P: Payload>(block: &Block<P::Base>, at: UnixMillis, payload: P) -> Option<u64> {
    let time = u64::try_from(at.millis_since(block.base_time)).ok()?;
    if time >> P::TIME_BITS != 0 {
        return None;
    }
    Some(time | payload.pack(block.base)? << P::TIME_BITS)
}

fn place(first_block: u32, id: u32) -> (usize, usize) {
    let block = (id >> BLOCK_BITS).wrapping_sub(first_block) & (BLOCK_NUMBERS - 1);
    (block as usize, id as usize & (BLOCK_ENTRIES - 1))
}

fn key_at<B>(blocks: &VecDeque<Block<B>>, first_block: u32, id: u32) -> u64 {
    let (block, slot) = place(first_block, id);
    blocks[block].entries[slot].key
}

impl<P: Payload> Timeline<P> {
    pub(super) fn new(window_millis: i64) -> Self {
        Self { window_millis, blocks: VecDeque::new(), first_block: 0, left: 0, index: HashTable::new() }
    }

    pub(super) fn window_millis(&self) -> i64 {
        self.window_millis
    }

    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Whether an entry of this time still counts at `now`: at exactly one window it no longer does.
    pub(super) fn is_live(&self, at: UnixMillis, now: UnixMillis) -> bool {
        now.millis_since(at) < self.window_millis
    }

    /// The newest entry of a key, if it is still live.
    pub(super) fn get(&self, key: u64, now: UnixMillis) -> Option<Item<P>> {
        let id = *self.index.find(key, |id| key_at(&self.blocks, self.first_block, *id) == key)?;
        let item = self.item(id);
        self.is_live(item.at, now).then_some(item)
    }

    /// Makes this the newest entry of its key.
    pub(super) fn push(&mut self, key: u64, at: UnixMillis, payload: P) {
        let id = self.append(key, at, payload);
        let (blocks, first_block) = (&self.blocks, self.first_block);
        let key_of = |id: &u32| key_at(blocks, first_block, *id);
        match self.index.entry(key, |id| key_of(id) == key, key_of) {
            IndexEntry::Occupied(mut newest) => *newest.get_mut() = id,
            IndexEntry::Vacant(place) => {
                place.insert(id);
            }
        }
    }

    /// Rewrites the payload of a key's newest entry, in place; false if it is not there or does not fit.
    pub(super) fn rewrite(&mut self, key: u64, payload: P) -> bool {
        let (blocks, first_block) = (&self.blocks, self.first_block);
        match self.index.find(key, |id| key_at(blocks, first_block, *id) == key) {
            Some(&id) => self.rewrite_id(id, payload),
            None => false,
        }
    }

    /// Forgets a key; its entries stay as dead weight until they leave.
    pub(super) fn remove(&mut self, key: u64) {
        let (blocks, first_block) = (&self.blocks, self.first_block);
        if let Ok(found) = self.index.find_entry(key, |id| key_at(blocks, first_block, *id) == key) {
            found.remove();
        }
    }

    /// Lets everything at the front leave that no longer counts at `now`.
    pub(super) fn expire(&mut self, now: UnixMillis) {
        while let Some(block) = self.blocks.front() {
            let Some(&entry) = block.entries.get(self.left) else { break };
            let item: Item<P> = decode(block, entry);
            if self.is_live(item.at, now) {
                break;
            }
            self.leave(item);
        }
    }

    fn leave(&mut self, item: Item<P>) {
        let id = self.first_block << BLOCK_BITS | self.left as u32;
        let (blocks, first_block) = (&self.blocks, self.first_block);
        let found = self.index.find_entry(item.key, |id| key_at(blocks, first_block, *id) == item.key);
        if let Ok(found) = found {
            let newest = *found.get();
            if newest == id {
                found.remove();
            } else if let Some(payload) = self.item(newest).payload.without(item.payload) {
                self.rewrite_id(newest, payload);
            }
        }
        self.left += 1;
        if self.blocks.front().is_some_and(|block| block.entries.len() == self.left) {
            self.blocks.pop_front();
            self.first_block = (self.first_block + 1) & (BLOCK_NUMBERS - 1);
            self.left = 0;
        }
    }

    /// The newest entry of every key, in no order.
    pub(super) fn newest(&self) -> impl Iterator<Item = Item<P>> {
        self.index.iter().map(|id| self.item(*id))
    }

    /// Every entry that has not left, in the order of arrival.
    pub(super) fn all(&self) -> impl Iterator<Item = Item<P>> {
        self.blocks
            .iter()
            .flat_map(|block| block.entries.iter().map(|entry| decode(block, *entry)))
            .skip(self.left)
    }

    /// Gives memory back after a rush.
    pub(super) fn shrink(&mut self) {
        if self.index.capacity() > 64 && self.index.len() < self.index.capacity() / 4 {
            let (blocks, first_block) = (&self.blocks, self.first_block);
            self.index.shrink_to(self.index.len() * 2, |id| key_at(blocks, first_block, *id));
        }
        if self.blocks.capacity() > 16 && self.blocks.len() < self.blocks.capacity() / 4 {
            self.blocks.shrink_to(self.blocks.len() * 2);
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.index.allocation_size()
            + self.blocks.capacity() * size_of::<Block<P::Base>>()
            + self.blocks.iter().map(|block| block.entries.capacity() * size_of::<Entry>()).sum::<usize>()
    }

    fn item(&self, id: u32) -> Item<P> {
        let (block, slot) = place(self.first_block, id);
        decode(&self.blocks[block], self.blocks[block].entries[slot])
    }

    fn rewrite_id(&mut self, id: u32, payload: P) -> bool {
        let (block, slot) = place(self.first_block, id);
        let block = &mut self.blocks[block];
        let time = block.entries[slot].meta & ((1 << P::TIME_BITS) - 1);
        match payload.pack(block.base) {
            Some(bits) => {
                block.entries[slot].meta = time | bits << P::TIME_BITS;
                true
            }
            None => false,
        }
    }

    fn append(&mut self, key: u64, at: UnixMillis, payload: P) -> u32 {
        if let Some(block) = self.blocks.back_mut()
            && block.entries.len() < BLOCK_ENTRIES
            && let Some(meta) = encode(block, at, payload)
        {
            block.entries.push(Entry { key, meta });
        } else {
            let base_time = at.plus_millis(-((1 << P::TIME_BITS) / 3));
            let mut block = Block { base_time, base: payload.base(), entries: Vec::new() };
            // A payload always fits a base of its own; were that ever false, the entry would carry
            // an empty one rather than stop the fold.
            let meta = encode(&block, at, payload).unwrap_or_default();
            // Behind a full block comes another; a first one grows with its gonggu.
            block.entries.reserve_exact(if self.blocks.is_empty() { 4 } else { 64 });
            block.entries.push(Entry { key, meta });
            if self.blocks.capacity() == 0 {
                self.blocks.reserve_exact(1);
            }
            self.blocks.push_back(block);
        }
        let number = self.first_block.wrapping_add(self.blocks.len() as u32 - 1) & (BLOCK_NUMBERS - 1);
        let slot = self.blocks.back().map_or(0, |block| block.entries.len() - 1);
        number << BLOCK_BITS | slot as u32
    }
}

/// Timelines of one kind, one for each window in use. Rules rarely change, so there is nearly always
/// one; an entry keeps the window of the version that judged it by standing in its timeline.
#[derive(Clone, Debug)]
pub(super) struct Generations<P: Payload>(Vec<Timeline<P>>);

impl<P: Payload> Default for Generations<P> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<P: Payload> Generations<P> {
    /// The timeline of this window, made if there is none.
    pub(super) fn of_window(&mut self, window_millis: i64) -> &mut Timeline<P> {
        let known = self.0.iter().position(|timeline| timeline.window_millis == window_millis);
        let at = known.unwrap_or_else(|| {
            self.0.reserve_exact(1);
            self.0.push(Timeline::new(window_millis));
            self.0.len() - 1
        });
        &mut self.0[at]
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Timeline<P>> {
        self.0.iter()
    }

    /// All of them, to change.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Timeline<P>> {
        self.0.iter_mut()
    }

    /// Lets everything leave that no longer counts.
    pub(super) fn expire(&mut self, now: UnixMillis) {
        for timeline in &mut self.0 {
            timeline.expire(now);
        }
        if self.0.len() > 1 {
            self.0.retain(|timeline| !timeline.is_empty());
        }
    }

    /// Gives memory back.
    pub(super) fn shrink(&mut self) {
        self.0.iter_mut().for_each(Timeline::shrink);
        self.0.retain(|timeline| !timeline.is_empty());
        self.0.shrink_to_fit();
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.0.capacity() * size_of::<Timeline<P>>()
            + self.0.iter().map(Timeline::memory_bytes).sum::<usize>()
    }
}
