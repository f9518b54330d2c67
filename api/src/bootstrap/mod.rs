//! Wiring: opens what a server needs, in order, and closes it in reverse. The only place that names
//! concrete providers.
//!
//! ```text
//!   open:   listener → data folder, secrets → journal → database → links → judging side, forwarder → HTTP
//!   close:  HTTP → journal → forwarder (drained) → judging side (drained) → links → database
//! ```
//!
//! Invariants: a click is only taken once the journal is open; with a database of the operator's that
//! does not answer, redirects run from the links' snapshot and the judging side follows when it can;
//! a stop ends within its deadline, and what is not stored by then stays in the log. A process opens what its
//! roles need, and no more.

mod accounts;
mod background;
mod engines;
mod forwarding;
mod http;
mod monitor;
mod objects;
mod preparing;
mod verify;

pub use verify::verify_journal;

use crate::auth::identity::Identities;
use crate::config::{ClusterConfig, Config};
use crate::database::{Database, Ownership};
use crate::health::{Part, Readiness};
use crate::secrets::{self, Secrets};
use crate::tracking::figures::StoreFigures;
use crate::tracking::links::{Links, LinksDependencies};
use crate::{listener, telemetry};
use accounts::AccountTasks;
use anyhow::Context;
use background::Judging;
use forwarding::Forwarding;
use gonggumoa_actors::forwarder;
use gonggumoa_core::clock::SystemClock;
use gonggumoa_core::live::Counters;
use gonggumoa_core::log::journal::io::RealIo;
use gonggumoa_core::log::journal::{Journal, JournalConfig};
use preparing::Prepared;
use rustix::process::{Resource, getrlimit, setrlimit};
use sqlx::PgPool;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Connections of the catalog: more than two a core only wait for each other.
const CATALOG_CONNECTIONS_MAX: u32 = 16;
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

/// What stays open from start to stop.
struct Opened {
    config: Config,
    data_dir: PathBuf,
    secrets: Secrets,
    /// Of an edge.
    journal: Option<Journal>,
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
    let journal = match config.cluster.roles.edge {
        true => Some(open_journal(&config, &data_dir)?),
        false => None,
    };
    let opening = Database::open(&config, &data_dir, Ownership::Own);
    // A server that is still coming up is taken over by the next start.
    let Some(database) = stop.token.run_until_cancelled(opening).await else { return Ok(()) };
    let database = Arc::new(database?);
    let opened = Opened { config, data_dir, secrets, journal, database, readiness: Readiness::default() };
    let result = Box::pin(run(&opened, listener, &stop)).await;
    signals.abort();
    // After a failed start the journal is open too; closing twice is closing once.
    if let Some(journal) = &opened.journal {
        let _ = journal.close().await;
    }
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
    // With a shared log it is the forwarder that everything must have been taken by; else judge and archive.
    let standard = JournalConfig::new(data_dir.join("journal"));
    let required_readers = match config.cluster.kafka {
        Some(_) => vec![forwarder::READER_NAME],
        None => standard.required_readers.clone(),
    };
    let settings = JournalConfig {
        required_readers,
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

/// What runs beside the HTTP side, as far as the roles ask for it.
struct Beside {
    links: Option<JoinHandle<()>>,
    links_stop: CancellationToken,
    judging: Option<Judging>,
    forwarding: Option<Forwarding>,
    monitor: JoinHandle<()>,
    accounts: Option<AccountTasks>,
}

async fn run(opened: &Opened, listener: std::net::TcpListener, stop: &Stop) -> anyhow::Result<()> {
    let pool = opened.database.pool(CATALOG_CONNECTIONS_MAX);
    let is_prepared = preparing::prepare_now(opened, &pool, &stop.token).await?;
    let identities = Identities::new();
    let links = Arc::new(Links::new(LinksDependencies {
        pool: pool.clone(),
        clock: Arc::new(SystemClock),
        identities: identities.clone(),
        key_fingerprint: opened.secrets.address_key.fingerprint(),
        snapshot_path: Some(opened.links_snapshot()),
    }));
    let roles = opened.config.cluster.roles;
    if roles.edge || roles.api {
        links.load().await?;
    }
    let counters = engines::counters(&opened.config.cluster)?;
    let (preparing, prepared) = Prepared::channel();
    let figures = Arc::new(StoreFigures::later());
    let figures_part = roles.api.then(|| opened.readiness.part("figures"));
    let beside = beside(opened, &pool, &links, &counters, &identities, &prepared, stop)?;
    let settings = http::settings(&opened.config, &listener);
    let parts = http::Parts {
        pool: pool.clone(),
        links,
        counters,
        shared_cache: engines::shared_cache(&opened.config.cluster)?,
        figures: Arc::<StoreFigures>::clone(&figures),
        identities,
    };
    let app = http::app(opened, settings, parts, stop);
    let preparing = async {
        let is_prepared = match is_prepared {
            true => Ok(true),
            false => preparing::prepare_when_reachable(opened, &pool, &stop.token).await,
        };
        if let Ok(is_prepared) = is_prepared {
            preparing.send_replace(is_prepared);
        }
        let opened = match is_prepared {
            Ok(true) if roles.api => engines::stores(&opened.config, &pool, stop).await,
            result => result.map(|_| None),
        };
        match opened {
            Ok(stores) => {
                if let Some(stores) = stores {
                    figures.are_in(stores.recorded);
                    figures_part.iter().for_each(Part::ready);
                }
                Ok(())
            }
            Err(error) => {
                stop.now();
                Err(error)
            }
        }
    };
    let serving = async {
        if let Some(judging) = &beside.judging
            && opened.database.is_embedded()
        {
            judging.settled(SETTLE_TIME).await;
        }
        http::serve(opened, app, listener, stop).await
    };
    let (is_prepared, served) = tokio::join!(preparing, serving);
    stop.now();
    let closed = close(opened, beside, &pool, stop).await;
    is_prepared?;
    served?;
    closed
}

fn beside(
    opened: &Opened,
    pool: &PgPool,
    links: &Arc<Links>,
    counters: &Arc<dyn Counters>,
    identities: &Identities,
    prepared: &Prepared,
    stop: &Stop,
) -> anyhow::Result<Beside> {
    let ClusterConfig { roles, kafka, .. } = &opened.config.cluster;
    let links_stop = CancellationToken::new();
    let judging = match roles.judge {
        true => Some(Judging::start(opened, Arc::clone(counters), prepared.clone(), stop.clone())?),
        false => None,
    };
    let forwarding = match (&opened.journal, kafka) {
        (Some(journal), Some(kafka)) => {
            Some(Forwarding::start(opened, journal, kafka, pool, prepared.clone(), stop))
        }
        _ => None,
    };
    let accounts = match roles.api {
        true => Some(AccountTasks::start(opened, pool, identities, prepared.clone(), stop)?),
        false => None,
    };
    let follows_links = roles.edge || roles.api;
    let monitor = monitor::spawn(
        opened,
        pool,
        monitor::Watched {
            links: follows_links.then(|| Arc::clone(links)),
            judging: judging.as_ref().map(|judging| (judging.status(), judging.archive())),
            forwarding: forwarding.as_ref().map(Forwarding::status),
        },
    );
    let links = follows_links.then(|| tokio::spawn(Arc::clone(links).run(links_stop.clone())));
    Ok(Beside { links, links_stop, judging, forwarding, monitor, accounts })
}

/// Nothing new comes in: flushes, stores what the time allows, and closes. PostgreSQL keeps the last quarter.
async fn close(opened: &Opened, beside: Beside, pool: &PgPool, stop: &Stop) -> anyhow::Result<()> {
    let time = opened.config.shutdown_timeout.mul_f32(0.7);
    beside.monitor.abort();
    // A mail in hand gets a little; one that is cut off is sent again.
    let mail_stopped = async {
        if let Some(accounts) = beside.accounts {
            accounts.stop(stop.left(time).min(MAIL_STOP_TIME)).await;
        }
    };
    let journal_closed = async {
        let Some(journal) = &opened.journal else { return };
        match tokio::time::timeout(stop.left(time), journal.close()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::error!(journal.problem = %error, "the journal did not close in order");
            }
            Err(_) => tracing::error!("the journal did not close in time; the next start recovers it"),
        }
    };
    tokio::join!(journal_closed, mail_stopped);
    let forwarded = match beside.forwarding {
        Some(forwarding) => forwarding.stop(stop.left(time)).await,
        None => Ok(()),
    };
    let judged = match beside.judging {
        Some(judging) => judging.stop(stop.left(time)).await,
        None => Ok(()),
    };
    beside.links_stop.cancel();
    if let Some(links) = beside.links
        && tokio::time::timeout(Duration::from_secs(1), links).await.is_err()
    {
        tracing::warn!("the snapshot of the links was not written in time");
    }
    let _ = tokio::time::timeout(Duration::from_millis(500), pool.close()).await;
    forwarded.and(judged)
}
