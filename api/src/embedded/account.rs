//! Who the server runs as. PostgreSQL refuses root, so root hands the cluster to an unprivileged user.

use super::error::{EmbeddedError, io_error};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Tried in this order: the distribution's own, macOS's, and the one that every system has.
const NAMES: [&str; 3] = ["postgres", "_postgres", "nobody"];

/// The user and group that own the cluster and run the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Account {
    /// User number.
    pub(super) uid: u32,
    /// Group number.
    pub(super) gid: u32,
    /// Is it another than ours, so that we have to step down to it?
    pub(super) step_down: bool,
}

/// The account for the cluster at `cluster` (which need not exist yet): as root its present owner, else an
/// unprivileged user; not as root, ourselves.
pub(super) fn choose(cluster: &Path) -> Result<Account, EmbeddedError> {
    let ours = rustix::process::geteuid().as_raw();
    let owner = match std::fs::metadata(cluster) {
        Ok(metadata) => Some((metadata.uid(), metadata.gid())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(io_error("look at", cluster)(error)),
    };
    if ours != 0 {
        return match owner {
            Some((owner, _)) if owner != ours => {
                Err(EmbeddedError::OtherOwner { path: cluster.into(), owner, ours })
            }
            _ => Ok(Account { uid: ours, gid: rustix::process::getegid().as_raw(), step_down: false }),
        };
    }
    if let Some((uid, gid)) = owner.filter(|(uid, _)| *uid != 0) {
        return Ok(Account { uid, gid, step_down: true });
    }
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let (uid, gid) = unprivileged(&passwd).ok_or(EmbeddedError::NoAccount)?;
    Ok(Account { uid, gid, step_down: true })
}

fn unprivileged(passwd: &str) -> Option<(u32, u32)> {
    NAMES.iter().find_map(|name| {
        passwd.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            if fields.first() != Some(name) {
                return None;
            }
            let uid: u32 = fields.get(2)?.parse().ok()?;
            let gid: u32 = fields.get(3)?.parse().ok()?;
            (uid != 0).then_some((uid, gid))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postgres_is_preferred_and_root_never_taken() {
        let passwd = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65533::/:/bin/false\n";
        assert_eq!(unprivileged(passwd), Some((65_534, 65_533)));
        assert_eq!(unprivileged(&format!("{passwd}postgres:x:101:104::/:/bin/sh\n")), Some((101, 104)));
        assert_eq!(unprivileged("postgres:x:0:0::/:/bin/sh\n"), None);
    }
}
