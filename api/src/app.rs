//! What every handler can reach: one cheap-to-clone struct, no globals.

use crate::auth::identity::Identities;
use crate::auth::limits::AccountLimits;
use crate::auth::passwords::Passwords;
use crate::auth::recovery::ResetMails;
use crate::auth::social::Social;
use crate::auth::tokens::AccessTokens;
use crate::coupons::limits::CouponLimits;
use crate::gonggus::cache::CatalogCache;
use crate::gonggus::totals::Totals;
use crate::http::address::TrustedProxies;
use crate::http::origin::Origins;
use crate::http::request_id::RequestIds;
use crate::http::settings::HttpSettings;
use crate::http::shared_cache::SharedCache;
use crate::tracking::edge::EdgeMetrics;
use crate::tracking::figures::Figures;
use crate::tracking::links::Links;
use gonggumoa_core::clock::Clock;
use gonggumoa_core::live::Counters;
use gonggumoa_core::log::ClickSink;
use gonggumoa_core::visitor::AddressKey;
use sqlx::PgPool;
use std::ops::Deref;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What the composition root gives.
pub struct AppDependencies {
    /// The HTTP side's settings.
    pub settings: HttpSettings,
    /// The catalog.
    pub pool: PgPool,
    /// Where clicks are written down.
    pub sink: Arc<dyn ClickSink>,
    /// The redirect table.
    pub links: Arc<Links>,
    /// Answers to questions about stored clicks.
    pub figures: Arc<dyn Figures>,
    /// Live totals.
    pub counters: Arc<dyn Counters>,
    /// Where prepared answers are kept.
    pub shared_cache: Arc<dyn SharedCache>,
    /// The deployment's key for address hashes.
    pub address_key: AddressKey,
    /// Access tokens.
    pub tokens: AccessTokens,
    /// Who accounts are now; the same that the links were given.
    pub identities: Identities,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Cancelled when the process stops: live streams end then.
    pub shutdown: CancellationToken,
}

/// The same with what is made of it.
pub struct AppParts {
    /// The HTTP side's settings.
    pub settings: HttpSettings,
    /// The catalog.
    pub pool: PgPool,
    /// Where clicks are written down.
    pub sink: Arc<dyn ClickSink>,
    /// The redirect table.
    pub links: Arc<Links>,
    /// Answers to questions about stored clicks.
    pub figures: Arc<dyn Figures>,
    /// Live totals.
    pub counters: Arc<dyn Counters>,
    /// The deployment's key for address hashes.
    pub address_key: AddressKey,
    /// Access tokens.
    pub tokens: AccessTokens,
    /// Who accounts are now.
    pub identities: Identities,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Cancelled when the process stops.
    pub shutdown: CancellationToken,
    /// Password checks.
    pub passwords: Passwords,
    /// How often somebody may try.
    pub limits: AccountLimits,
    /// Mails of new passwords on their way.
    pub reset_mails: ResetMails,
    /// Limits of trying coupons.
    pub coupon_limits: CouponLimits,
    /// Social sign-in.
    pub social: Social,
    /// Proxies that are believed.
    pub proxies: TrustedProxies,
    /// Origins that are ours.
    pub origins: Origins,
    /// Request ids.
    pub request_ids: RequestIds,
    /// Counters of the edge.
    pub edge_metrics: EdgeMetrics,
    /// What all are shown of the catalog; told of each change of it.
    pub catalog: CatalogCache,
    /// Totals of gonggu lists.
    pub totals: Totals,
}

/// The application's state.
#[derive(Clone)]
pub struct App(Arc<AppParts>);

impl App {
    /// Puts it together. The metrics recorder must be installed before.
    pub fn new(given: AppDependencies) -> Self {
        let settings = given.settings;
        Self(Arc::new(AppParts {
            passwords: Passwords::new(settings.bcrypt_cost, settings.password_checks_max),
            limits: AccountLimits::new(&settings.limits),
            reset_mails: ResetMails::new(settings.reset_mails_max, settings.reset_mails_waiting_max),
            coupon_limits: CouponLimits::new(),
            social: Social::new(&settings.social),
            proxies: TrustedProxies::new(&settings.trusted_proxies),
            origins: Origins::new(settings.cors_origins.iter().chain(&settings.own_origins)),
            request_ids: RequestIds::new(),
            edge_metrics: EdgeMetrics::register(),
            catalog: CatalogCache::new(given.shared_cache, settings.catalog_cache_millis),
            totals: Totals::new(),
            settings,
            pool: given.pool,
            sink: given.sink,
            links: given.links,
            figures: given.figures,
            counters: given.counters,
            address_key: given.address_key,
            tokens: given.tokens,
            identities: given.identities,
            clock: given.clock,
            shutdown: given.shutdown,
        }))
    }
}

impl Deref for App {
    type Target = AppParts;

    fn deref(&self) -> &AppParts {
        &self.0
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("settings", &self.settings).finish_non_exhaustive()
    }
}
