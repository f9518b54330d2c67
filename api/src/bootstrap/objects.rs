//! The object store of the archive, as the settings name it.

use crate::config::Config;
use crate::secrets;
use gonggumoa_analytics::archive::{self, ObjectStore};
use std::path::Path;
use std::sync::Arc;

/// Opens it. A store that refuses the settings ends the start, with the setting's name; one that does not answer
/// does not: the archive waits for it, and says so, while clicks are taken and judged.
pub(super) async fn objects(config: &Config, data_dir: &Path) -> anyhow::Result<Arc<dyn ObjectStore>> {
    let Some(settings) = &config.objects else {
        let folder = config.archive_dir.clone().unwrap_or_else(|| data_dir.join("archive"));
        // It holds masked addresses, agents and account ids: nobody else's to read.
        secrets::private_folder(&folder)?;
        return Ok(archive::local_folder(&folder)?);
    };
    let objects = archive::s3(settings)?;
    match archive::s3_check(&*objects).await {
        Ok(()) => tracing::info!(archive.store = ?settings, "the object store takes the archive"),
        Err(error) if error.retryable() => tracing::error!(
            archive.store = ?settings,
            archive.problem = %error,
            "the object store does not answer (AWS_ENDPOINT_URL); the log is kept until it does"
        ),
        Err(error) => return Err(error.into()),
    }
    Ok(objects)
}
