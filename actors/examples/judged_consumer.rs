//! Reads `clicks.judged` as another team would: counts what each gonggu is billed for, each click once.
//!
//! ```sh
//! cargo run -p gonggumoa-actors --example judged_consumer -- 127.0.0.1:9092 clicks.judged my-team
//! ```
//!
//! A click can come more than once, so its id is remembered. How long depends on how the answer is used: this
//! example keeps the last million in memory and reads from the beginning at each start; whoever stores rows
//! makes the click's id their key instead, writes them, and then commits the offset.

use gonggumoa_actors::kafka::schema::{JudgedClick, SCHEMA_VERSION, SCHEMA_VERSION_HEADER, Verdict};
use prost::Message as _;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message as _};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::error::Error;
use std::io::Write;
use std::time::{Duration, Instant};

/// Ids remembered: some 100 MB, and far more clicks than are ever sent again.
const REMEMBERED_MAX: usize = 1_000_000;
/// How often the sums are printed.
const PRINT_INTERVAL: Duration = Duration::from_secs(2);

/// The ids seen last.
#[derive(Default)]
struct Seen {
    ids: HashSet<Vec<u8>>,
    order: VecDeque<Vec<u8>>,
}

impl Seen {
    /// Whether it is new.
    fn insert(&mut self, id: &[u8]) -> bool {
        if !self.ids.insert(id.to_vec()) {
            return false;
        }
        self.order.push_back(id.to_vec());
        if self.order.len() > REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }
}

/// Billable clicks and all clicks of one gonggu.
#[derive(Default)]
struct Sums {
    billable: u64,
    gross: u64,
}

/// The click in a record; another version of the schema is an error, not something to guess at.
fn read(record: &BorrowedMessage<'_>) -> Result<JudgedClick, Box<dyn Error>> {
    let headers = record.headers().ok_or("a record without headers")?;
    let version =
        headers.iter().find(|header| header.key == SCHEMA_VERSION_HEADER).and_then(|header| header.value);
    if version != Some(SCHEMA_VERSION.as_bytes()) {
        return Err(format!("this reads version {SCHEMA_VERSION} of the schema").into());
    }
    Ok(JudgedClick::decode(record.payload().unwrap_or_default())?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(brokers), Some(topic), Some(group)) = (arguments.next(), arguments.next(), arguments.next())
    else {
        return Err("say BROKERS TOPIC GROUP".into());
    };
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", group)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .create()?;
    consumer.subscribe(&[&topic])?;
    let (mut seen, mut sums) = (Seen::default(), BTreeMap::<Vec<u8>, Sums>::new());
    let (mut output, mut printed_at) = (std::io::stdout(), Instant::now());
    loop {
        if let Some(record) = consumer.poll(Duration::from_millis(200)) {
            let click = read(&record?)?;
            if seen.insert(&click.click_id) {
                let sums = sums.entry(click.gonggu_id.clone()).or_default();
                sums.gross += 1;
                sums.billable += u64::from(click.verdict() == Verdict::Billable);
            }
        }
        if printed_at.elapsed() >= PRINT_INTERVAL {
            printed_at = Instant::now();
            for (gonggu_id, sums) in &sums {
                let gonggu_id = uuid::Uuid::from_slice(gonggu_id)?;
                writeln!(output, "{gonggu_id} gross {} billable {}", sums.gross, sums.billable)?;
            }
        }
    }
}
