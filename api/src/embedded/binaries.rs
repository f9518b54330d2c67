//! Finds PostgreSQL's server programs. Distributions keep them out of `PATH`, each in its own way.

use super::error::EmbeddedError;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The schema needs `NULLS NOT DISTINCT`.
pub(super) const MAJOR_MIN: u32 = 15;

/// One installed server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Binaries {
    /// Its major version.
    pub(super) major: u32,
    /// The folder of `postgres` and `initdb`.
    pub(super) folder: PathBuf,
}

impl Binaries {
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// The servers at hand, newest first. A folder given by the operator is the only one looked at.
pub(super) fn find(given: Option<&Path>) -> Result<Vec<Binaries>, EmbeddedError> {
    let folders = match given {
        Some(folder) => vec![folder.to_owned()],
        None => usual_folders(),
    };
    let mut found: Vec<Binaries> = folders.iter().filter_map(|folder| inspect(folder)).collect();
    // Stable: of two folders with one version the earlier, more specific one stays first.
    found.sort_by_key(|binaries| std::cmp::Reverse(binaries.major));
    if found.is_empty() {
        let looked_in = match given {
            Some(folder) => format!("PG_BIN_DIR, {}", folder.display()),
            None => "pg_config --bindir, /usr/lib/postgresql/*/bin, /usr/pgsql-*/bin, Homebrew, PATH".into(),
        };
        return Err(EmbeddedError::NoBinaries { looked_in });
    }
    Ok(found)
}

/// The server for a cluster of this version, or the newest for a new one.
pub(super) fn choose(
    found: Vec<Binaries>,
    cluster: Option<u32>,
    path: &Path,
) -> Result<Binaries, EmbeddedError> {
    let versions = found.iter().map(|binaries| binaries.major.to_string()).collect::<Vec<_>>().join(", ");
    let wanted = |binaries: &Binaries| match cluster {
        Some(cluster) => binaries.major == cluster,
        None => binaries.major >= MAJOR_MIN,
    };
    found.into_iter().find(wanted).ok_or_else(|| match cluster {
        Some(cluster) => EmbeddedError::OtherVersion { path: path.into(), cluster, found: versions },
        None => EmbeddedError::TooOld { least: MAJOR_MIN, found: versions },
    })
}

fn usual_folders() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output()
        && output.status.success()
    {
        folders.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    // Debian and Ubuntu, the PostgreSQL project's RPMs, Homebrew on both kinds of Mac.
    folders.extend(versioned("/usr/lib/postgresql", "", "bin"));
    folders.extend(versioned("/usr", "pgsql-", "bin"));
    folders.extend(versioned("/opt/homebrew/opt", "postgresql", "bin"));
    folders.extend(versioned("/usr/local/opt", "postgresql", "bin"));
    folders.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
    folders
}

fn versioned(parent: &str, prefix: &str, below: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(parent) else { return Vec::new() };
    let mut folders: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path().join(below))
        .collect();
    folders.sort();
    folders
}

fn inspect(folder: &Path) -> Option<Binaries> {
    if !folder.join("initdb").is_file() || !folder.join("postgres").is_file() {
        return None;
    }
    let output = Command::new(folder.join("postgres")).arg("--version").output().ok()?;
    let major = major_of(&String::from_utf8_lossy(&output.stdout))?;
    Some(Binaries { major, folder: folder.to_owned() })
}

/// `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, `… 18beta1` and the like.
fn major_of(version: &str) -> Option<u32> {
    let number = version.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(major_of("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(major_of("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major_of("something else"), None);
    }

    #[test]
    fn missing_programs_are_one_clear_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let error = find(Some(folder.path())).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("apt-get install postgresql") && text.contains("PG_BIN_DIR"), "{text}");
        assert!(!text.contains('\n') && !error.retryable());
    }

    #[test]
    fn a_cluster_gets_its_own_version_and_a_new_one_the_newest() {
        let all = || [18, 16, 14].map(|major| Binaries { major, folder: PathBuf::new() }).to_vec();
        let path = Path::new("/data/postgres");
        assert_eq!(choose(all(), None, path).unwrap().major, 18);
        assert_eq!(choose(all(), Some(16), path).unwrap().major, 16);
        let text = choose(all(), Some(15), path).unwrap_err().to_string();
        assert!(text.contains("made by PostgreSQL 15") && text.contains("18, 16, 14"), "{text}");
        let old = vec![Binaries { major: 14, folder: PathBuf::new() }];
        assert!(matches!(choose(old, None, path), Err(EmbeddedError::TooOld { .. })));
    }
}
