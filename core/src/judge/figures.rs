//! The rollup rows of one gonggu that are in memory: absolute values, so that a row must be complete
//! before it is written to.
//!
//! Invariant: a row that may exist in the store is never begun anew. `stored_horizon` is the latest
//! start of any row that the store may hold and memory does not; what starts after it is new.

use super::totals::{Counts, OTHER_HOSTS, REFERRER_HOSTS_MAX, Rollup, RollupKey, RollupLevel, VisitorSketch};
use crate::click::{Device, RawClick, Verdict};
use crate::clock::UnixMillis;
use crate::ids::{GongguId, Position};
use std::collections::BTreeMap;

/// The longest name that DNS allows; what is longer is no host.
const HOST_BYTES_MAX: usize = 253;

#[derive(Clone, Debug)]
struct Row {
    at: UnixMillis,
    counts: Counts,
    visitors: VisitorSketch,
    /// A plain list: rows name few hosts, and clicks in a row come from the same ones.
    referrers: Vec<(Box<str>, u64)>,
    devices: [u64; 4],
    /// Kept in memory until the store is past this position.
    needed_through: Position,
    changed: bool,
}

/// The rows of one length: the last one written to, and the others in memory.
#[derive(Clone, Debug, Default)]
struct Level {
    open: Option<Row>,
    others: BTreeMap<UnixMillis, Row>,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    levels: [Level; 3],
    stored_horizon: UnixMillis,
}

/// What one click adds to its rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub(super) position: Position,
    pub(super) click: &'a RawClick,
    pub(super) verdict: Verdict,
    pub(super) device: Device,
    /// `None`: not a visitor.
    pub(super) visitor: Option<u64>,
}

impl Row {
    fn new(at: UnixMillis) -> Self {
        Self {
            at,
            counts: Counts::default(),
            visitors: VisitorSketch::default(),
            referrers: Vec::new(),
            devices: [0; 4],
            needed_through: Position(0),
            changed: false,
        }
    }

    fn add(&mut self, entry: &Entry<'_>, host: &str) {
        self.counts.add(entry.verdict);
        if let Some(visitor) = entry.visitor {
            self.visitors.insert(visitor);
        }
        if entry.verdict == Verdict::Billable {
            self.devices[device_index(entry.device)] += 1;
            self.add_host(host);
        }
        self.needed_through = entry.position;
        self.changed = true;
    }

    fn add_host(&mut self, host: &str) {
        let known =
            |hosts: &[(Box<str>, u64)], host: &str| hosts.iter().position(|(name, _)| **name == *host);
        let at = known(&self.referrers, host).or_else(|| {
            let others = known(&self.referrers, OTHER_HOSTS);
            let named = self.referrers.len() - usize::from(others.is_some());
            if named >= REFERRER_HOSTS_MAX && others.is_some() {
                return others;
            }
            let name = if named >= REFERRER_HOSTS_MAX { OTHER_HOSTS } else { host };
            self.referrers.push((name.into(), 0));
            Some(self.referrers.len() - 1)
        });
        if let Some(at) = at {
            self.referrers[at].1 += 1;
        }
    }

    fn memory_bytes(&self) -> usize {
        let hosts: usize = self.referrers.iter().map(|(host, _)| host.len()).sum();
        self.visitors.memory_bytes() + self.referrers.capacity() * size_of::<(Box<str>, u64)>() + hosts
    }
}

fn device_index(device: Device) -> usize {
    match device {
        Device::Mobile => 0,
        Device::Tablet => 1,
        Device::Desktop => 2,
        Device::Other => 3,
    }
}

impl Level {
    fn get(&self, at: UnixMillis) -> Option<&Row> {
        self.open.as_ref().filter(|row| row.at == at).or_else(|| self.others.get(&at))
    }

    fn put(&mut self, row: Row) {
        if let Some(before) = self.open.replace(row) {
            self.others.insert(before.at, before);
        }
    }

    fn rows_mut(&mut self) -> impl Iterator<Item = &mut Row> {
        self.others.values_mut().chain(self.open.as_mut())
    }
}

impl Rows {
    /// No rows in memory; the store may hold some that start at or before `stored_horizon`.
    pub(super) fn new(stored_horizon: UnixMillis) -> Self {
        Self { levels: Default::default(), stored_horizon }
    }

    /// Rows of this click's time that the store may hold and memory does not.
    pub(super) fn missing(&self, click: &RawClick) -> Vec<RollupKey> {
        let mut missing = Vec::new();
        for (level, rows) in RollupLevel::ALL.into_iter().zip(&self.levels) {
            let key = RollupKey::of(click.gonggu_id, level, click.clicked_at);
            if key.at <= self.stored_horizon && rows.get(key.at).is_none() {
                missing.push(key);
            }
        }
        missing
    }

    /// Takes in a row of the store (`None`: it has none). Kept until the store is past
    /// `needed_through`. A row that memory already has is newer than the store's.
    pub(super) fn insert(&mut self, key: RollupKey, row: Option<Rollup>, needed_through: Position) {
        let level = &mut self.levels[key.level as usize];
        if level.get(key.at).is_some() {
            return;
        }
        let mut taken = Row { needed_through, ..Row::new(key.at) };
        if let Some(row) = row {
            taken.counts = row.counts;
            taken.visitors = row.visitors;
            taken.referrers = row.referrers.into_iter().collect();
            taken.devices = row.devices;
        }
        level.others.insert(key.at, taken);
    }

    /// Adds a click to its minute, hour and day.
    ///
    /// # Panics
    ///
    /// When a row that the store may hold was not taken in before (see [`Rows::missing`]): beginning
    /// it anew would overwrite its figures, so the fold stops instead.
    pub(super) fn add(&mut self, entry: &Entry<'_>) {
        let host = if entry.verdict == Verdict::Billable { host_of(&entry.click.referer) } else { "".into() };
        for (level, rows) in RollupLevel::ALL.into_iter().zip(&mut self.levels) {
            let at = RollupKey::starts(level, entry.click.clicked_at);
            if rows.open.as_ref().is_none_or(|row| row.at != at) {
                let row = rows.others.remove(&at).unwrap_or_else(|| {
                    assert!(at > self.stored_horizon, "a stored {level:?} row at {at:?} was not loaded");
                    Row::new(at)
                });
                rows.put(row);
            }
            if let Some(row) = rows.open.as_mut() {
                row.add(entry, &host);
            }
        }
    }

    /// Rows changed since the last call, by level and time.
    pub(super) fn take_changed(&mut self, gonggu_id: GongguId) -> Vec<Rollup> {
        let mut changed = Vec::new();
        for (level, rows) in RollupLevel::ALL.into_iter().zip(&mut self.levels) {
            for row in rows.rows_mut().filter(|row| row.changed) {
                row.changed = false;
                changed.push(Rollup {
                    key: RollupKey { gonggu_id, level, at: row.at },
                    counts: row.counts,
                    visitors: row.visitors.clone(),
                    referrers: row.referrers.iter().cloned().collect(),
                    devices: row.devices,
                });
            }
        }
        changed.sort_unstable_by_key(|row| row.key);
        changed
    }

    /// Forgets rows that are stored and are not the buckets of `now`.
    pub(super) fn forget(&mut self, stored_through: Position, now: UnixMillis) {
        for (level, rows) in RollupLevel::ALL.into_iter().zip(&mut self.levels) {
            let open = RollupKey::starts(level, now);
            let horizon = &mut self.stored_horizon;
            let mut stays = |row: &Row| {
                let stays = row.changed || row.needed_through > stored_through || row.at == open;
                if !stays {
                    *horizon = (*horizon).max(row.at);
                }
                stays
            };
            rows.others.retain(|_, row| stays(row));
            if rows.open.as_ref().is_some_and(|row| !stays(row)) {
                rows.open = None;
            }
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let level = |level: &Level| {
            let others: usize =
                level.others.values().map(|row| size_of::<(UnixMillis, Row)>() + row.memory_bytes()).sum();
            others + level.open.as_ref().map_or(0, Row::memory_bytes)
        };
        self.levels.iter().map(level).sum()
    }
}

/// The lower-cased host of a referer without `www.`; empty if none can be told.
pub(super) fn host_of(referer: &str) -> std::borrow::Cow<'_, str> {
    let host = authority_host(referer).unwrap_or_default();
    if !host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return host.strip_prefix("www.").unwrap_or(host).into();
    }
    let lower = host.to_ascii_lowercase();
    lower.strip_prefix("www.").map(str::to_owned).unwrap_or(lower).into()
}

/// By bytes, since it is done for every billable click. What is beyond ASCII is kept as it came.
fn authority_host(referer: &str) -> Option<&str> {
    let (_, rest) = referer.split_once(':')?;
    let rest = rest.strip_prefix("//")?;
    let end = rest.bytes().position(|byte| matches!(byte, b'/' | b'?' | b'#' | b'\\'));
    let authority = &rest[..end.unwrap_or(rest.len())];
    let host_and_port = authority.rfind('@').map_or(authority, |at| &authority[at + 1..]);
    if let Some(literal) = host_and_port.strip_prefix('[') {
        let (host, _) = literal.split_once(']')?;
        return host
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'))
            .then_some(host);
    }
    let host = host_and_port.find(':').map_or(host_and_port, |at| &host_and_port[..at]);
    let host = host.strip_suffix('.').unwrap_or(host);
    let is_host =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_') || byte >= 0x80;
    (host.len() <= HOST_BYTES_MAX && host.bytes().all(is_host)).then_some(host)
}

#[cfg(test)]
mod tests;
