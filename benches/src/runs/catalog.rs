//! Lists, details, feed and login of a catalog of scale, beside a bare handler that asks PostgreSQL for 1.
//!
//! A closed loop of as many connections as either server has to its database: neither waits for one, and latencies
//! are those of a server that is busy, not of a queue before it. One round of each question, then the next round:
//! weather hits all of them.

use crate::catalog::{Catalog, POOL_CONNECTIONS, get_request, login_request};
use crate::client::Connection;
use crate::open_loop::Latencies;
use crate::options::Options;
use crate::report::{Table, grouped, median, progress};
use anyhow::Context as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// bcrypt takes whole cores; more at once would only wait for each other.
const LOGIN_CONNECTIONS: usize = 2;
const WARM_UP: Duration = Duration::from_secs(1);

/// One kind of question, in all the forms that it is asked in.
struct Question {
    name: &'static str,
    address: SocketAddr,
    connections: usize,
    requests: Arc<Vec<Vec<u8>>>,
    /// Whether the ratio to the bare handler says something.
    is_compared: bool,
    per_second: Vec<f64>,
    latencies: Latencies,
}

impl Question {
    fn new(name: &'static str, address: SocketAddr, requests: Vec<Vec<u8>>) -> Self {
        Self {
            name,
            address,
            connections: POOL_CONNECTIONS,
            requests: Arc::new(requests),
            is_compared: true,
            per_second: Vec::new(),
            latencies: Latencies::default(),
        }
    }

    fn ask(&mut self, length: Duration) -> anyhow::Result<()> {
        let (per_second, latencies) = drive(self.address, &self.requests, self.connections, length)?;
        progress(&format!("{}: {} /s", self.name, grouped(per_second)));
        self.per_second.push(per_second);
        self.latencies.merge(&latencies);
        Ok(())
    }
}

pub(super) async fn run(options: &Options) -> anyhow::Result<()> {
    let catalog = Catalog::start(options).await?;
    let (_bare, bare_address) = catalog.start_bare(options)?;
    let mut questions = questions(&catalog, bare_address).await?;
    for question in &mut questions {
        question.ask(WARM_UP)?;
        (question.per_second, question.latencies) = (Vec::new(), Latencies::default());
    }
    for _ in 0..options.rounds {
        for question in &mut questions {
            question.ask(options.round())?;
        }
    }
    let mut table = Table::new(
        format!(
            "Catalog: {POOL_CONNECTIONS} connections ({LOGIN_CONNECTIONS} for login), medians of {} rounds of {} s \
             each, in turn",
            options.rounds, options.seconds
        ),
        &["question", "/s", "of bare", "p50 ms", "p99 ms", "not 200"],
    );
    let bare = median(&questions[0].per_second);
    for question in &questions {
        let per_second = median(&question.per_second);
        let milliseconds = |percent| question.latencies.percentile_micros(percent) / 1e3;
        table.push(vec![
            question.name.to_owned(),
            if per_second < 100.0 { format!("{per_second:.1}") } else { grouped(per_second) },
            if question.is_compared { format!("{:.2}", per_second / bare) } else { "–".to_owned() },
            format!("{:.2}", milliseconds(50.0)),
            format!("{:.2}", milliseconds(99.0)),
            question.latencies.failed.to_string(),
        ]);
    }
    Ok(table.print()?)
}

/// The bare handler first.
async fn questions(catalog: &Catalog, bare_address: SocketAddr) -> anyhow::Result<Vec<Question>> {
    let address = catalog.address;
    let token = catalog.sign_in(0)?;
    let base = "/api/v1/gonggus";
    let mut mixed = Vec::new();
    for sort in ["created_at", "close_at", "gonggu_price", "discount_rate"] {
        for page in 1..=5 {
            mixed.push(format!("{base}?sort={sort}&page={page}"));
            mixed.push(format!("{base}?status=active&sort={sort}&page={page}"));
        }
    }
    for id in catalog.category_ids().await? {
        mixed.push(format!("{base}?category={id}"));
    }
    for shelf in ["active", "upcoming", "closing-soon"] {
        mixed.push(format!("{base}/{shelf}"));
    }
    let details = |token| {
        let ids = catalog.gonggu_ids.iter();
        ids.map(|id| get_request(&format!("{base}/{id}"), token)).collect::<Vec<_>>()
    };
    let logins = (0..100_000).map(|number: u32| {
        login_request(&catalog.buyers[number as usize % catalog.buyers.len()], number + 1)
    });
    let mut feed = Question::new(
        "feed of 1,000 subscriptions",
        address,
        vec![get_request("/api/v1/subscriptions/feed", Some(&token))],
    );
    let mut login = Question::new("login", address, logins.collect());
    (feed.is_compared, login.is_compared, login.connections) = (false, false, LOGIN_CONNECTIONS);
    Ok(vec![
        Question::new("bare `SELECT 1`", bare_address, vec![get_request("/", None)]),
        Question::new("list, first page", address, vec![get_request(base, None)]),
        Question::new(
            "list, 51 questions in turn",
            address,
            mixed.iter().map(|path| get_request(path, None)).collect(),
        ),
        Question::new("detail, signed out", address, details(None)),
        Question::new("detail, signed in", address, details(Some(&token))),
        feed,
        login,
    ])
}

/// As many requests as are answered, on a thread of its own; how many a second, and how long each took.
fn drive(
    address: SocketAddr,
    requests: &Arc<Vec<Vec<u8>>>,
    connections: usize,
    length: Duration,
) -> anyhow::Result<(f64, Latencies)> {
    let requests = Arc::clone(requests);
    let generator = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(drive_all(address, requests, connections, length))
    });
    generator.join().map_err(|_| anyhow::anyhow!("the load generator panicked"))?
}

async fn drive_all(
    address: SocketAddr,
    requests: Arc<Vec<Vec<u8>>>,
    connections: usize,
    length: Duration,
) -> anyhow::Result<(f64, Latencies)> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut open = Vec::with_capacity(connections);
    for _ in 0..connections {
        open.push(Connection::connect(address).await?);
    }
    let started = Instant::now();
    let lanes: Vec<_> = open
        .into_iter()
        .map(|connection| tokio::spawn(lane(connection, requests.clone(), next.clone(), started + length)))
        .collect();
    let mut all = Latencies::default();
    for lane in lanes {
        all.merge(&lane.await.context("a connection's task ended early")??);
    }
    Ok(((all.count() as f64 - all.failed as f64) / started.elapsed().as_secs_f64(), all))
}

async fn lane(
    mut connection: Connection,
    requests: Arc<Vec<Vec<u8>>>,
    next: Arc<AtomicUsize>,
    end: Instant,
) -> anyhow::Result<Latencies> {
    let (mut micros, mut failed) = (Vec::new(), 0);
    while Instant::now() < end {
        let request = &requests[next.fetch_add(1, Ordering::Relaxed) % requests.len()];
        let asked = Instant::now();
        let answer = connection.exchange(request).await?;
        micros.push(u32::try_from(asked.elapsed().as_micros()).unwrap_or(u32::MAX));
        failed += u64::from(answer.status != 200);
    }
    Ok(Latencies::of(micros, failed))
}
