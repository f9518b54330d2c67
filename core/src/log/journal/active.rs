//! The segment being written.
//!
//! Problem: `fallocate` alone leaves unwritten extents, whose conversion makes every fdatasync commit the
//! file system's own journal too. Zeros written ahead make it a plain overwrite, at the median a third
//! faster on ext4; they are written a megabyte at a time and go out with the sync that is due anyway.

use super::io::JournalFile;
use std::io;
use std::sync::Arc;
use std::time::Instant;

/// Zeros written ahead of the records, see the module.
const ZERO_AHEAD_BYTES: usize = 1 << 20;
/// A group this large pays for its own metadata commit; zeros before it would only double the writing.
const ZERO_AHEAD_GROUP_MAX_BYTES: usize = ZERO_AHEAD_BYTES / 4;

pub(super) struct Active {
    pub(super) file: Arc<dyn JournalFile>,
    pub(super) base: u64,
    pub(super) file_bytes: u64,
    pub(super) offset: u64,
    pub(super) zeroed_to: u64,
    pub(super) clicks: u64,
    pub(super) opened: Instant,
}

/// What [`Active::write`] writes ahead.
pub(super) fn zeros() -> Vec<u8> {
    vec![0; ZERO_AHEAD_BYTES]
}

impl Active {
    pub(super) fn write(&mut self, bytes: &[u8], zeros: &[u8]) -> io::Result<()> {
        self.file.write_at(bytes, self.offset)?;
        self.offset += bytes.len() as u64;
        if self.offset > self.zeroed_to {
            self.zeroed_to = self.offset;
            if bytes.len() <= ZERO_AHEAD_GROUP_MAX_BYTES {
                let count = (self.file_bytes - self.offset).min(zeros.len() as u64);
                self.file.write_at(&zeros[..count as usize], self.offset)?;
                self.zeroed_to += count;
            }
        }
        Ok(())
    }
}
