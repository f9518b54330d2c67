//! Where the archive of the log is kept.

use crate::config::Config;
use crate::secrets;
use gonggumoa_analytics::archive;
use object_store::ObjectStore;
use std::path::Path;
use std::sync::Arc;

/// The archive's object store: a folder of the data folder. It holds masked addresses, agents and account ids:
/// nobody else's to read.
pub(super) fn objects(_config: &Config, data_dir: &Path) -> anyhow::Result<Arc<dyn ObjectStore>> {
    let folder = data_dir.join("archive");
    secrets::private_folder(&folder)?;
    Ok(archive::local_folder(&folder)?)
}
