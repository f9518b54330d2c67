//! The archive: the judged log in the object store, compressed, without raw addresses.
//!
//! Problem: the journal's segments go after they were judged, but a year later an audit must be able to
//! fold the same clicks again. So the reader of the judged log writes them into files that name each other
//! by hash.
//!
//! Invariants: entries stand in position order, each once, none beyond the stored position (so the
//! quarantined positions of a file are known when it is written), and what a shared log holds again only at its
//! first place; a file becomes visible whole or not at all, and never changes; a part of the log is released only after its file is durably there. A restart goes on after the
//! last file; what was gathered and not yet written is read from the log again. Old files go from the
//! beginning (`expire`); what stays can be verified from its own first file on, and replayed but for its first two
//! days, whose verdicts are taken over from the store.

mod expire;
mod file;
mod handle;
mod read;
mod replay;
mod s3;
#[cfg(test)]
mod tests;
mod write;

pub use expire::delete_before;
pub use file::{FileHeader, Place};
pub use handle::{ArchiveHandle, spawn, spawn_assigned};
pub use object_store::ObjectStore;
pub use read::{files, read};
pub use replay::{Beginning, Compared, Difference, ReplayReport, replay, replay_all};
pub use s3::{S3Error, S3Settings, s3, s3_check, s3_prefix};

use gonggumoa_core::judge::RulesError;
use gonggumoa_core::log::LogError;
use gonggumoa_core::log::arrivals::Gap;
use gonggumoa_core::store::StoreError;
use object_store::local::LocalFileSystem;
use std::sync::Arc;
use std::time::Duration;

/// When files are cut.
#[derive(Clone, Debug)]
pub struct ArchiveConfig {
    /// Cut at so many bytes before compression. 64 MiB is some 10 MB on disk: few files, and little to
    /// gather again after a crash.
    pub file_bytes_max: u64,
    /// Cut after this time, so that quiet segments can go too.
    pub file_age_max: Duration,
    /// How often the stored position is asked for while waiting for it.
    pub poll_interval: Duration,
    /// Entries taken from the log at once.
    pub entries_max: usize,
}

impl Default for ArchiveConfig {
    fn default() -> Self {
        Self {
            file_bytes_max: 64 * 1024 * 1024,
            file_age_max: Duration::from_secs(3_600),
            poll_interval: Duration::from_millis(500),
            entries_max: 4_096,
        }
    }
}

/// Why the archive cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The object store did not answer.
    #[error("the object store failed at {file}")]
    Objects {
        /// The object or folder.
        file: String,
        /// Its reason.
        source: object_store::Error,
    },
    /// A file is not what was written.
    #[error("archive file {file} is damaged: {problem}")]
    Damaged {
        /// The file.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// A file is missing before this one, or was put in.
    #[error("archive file {file} does not follow the one before it")]
    Chain {
        /// The file.
        file: String,
    },
    /// Another process has written this file: it archives the partition too.
    #[error("archive file {file} was written by another process")]
    Overtaken {
        /// The file.
        file: String,
    },
    /// A record is missing from a shared log.
    #[error("the log cannot be archived further")]
    Gap(#[from] Gap),
    /// The log cannot be read.
    #[error("the log cannot be archived")]
    Log(#[from] LogError),
    /// The click store did not answer.
    #[error("the stored position cannot be read")]
    Store(#[from] StoreError),
    /// The archive's rules cannot judge.
    #[error("the archived rules cannot judge")]
    Rules(#[from] RulesError),
    /// Compression failed.
    #[error("an archive file cannot be made")]
    Io(#[from] std::io::Error),
}

impl ArchiveError {
    /// Whether the same call may work later.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Objects { .. } | Self::Overtaken { .. } | Self::Io(_) => true,
            Self::Gap(gap) => gap.retryable(),
            Self::Damaged { .. } | Self::Chain { .. } => false,
            Self::Rules(error) => error.retryable(),
            Self::Log(error) => error.retryable(),
            Self::Store(error) => error.retryable(),
        }
    }
}

/// The object store in a local folder, which is created: every put is written aside, synced, renamed into
/// place, and its directory synced.
pub fn local_folder(folder: &std::path::Path) -> Result<Arc<dyn ObjectStore>, ArchiveError> {
    std::fs::create_dir_all(folder)?;
    let objects = LocalFileSystem::new_with_prefix(folder)
        .map_err(|source| ArchiveError::Objects { file: folder.display().to_string(), source })?;
    Ok(Arc::new(objects.with_fsync(true)))
}
