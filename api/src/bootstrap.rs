//! Wiring: opens what a server needs, in order, and closes it in reverse.

use crate::config::Config;
use crate::database::{Database, Ownership};
use crate::health::{self, Readiness};
use crate::secrets::{self, Secrets};
use crate::{admin_account, listener, migrate, telemetry};
use anyhow::{Context, bail};
use std::path::Path;
use tokio::signal::unix::{SignalKind, signal};

/// Serves until the process is told to stop.
pub fn serve(config: Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new().context("cannot start the async runtime")?;
    runtime.block_on(serve_until_stopped(config))
}

/// Checks a journal.
pub fn verify_journal(dir: &Path) -> anyhow::Result<(String, bool)> {
    bail!("there is no journal in {}", dir.display())
}

async fn serve_until_stopped(config: Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    // Before any child is started: none may inherit it.
    let listener = listener::listen(config.http.address())?;
    let data_dir = secrets::prepare_data_dir(&config.data_dir)?;
    let secrets = Secrets::load(&config, &data_dir)?;
    let recorded = telemetry::record_metrics()?;
    let _metrics = match config.metrics_addr {
        Some(address) => Some(telemetry::serve_metrics(address, recorded).await?),
        None => None,
    };
    let readiness = Readiness::default();
    let part = readiness.part("database");

    let database = Database::open(&config, &data_dir, Ownership::Own).await?;
    let pool = database.pool(10);
    let whole = async {
        migrate::run(&database.options()).await?;
        secrets::check_address_key(&pool, &secrets.address_key).await?;
        if let Some(admin) = &config.admin {
            admin_account::create(&pool, &admin.email, &admin.password).await?;
        }
        part.ready();
        let listener = tokio::net::TcpListener::from_std(listener)?;
        tracing::info!(address = %listener.local_addr()?, "serving");
        axum::serve(listener, health::router::<()>(readiness)).await?;
        anyhow::Ok(())
    };
    let result = tokio::select! {
        result = whole => result,
        _ = terminate.recv() => Ok(()),
        _ = tokio::signal::ctrl_c() => Ok(()),
    };
    pool.close().await;
    let stopped = database.stop().await;
    result?;
    Ok(stopped?)
}
