//! The HTTP side, put together.

use super::{Opened, Stop};
use crate::app::{App, AppDependencies};
use crate::auth::identity::Identities;
use crate::auth::tokens::AccessTokens;
use crate::config::Config;
use crate::health;
use crate::http::settings::{HttpSettings, Served};
use crate::http::shared_cache::SharedCache;
use crate::http::{openapi, server};
use crate::tracking::figures::StoreFigures;
use crate::tracking::links::Links;
use anyhow::Context;
use gonggumoa_core::click::ClickFacts;
use gonggumoa_core::clock::SystemClock;
use gonggumoa_core::live::Counters;
use gonggumoa_core::log::{AppendError, ClickSink, PendingClick, SinkHealth};
use secrecy::ExposeSecret;
use sqlx::PgPool;
use std::sync::Arc;

/// What the application shares with the tasks beside it.
pub(super) struct Parts {
    pub(super) pool: PgPool,
    pub(super) links: Arc<Links>,
    pub(super) counters: Arc<dyn Counters>,
    pub(super) shared_cache: Arc<dyn SharedCache>,
    pub(super) figures: Arc<StoreFigures>,
    pub(super) identities: Identities,
}

/// A process without a journal: its clicks' paths are not served, so that nobody asks.
struct NoJournal;

impl ClickSink for NoJournal {
    fn append(&self, _facts: &ClickFacts<'_>) -> PendingClick {
        PendingClick::refused(AppendError::Closed)
    }

    fn health(&self) -> SinkHealth {
        SinkHealth::Ready
    }
}

pub(super) fn app(opened: &Opened, settings: HttpSettings, parts: Parts, stop: &Stop) -> App {
    let sink: Arc<dyn ClickSink> = match &opened.journal {
        Some(journal) => Arc::new(journal.clone()),
        None => Arc::new(NoJournal),
    };
    let tokens = AccessTokens::new(
        opened.secrets.jwt_key.expose_secret(),
        opened.config.tokens.algorithm.into(),
        settings.access_token_minutes,
    );
    App::new(AppDependencies {
        settings,
        figures: parts.figures,
        pool: parts.pool,
        sink,
        links: parts.links,
        counters: parts.counters,
        shared_cache: parts.shared_cache,
        address_key: opened.secrets.address_key.clone(),
        tokens,
        identities: parts.identities,
        clock: Arc::new(SystemClock),
        shutdown: stop.token.clone(),
    })
}

/// Serves until told to stop; open requests get half of the time that a stop may take.
pub(super) async fn serve(
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

pub(super) fn settings(config: &Config, listener: &std::net::TcpListener) -> HttpSettings {
    let port = listener.local_addr().map_or(config.http.port, |address| address.port());
    let defaults = HttpSettings::default();
    let roles = config.cluster.roles;
    HttpSettings {
        served: Served { clicks: roles.edge, api: roles.api },
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
