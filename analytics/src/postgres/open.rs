//! The newest minute, hour and day of a gonggu, packed into its head's row.
//!
//! Problem: a click changes a head and three rollup rows. Spread over many gonggus that is four rows written a
//! click, each with its index probe, lock and log record; together they cost four times what the click itself does.
//! Nearly all clicks fall into the newest buckets, so those stand in the head's row, and only buckets that are
//! over (or large, or reached by a late click) are rows of `click_rollups`.
//!
//! Invariants: a rollup row stands in exactly one of the two places, so that readers add both up; it moves within
//! the transaction that stores a batch. [`OpenRows::place`] says where each goes and is pure.
//!
//! The packed form, a row after the other (`click_open_rollups` of the schema unpacks it too):
//!
//! ```text
//!   17 numbers    level, microseconds since 2000 (zigzag), counts (9), devices (4), sketch bytes, hosts
//!   sketch
//!   hosts times   length, clicks, name
//! ```
//!
//! Numbers are little-endian in groups of seven bits (LEB128).

use super::codes;
use super::millis::{from_postgres_micros, to_postgres_micros};
use super::rows::sketch;
use super::write::storable_host;
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::GongguId;
use gonggumoa_core::judge::totals::{Counts, Rollup, RollupKey, RollupLevel};
use gonggumoa_core::store::StoreError;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A larger row stands in `click_rollups`: it has some hundred visitors, so that its clicks share the cost, and
/// the head's row, sketch included, must stay far below a page.
const PACKED_BYTES_MAX: usize = 640;
/// Levels, and so open rows.
const LEVELS: usize = RollupLevel::ALL.len();

/// Starts of the open buckets by level.
pub(crate) type OpenStarts = [Option<UnixMillis>; LEVELS];

/// The open rows of one gonggu by level, the shortest first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct OpenRows<'a>([Option<Cow<'a, Rollup>>; LEVELS]);

/// What a batch does to a gonggu's rows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Placed<'a> {
    /// Those that stand in the head from now on.
    pub(crate) open: OpenRows<'a>,
    /// Those that go into the table.
    pub(crate) table: Vec<Cow<'a, Rollup>>,
    /// Those that stand in the head now and did not before: the table may still hold them.
    pub(crate) opened: Vec<RollupKey>,
}

impl<'a> OpenRows<'a> {
    /// Places a gonggu's rows of a batch, which are in the order of their keys, after what is open now.
    pub(crate) fn place(mut self, rows: &[&'a Rollup]) -> Placed<'a> {
        let mut placed = Placed::default();
        for (slot, level) in RollupLevel::ALL.into_iter().enumerate() {
            let first = rows.partition_point(|row| row.key.level < level);
            let end = rows.partition_point(|row| row.key.level <= level);
            let rows = &rows[first..end];
            let before = self.0[slot].take();
            let Some(newest) = rows.last() else {
                placed.open.0[slot] = before;
                continue;
            };
            let late = before.as_ref().is_some_and(|before| before.key.at > newest.key.at);
            let opens = !late && packed_bytes(newest) <= PACKED_BYTES_MAX;
            placed.table.extend(rows.iter().map(|row| Cow::Borrowed(*row)));
            if opens {
                placed.table.pop();
                placed.open.0[slot] = Some(Cow::Borrowed(*newest));
                if before.as_ref().is_none_or(|before| before.key != newest.key) {
                    placed.opened.push(newest.key);
                }
            }
            match before {
                Some(before) if late => placed.open.0[slot] = Some(before),
                // The batch's own version of a row is newer than the stored one.
                Some(before) if !rows.iter().any(|row| row.key == before.key) => placed.table.push(before),
                _ => {}
            }
        }
        placed
    }

    /// The starts of what is open.
    pub(crate) fn starts(&self) -> OpenStarts {
        std::array::from_fn(|slot| self.0[slot].as_ref().map(|row| row.key.at))
    }

    /// Whether a batch with these rows leaves every open bucket where it is and opens no other: then
    /// [`place`](Self::place) needs nothing but the batch.
    pub(crate) fn unmoved(starts: &OpenStarts, rows: &[&Rollup]) -> bool {
        RollupLevel::ALL.into_iter().zip(starts).all(|(level, start)| {
            let end = rows.partition_point(|row| row.key.level <= level);
            let newest = rows[..end].last().filter(|row| row.key.level == level);
            newest.map(|row| row.key.at) == *start && start.is_some()
        })
    }

    /// Rows of which only the keys are known, to place others beside.
    pub(crate) fn of_starts(gonggu_id: GongguId, starts: &OpenStarts) -> Self {
        Self(std::array::from_fn(|slot| {
            starts[slot]
                .map(|at| Cow::Owned(empty(RollupKey { gonggu_id, level: RollupLevel::ALL[slot], at })))
        }))
    }

    /// The rows, the shortest level first.
    pub(crate) fn into_rows(self) -> impl Iterator<Item = Rollup> {
        self.0.into_iter().flatten().map(Cow::into_owned)
    }

    /// The bytes to store.
    pub(crate) fn pack(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(192);
        for row in self.0.iter().flatten() {
            pack(row, &mut out);
        }
        out
    }

    /// Back from stored bytes.
    pub(crate) fn unpack(gonggu_id: GongguId, packed: &[u8]) -> Result<OpenRows<'static>, StoreError> {
        let damaged = || StoreError::Damaged {
            what: "head",
            problem: format!("the open rows of {gonggu_id} are no such"),
        };
        let mut rows = OpenRows::default();
        let mut rest = packed;
        while !rest.is_empty() {
            let (slot, row) = unpack(gonggu_id, &mut rest).ok_or_else(damaged)??;
            rows.0[slot] = Some(Cow::Owned(row));
        }
        Ok(rows)
    }
}

fn empty(key: RollupKey) -> Rollup {
    Rollup {
        key,
        counts: Counts::default(),
        visitors: Default::default(),
        referrers: BTreeMap::new(),
        devices: [0; 4],
    }
}

/// About what [`pack`] makes of a row: counts take a few bytes each.
fn packed_bytes(row: &Rollup) -> usize {
    let hosts: usize = row.referrers.keys().map(|host| host.len() + 4).sum();
    32 + row.visitors.as_bytes().len() + hosts
}

fn pack(row: &Rollup, out: &mut Vec<u8>) {
    number(codes::level_code(row.key.level) as u64, out);
    let micros = to_postgres_micros(row.key.at);
    number((micros << 1 ^ micros >> 63) as u64, out);
    row.counts.to_array().into_iter().chain(row.devices).for_each(|count| number(count, out));
    let visitors = row.visitors.as_bytes();
    number(visitors.len() as u64, out);
    number(row.referrers.len() as u64, out);
    out.extend_from_slice(visitors);
    for (host, clicks) in &row.referrers {
        let host = storable_host(host);
        number(host.len() as u64, out);
        number(*clicks, out);
        out.extend_from_slice(host.as_bytes());
    }
}

/// The next row and the place of its level; `None` where the bytes are none.
fn unpack(gonggu_id: GongguId, rest: &mut &[u8]) -> Option<Result<(usize, Rollup), StoreError>> {
    let level = codes::level_of(i16::try_from(take_number(rest)?).ok()?)?;
    let zigzag = take_number(rest)?;
    let at = from_postgres_micros((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64));
    let mut row = empty(RollupKey { gonggu_id, level, at });
    let mut counts = [0; Counts::LEN];
    for count in counts.iter_mut().chain(&mut row.devices) {
        *count = take_number(rest)?;
    }
    row.counts = Counts::from_array(counts);
    let visitors_bytes = usize::try_from(take_number(rest)?).ok()?;
    let hosts = take_number(rest)?;
    let visitors = rest.split_off(..visitors_bytes)?;
    for _ in 0..hosts {
        let host_bytes = usize::try_from(take_number(rest)?).ok()?;
        let clicks = take_number(rest)?;
        let host = std::str::from_utf8(rest.split_off(..host_bytes)?).ok()?;
        row.referrers.insert(host.into(), clicks);
    }
    let slot = RollupLevel::ALL.iter().position(|other| *other == level)?;
    match sketch("head", visitors) {
        Ok(visitors) => row.visitors = visitors,
        Err(error) => return Some(Err(error)),
    }
    Some(Ok((slot, row)))
}

fn number(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take_number(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = *rest.split_off_first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests;
