//! Duplicates: who a visitor is, and which visitors had a counted click inside the window.
//!
//! A click carries one or two identities: the signed-in user, and always address + user agent. A
//! counted click marks all of them, replacing older marks; a click is a duplicate if its strongest
//! identity is marked. So one person who posts signed in and follows the link signed out counts once,
//! and 500 members behind one carrier address, on one model of phone, count 500 times.
//!
//! The other way round, a signed-in click whose user is not marked *takes* the mark that a signed-out
//! click left on its address + agent: the same person, who signed in meanwhile. A mark can be taken
//! once; it stays for signed-out clicks, with its time.
//!
//! Identities are 64-bit hashes, part of the fold's revision: stored judgements carry them and must be
//! found again a year later.

use super::table::{Generations, Slot, Table, WindowClock, Windowed};
use crate::click::{DuplicateOf, RawClick};
use crate::clock::UnixMillis;
use crate::ids::{Position, UserId};
use crate::visitor::AddressHash;

/// Fixed key of user hashes ("gonggumoa", "visitor."): users and addresses must not share a key.
const USER_KEY: (u64, u64) = (0x676f_6e67_6775_6d6f, 0x7669_7369_746f_722e);

/// 128 bits of a user agent's BLAKE3, made once an agent and remembered beside its class.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AgentDigest(pub [u8; 16]);

impl AgentDigest {
    /// Of the agent as recorded.
    pub fn of(user_agent: &str) -> Self {
        let mut digest = [0; 16];
        digest.copy_from_slice(&blake3::hash(user_agent.as_bytes()).as_bytes()[..16]);
        Self(digest)
    }
}

/// The identities that a click carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The signed-in user.
    pub user: Option<u64>,
    /// Address and user agent.
    pub address_agent: u64,
}

impl Identity {
    /// The identities of a click; `agent` is the digest of its user agent.
    pub fn of(click: &RawClick, agent: AgentDigest) -> Self {
        Self {
            user: click.member.map(|member| user_key(member.id)),
            address_agent: address_agent_key(click.address_hash, agent),
        }
    }

    /// The one that decides, and that counts as a visitor.
    pub fn strongest(&self) -> u64 {
        self.user.unwrap_or(self.address_agent)
    }
}

/// Hash of a user.
pub fn user_key(user: UserId) -> u64 {
    siphash_2_4(USER_KEY, halves(user.0.as_bytes()))
}

/// Hash of address + agent. The address hash is the key: it is secret, so nobody can choose agents
/// that fall together.
pub fn address_agent_key(address: AddressHash, agent: AgentDigest) -> u64 {
    let (first, second) = halves(&address.0);
    siphash_2_4((first, second), halves(&agent.0))
}

fn halves(bytes: &[u8; 16]) -> (u64, u64) {
    let all = u128::from_le_bytes(*bytes);
    (all as u64, (all >> 64) as u64)
}

/// SipHash-2-4 of a message of exactly 16 bytes.
fn siphash_2_4(key: (u64, u64), message: (u64, u64)) -> u64 {
    let mut v = [
        key.0 ^ 0x736f_6d65_7073_6575,
        key.1 ^ 0x646f_7261_6e64_6f6d,
        key.0 ^ 0x6c79_6765_6e65_7261,
        key.1 ^ 0x7465_6462_7974_6573,
    ];
    // The last word holds what is left of the message (nothing) and its length.
    for word in [message.0, message.1, 16 << 56] {
        v[3] ^= word;
        sip_round(&mut v);
        sip_round(&mut v);
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    for _ in 0..4 {
        sip_round(&mut v);
    }
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

fn sip_round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[2] = v[2].rotate_left(32);
}

/// What a mark says besides whose it is and when it was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Mark {
    /// The counted click.
    pub(super) position: Position,
    /// A signed-out click made it, so a member may take it.
    pub(super) signed_out: bool,
    /// A member has taken it.
    pub(super) taken: bool,
}

/// A mark as it is kept: whose it is, then stamp, state and position in one word.
#[derive(Clone, Copy, Debug)]
struct MarkSlot {
    key: u64,
    word: u64,
}

/// States of a mark.
const OF_MEMBER: u64 = 1;
const SIGNED_OUT: u64 = 2;
const TAKEN: u64 = 3;
const STATE_BITS: u32 = 2;

impl Slot for MarkSlot {
    fn hash(self, _: WindowClock) -> u64 {
        self.key
    }

    fn stamp(self, clock: WindowClock) -> u64 {
        self.word & clock.mask()
    }
}

/// Marks of one window. Positions are kept as differences from `base`, in the bits that stamp and state
/// leave: 2^41 of them in a window of five minutes, 2^34 in one of a day. What does not fit goes into
/// another table of the same window.
#[derive(Clone, Debug)]
struct MarkTable {
    base: Position,
    table: Table<MarkSlot>,
}

impl MarkTable {
    fn fits(&self, position: Position) -> bool {
        let difference = position.0.checked_sub(self.base.0);
        let position_bits = u64::BITS - STATE_BITS - self.table.clock().bits();
        self.table.is_empty() || difference.is_some_and(|difference| difference >> position_bits == 0)
    }

    /// The live mark of a key, and its time.
    fn get(&self, key: u64, now: UnixMillis) -> Option<(Mark, UnixMillis)> {
        let clock = self.table.clock();
        let slot = self.table.get(key).first()?;
        clock.is_live(slot.stamp(clock), now).then(|| self.unpack(*slot, now))
    }

    fn unpack(&self, slot: MarkSlot, now: UnixMillis) -> (Mark, UnixMillis) {
        let clock = self.table.clock();
        let above = slot.word >> clock.bits();
        let state = above & ((1 << STATE_BITS) - 1);
        let position = Position(self.base.0 + (above >> STATE_BITS));
        let mark = Mark { position, signed_out: state != OF_MEMBER, taken: state == TAKEN };
        (mark, clock.at(slot.stamp(clock), now))
    }

    /// The caller has asked whether the position fits.
    fn put(&mut self, key: u64, mark: Mark, at: UnixMillis) {
        if self.table.is_empty() {
            self.base = mark.position;
        }
        let clock = self.table.clock();
        let state = match (mark.signed_out, mark.taken) {
            (_, true) => TAKEN,
            (true, false) => SIGNED_OUT,
            (false, false) => OF_MEMBER,
        };
        let above = mark.position.0.wrapping_sub(self.base.0) << STATE_BITS | state;
        self.table.set(MarkSlot { key, word: above << clock.bits() | clock.stamp(at) }, at);
    }
}

impl Windowed for MarkTable {
    fn new(window_millis: i64) -> Self {
        Self { base: Position(0), table: Table::new(window_millis) }
    }

    fn window_millis(&self) -> i64 {
        self.table.clock().window_millis()
    }

    fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    fn expire(&mut self, now: UnixMillis) {
        self.table.expire(now);
    }

    fn memory_bytes(&self) -> usize {
        self.table.memory_bytes()
    }
}

/// A duplicate's verdict.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Repeat {
    pub(super) of: DuplicateOf,
    pub(super) took_mark: bool,
}

/// The marks of one gonggu. A key has at most one live one, in a table of the window it was made under.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks(Generations<MarkTable>);

/// A mark with its time and its window.
type Found = (Mark, UnixMillis, i64);

impl Marks {
    /// Whether this click repeats a counted one; takes the mark that it may take.
    pub(super) fn repeat(&mut self, identity: &Identity, now: UnixMillis) -> Option<Repeat> {
        if let Some((mark, at, _)) = self.get(identity.strongest(), now) {
            let of = DuplicateOf { position: mark.position, judged_at: at };
            return Some(Repeat { of, took_mark: false });
        }
        let user = identity.user?;
        let found = self.get(identity.address_agent, now)?;
        let (mark, at, _) = found;
        if !mark.signed_out || mark.taken {
            return None;
        }
        self.take(identity.address_agent, user, found);
        Some(Repeat { of: DuplicateOf { position: mark.position, judged_at: at }, took_mark: true })
    }

    /// A counted click marks every identity that it carries.
    pub(super) fn count(
        &mut self,
        identity: &Identity,
        position: Position,
        now: UnixMillis,
        window_millis: i64,
    ) {
        let mark = Mark { position, signed_out: identity.user.is_none(), taken: false };
        self.put(identity.address_agent, (mark, now, window_millis));
        if let Some(user) = identity.user {
            self.put(user, (mark, now, window_millis));
        }
    }

    /// Does again what `repeat` did for a stored click that took the mark of `of`, if that mark is
    /// still remembered.
    pub(super) fn retake(&mut self, identity: &Identity, of: DuplicateOf, now: UnixMillis) {
        if let (Some(user), Some(found)) = (identity.user, self.get(identity.address_agent, now))
            && found.0.position == of.position
        {
            self.take(identity.address_agent, user, found);
        }
    }

    /// Lets marks leave that no longer count. Must be called whenever time has moved.
    pub(super) fn expire(&mut self, now: UnixMillis) {
        self.0.expire(now);
    }

    pub(super) fn shrink(&mut self) {
        self.0.shrink();
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.0.memory_bytes()
    }

    /// Live marks, sorted: what future verdicts depend on.
    pub(super) fn canonical_bytes(&self, now: UnixMillis, out: &mut Vec<u8>) {
        let live = |marks: &MarkTable| {
            let unpacked = marks.table.live(now).map(|slot| (slot.key, marks.unpack(slot, now)));
            unpacked.map(|(key, mark)| (key, mark, marks.window_millis())).collect::<Vec<_>>()
        };
        let mut marks: Vec<_> = self.0.iter().flat_map(live).collect();
        marks.sort_unstable_by_key(|(key, ..)| *key);
        out.extend_from_slice(&(marks.len() as u64).to_le_bytes());
        for (key, (mark, at), window_millis) in marks {
            out.extend_from_slice(&key.to_le_bytes());
            out.extend_from_slice(&at.0.to_le_bytes());
            out.extend_from_slice(&window_millis.to_le_bytes());
            out.extend_from_slice(&mark.position.0.to_le_bytes());
            out.extend_from_slice(&[u8::from(mark.signed_out), u8::from(mark.taken)]);
        }
    }

    fn get(&self, key: u64, now: UnixMillis) -> Option<Found> {
        self.0.iter().find_map(|marks| {
            let (mark, at) = marks.get(key, now)?;
            Some((mark, at, marks.window_millis()))
        })
    }

    /// The user is marked with the taken mark's own time, maker and window.
    fn take(&mut self, key: u64, user: u64, (mark, at, window_millis): Found) {
        self.put(key, (Mark { taken: true, ..mark }, at, window_millis));
        let for_user = Mark { signed_out: false, taken: false, ..mark };
        self.put(user, (for_user, at, window_millis));
    }

    fn put(&mut self, key: u64, (mark, at, window_millis): Found) {
        let fits = |marks: &MarkTable| marks.fits(mark.position);
        let mut is_placed = false;
        for marks in self.0.iter_mut() {
            if !is_placed && marks.window_millis() == window_millis && fits(marks) {
                is_placed = true;
            } else {
                marks.table.remove(key);
            }
        }
        self.0.of_window(window_millis, fits).put(key, mark, at);
    }
}

#[cfg(test)]
mod tests;
