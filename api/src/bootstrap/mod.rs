//! Wiring: opens what a server needs, in order, and closes it in reverse. The only place that names
//! concrete providers.
//!
//! ```text
//!   open:   listener → data folder, secrets → journal → database → links → judging side → HTTP
//!   close:  HTTP → journal → judging side (drained) → links → database
//! ```
//!
//! Invariants: a click is only taken once the journal is open; with a database of the operator's that
//! does not answer, redirects run from the links' snapshot and the judging side follows when it can;
//! a stop ends within its deadline, and what is not stored by then stays in the journal.

mod accounts;
mod background;
mod monitor;

use crate::app::{App, AppDependencies};
use crate::auth::identity::Identities;
use crate::auth::tokens::AccessTokens;
use crate::config::Config;
use crate::database::{Database, Ownership};
use crate::health::{self, Readiness};
use crate::http::settings::HttpSettings;
use crate::http::shared_cache::MemoryCache;
use crate::http::{openapi, server};
use crate::secrets::{self, Secrets};
use crate::tracking::figures::StoreFigures;
use crate::tracking::links::{Links, LinksDependencies};
use crate::{listener, telemetry};
use accounts::AccountTasks;
use anyhow::Context;
use background::Judging;
use gonggumoa_analytics::postgres::PostgresClickStore;
use gonggumoa_core::clock::SystemClock;
use gonggumoa_core::live::MemoryCounters;
use gonggumoa_core::log::journal::io::RealIo;
use gonggumoa_core::log::journal::{self, Journal, JournalConfig, SegmentReport};
use rustix::process::{Resource, getrlimit, setrlimit};
use secrecy::ExposeSecret;
use sqlx::PgPool;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Connections of the catalog: more than two a core only wait for each other.
const CATALOG_CONNECTIONS_MAX: u32 = 16;
/// Some ten thousand pages and details of the catalog: more than are asked for within their second.
const SHARED_CACHE_BYTES: u64 = 64 << 20;
/// The start waits this long for the judging side to say that it can work. Serving does not need it; but
/// a store of another history should be refused before the first click is taken.
const SETTLE_TIME: Duration = Duration::from_secs(5);
/// What a mail that is being sent may take of a stop.
const MAIL_STOP_TIME: Duration = Duration::from_secs(3);

/// Serves until the process is told to stop.
pub fn serve(config: Config) -> anyhow::Result<()> {
    raise_open_files_limit();
    let runtime = tokio::runtime::Runtime::new().context("cannot start the async runtime")?;
    let result = runtime.block_on(serve_until_stopped(config));
    // A password check may still be running; nobody waits for its answer.
    runtime.shutdown_background();
    result
}

/// A shell's usual 1,024 open files would be fewer than the connections we take; the hard limit is what the
/// operator really allows.
fn raise_open_files_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(limit.problem = %error, "the limit of open files stays as it was");
    }
}

/// Checks a journal.
pub fn verify_journal(dir: &Path) -> anyhow::Result<(String, bool)> {
    let report = journal::verify(dir)?;
    let mut text = String::new();
    for SegmentReport { segment, run, first_sequence, last_sequence, records, clicks, state } in
        &report.segments
    {
        let state = state.as_str();
        writeln!(
            text,
            "{segment}  run {run}  sequences {first_sequence}..{last_sequence}  {records} records, {clicks} clicks  {state}"
        )?;
    }
    for problem in &report.problems {
        writeln!(text, "{}: offset {}: {}", problem.segment, problem.offset, problem.problem)?;
    }
    let sound = report.problems.is_empty();
    writeln!(
        text,
        "{} segments, {} clicks: {}",
        report.segments.len(),
        report.clicks(),
        if sound { "sound" } else { "NOT sound" }
    )?;
    Ok((text, sound))
}

/// What stays open from start to stop.
struct Opened {
    config: Config,
    data_dir: PathBuf,
    secrets: Secrets,
    journal: Journal,
    database: Arc<Database>,
    readiness: Readiness,
}

impl Opened {
    /// What redirects run from while the database is away.
    fn links_snapshot(&self) -> PathBuf {
        self.data_dir.join("links.snapshot")
    }
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
    let stop = Stop::default();
    let told = stop.clone();
    let signals = tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        tracing::info!("stopping: no new connections, open ones are told to close");
        told.now();
    });
    let journal = open_journal(&config, &data_dir)?;
    let opening = Database::open(&config, &data_dir, Ownership::Own);
    // A server that is still coming up is taken over by the next start.
    let Some(database) = stop.token.run_until_cancelled(opening).await else { return Ok(()) };
    let database = Arc::new(database?);
    let opened = Opened { config, data_dir, secrets, journal, database, readiness: Readiness::default() };
    let result = run(&opened, listener, &stop).await;
    signals.abort();
    // After a failed start the journal is open too; closing twice is closing once.
    let _ = opened.journal.close().await;
    let stopped = opened.database.stop().await;
    result?;
    stopped.context("the private PostgreSQL did not stop in order")?;
    tracing::info!("stopped");
    Ok(())
}

fn open_journal(config: &Config, data_dir: &Path) -> anyhow::Result<Journal> {
    let folder = data_dir.join("journal");
    // It holds raw addresses, agents and account ids: nobody else's to read.
    secrets::private_folder(&folder)?;
    let settings = JournalConfig {
        max_bytes: config.journal.max_bytes,
        disk_reserve_bytes: config.journal.reserve_bytes,
        ..JournalConfig::new(folder)
    };
    let started = Instant::now();
    let journal = Journal::open(settings, Arc::new(SystemClock), Arc::new(RealIo))?;
    tracing::info!(journal.run = %journal.run(), journal.through = %journal.durable_position().through,
        journal.open_millis = started.elapsed().as_millis() as u64, "the journal is open");
    Ok(journal)
}

/// A stop: told once, remembered with its time, from which every deadline is counted.
#[derive(Clone, Default)]
struct Stop {
    token: CancellationToken,
    told_at: Arc<OnceLock<Instant>>,
}

impl Stop {
    fn now(&self) {
        self.told_at.get_or_init(Instant::now);
        self.token.cancel();
    }

    /// What is left until `time` after the stop was told.
    fn left(&self, time: Duration) -> Duration {
        (*self.told_at.get_or_init(Instant::now) + time).saturating_duration_since(Instant::now())
    }
}

/// What runs beside the HTTP side.
struct Beside {
    links: JoinHandle<()>,
    links_stop: CancellationToken,
    judging: Judging,
    monitor: JoinHandle<()>,
    accounts: AccountTasks,
}

async fn run(opened: &Opened, listener: std::net::TcpListener, stop: &Stop) -> anyhow::Result<()> {
    let pool = opened.database.pool(CATALOG_CONNECTIONS_MAX);
    let prepared = background::prepare_now(opened, &pool, &stop.token).await?;
    let identities = Identities::new();
    let links = Arc::new(Links::new(LinksDependencies {
        pool: pool.clone(),
        clock: Arc::new(SystemClock),
        identities: identities.clone(),
        key_fingerprint: opened.secrets.address_key.fingerprint(),
        snapshot_path: Some(opened.links_snapshot()),
    }));
    links.load().await?;
    let links_stop = CancellationToken::new();
    let links_task = tokio::spawn(Arc::clone(&links).run(links_stop.clone()));
    let counters = Arc::new(MemoryCounters::default());
    let (database_ready, when_ready) = oneshot::channel();
    let judging = Judging::start(opened, Arc::clone(&counters), when_ready, stop.clone())?;
    let monitor = monitor::spawn(opened, &pool, Arc::clone(&links), judging.status(), judging.archive());
    let accounts = AccountTasks::start(opened, &pool, &identities)?;
    let beside = Beside { links: links_task, links_stop, judging, monitor, accounts };

    let settings = http_settings(&opened.config, &listener);
    let app = app(opened, settings, pool.clone(), links, counters, identities, stop);
    let preparing = async {
        let prepared = match prepared {
            None => background::prepare_when_reachable(opened, &pool, &stop.token).await,
            ready => Ok(ready),
        };
        if prepared.is_err() {
            stop.now();
        }
        // A judging side that is already stopping needs it no more.
        prepared.map(|prepared| prepared.map(|prepared| database_ready.send(prepared).is_ok()))
    };
    let serving = async {
        if opened.database.is_embedded() {
            beside.judging.settled(SETTLE_TIME).await;
        }
        serve_http(opened, app, listener, stop).await
    };
    let (prepared, served) = tokio::join!(preparing, serving);
    stop.now();
    let closed = close(opened, beside, &pool, stop).await;
    prepared?;
    served?;
    closed
}

fn app(
    opened: &Opened,
    settings: HttpSettings,
    pool: PgPool,
    links: Arc<Links>,
    counters: Arc<MemoryCounters>,
    identities: Identities,
    stop: &Stop,
) -> App {
    let tokens = AccessTokens::new(
        opened.secrets.jwt_key.expose_secret(),
        opened.config.tokens.algorithm.into(),
        settings.access_token_minutes,
    );
    App::new(AppDependencies {
        settings,
        figures: Arc::new(StoreFigures::new(Arc::new(PostgresClickStore::new(pool.clone())))),
        pool,
        sink: Arc::new(opened.journal.clone()),
        links,
        counters,
        shared_cache: Arc::new(MemoryCache::new(SHARED_CACHE_BYTES)),
        address_key: opened.secrets.address_key.clone(),
        tokens,
        identities,
        clock: Arc::new(SystemClock),
        shutdown: stop.token.clone(),
    })
}

/// Serves until told to stop; open requests get half of the time that a stop may take.
async fn serve_http(
    opened: &Opened,
    app: App,
    listener: std::net::TcpListener,
    stop: &Stop,
) -> anyhow::Result<()> {
    if stop.token.is_cancelled() {
        return Ok(());
    }
    let router = openapi::router(&app, health::router(opened.readiness.clone()));
    let listener = tokio::net::TcpListener::from_std(listener)?;
    tracing::info!(address = %listener.local_addr()?, "serving");
    server::serve(listener, app, router, stop.token.clone(), opened.config.shutdown_timeout / 2)
        .await
        .context("cannot start the threads of the edge")
}

/// Nothing new comes in: flushes, stores what the time allows, and closes. PostgreSQL keeps the last quarter.
async fn close(opened: &Opened, beside: Beside, pool: &PgPool, stop: &Stop) -> anyhow::Result<()> {
    let time = opened.config.shutdown_timeout.mul_f32(0.7);
    beside.monitor.abort();
    // A mail in hand gets a little; one that is cut off is sent again.
    let mail_stopped = beside.accounts.stop(stop.left(time).min(MAIL_STOP_TIME));
    let (closed, ()) =
        tokio::join!(tokio::time::timeout(stop.left(time), opened.journal.close()), mail_stopped);
    match closed {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::error!(journal.problem = %error, "the journal did not close in order"),
        Err(_) => tracing::error!("the journal did not close in time; the next start recovers it"),
    }
    let closed = beside.judging.stop(stop.left(time)).await;
    beside.links_stop.cancel();
    let links = tokio::time::timeout(Duration::from_secs(1), beside.links);
    if links.await.is_err() {
        tracing::warn!("the snapshot of the links was not written in time");
    }
    let _ = tokio::time::timeout(Duration::from_millis(500), pool.close()).await;
    closed
}

fn http_settings(config: &Config, listener: &std::net::TcpListener) -> HttpSettings {
    let port = listener.local_addr().map_or(config.http.port, |address| address.port());
    let defaults = HttpSettings::default();
    HttpSettings {
        cors_origins: config.http.cors_origins.clone(),
        own_origins: config.http.own_origins(port),
        frontend_url: config.http.frontend_url.clone(),
        trusted_proxies: config.http.trusted_proxies.clone(),
        cookie_secure: config.http.cookie_secure(),
        catalog_cache_millis: config.http.catalog_cache_millis,
        connections_per_address_max: config.http.connections_per_address_max,
        write_stall_timeout: config.http.write_stall_timeout,
        access_token_minutes: u32::try_from(config.tokens.access_token_life.as_secs() / 60)
            .unwrap_or(defaults.access_token_minutes),
        refresh_token_days: u32::try_from(config.tokens.refresh_token_life.as_secs() / 86_400)
            .unwrap_or(defaults.refresh_token_days),
        sessions_per_account: config.tokens.sessions_per_account,
        social: config.social.settings(&config.http, port),
        ..defaults
    }
}
