//! Against a real broker: what a log promises, and what only a shared one must bear.

use super::testing::{DEADLINE, KafkaFixture, TestEdge, admin, epoch, remove, test_config};
use super::{KafkaConfig, KafkaLog, topics};
use gonggumoa_core::ids::{PartitionId, Position, RunId};
use gonggumoa_core::log::conformance;
use gonggumoa_core::log::{ClickLog, LogBatch, LogEntry, LogError, LogPosition, LogReader, arrivals};
use rdkafka::admin::AdminOptions;
use rdkafka::config::FromClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message, OwnedMessage};
use rdkafka::{Offset, TopicPartitionList};
use std::time::{Duration, Instant};
use uuid::Uuid;

const FIRST: PartitionId = PartitionId(0);

async fn open(config: &KafkaConfig) -> KafkaLog {
    topics::prepare(config).await.unwrap();
    KafkaLog::open(config, epoch(1, 1)).await.unwrap()
}

async fn next(reader: &mut Box<dyn LogReader>) -> Result<LogBatch, LogError> {
    tokio::time::timeout(DEADLINE, reader.next(1_000)).await.expect("an answer")
}

/// The agents of the next `count` clicks.
async fn names(reader: &mut Box<dyn LogReader>, count: usize) -> Vec<String> {
    let mut names = Vec::new();
    while names.len() < count {
        for (_, entry) in next(reader).await.unwrap().entries {
            if let LogEntry::Click(click) = entry {
                names.push(click.user_agent.to_string());
            }
        }
    }
    names
}

fn place(offset: u64, in_epoch: u16, history: u128) -> LogPosition {
    LogPosition { through: Position::in_epoch(in_epoch, offset), run: RunId(Uuid::from_u128(history)) }
}

async fn refused(log: &KafkaLog, after: Option<LogPosition>) -> LogError {
    match log.reader(FIRST, after).await {
        Err(error) => error,
        Ok(_) => panic!("{after:?} was taken"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_what_every_log_promises() {
    macro_rules! promises {
        ($($promise:ident),* $(,)?) => {$({
            let Some(config) = test_config(2) else { return };
            let mut fixture = KafkaFixture::new(config);
            conformance::$promise(&mut fixture).await;
            remove(fixture.config()).await;
        })*};
    }
    promises!(
        clicks_come_back_as_recorded,
        every_place_gives_the_rest,
        a_reader_waits_for_what_comes,
        closing_gives_the_rest_and_then_ends,
        a_log_opened_again_goes_on,
        a_foreign_place_is_refused,
        what_one_reader_released_stays_for_the_other,
    );
}

/// An edge that was killed sends again; readers get it as it is, and core's `admit` takes each once.
#[tokio::test(flavor = "multi_thread")]
async fn records_that_come_again_are_taken_once() {
    let Some(config) = test_config(1) else { return };
    let log = open(&config).await;
    let mut edge = TestEdge::new(&config);
    let mut sent = Vec::new();
    for number in 0..6 {
        let outgoing = edge.next(FIRST);
        sent.push((edge.click(&format!("click {number}"), outgoing.sequence), outgoing));
    }
    for (entry, outgoing) in sent[..4].iter().chain(&sent[1..]) {
        edge.send(FIRST, entry, outgoing).await;
    }
    let mut reader = log.reader(FIRST, None).await.unwrap();
    let mut marks = Vec::new();
    let mut after = None;
    let mut taken = Vec::new();
    let mut read = 0;
    while read < 9 {
        let mut batch = next(&mut reader).await.unwrap();
        let arrivals = batch.arrivals.as_ref().unwrap();
        assert!(
            arrivals
                .iter()
                .all(|arrival| arrival.run == edge.run && arrival.appended_at.0 > 1_700_000_000_000)
        );
        read += batch.entries.len();
        arrivals::admit(&mut batch, after, &mut marks).unwrap();
        after = Some(batch.end);
        taken.extend(batch.entries.into_iter().map(|(_, entry)| entry));
    }
    assert_eq!(taken, sent.into_iter().map(|(entry, _)| entry).collect::<Vec<_>>());
    assert_eq!(marks[0].sequence, 6);
    remove(&config).await;
}

/// What is not ours, or is damaged, is kept aside with its place; what comes after it is read.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_not_ours_is_put_aside() {
    let Some(config) = test_config(1) else { return };
    let log = open(&config).await;
    let mut edge = TestEdge::new(&config);
    edge.write(FIRST, None, b"{\"hello\": 1}").await;
    edge.say(FIRST, "first").await;
    let outgoing = edge.next(FIRST);
    let mut damaged = Vec::new();
    super::record::encode(&edge.click("second", outgoing.sequence), &outgoing, &mut damaged);
    damaged[40] ^= 1;
    let offset = edge.write(FIRST, Some(b"key"), &damaged).await;
    edge.say(FIRST, "third").await;
    edge.write(FIRST, None, b"").await;
    edge.say(FIRST, "last").await;

    let mut reader = log.reader(FIRST, None).await.unwrap();
    assert_eq!(names(&mut reader, 3).await, ["first", "third", "last"]);
    let letters = dead_letters(&config, 3).await;
    let header = |letter: &OwnedMessage, name: &str| {
        let headers = letter.headers().unwrap();
        let found = headers.iter().find(|header| header.key == name).unwrap();
        String::from_utf8(found.value.unwrap().to_vec()).unwrap()
    };
    assert_eq!(letters[0].payload(), Some(&b"{\"hello\": 1}"[..]));
    assert_eq!(
        (header(&letters[0], "problem"), header(&letters[0], "offset")),
        ("not_ours".into(), "0".into())
    );
    assert_eq!(letters[1].payload(), Some(&damaged[..]));
    assert_eq!(letters[1].key(), Some(&b"key"[..]));
    assert_eq!(header(&letters[1], "problem"), "checksum");
    assert_eq!(header(&letters[1], "topic"), config.raw_topic());
    assert_eq!(header(&letters[1], "partition"), "0");
    assert_eq!(header(&letters[1], "position"), Position::in_epoch(1, offset).to_string());
    assert_eq!(header(&letters[2], "offset"), "4");
    remove(&config).await;
}

async fn dead_letters(config: &KafkaConfig, count: usize) -> Vec<OwnedMessage> {
    let mut client = config.client_config("test");
    client.set("group.id", "test").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = BaseConsumer::from_config(&client).unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&config.dead_letter_topic(), 0, Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    tokio::task::spawn_blocking(move || {
        let deadline = Instant::now() + DEADLINE;
        let mut letters = Vec::new();
        while letters.len() < count {
            assert!(Instant::now() < deadline, "{} of {count} dead letters", letters.len());
            if let Some(message) = consumer.poll(Duration::from_millis(100)) {
                letters.push(message.unwrap().detach());
            }
        }
        letters
    })
    .await
    .unwrap()
}

/// What is before a newer record is read; then the partition stops there, however often it is asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_newer_record_stops_its_partition() {
    let Some(config) = test_config(2) else { return };
    let log = open(&config).await;
    let mut edge = TestEdge::new(&config);
    edge.say(FIRST, "before").await;
    let outgoing = edge.next(FIRST);
    let mut newer = Vec::new();
    super::record::encode(&edge.click("newer", outgoing.sequence), &outgoing, &mut newer);
    newer[2] = 2;
    edge.write(FIRST, None, &newer).await;
    edge.say(FIRST, "after").await;
    edge.say(PartitionId(1), "elsewhere").await;

    let mut reader = log.reader(FIRST, None).await.unwrap();
    let batch = next(&mut reader).await.unwrap();
    assert_eq!((batch.entries.len(), batch.more), (1, true));
    for _ in 0..2 {
        match next(&mut reader).await {
            Err(LogError::Newer { place, position, version: 2 }) => {
                assert_eq!(position, Position::in_epoch(1, 1));
                assert!(place.contains(&config.raw_topic()) && place.contains("partition 0"), "{place}");
            }
            other => panic!("{other:?}"),
        }
    }
    let mut again = log.reader(FIRST, Some(batch.end)).await.unwrap();
    assert!(matches!(next(&mut again).await, Err(LogError::Newer { .. })));
    let mut other = log.reader(PartitionId(1), None).await.unwrap();
    assert_eq!(names(&mut other, 1).await, ["elsewhere"]);
    remove(&config).await;
}

/// Deleted records are never passed over: not at the start, and not by a reader that stood before them.
#[tokio::test(flavor = "multi_thread")]
async fn deleted_records_stop_who_needed_them() {
    let Some(config) = test_config(1) else { return };
    let log = open(&config).await;
    let mut edge = TestEdge::new(&config);
    for number in 0..5 {
        edge.say(FIRST, &format!("click {number}")).await;
    }
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&config.raw_topic(), 0, Offset::Offset(3)).unwrap();
    admin(&config).delete_records(&list, &AdminOptions::new()).await.unwrap();

    let oldest = Position::in_epoch(1, 3);
    match refused(&log, None).await {
        LogError::Deleted { oldest: found, through } => assert_eq!((found, through), (oldest, Position(0))),
        other => panic!("{other}"),
    }
    match refused(&log, Some(place(1, 1, 1))).await {
        LogError::Deleted { oldest: found, through } => {
            assert_eq!((found, through), (oldest, Position::in_epoch(1, 1)));
        }
        other => panic!("{other}"),
    }
    assert!(matches!(refused(&log, Some(place(70, 0, 5))).await, LogError::Deleted { .. }));
    let mut reader = log.reader(FIRST, Some(place(2, 1, 1))).await.unwrap();
    assert_eq!(names(&mut reader, 2).await, ["click 3", "click 4"]);

    // One that stands before what is deleted, past the checks of a start.
    let mut late: Box<dyn LogReader> = Box::new(
        super::reader::KafkaReader::open(std::sync::Arc::clone(log.shared()), FIRST, 1).await.unwrap(),
    );
    match next(&mut late).await {
        Err(LogError::Deleted { oldest: found, through }) => {
            assert_eq!((found, through), (oldest, Position::in_epoch(1, 0)));
        }
        other => panic!("{other:?}"),
    }
    remove(&config).await;
}

/// Places of a journal and of earlier epochs begin this one; those of other histories are refused by name.
#[tokio::test(flavor = "multi_thread")]
async fn a_place_is_known_by_epoch_and_history() {
    let Some(config) = test_config(1) else { return };
    topics::prepare(&config).await.unwrap();
    let log = KafkaLog::open(&config, epoch(3, 33)).await.unwrap();
    assert_eq!(log.durable_end(FIRST).await.unwrap(), Position(0));
    let mut edge = TestEdge::new(&config);
    edge.say(FIRST, "first").await;
    edge.say(FIRST, "second").await;
    assert_eq!(log.durable_end(FIRST).await.unwrap(), Position::in_epoch(3, 1));

    let journal = LogPosition { through: Position(900), run: RunId::random() };
    for earlier in [None, Some(journal), Some(place(7, 2, 22))] {
        let mut reader = log.reader(FIRST, earlier).await.unwrap();
        assert_eq!(names(&mut reader, 2).await, ["first", "second"]);
    }
    let mut reader = log.reader(FIRST, Some(place(0, 3, 33))).await.unwrap();
    assert_eq!(names(&mut reader, 1).await, ["second"]);
    for (foreign, says) in
        [(place(0, 4, 33), "epoch 4"), (place(0, 3, 32), "epoch 3"), (place(2, 3, 33), "offset 2 of epoch 3")]
    {
        let error = refused(&log, Some(foreign)).await;
        assert!(matches!(error, LogError::ForeignPosition { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(says) && text.contains(&config.raw_topic()), "{text}");
        assert!(text.contains(&RunId(Uuid::from_u128(33)).to_string()), "{text}");
    }
    remove(&config).await;
}

/// Any number of readers on any partitions: a lane more only where a partition is read twice at once.
#[tokio::test(flavor = "multi_thread")]
async fn readers_share_lanes() {
    let Some(config) = test_config(4) else { return };
    let log = open(&config).await;
    let mut edge = TestEdge::new(&config);
    for partition in log.partitions() {
        edge.say(partition, &format!("in {partition}")).await;
    }
    for _ in 0..3 {
        let mut readers = Vec::new();
        for partition in log.partitions() {
            readers.push((partition, log.reader(partition, None).await.unwrap()));
            readers.push((partition, log.reader(partition, None).await.unwrap()));
        }
        for (partition, reader) in &mut readers {
            assert_eq!(names(reader, 1).await, [format!("in {partition}")]);
        }
        assert_eq!(log.shared().lanes.count(), 2);
    }
    remove(&config).await;
}

/// A partition read, dropped and read again elsewhere gives nothing of the place before.
#[tokio::test(flavor = "multi_thread")]
async fn a_partition_read_again_begins_where_it_is_told() {
    let Some(config) = test_config(1) else { return };
    let log = open(&config).await;
    let mut edge = TestEdge::new(&config);
    let all: Vec<String> = (0..40).map(|number| format!("click {number}")).collect();
    for name in &all {
        edge.say(FIRST, name).await;
    }
    for from in [0_u64, 30, 5, 39, 0, 17, 2] {
        let after = from.checked_sub(1).map(|last| place(last, 1, 1));
        let mut reader = log.reader(FIRST, after).await.unwrap();
        let from = usize::try_from(from).unwrap();
        assert_eq!(names(&mut reader, all.len() - from).await, all[from..]);
        // Dropped with more under way, or with nothing.
    }
    remove(&config).await;
}
