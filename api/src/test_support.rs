#![allow(clippy::unwrap_used, clippy::expect_used)]
//! An application for unit tests: a sink whose disk the test holds in its hand, and a database that
//! nobody can reach.

use crate::app::{App, AppDependencies};
use crate::auth::identity::Identities;
use crate::auth::tokens::AccessTokens;
use crate::http::settings::HttpSettings;
use crate::http::shared_cache::MemoryCache;
use crate::tracking::figures::{EvidenceRow, Figures, GongguStats, StatsError, StatsQuery};
use crate::tracking::links::{Link, Links, LinksDependencies};
use futures::stream::BoxStream;
use gonggumoa_core::click::{ClickFacts, ClickMethod, OriginKind};
use gonggumoa_core::clock::{ManualClock, UnixMillis};
use gonggumoa_core::ids::{ClickId, GongguId, RunId, UserId};
use gonggumoa_core::live::MemoryCounters;
use gonggumoa_core::log::{AppendError, ClickReceipt, ClickSink, PendingClick, SinkHealth};
use gonggumoa_core::store::StoreError;
use gonggumoa_core::visitor::{AddressKey, Member};
use parking_lot::Mutex;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// What a click said, owned.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) member: Option<Member>,
    pub(crate) address: IpAddr,
    pub(crate) user_agent: String,
    pub(crate) referer: String,
    pub(crate) purpose: String,
    pub(crate) fetch_dest: String,
    pub(crate) method: ClickMethod,
    pub(crate) origin: OriginKind,
}

#[derive(Default)]
pub(crate) struct FakeSink {
    pub(crate) seen: Mutex<Vec<Seen>>,
    waiting: Mutex<Vec<oneshot::Sender<Result<(), AppendError>>>>,
    pub(crate) refuses: Mutex<bool>,
    /// Every click is on disk at once.
    pub(crate) at_once: Mutex<bool>,
    pub(crate) clicked_at: Mutex<UnixMillis>,
}

impl FakeSink {
    /// The disk says: synced, or failed.
    pub(crate) fn settle(&self, result: &Result<(), AppendError>) {
        self.waiting.lock().drain(..).for_each(|waiting| drop(waiting.send(result.clone())));
    }
}

impl ClickSink for FakeSink {
    fn append(&self, facts: &ClickFacts<'_>) -> PendingClick {
        if *self.refuses.lock() {
            return PendingClick::refused(AppendError::Full);
        }
        self.seen.lock().push(Seen {
            member: facts.member,
            address: facts.address,
            user_agent: facts.user_agent.to_owned(),
            referer: facts.referer.to_owned(),
            purpose: facts.purpose.to_owned(),
            fetch_dest: facts.fetch_dest.to_owned(),
            method: facts.method,
            origin: facts.origin,
        });
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().push(sender);
        if *self.at_once.lock() {
            self.settle(&Ok(()));
        }
        let receipt = ClickReceipt {
            id: ClickId(Uuid::from_u128(7)),
            clicked_at: *self.clicked_at.lock(),
            run: RunId(Uuid::nil()),
            sequence: 1,
        };
        PendingClick::waiting(receipt, async move { receiver.await.unwrap_or(Err(AppendError::Closed)) })
    }

    fn health(&self) -> SinkHealth {
        SinkHealth::Ready
    }
}

struct NoFigures;

#[async_trait::async_trait]
impl Figures for NoFigures {
    async fn gonggu_stats(&self, _: &StatsQuery) -> Result<GongguStats, StatsError> {
        Err(StatsError::RangeTooLarge { buckets: 0 })
    }
    fn evidence(
        &self,
        _: GongguId,
        _: UnixMillis,
        _: UnixMillis,
    ) -> BoxStream<'static, Result<EvidenceRow, StoreError>> {
        Box::pin(futures::stream::empty())
    }
}

pub(crate) const OPEN_ID: &str = "00000000-0000-0000-0000-000000000001";
const SECRET: &[u8] = b"a secret of more than thirty-two bytes for tests";

pub(crate) fn tokens() -> AccessTokens {
    AccessTokens::new(SECRET, jsonwebtoken::Algorithm::HS256, 30)
}

/// A database that nobody can reach.
pub(crate) fn no_database() -> PgPool {
    PgPoolOptions::new()
        .acquire_timeout(std::time::Duration::from_millis(200))
        .connect_lazy("postgres://nobody@127.0.0.1:1/none")
        .unwrap()
}

/// A gonggu open in [10, 20), the clock at 15, and a database that nobody can reach.
pub(crate) fn app(frontend_url: Option<&str>) -> (App, Arc<FakeSink>) {
    app_on(no_database(), no_database(), frontend_url)
}

/// The same with other settings.
pub(crate) fn app_with(change: impl FnOnce(&mut HttpSettings)) -> (App, Arc<FakeSink>) {
    app_of(no_database(), no_database(), change)
}

/// The same on a database; the links have one of their own.
pub(crate) fn app_on(pool: PgPool, links_pool: PgPool, frontend_url: Option<&str>) -> (App, Arc<FakeSink>) {
    app_of(pool, links_pool, |settings| settings.frontend_url = frontend_url.map(|url| url.parse().unwrap()))
}

fn app_of(pool: PgPool, links_pool: PgPool, change: impl FnOnce(&mut HttpSettings)) -> (App, Arc<FakeSink>) {
    let clock = Arc::new(ManualClock::new(UnixMillis(15)));
    let links = Arc::new(Links::new(LinksDependencies {
        pool: links_pool,
        clock: clock.clone(),
        identities: Identities::new(),
        key_fingerprint: "test".to_owned(),
        snapshot_path: None,
    }));
    let link = Link::new(
        GongguId(Uuid::from_u128(1)),
        UserId(Uuid::nil()),
        (UnixMillis(10), UnixMillis(20)),
        None,
        "https://shop.kr/p?a=1#top",
    );
    links.put_for_tests(link.unwrap());
    let sink = Arc::new(FakeSink::default());
    *sink.clicked_at.lock() = UnixMillis(15);
    let mut settings = HttpSettings {
        cors_origins: vec!["https://gonggumoa.kr".to_owned()],
        trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
        ..HttpSettings::default()
    };
    change(&mut settings);
    let app = App::new(AppDependencies {
        settings,
        pool,
        sink: sink.clone(),
        links,
        figures: Arc::new(NoFigures),
        counters: Arc::new(MemoryCounters::default()),
        shared_cache: Arc::new(MemoryCache::new(1 << 24)),
        address_key: AddressKey::new([1; 32]),
        tokens: tokens(),
        identities: Identities::new(),
        clock,
        shutdown: CancellationToken::new(),
    });
    (app, sink)
}
