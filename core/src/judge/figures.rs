//! The rollup rows of one gonggu that are in memory: absolute values, so that a row must be complete
//! before it is written to.
//!
//! Clicks come minute by minute, so they are gathered ([`Fresh`]) and entered into the rows of their minute,
//! hour and day together: when a click of another minute comes, when the rows are taken, when many
//! visitors have gathered. The rows are the same whenever that is.
//!
//! Invariants: a row that may exist in the store is never begun anew. `stored_horizon` is the latest
//! start of any row that the store may hold and memory does not; what starts after it is new. While
//! clicks are gathered, the rows that they belong to are the open ones.

use super::totals::{Counts, OTHER_HOSTS, REFERRER_HOSTS_MAX, Rollup, RollupKey, RollupLevel, VisitorSketch};
use crate::click::{Device, RawClick, Verdict};
use crate::clock::UnixMillis;
use crate::ids::{GongguId, Position};
use std::collections::BTreeMap;

/// The longest name that DNS allows; what is longer is no host.
const HOST_BYTES_MAX: usize = 253;
/// Visitors gathered before they are entered: enough for one after the other to be in the cache.
const FRESH_VISITORS_MAX: usize = 64;
/// Hosts gathered before they are entered: they are searched for every billable click.
const FRESH_HOSTS_MAX: usize = 16;

/// Billable clicks by host. A plain list, the first seen first: rows name few hosts, and clicks in a row
/// come from the same ones.
type Hosts = Vec<(Box<str>, u64)>;

#[derive(Clone, Debug)]
struct Row {
    at: UnixMillis,
    counts: Counts,
    visitors: VisitorSketch,
    referrers: Hosts,
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

/// What the clicks since the last entering add to the three open rows.
#[derive(Clone, Debug, Default)]
struct Fresh {
    /// The minute of the open rows, if they were opened for one.
    minute: Option<UnixMillis>,
    counts: Counts,
    /// In the order of arrival; a visitor may stand here more than once.
    visitors: Vec<u64>,
    referrers: Hosts,
    devices: [u64; 4],
    /// Of the last click.
    position: Position,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    levels: [Level; 3],
    fresh: Fresh,
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

    /// Adds all of `fresh` but its visitors.
    fn add(&mut self, fresh: &Fresh) {
        self.counts.add_all(&fresh.counts);
        for (all, more) in self.devices.iter_mut().zip(fresh.devices) {
            *all += more;
        }
        for (host, clicks) in &fresh.referrers {
            self.add_host(host, *clicks);
        }
        self.needed_through = fresh.position;
        self.changed = true;
    }

    fn add_host(&mut self, host: &str, clicks: u64) {
        let at = place_of(&self.referrers, host).or_else(|| {
            let others = place_of(&self.referrers, OTHER_HOSTS);
            let named = self.referrers.len() - usize::from(others.is_some());
            if named >= REFERRER_HOSTS_MAX && others.is_some() {
                return others;
            }
            let name = if named >= REFERRER_HOSTS_MAX { OTHER_HOSTS } else { host };
            self.referrers.push((name.into(), 0));
            Some(self.referrers.len() - 1)
        });
        if let Some(at) = at {
            self.referrers[at].1 += clicks;
        }
    }

    fn memory_bytes(&self) -> usize {
        self.visitors.memory_bytes() + hosts_bytes(&self.referrers)
    }
}

fn place_of(hosts: &Hosts, host: &str) -> Option<usize> {
    hosts.iter().position(|(name, _)| **name == *host)
}

fn hosts_bytes(hosts: &Hosts) -> usize {
    hosts.capacity() * size_of::<(Box<str>, u64)>() + hosts.iter().map(|(host, _)| host.len()).sum::<usize>()
}

impl Fresh {
    fn add(&mut self, entry: &Entry<'_>) {
        self.counts.add(entry.verdict);
        if let Some(visitor) = entry.visitor
            && self.visitors.last() != Some(&visitor)
        {
            self.visitors.push(visitor);
        }
        if entry.verdict == Verdict::Billable {
            self.devices[device_index(entry.device)] += 1;
            let host = host_of(&entry.click.referer);
            match place_of(&self.referrers, &host) {
                Some(at) => self.referrers[at].1 += 1,
                None => {
                    self.referrers.reserve_exact(1);
                    self.referrers.push((host.into(), 1));
                }
            }
        }
        self.position = entry.position;
    }

    fn is_empty(&self) -> bool {
        self.counts.gross() == 0
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
        Self { levels: Default::default(), fresh: Fresh::default(), stored_horizon }
    }

    /// Rows of this click's time that the store may hold and memory does not.
    pub(super) fn missing(&self, click: &RawClick) -> Vec<RollupKey> {
        let mut missing = Vec::new();
        let starts = |level| RollupKey::starts(level, click.clicked_at);
        // A day begins no later than its hours and minutes.
        if self.fresh.minute == Some(starts(RollupLevel::Minute))
            || starts(RollupLevel::Day) > self.stored_horizon
        {
            return missing;
        }
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

    /// Adds a click to its minute, hour and day. `all` are the visitors of the whole gonggu.
    ///
    /// # Panics
    ///
    /// When a row that the store may hold was not taken in before (see [`Rows::missing`]): beginning
    /// it anew would overwrite its figures, so the fold stops instead.
    pub(super) fn add(&mut self, entry: &Entry<'_>, all: &mut VisitorSketch) {
        let minute = RollupKey::starts(RollupLevel::Minute, entry.click.clicked_at);
        if self.fresh.minute != Some(minute) || self.fresh.referrers.len() >= FRESH_HOSTS_MAX {
            self.enter(all);
            self.open(entry.click.clicked_at);
            self.fresh.minute = Some(minute);
        }
        self.fresh.add(entry);
        if self.fresh.visitors.len() >= FRESH_VISITORS_MAX {
            self.enter_visitors(all);
        }
    }

    /// Enters what was gathered into the open rows.
    pub(super) fn enter(&mut self, all: &mut VisitorSketch) {
        if self.fresh.is_empty() {
            return;
        }
        self.enter_visitors(all);
        let fresh = &mut self.fresh;
        for row in self.levels.iter_mut().filter_map(|level| level.open.as_mut()) {
            row.add(fresh);
        }
        fresh.counts = Counts::default();
        fresh.devices = [0; 4];
        fresh.referrers.clear();
    }

    /// Every visitor of a minute is one of its hour, its day and the gonggu, so a sketch that a visitor
    /// does not change tells that the longer ones know of it too.
    fn enter_visitors(&mut self, all: &mut VisitorSketch) {
        let Self { levels: [minutes, hours, days], fresh, .. } = self;
        if let (Some(minute), Some(hour), Some(day)) = (&mut minutes.open, &mut hours.open, &mut days.open) {
            for visitor in fresh.visitors.drain(..) {
                let _ = minute.visitors.insert(visitor)
                    && hour.visitors.insert(visitor)
                    && day.visitors.insert(visitor)
                    && all.insert(visitor);
            }
        }
    }

    /// Visitors that are not yet entered, into the gonggu's sketch either.
    pub(super) fn fresh_visitors(&self) -> &[u64] {
        &self.fresh.visitors
    }

    fn open(&mut self, clicked_at: UnixMillis) {
        for (level, rows) in RollupLevel::ALL.into_iter().zip(&mut self.levels) {
            let at = RollupKey::starts(level, clicked_at);
            if rows.open.as_ref().is_none_or(|row| row.at != at) {
                let row = rows.others.remove(&at).unwrap_or_else(|| {
                    assert!(at > self.stored_horizon, "a stored {level:?} row at {at:?} was not loaded");
                    Row::new(at)
                });
                rows.put(row);
            }
        }
    }

    /// Rows changed since the last call, by level and time.
    pub(super) fn take_changed(&mut self, gonggu_id: GongguId, all: &mut VisitorSketch) -> Vec<Rollup> {
        self.enter(all);
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
    pub(super) fn forget(&mut self, stored_through: Position, now: UnixMillis, all: &mut VisitorSketch) {
        self.enter(all);
        self.fresh = Fresh::default();
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
        let fresh = self.fresh.visitors.capacity() * size_of::<u64>() + hosts_bytes(&self.fresh.referrers);
        self.levels.iter().map(level).sum::<usize>() + fresh
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
