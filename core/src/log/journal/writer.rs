//! The one thread that writes: groups, seals, closing records, new segments.
//!
//! Invariants: nothing is acknowledged before the sync that covers it returned; a failed write, sync,
//! rename or folder sync of what is in use poisons the journal for good (a failed fsync is never tried
//! again: the kernel may have dropped the pages and would call the next one a success). A new segment
//! that cannot be made (no space, no file handle, a bad place on the disk) harms nothing that is in use:
//! the old one goes on while it has room, then the journal is *full*, and it is tried again every second.

use super::active::Active;
use super::commit::{Group, Stop, Taken};
use super::record::{self, CLOSING_BYTES, Kind};
use super::segment::{self, Prepared, SegmentHeader, SegmentMeta, give_back_slack};
use super::{Progress, Shared, active, space};
use crate::log::{AppendError, SinkHealth};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How often space is looked for.
const SPACE_RETRY: Duration = Duration::from_secs(1);
/// A gathering buffer that one burst made larger than this is not kept.
const SPARE_MAX_BYTES: usize = 8 << 20;
/// After so many further groups a woken one is looked at again: whoever is still not awake in it had a first
/// that was never polled, or is so late that one more wake-up does no harm.
const LOOKED_AT_AGAIN_AFTER_GROUPS: usize = 4;

/// The writer's own state.
pub(super) struct Writer {
    shared: Arc<Shared>,
    seed: u32,
    active: Option<Active>,
    /// The newest segment of an earlier run, until it has a successor: only then may it be shortened,
    /// since a start takes a shortened newest one for damaged.
    forerunner: Option<SegmentMeta>,
    durable: u64,
    /// The last groups that were woken, oldest first.
    woken: VecDeque<Arc<Group>>,
    /// Held as long as this process writes.
    lock: Option<Box<dyn Send>>,
    next_mark: Instant,
    next_space_try: Instant,
    zeros: Vec<u8>,
}

enum Work {
    Commit(Taken),
    FindSpace,
    Close,
    Abandon,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, lock: Box<dyn Send>, durable: u64) -> Self {
        let now = Instant::now();
        let forerunner = shared.segments.lock().find(durable).map(|(segment, _)| segment);
        Self {
            seed: record::seed(shared.run),
            shared,
            active: None,
            forerunner,
            durable,
            woken: VecDeque::new(),
            lock: Some(lock),
            next_mark: now,
            next_space_try: now,
            zeros: active::zeros(),
        }
    }

    /// Makes the run's first segment; without space the journal begins full, so that what is in it can
    /// be read and released.
    pub(super) fn begin(&mut self) -> io::Result<()> {
        match self.prepare_next()? {
            Some(prepared) => self.go_on_in(prepared),
            None => {
                self.set_health(SinkHealth::Full);
                Ok(())
            }
        }
    }

    pub(super) fn run(mut self) {
        let mut spare = Vec::new();
        loop {
            match self.next_work(std::mem::take(&mut spare)) {
                Work::Commit(taken) => spare = self.commit(taken),
                Work::FindSpace => self.find_space(),
                Work::Close => {
                    if let Err(error) = self.write_closing() {
                        self.poison(&error, None);
                    }
                    return;
                }
                Work::Abandon => return,
            }
        }
    }

    fn next_work(&mut self, mut spare: Vec<u8>) -> Work {
        let shared = Arc::clone(&self.shared);
        let mut gather = shared.gather.lock();
        loop {
            if gather.stop == Some(Stop::Abandon) {
                return Work::Abandon;
            }
            let now = Instant::now();
            let ready = gather.health == SinkHealth::Ready;
            if ready && gather.stop.is_none() && now >= self.next_mark {
                self.next_mark = now + Duration::from_millis(self.shared.config.mark_interval_millis);
                gather.push_mark();
            }
            if !gather.is_empty() {
                return Work::Commit(gather.take(std::mem::take(&mut spare)));
            }
            if gather.stop == Some(Stop::Close) {
                return Work::Close;
            }
            let until = match gather.health {
                SinkHealth::Ready => Some(self.next_mark),
                SinkHealth::Full if now >= self.next_space_try => return Work::FindSpace,
                SinkHealth::Full => Some(self.next_space_try),
                SinkHealth::Poisoned(_) => None,
            };
            gather.writer_sleeps = true;
            match until {
                Some(until) => drop(shared.work.wait_until(&mut gather, until)),
                None => shared.work.wait(&mut gather),
            }
            gather.writer_sleeps = false;
        }
    }

    /// Writes a group; gives its buffer back for the next.
    fn commit(&mut self, mut taken: Taken) -> Vec<u8> {
        match self.write_group(&mut taken.bytes, &taken.group) {
            Ok(true) => self.wake(&taken.group),
            Ok(false) => self.fall_full(&taken.group),
            Err(error) => self.poison(&error, Some(&taken.group)),
        }
        let mut bytes = std::mem::take(&mut taken.bytes);
        bytes.clear();
        if bytes.capacity() > SPARE_MAX_BYTES { Vec::new() } else { bytes }
    }

    fn wake(&mut self, group: &Arc<Group>) {
        group.wake();
        self.woken.push_back(Arc::clone(group));
        if self.woken.len() > LOOKED_AT_AGAIN_AFTER_GROUPS
            && let Some(before) = self.woken.pop_front()
        {
            before.wake_the_rest();
        }
    }

    /// Writes and syncs a group, over as many segments as it takes. `false`: no space for the rest.
    fn write_group(&mut self, bytes: &mut [u8], group: &Group) -> io::Result<bool> {
        if self.is_of_age() {
            // Without space the segment goes on; it is only older than it should be.
            self.next_space_try = Instant::now() + SPACE_RETRY;
            self.rotate()?;
        }
        let mut part_start = 0;
        let mut at = 0;
        while at < bytes.len() {
            let size = record::size_bytes(&bytes[at..]).ok_or(io::ErrorKind::InvalidData)?;
            if self.room() < at - part_start + size {
                if at > part_start {
                    self.write_part(&mut bytes[part_start..at], group)?;
                    part_start = at;
                }
                if !self.rotate()? {
                    return Ok(false);
                }
            }
            at += size;
        }
        self.write_part(&mut bytes[part_start..], group)?;
        Ok(true)
    }

    fn is_of_age(&self) -> bool {
        // An idle journal's marks need no new segment; with clicks it does, so that addresses can go.
        let age_max = Duration::from_millis(self.shared.config.segment_millis.unsigned_abs());
        self.active.as_ref().is_some_and(|active| active.clicks > 0 && active.opened.elapsed() >= age_max)
            && Instant::now() >= self.next_space_try
    }

    /// Bytes left for records; the closing record's place is kept.
    fn room(&self) -> usize {
        self.active.as_ref().map_or(0, |active| {
            (active.file_bytes - active.offset).saturating_sub(CLOSING_BYTES as u64) as usize
        })
    }

    fn write_part(&mut self, bytes: &mut [u8], group: &Group) -> io::Result<()> {
        let Some(active) = self.active.as_mut() else { return Err(io::ErrorKind::NotFound.into()) };
        let (mut at, mut last, mut records) = (0, self.durable, 0);
        while at < bytes.len() {
            let size = record::size_bytes(&bytes[at..]).ok_or(io::ErrorKind::InvalidData)?;
            let one = &mut bytes[at..at + size];
            record::stamp(one, self.seed, self.durable);
            last = record::sequence_of(one);
            active.clicks += u64::from(record::is_click(one));
            records += 1;
            at += size;
        }
        active.write(bytes, &self.zeros)?;
        let started = Instant::now();
        active.file.sync()?;
        let took = started.elapsed();
        self.durable = last;
        self.shared.segments.lock().advance(last, active.offset);
        self.shared.progress.send_replace(Progress { durable: last, ended: false });
        group.set_durable(last);
        let counters = &self.shared.counters;
        counters.groups.fetch_add(1, Ordering::Relaxed);
        counters.records.fetch_add(records, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        counters.fsync_micros.store(micros, Ordering::Relaxed);
        metrics::counter!("journal_groups_total").increment(1);
        metrics::counter!("journal_records_total").increment(records);
        metrics::histogram!("journal_fsync_seconds").record(took.as_secs_f64());
        metrics::gauge!("journal_durable_sequence").set(last as f64);
        Ok(())
    }

    /// Goes on in a new segment. `false`: none can be made now, and nothing was changed.
    fn rotate(&mut self) -> io::Result<bool> {
        match self.prepare_next() {
            Ok(Some(prepared)) => self.go_on_in(prepared).map(|()| true),
            Ok(None) => Ok(false),
            Err(error) => {
                tracing::error!(%error, "the journal's next segment cannot be made; tried again every second");
                Ok(false)
            }
        }
    }

    /// Seals the segment and begins the next.
    fn go_on_in(&mut self, prepared: Prepared) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let before = self.active.take();
        if let Some(active) = &before {
            let seal = record::closing(Kind::Seal, self.durable, self.seed, self.durable);
            active.file.write_at(&seal, active.offset)?;
            active.file.sync()?;
        }
        segment::put_in_place(shared.io.as_ref(), &shared.config.dir, &prepared)?;
        let Prepared { file, header } = prepared;
        let first_offset = header.size_bytes() as u64;
        let mut table = shared.segments.lock();
        table.push(SegmentMeta {
            run: header.run,
            base: header.base,
            first_offset,
            last: self.durable,
            end_offset: first_offset,
            file_bytes: header.file_bytes,
        });
        if let Some(active) = before {
            let used_bytes = active.offset + CLOSING_BYTES as u64;
            if give_back_slack(active.file.as_ref(), used_bytes) {
                table.set_file_bytes(active.base, used_bytes);
            }
        }
        if let Some(old) = self.forerunner.take().filter(|old| old.file_bytes > old.end_offset) {
            let path = segment::path(&shared.config.dir, old.base);
            if shared.io.open(&path, true).is_ok_and(|file| give_back_slack(file.as_ref(), old.end_offset)) {
                table.set_file_bytes(old.base, old.end_offset);
            }
        }
        metrics::gauge!("journal_bytes").set(table.bytes() as f64);
        metrics::gauge!("journal_segments").set(table.count() as f64);
        self.active = Some(Active {
            file,
            base: header.base,
            file_bytes: header.file_bytes,
            offset: first_offset,
            zeroed_to: first_offset,
            clicks: 0,
            opened: Instant::now(),
        });
        Ok(())
    }

    /// Makes the next segment, not yet in use. `None`: there is no space.
    fn prepare_next(&self) -> io::Result<Option<Prepared>> {
        let shared = &self.shared;
        let mut header = SegmentHeader {
            run: shared.run,
            base: self.durable + 1,
            file_bytes: shared.config.segment_bytes,
            clicked_at_floor: Some(shared.gather.lock().now()),
            chain: shared.chain.clone(),
        };
        let least = header.size_bytes() as u64 + segment::ROOM_MIN_BYTES;
        header.file_bytes = header.file_bytes.max(least).next_multiple_of(record::ALIGN_BYTES as u64);
        let used_bytes = shared.segments.lock().bytes();
        if !space::may_take(shared.io.as_ref(), &shared.config, used_bytes, header.file_bytes)? {
            return Ok(None);
        }
        match segment::prepare(shared.io.as_ref(), &shared.config.dir, header) {
            Ok(prepared) => Ok(Some(prepared)),
            Err(error) if space::is_no_space(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn find_space(&mut self) {
        self.next_space_try = Instant::now() + SPACE_RETRY;
        match self.rotate() {
            Ok(true) => self.set_health(SinkHealth::Ready),
            Ok(false) => {}
            Err(error) => self.poison(&error, None),
        }
    }

    fn write_closing(&mut self) -> io::Result<()> {
        if matches!(self.shared.gather.lock().health, SinkHealth::Poisoned(_)) {
            return Ok(());
        }
        let Some(active) = self.active.as_mut() else { return Ok(()) };
        let closing = record::closing(Kind::Closing, self.durable + 1, self.seed, self.durable);
        active.file.write_at(&closing, active.offset)?;
        active.file.sync()?;
        active.offset += closing.len() as u64;
        self.durable += 1;
        let mut table = self.shared.segments.lock();
        table.advance(self.durable, active.offset);
        if give_back_slack(active.file.as_ref(), active.offset) {
            table.set_file_bytes(active.base, active.offset);
        }
        drop(table);
        self.shared.progress.send_replace(Progress { durable: self.durable, ended: false });
        Ok(())
    }

    /// Nobody was told the numbers of what is refused here: they are given again.
    fn fall_full(&mut self, group: &Group) {
        tracing::warn!("the journal is full; clicks are not recorded until space is found");
        self.set_health(SinkHealth::Full);
        group.fail(AppendError::Full);
        self.shared.gather.lock().refuse_gathered(AppendError::Full, self.durable + 1);
        self.next_space_try = Instant::now() + SPACE_RETRY;
    }

    fn poison(&mut self, error: &io::Error, group: Option<&Group>) {
        let reason = error.to_string();
        tracing::error!(error = %reason, "the journal is poisoned; nothing more is acknowledged until a restart");
        self.active = None;
        self.set_health(SinkHealth::Poisoned(reason.clone()));
        let refusal = AppendError::Poisoned(reason);
        if let Some(group) = group {
            group.fail(refusal.clone());
        }
        self.shared.gather.lock().refuse_gathered(refusal, self.durable + 1);
    }

    fn set_health(&self, health: SinkHealth) {
        metrics::gauge!("journal_ready").set(if health == SinkHealth::Ready { 1.0 } else { 0.0 });
        self.shared.gather.lock().health = health;
    }
}

/// However the writer ends, nobody waits for it any more and the lock is free before that is said.
impl Drop for Writer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.poison(&io::Error::other("the writer panicked"), None);
        }
        self.woken.drain(..).for_each(|group| group.wake_the_rest());
        let mut gather = self.shared.gather.lock();
        gather.stop.get_or_insert(Stop::Abandon);
        gather.refuse_gathered(AppendError::Closed, self.durable + 1);
        drop(gather);
        self.lock = None;
        self.shared.progress.send_replace(Progress { durable: self.durable, ended: true });
    }
}
