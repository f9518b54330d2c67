//! The books of a cluster compared: ids that clients were given, journals, Kafka, click store, figures.
//!
//! Kafka's records are read here by a client of this file's own; only what stands in one, and which of them come
//! again, is asked of the crates.

use super::api::{Api, Gonggu};
use super::cluster::{Cluster, PARTITIONS};
use super::ledger::{count, remove_found};
use super::wait::{LONG, eventually};
use gonggumoa_actors::kafka::{KafkaLog, LogEpoch, record};
use gonggumoa_analytics::archive::{self, ArchiveConfig, Compared, ReplayReport};
use gonggumoa_analytics::cql::CqlClickStore;
use gonggumoa_core::click::{JudgedClick, RawClick};
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::{GongguId, PartitionId, Position, RunId};
use gonggumoa_core::log::{LogBatch, LogEntry, LogPosition, arrivals};
use gonggumoa_core::store::{ClickQueries, ClickStore};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use scylla::client::session_builder::SessionBuilder;
use sqlx::Row;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use uuid::Uuid;

/// Clicks read from the store at once.
const PAGE: usize = 2_000;
/// Clicks that a test makes are from today.
const DAY_MILLIS: i64 = 86_400_000;

/// Waits until every given id is stored, then stops the edges and compares all the books; `sent` bounds what may
/// be there beyond the given ids.
pub(crate) async fn balance(
    cluster: &mut Cluster,
    api: &str,
    gonggus: &[Gonggu],
    given: &[(Uuid, Gonggu)],
    sent: u64,
) -> Vec<JudgedClick> {
    let distinct: HashSet<Uuid> = given.iter().map(|(id, _)| *id).collect();
    assert_eq!(distinct.len(), given.len(), "one id was given to two clients");
    let store = cluster.store().await;
    eventually("every click that a client has an id of is stored", LONG, async || {
        let stored: HashSet<Uuid> =
            stored_clicks(&store, gonggus).await.iter().map(|row| row.click.id.0).collect();
        let missing = distinct.difference(&stored).count();
        if missing == 0 { Ok(()) } else { Err(format!("{missing} of {} are missing", distinct.len())) }
    })
    .await;
    let in_journals = cluster.stop_edges().await;
    let in_kafka = clicks_in_kafka(cluster).await;
    let ids: HashSet<Uuid> = in_kafka.iter().map(|(_, click)| click.id.0).collect();
    assert_eq!(ids.len(), in_kafka.len(), "a click is in Kafka twice under two identities");
    assert_eq!(ids.len() as u64, in_journals, "clicks in Kafka, and in the journals");
    journals_hold(cluster, &ids);
    let missing = distinct.difference(&ids).count();
    assert_eq!(missing, 0, "ids given to clients are not in Kafka");
    assert!(ids.len() as u64 <= sent, "{} clicks recorded, but only {sent} made", ids.len());

    let stored = all_stored(&store, gonggus, &in_kafka).await;
    let of: HashMap<Uuid, Gonggu> =
        stored.iter().map(|click| (click.click.id.0, Gonggu(click.click.gonggu_id.0))).collect();
    for (id, gonggu) in given {
        assert_eq!(of[id], *gonggu, "{id} is stored under another gonggu");
    }
    let admin = cluster.admin_at(api).await;
    for gonggu in gonggus {
        let own: Vec<&JudgedClick> = stored.iter().filter(|row| row.click.gonggu_id.0 == gonggu.0).collect();
        check_figures(&admin, *gonggu, &own).await;
    }
    stored
}

/// Waits until the store has exactly what Kafka has; more, or another place for a click, fails at once.
async fn all_stored(
    store: &CqlClickStore,
    gonggus: &[Gonggu],
    in_kafka: &[(Position, RawClick)],
) -> Vec<JudgedClick> {
    let expected: HashMap<Uuid, Position> =
        in_kafka.iter().map(|(position, click)| (click.id.0, *position)).collect();
    eventually("every click in Kafka is stored", LONG, async || {
        let rows = stored_clicks(store, gonggus).await;
        let mut seen = HashSet::new();
        for row in &rows {
            let id = row.click.id.0;
            assert!(seen.insert(id), "click {id} is stored twice");
            assert_eq!(expected.get(&id), Some(&row.position), "the place of click {id}");
        }
        if rows.len() == expected.len() {
            Ok(rows)
        } else {
            Err(format!("{} of {}", rows.len(), expected.len()))
        }
    })
    .await
}

/// All stored clicks of these gonggus.
pub(crate) async fn stored_clicks(store: &CqlClickStore, gonggus: &[Gonggu]) -> Vec<JudgedClick> {
    let now = chrono::Utc::now().timestamp_millis();
    let (from, to) = (UnixMillis(now - DAY_MILLIS), UnixMillis(now + DAY_MILLIS));
    let mut rows = Vec::new();
    for gonggu in gonggus {
        let mut after = None;
        loop {
            let page = store.clicks(GongguId(gonggu.0), from, to, after, PAGE).await.unwrap();
            after = page.last().map(|row| (row.click.clicked_at, row.position));
            let is_last = page.len() < PAGE;
            rows.extend(page);
            if is_last {
                break;
            }
        }
    }
    rows
}

/// Totals, evidence and the catalog's count against the stored verdicts.
async fn check_figures(admin: &Api, gonggu: Gonggu, rows: &[&JudgedClick]) {
    let stats = admin.settled(gonggu, rows.len() as u64).await;
    let mut verdicts: BTreeMap<&str, u64> = BTreeMap::new();
    for row in rows {
        *verdicts.entry(row.judgement.verdict.as_str()).or_default() += 1;
    }
    let of = |verdict| verdicts.get(verdict).copied().unwrap_or_default();
    let expected = (of("billable"), of("duplicate"), of("invalid"), of("held"));
    assert_eq!(stats.totals.verdicts(), expected, "stored verdicts and totals of {gonggu} differ");
    let evidence = admin.evidence(gonggu).await;
    assert_eq!(count(&evidence).verdicts(), expected, "evidence of {gonggu}");
    let stored: HashSet<Uuid> = rows.iter().map(|row| row.click.id.0).collect();
    let listed: HashSet<Uuid> = evidence.iter().map(|line| line.click_id).collect();
    assert_eq!((stored.len(), &stored), (evidence.len(), &listed), "rows and evidence of {gonggu}");
}

/// Each of these ids stands in the files of some edge's journal.
fn journals_hold(cluster: &Cluster, ids: &HashSet<Uuid>) {
    let mut missing: HashSet<[u8; 16]> = ids.iter().map(|id| id.into_bytes()).collect();
    for edge in cluster.of_role("edge") {
        remove_found(&edge.kept_segments(), &mut missing);
    }
    assert!(missing.is_empty(), "{} clicks of Kafka are in no journal", missing.len());
}

/// What readers of `clicks.raw` take, in their order: partition after partition, each record once.
pub(crate) async fn clicks_in_kafka(cluster: &Cluster) -> Vec<(Position, RawClick)> {
    let (brokers, topic) = (cluster.servers.brokers.clone(), cluster.kafka().raw_topic());
    let read = move || {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &brokers)
            .set("group.id", "nobody")
            .set("enable.auto.commit", "false")
            .create()
            .unwrap();
        let mut clicks = Vec::new();
        for partition in 0..PARTITIONS {
            let batch = partition_of(&consumer, &topic, i32::try_from(partition).unwrap());
            clicks.extend(admitted(batch));
        }
        clicks
    };
    tokio::task::spawn_blocking(read).await.unwrap()
}

/// All of a partition.
fn partition_of(consumer: &BaseConsumer, topic: &str, partition: i32) -> LogBatch {
    let started = Instant::now();
    let (_, high) = consumer.fetch_watermarks(topic, partition, LONG).unwrap();
    let mut assigned = TopicPartitionList::new();
    assigned.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    consumer.assign(&assigned).unwrap();
    let end =
        LogPosition { through: Position::in_epoch(1, u64::try_from(high).unwrap()), run: RunId(Uuid::nil()) };
    let (mut entries, mut came, mut next) = (Vec::new(), Vec::new(), 0);
    while next < high {
        assert!(started.elapsed() < LONG, "partition {partition} read up to {next} of {high}");
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else { continue };
        next = message.offset() + 1;
        // what is not ours is another test's matter
        let Ok(decoded) = record::decode(message.payload().unwrap_or_default()) else { continue };
        let appended_at = UnixMillis(message.timestamp().to_millis().unwrap());
        let (entry, arrival) = decoded.arrived(appended_at);
        entries.push((Position::in_epoch(1, u64::try_from(message.offset()).unwrap()), entry));
        came.push(arrival);
    }
    LogBatch { entries, arrivals: Some(came), history: Some(RunId(Uuid::nil())), end, more: false }
}

fn admitted(mut batch: LogBatch) -> Vec<(Position, RawClick)> {
    arrivals::admit(&mut batch, None, &mut Vec::new()).expect("no record is missing");
    let clicks = batch.entries.into_iter().filter_map(|(position, entry)| match entry {
        LogEntry::Click(click) => Some((position, click)),
        LogEntry::TimeMark { .. } | LogEntry::Closing { .. } => None,
    });
    clicks.collect()
}

/// What the log's clicks give when one machine folds them in their order, against the store: archives what was
/// judged, as a judge does, and replays it. Nothing may be judged meanwhile.
pub(crate) struct Proof {
    folder: TempDir,
    store: Arc<CqlClickStore>,
}

impl Proof {
    /// Archives everything that is stored.
    pub(crate) async fn of(cluster: &Cluster) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(cluster.store().await);
        let history: Uuid = sqlx::query("SELECT history FROM log_epochs WHERE epoch = 1")
            .fetch_one(cluster.pool())
            .await
            .unwrap()
            .get(0);
        let epoch = LogEpoch { number: 1, history: RunId(history) };
        let log = Arc::new(KafkaLog::open(&cluster.kafka(), epoch).await.unwrap());
        let mut ends = BTreeMap::new();
        for partition in (0..PARTITIONS).map(PartitionId) {
            if let Some(progress) = store.progress(partition).await.unwrap() {
                ends.insert(partition, progress.position.through);
            }
        }
        let config = ArchiveConfig {
            file_age_max: Duration::from_millis(200),
            poll_interval: Duration::from_millis(50),
            ..ArchiveConfig::default()
        };
        let objects = archive::local_folder(folder.path()).unwrap();
        let handle = archive::spawn(config, log, Arc::<CqlClickStore>::clone(&store), objects);
        eventually("all that is stored is archived", LONG, async || {
            let through: BTreeMap<PartitionId, Position> = handle.through().into_iter().collect();
            let behind = ends.iter().find(|(partition, end)| through.get(partition) < Some(end));
            behind.map_or(Ok(()), |behind| Err(format!("{behind:?}; {:?}", handle.failure())))
        })
        .await;
        handle.stop().await;
        Self { folder, store }
    }

    pub(crate) async fn replay(&self) -> ReplayReport {
        let objects = archive::local_folder(self.folder.path()).unwrap();
        let partitions: Vec<PartitionId> = (0..PARTITIONS).map(PartitionId).collect();
        archive::replay_all(objects, &*self.store, &partitions).await.unwrap()
    }

    /// Every verdict, head and rollup is what the log says, of this many clicks.
    pub(crate) async fn holds(&self, clicks: usize) {
        let report = self.replay().await;
        assert!(
            report.is_identical(),
            "{:#?}",
            report.named.iter().map(ToString::to_string).collect::<Vec<_>>()
        );
        let seen = report.clicks + report.clicks_beyond;
        assert_eq!((seen, report.believed), (clicks as u64, 0), "clicks judged again, and believed");
    }
}

impl Proof {
    /// A count that is changed by one, past the program, is found.
    pub(crate) async fn finds_one_too_many(&self, cluster: &Cluster, gonggu: Gonggu) {
        let session = SessionBuilder::new().known_nodes(&cluster.servers.cql_nodes).build().await.unwrap();
        let table = format!("{}.click_heads", cluster.name);
        let query = format!("SELECT counts FROM {table} WHERE gonggu_id = ?");
        let rows = session.query_unpaged(query, (gonggu.0,)).await.unwrap().into_rows_result().unwrap();
        let (mut counts,): (Vec<i64>,) = rows.single_row().unwrap();
        counts[0] += 1;
        let statement = format!("UPDATE {table} SET counts = ? WHERE gonggu_id = ?");
        session.query_unpaged(statement, (counts, gonggu.0)).await.unwrap();
        let report = self.replay().await;
        assert_eq!(report.differences, 1, "{report:#?}");
        assert_eq!(report.named[0].of, Compared::Head { gonggu_id: GongguId(gonggu.0) });
    }
}
