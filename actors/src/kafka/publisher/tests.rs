#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::kafka::probe::{TestTopics, read_all};
use crate::kafka::schema::{Device, JudgedClick as Message_, Reason, Verdict as Said};
use gonggumoa_core::click::testing::{ClickBuilder, TEST_EPOCH};
use gonggumoa_core::click::{
    Device as Told, DuplicateOf, HeldReason, InvalidReason, JudgedClick, Judgement, Verdict,
};
use gonggumoa_core::ids::{FlagId, GongguId, PartitionId, Position, RunId};
use gonggumoa_core::log::LogPosition;
use gonggumoa_core::store::PartitionProgress;
use uuid::Uuid;

const PARTITIONS: u32 = 3;

fn judged(number: u64, verdict: Verdict) -> JudgedClick {
    let click = ClickBuilder::new(number)
        .gonggu(GongguId(Uuid::from_u128(u128::from(number % 5))))
        .at(number as i64)
        .member(number)
        .build();
    let judgement = Judgement {
        verdict,
        judged_at: click.clicked_at,
        rules_version: 4,
        duplicate_of: (verdict == Verdict::Duplicate)
            .then_some(DuplicateOf { position: Position(number - 1), judged_at: TEST_EPOCH }),
        took_mark: false,
        burst: Box::default(),
        flag_id: matches!(verdict, Verdict::Held(_)).then_some(FlagId(click.id.0)),
        device: Told::Mobile,
        visitor: number * 7,
    };
    JudgedClick { position: Position::in_epoch(1, number), click, judgement }
}

fn batch(count: u64) -> JudgedBatch {
    let verdicts = [
        Verdict::Billable,
        Verdict::Duplicate,
        Verdict::Held(HeldReason::MassClick),
        Verdict::Invalid(InvalidReason::Bot),
    ];
    let clicks = (1..=count).map(|number| judged(number, verdicts[number as usize % 4])).collect();
    let position = LogPosition { through: Position::in_epoch(1, count), run: RunId(Uuid::from_u128(9)) };
    JudgedBatch {
        partition: PartitionId(2),
        owner: Uuid::nil(),
        from: None,
        to: PartitionProgress { position, marks: Vec::new() },
        clicks,
        heads: Vec::new(),
        rollups: Vec::new(),
        flags: Vec::new(),
        quarantined: Vec::new(),
    }
}

/// No field of the message holds an address: not as text, not as bytes.
#[test]
fn a_message_says_what_was_judged_and_no_address() {
    let judged = judged(7, Verdict::Held(HeldReason::MassClick));
    let address = judged.click.address.unwrap().to_string();
    let message = schema::message(PartitionId(2), &judged);
    assert_eq!((message.verdict(), message.reason()), (Said::Held, Reason::MassClick));
    assert_eq!(message.device(), Device::Mobile);
    assert_eq!(message.click_id, judged.click.id.0.as_bytes());
    assert_eq!(message.flag_id.as_deref(), Some(judged.click.id.0.as_bytes().as_slice()));
    assert_eq!(message.member.as_ref().unwrap().user_id, judged.click.member.unwrap().id.0.as_bytes());
    assert_eq!((message.partition, message.position), (2, judged.position.0));
    assert_eq!(message.address_masked, "203.0.113.*");
    let bytes = message.encode_to_vec();
    let holds = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    assert!(!holds(address.as_bytes()) && !holds(&[203, 0, 113, 1]));
    assert_eq!(Message_::decode(bytes.as_slice()).unwrap(), message);
}

#[tokio::test]
async fn a_batch_is_there_when_it_is_confirmed() {
    let Some(topics) = TestTopics::create(PARTITIONS).await else { return };
    let publisher = KafkaJudgedPublisher::new(&topics.config).unwrap();
    let batch = batch(1_000);
    publisher.publish(&batch).await.unwrap();
    publisher.publish(&JudgedBatch { clicks: Vec::new(), ..batch.clone() }).await.unwrap();
    let reading = tokio::task::spawn_blocking(move || {
        (read_all(&topics.config.brokers, &topics.config.judged_topic(), PARTITIONS), topics)
    });
    let (partitions, topics) = reading.await.unwrap();
    let mut found = Vec::new();
    for records in partitions {
        for record in records {
            assert_eq!(
                record.headers,
                [(SCHEMA_VERSION_HEADER.to_owned(), SCHEMA_VERSION.as_bytes().to_vec())]
            );
            let message = Message_::decode(record.value.as_slice()).unwrap();
            assert_eq!(record.key.as_ref(), Some(&message.gonggu_id));
            found.push(message);
        }
    }
    for gonggu in 0..5 {
        let of_gonggu = |message: &&Message_| message.gonggu_id == Uuid::from_u128(gonggu).as_bytes();
        let order: Vec<u64> = found.iter().filter(of_gonggu).map(|message| message.position).collect();
        assert!(order.is_sorted(), "a gonggu's clicks keep their order");
    }
    found.sort_by_key(|message| message.position);
    let wanted: Vec<_> = batch.clicks.iter().map(|judged| schema::message(batch.partition, judged)).collect();
    assert_eq!(found, wanted);
    topics.delete().await;
}

/// A batch larger than the client's whole queue waits for room.
#[tokio::test]
async fn a_batch_larger_than_the_queue_goes_out_whole() {
    let Some(topics) = TestTopics::create(PARTITIONS).await else { return };
    let mut config = topics.config.clone();
    config.client.insert("batch.num.messages".to_owned(), "1000".to_owned());
    let mut publisher = KafkaJudgedPublisher::new(&config).unwrap();
    publisher.settings.set("queue.buffering.max.messages", "100");
    publisher.client = Mutex::new(Arc::new(start(&publisher.settings).unwrap()));
    publisher.publish(&batch(1_000)).await.unwrap();
    topics.delete().await;
}

#[tokio::test]
async fn a_batch_that_nobody_takes_can_be_published_later() {
    let mut config = KafkaConfig::new("127.0.0.1:9");
    config.topic_prefix = "nobody.".to_owned();
    let mut publisher = KafkaJudgedPublisher::new(&config).unwrap();
    publisher.settings.set("message.timeout.ms", "300");
    publisher.client = Mutex::new(Arc::new(start(&publisher.settings).unwrap()));
    let error = publisher.publish(&batch(10)).await.unwrap_err();
    assert!(error.retryable(), "{error:?}");
}
