//! A disk in memory that tells a test of some calls before it does them, or not.

use super::super::io::JournalFile;
use super::*;
use std::io;

/// A call that a test is told of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Call<'a> {
    Create(&'a Path),
    Open(&'a Path),
    Remove(&'a Path),
    Read,
}

type Hook = Arc<dyn Fn(Call<'_>) -> io::Result<()> + Send + Sync>;

#[derive(Clone)]
pub(super) struct HookedIo {
    inner: FaultyIo,
    hook: Hook,
}

impl HookedIo {
    pub(super) fn new(
        inner: &FaultyIo,
        hook: impl Fn(Call<'_>) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self { inner: inner.clone(), hook: Arc::new(hook) }
    }

    fn file(&self, inner: Arc<dyn JournalFile>) -> Arc<dyn JournalFile> {
        Arc::new(HookedFile { inner, hook: Arc::clone(&self.hook) })
    }
}

struct HookedFile {
    inner: Arc<dyn JournalFile>,
    hook: Hook,
}

impl JournalFile for HookedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        (self.hook)(Call::Read)?;
        self.inner.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.inner.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.inner.sync()
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        self.inner.allocate(length)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.inner.set_length(length)
    }

    fn length(&self) -> io::Result<u64> {
        self.inner.length()
    }
}

impl JournalIo for HookedIo {
    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        self.inner.create_folder(folder)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send>>> {
        self.inner.lock(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.inner.list(folder)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn JournalFile>> {
        (self.hook)(Call::Create(path))?;
        Ok(self.file(self.inner.create(path)?))
    }

    fn open(&self, path: &Path, writable: bool) -> io::Result<Arc<dyn JournalFile>> {
        (self.hook)(Call::Open(path))?;
        Ok(self.file(self.inner.open(path, writable)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        (self.hook)(Call::Remove(path))?;
        self.inner.remove(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.inner.sync_folder(folder)
    }

    fn free_bytes(&self, folder: &Path) -> io::Result<u64> {
        self.inner.free_bytes(folder)
    }
}
