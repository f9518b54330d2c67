//! The file layer under the journal, so that tests can make it fail.
//!
//! Problem: promises about crashes cannot be tested on a disk that never fails. Everything the journal
//! does to files goes through [`JournalIo`]; [`RealIo`] is the machine's file system, `faulty::FaultyIo`
//! a model of one that fails, tears and loses power on command.

use rustix::fs::{FallocateFlags, FlockOperation};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

/// A file of the journal. Reads and writes name their offset: there is no cursor to share.
pub trait JournalFile: Send + Sync {
    /// Reads at most `buffer.len()` bytes; fewer only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `bytes`. After an error any part of them may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes contents and length durable.
    fn sync(&self) -> io::Result<()>;
    /// Takes space for `length` bytes, which then read as zeros and are part of the length.
    fn allocate(&self, length: u64) -> io::Result<()>;
    /// Cuts (or lengthens) the file.
    fn set_length(&self, length: u64) -> io::Result<()>;
    /// The length now.
    fn length(&self) -> io::Result<u64>;
}

/// What the journal asks of a file system.
pub trait JournalIo: Send + Sync + 'static {
    /// Makes the folder and those above it.
    fn create_folder(&self, folder: &Path) -> io::Result<()>;
    /// Takes the lock file for this process; `None`: somebody holds it. Dropping it frees it.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send>>>;
    /// The names in the folder.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;
    /// Creates a file that MUST not exist, for reading and writing.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn JournalFile>>;
    /// Opens a file that exists.
    fn open(&self, path: &Path, writable: bool) -> io::Result<Arc<dyn JournalFile>>;
    /// Gives a file a name, in place of a file that had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Takes a file's name away.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the folder's names durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    /// Bytes that this user may still take on the file system.
    fn free_bytes(&self, folder: &Path) -> io::Result<u64>;
}

/// The machine's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealIo;

/// The journal holds raw addresses: its files are the owner's alone.
const FILE_MODE: u32 = 0o600;
/// Zeros written at a time where `fallocate` is not supported.
const ZERO_CHUNK_BYTES: usize = 1 << 20;

impl JournalFile for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match FileExt::read_at(self, &mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        match rustix::fs::fallocate(self, FallocateFlags::empty(), 0, length) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::OPNOTSUPP) => {
                let zeros = vec![0; ZERO_CHUNK_BYTES];
                let mut offset = 0;
                while offset < length {
                    let count = (length - offset).min(ZERO_CHUNK_BYTES as u64);
                    self.write_all_at(&zeros[..count as usize], offset)?;
                    offset += count;
                }
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

impl JournalIo for RealIo {
    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        std::fs::create_dir_all(folder)?;
        // The folder's own name must outlive a crash too.
        match folder.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
            _ => Ok(()),
        }
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send>>> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(FILE_MODE).open(path)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn JournalFile>> {
        let file = OpenOptions::new().create_new(true).read(true).write(true).mode(FILE_MODE).open(path)?;
        Ok(Arc::new(file))
    }

    fn open(&self, path: &Path, writable: bool) -> io::Result<Arc<dyn JournalFile>> {
        Ok(Arc::new(OpenOptions::new().read(true).write(writable).open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    fn free_bytes(&self, folder: &Path) -> io::Result<u64> {
        let status = rustix::fs::statvfs(folder)?;
        Ok(status.f_bavail.saturating_mul(status.f_frsize))
    }
}
