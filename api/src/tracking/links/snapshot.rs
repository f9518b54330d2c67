//! The redirect table on disk, for a start while PostgreSQL is down.
//!
//! One header line (format, fingerprint of the address key, count, checksum of the rest), then one
//! JSON line a link. Written to a temporary file, synced, renamed: a reader sees the old or the new
//! one, whole. Whatever is not exactly what was written is refused, never used in part.

use crate::tracking::links::Link;
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::{GongguId, UserId};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

const FORMAT: &str = "gonggumoa-links-1";
/// For us alone: it lists what is not open yet, and whoever could write it would choose where buyers go.
const MODE: u32 = 0o600;

/// Why a snapshot cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The file system.
    #[error("the link snapshot cannot be read or written")]
    Io(#[from] io::Error),
    /// Not what was written.
    #[error("the link snapshot is damaged: {0}")]
    Damaged(&'static str),
    /// Written under another address key: visitors would be counted anew.
    #[error("the link snapshot was written under the address key {found}, this process has {ours}")]
    ForeignKey {
        /// The key in the file.
        found: String,
        /// The key of this process.
        ours: String,
    },
}

impl SnapshotError {
    /// Whether the same call may work later.
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Io(_))
    }
}

#[derive(Serialize, Deserialize)]
struct Line {
    gonggu_id: GongguId,
    owner_id: UserId,
    opens_at: UnixMillis,
    closes_at: UnixMillis,
    suspended_at: Option<UnixMillis>,
    external_url: String,
}

/// The file's bytes.
pub fn encode<'a>(links: impl Iterator<Item = &'a Link>, fingerprint: &str) -> Vec<u8> {
    let mut body = Vec::new();
    let mut count = 0u64;
    for link in links {
        let line = Line {
            gonggu_id: link.gonggu_id,
            owner_id: link.owner_id,
            opens_at: link.opens_at,
            closes_at: link.catalog_closes_at,
            suspended_at: link.suspended_at,
            external_url: link.external_url.to_string(),
        };
        if serde_json::to_writer(&mut body, &line).is_ok() {
            body.push(b'\n');
            count += 1;
        }
    }
    let mut file = format!("{FORMAT} {fingerprint} {count} {}\n", blake3::hash(&body).to_hex()).into_bytes();
    file.append(&mut body);
    file
}

/// The links of a file's bytes.
pub fn decode(bytes: &[u8], fingerprint: &str) -> Result<Vec<Link>, SnapshotError> {
    let end = bytes.iter().position(|byte| *byte == b'\n').ok_or(SnapshotError::Damaged("no header"))?;
    let header = std::str::from_utf8(&bytes[..end]).map_err(|_| SnapshotError::Damaged("header"))?;
    let body = &bytes[end + 1..];
    let fields: Vec<&str> = header.split(' ').collect();
    let [format, found, count, checksum] = fields[..] else { return Err(SnapshotError::Damaged("header")) };
    if format != FORMAT {
        return Err(SnapshotError::Damaged("unknown format"));
    }
    if checksum != blake3::hash(body).to_hex().as_str() {
        return Err(SnapshotError::Damaged("checksum"));
    }
    if found != fingerprint {
        return Err(SnapshotError::ForeignKey { found: found.to_owned(), ours: fingerprint.to_owned() });
    }
    let links = body
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| {
            let line: Line = serde_json::from_slice(line).map_err(|_| SnapshotError::Damaged("line"))?;
            let link = Link::new(
                line.gonggu_id,
                line.owner_id,
                (line.opens_at, line.closes_at),
                line.suspended_at,
                &line.external_url,
            );
            link.ok_or(SnapshotError::Damaged("address"))
        })
        .collect::<Result<Vec<_>, _>>()?;
    if count.parse() != Ok(links.len()) {
        return Err(SnapshotError::Damaged("count"));
    }
    Ok(links)
}

/// Puts the file in place. Blocks.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), SnapshotError> {
    let temporary = path.with_extension("tmp");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(&temporary)?;
    // one that a crash left behind keeps the mode that it had
    file.set_permissions(Permissions::from_mode(MODE))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Reads the file; `None` if there is none. Blocks.
pub fn read(path: &Path, fingerprint: &str) -> Result<Option<Vec<Link>>, SnapshotError> {
    match fs::read(path) {
        Ok(bytes) => decode(&bytes, fingerprint).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
