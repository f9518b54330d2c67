//! A disk in memory that fails, tears and loses power on command.
//!
//! It holds two truths: what the page cache shows, and what the platters hold. A sync copies the first
//! to the second; a power loss keeps what was synced and any subset of the rest, sector by sector; a
//! failed sync behaves like Linux's: some sectors arrived, all are marked clean, and the next sync says
//! nothing. After [`FaultyIo::kill`] or [`FaultyIo::lose_power`] the old handle answers every call with
//! an error, so a writer thread that is still running changes nothing any more.

use super::io::{JournalFile, JournalIo};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a real disk writes at once.
const SECTOR_BYTES: usize = 512;

/// The disk. Clones are the same disk.
#[derive(Clone)]
pub struct FaultyIo(Arc<Mutex<Disk>>);

#[derive(Clone, Default)]
struct Inode {
    /// What is seen while the machine runs.
    cache: Vec<u8>,
    /// What is there after the power went.
    platter: Vec<u8>,
    dirty: BTreeSet<usize>,
}

#[derive(Clone)]
enum NameChange {
    Made(PathBuf, usize),
    Renamed(PathBuf, PathBuf, usize),
    Removed(PathBuf),
}

#[derive(Clone)]
struct Disk {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    names_on_platter: BTreeMap<PathBuf, usize>,
    unsynced_names: Vec<NameChange>,
    locked: bool,
    is_off: bool,
    capacity_bytes: u64,
    /// The write that fails, counted down, and how much of it arrives.
    failing_write: Option<(u64, usize)>,
    failing_sync: Option<u64>,
    random: u64,
}

impl Default for FaultyIo {
    fn default() -> Self {
        Self::new()
    }
}

impl FaultyIo {
    /// An empty disk without faults.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Disk {
            inodes: Vec::new(),
            names: BTreeMap::new(),
            names_on_platter: BTreeMap::new(),
            unsynced_names: Vec::new(),
            locked: false,
            is_off: false,
            capacity_bytes: u64::MAX / 4,
            failing_write: None,
            failing_sync: None,
            random: 0x9E37_79B9_7F4A_7C15,
        })))
    }

    /// Lets the write after `writes` more of them fail, once, with its first `arriving_bytes` written.
    pub fn fail_write_after(&self, writes: u64, arriving_bytes: usize) {
        self.0.lock().failing_write = Some((writes, arriving_bytes));
    }

    /// Lets the sync (of a file or folder) after `syncs` more of them fail, once.
    pub fn fail_sync_after(&self, syncs: u64) {
        self.0.lock().failing_sync = Some(syncs);
    }

    /// Chooses which sectors arrive when a sync fails or the power goes.
    pub fn set_seed(&self, seed: u64) {
        // An odd factor keeps seeds apart; the generator must not stand at 0.
        self.0.lock().random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    }

    /// Sets how many bytes fit on it.
    pub fn set_capacity_bytes(&self, capacity_bytes: u64) {
        self.0.lock().capacity_bytes = capacity_bytes;
    }

    /// The process dies: the page cache stays. Gives the disk as the next process finds it.
    pub fn kill(&self) -> Self {
        let mut disk = self.0.lock();
        let next = disk.restarted();
        disk.is_off = true;
        Self(Arc::new(Mutex::new(next)))
    }

    /// The power goes: of what was not synced any subset stays, chosen by `seed`.
    pub fn lose_power(&self, seed: u64) -> Self {
        let mut disk = self.0.lock();
        let mut next = disk.restarted();
        disk.is_off = true;
        next.random ^= seed;
        next.lose_power();
        Self(Arc::new(Mutex::new(next)))
    }

    /// A copy of the disk; both go on.
    pub fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.0.lock().restarted())))
    }

    /// The files' names in order.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.0.lock().names.keys().cloned().collect()
    }

    /// What a file holds.
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let disk = self.0.lock();
        Some(disk.inodes[*disk.names.get(path)?].cache.clone())
    }

    /// Puts a file there, durably, in place of any before it.
    pub fn put(&self, path: &Path, contents: &[u8]) {
        let mut disk = self.0.lock();
        let inode = disk.inodes.len();
        disk.inodes.push(Inode {
            cache: contents.to_vec(),
            platter: contents.to_vec(),
            dirty: BTreeSet::new(),
        });
        disk.names.insert(path.to_owned(), inode);
        disk.names_on_platter.insert(path.to_owned(), inode);
    }
}

impl Disk {
    fn restarted(&self) -> Self {
        let mut next = self.clone();
        next.locked = false;
        next.failing_write = None;
        next.failing_sync = None;
        next
    }

    fn coin(&mut self) -> bool {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random & 1 == 1
    }

    fn check_on(&self) -> io::Result<()> {
        if self.is_off { Err(io::Error::other("the machine is off")) } else { Ok(()) }
    }

    fn named(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn used_bytes(&self) -> u64 {
        self.names.values().map(|inode| self.inodes[*inode].cache.len() as u64).sum()
    }

    /// Copies some dirty sectors to the platter, and forgets that any were dirty.
    fn settle(&mut self, inode: usize, all: bool) {
        let dirty = std::mem::take(&mut self.inodes[inode].dirty);
        let length = self.inodes[inode].cache.len();
        if length != self.inodes[inode].platter.len() && (all || self.coin()) {
            self.inodes[inode].platter.resize(length, 0);
        }
        for sector in dirty {
            if all || self.coin() {
                let node = &mut self.inodes[inode];
                let from = sector * SECTOR_BYTES;
                let to = (from + SECTOR_BYTES).min(node.cache.len()).min(node.platter.len());
                if from < to {
                    node.platter[from..to].copy_from_slice(&node.cache[from..to]);
                }
            }
        }
    }

    fn lose_power(&mut self) {
        for inode in 0..self.inodes.len() {
            self.settle(inode, false);
            self.inodes[inode].cache = self.inodes[inode].platter.clone();
        }
        let mut names = std::mem::take(&mut self.names_on_platter);
        for change in std::mem::take(&mut self.unsynced_names) {
            if !self.coin() {
                continue;
            }
            match change {
                NameChange::Made(path, inode) => {
                    names.insert(path, inode);
                }
                NameChange::Renamed(from, to, inode) => {
                    names.remove(&from);
                    names.insert(to, inode);
                }
                NameChange::Removed(path) => {
                    names.remove(&path);
                }
            }
        }
        self.names.clone_from(&names);
        self.names_on_platter = names;
    }

    /// Whether this sync is the one that fails.
    fn sync_fails(&mut self) -> bool {
        match self.failing_sync.take() {
            Some(0) => true,
            Some(more) => {
                self.failing_sync = Some(more - 1);
                false
            }
            None => false,
        }
    }

    fn put_bytes(&mut self, inode: usize, bytes: &[u8], offset: usize) {
        let node = &mut self.inodes[inode];
        let end = offset + bytes.len();
        if node.cache.len() < end {
            node.cache.resize(end, 0);
        }
        node.cache[offset..end].copy_from_slice(bytes);
        node.dirty.extend(offset / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES));
    }
}

struct FaultyFile {
    disk: Arc<Mutex<Disk>>,
    inode: usize,
}

impl JournalFile for FaultyFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let disk = self.disk.lock();
        disk.check_on()?;
        let cache = &disk.inodes[self.inode].cache;
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(cache.len());
        let count = buffer.len().min(cache.len() - from);
        buffer[..count].copy_from_slice(&cache[from..from + count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut disk = self.disk.lock();
        disk.check_on()?;
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        match disk.failing_write.take() {
            Some((0, arriving)) => {
                disk.put_bytes(self.inode, &bytes[..arriving.min(bytes.len())], offset);
                return Err(io::Error::other("this write was to fail"));
            }
            Some((more, arriving)) => disk.failing_write = Some((more - 1, arriving)),
            None => {}
        }
        let grown = (offset + bytes.len()).saturating_sub(disk.inodes[self.inode].cache.len());
        if disk.used_bytes() + grown as u64 > disk.capacity_bytes && grown > 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        disk.put_bytes(self.inode, bytes, offset);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = self.disk.lock();
        disk.check_on()?;
        let fails = disk.sync_fails();
        disk.settle(self.inode, !fails);
        if fails { Err(io::Error::other("this sync was to fail")) } else { Ok(()) }
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        let mut disk = self.disk.lock();
        disk.check_on()?;
        let length = usize::try_from(length).map_err(io::Error::other)?;
        let grown = length.saturating_sub(disk.inodes[self.inode].cache.len());
        if disk.used_bytes() + grown as u64 > disk.capacity_bytes {
            return Err(io::ErrorKind::StorageFull.into());
        }
        disk.inodes[self.inode].cache.resize(length, 0);
        Ok(())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let mut disk = self.disk.lock();
        disk.check_on()?;
        let length = usize::try_from(length).map_err(io::Error::other)?;
        disk.inodes[self.inode].cache.resize(length, 0);
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        let disk = self.disk.lock();
        disk.check_on()?;
        Ok(disk.inodes[self.inode].cache.len() as u64)
    }
}

/// Frees the lock of the process that held it.
struct Lock(Arc<Mutex<Disk>>);

impl Drop for Lock {
    fn drop(&mut self) {
        self.0.lock().locked = false;
    }
}

impl JournalIo for FaultyIo {
    fn create_folder(&self, _folder: &Path) -> io::Result<()> {
        self.0.lock().check_on()
    }

    fn lock(&self, _path: &Path) -> io::Result<Option<Box<dyn Send>>> {
        let mut disk = self.0.lock();
        disk.check_on()?;
        if std::mem::replace(&mut disk.locked, true) {
            return Ok(None);
        }
        Ok(Some(Box::new(Lock(Arc::clone(&self.0)))))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let disk = self.0.lock();
        disk.check_on()?;
        let inside = disk.names.keys().filter(|path| path.parent() == Some(folder));
        Ok(inside.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn JournalFile>> {
        let mut disk = self.0.lock();
        disk.check_on()?;
        if disk.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = disk.inodes.len();
        disk.inodes.push(Inode::default());
        disk.names.insert(path.to_owned(), inode);
        disk.unsynced_names.push(NameChange::Made(path.to_owned(), inode));
        Ok(Arc::new(FaultyFile { disk: Arc::clone(&self.0), inode }))
    }

    fn open(&self, path: &Path, _writable: bool) -> io::Result<Arc<dyn JournalFile>> {
        let disk = self.0.lock();
        disk.check_on()?;
        let inode = disk.named(path)?;
        Ok(Arc::new(FaultyFile { disk: Arc::clone(&self.0), inode }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.check_on()?;
        let inode = disk.named(from)?;
        disk.names.remove(from);
        disk.names.insert(to.to_owned(), inode);
        disk.unsynced_names.push(NameChange::Renamed(from.to_owned(), to.to_owned(), inode));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.check_on()?;
        disk.named(path)?;
        disk.names.remove(path);
        disk.unsynced_names.push(NameChange::Removed(path.to_owned()));
        Ok(())
    }

    fn sync_folder(&self, _folder: &Path) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.check_on()?;
        if disk.sync_fails() {
            return Err(io::Error::other("this folder sync was to fail"));
        }
        disk.unsynced_names.clear();
        disk.names_on_platter = disk.names.clone();
        Ok(())
    }

    fn free_bytes(&self, _folder: &Path) -> io::Result<u64> {
        let disk = self.0.lock();
        disk.check_on()?;
        Ok(disk.capacity_bytes.saturating_sub(disk.used_bytes()))
    }
}
