//! That the servers which tests kill are what those tests take them for: what was acknowledged is there
//! after kill -9 and a new start, and a frozen one answers nothing.

use crate::harness::engines::{CassandraNodes, KafkaBrokers, RedisServer};
use crate::harness::{LONG, eventually};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::Offset;
use rdkafka::util::Timeout;
use redis::AsyncCommands;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use std::time::{Duration, Instant};

/// An answer that has not come in this time does not come from a frozen server.
const FROZEN: Duration = Duration::from_millis(1_500);

/// A topic of one partition with as many copies as given.
pub(crate) async fn make_topic(brokers: &str, topic: &str, copies: i32) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let minimum = if copies < 3 { "1" } else { "2" };
    let topic = NewTopic::new(topic, 1, TopicReplication::Fixed(copies)).set("min.insync.replicas", minimum);
    let made = admin.create_topics([&topic], &AdminOptions::new()).await.unwrap();
    assert!(made.iter().all(Result::is_ok), "{made:?}");
}

/// A producer that never gives up: what it says was written is written.
pub(crate) fn producer(brokers: &str) -> FutureProducer {
    ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "0")
        .create()
        .unwrap()
}

/// Waits until the record is acknowledged.
pub(crate) async fn produce(producer: &FutureProducer, topic: &str, number: usize) {
    let text = number.to_string();
    let record = FutureRecord::<(), String>::to(topic).partition(0).payload(&text);
    producer.send(record, Timeout::Never).await.unwrap();
}

/// The numbers in the topic's one partition, from its beginning, once there are as many as given.
pub(crate) async fn consume(brokers: &str, topic: &str, count: usize) -> Vec<usize> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "nobody")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let mut partitions = rdkafka::TopicPartitionList::new();
    partitions.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&partitions).unwrap();
    let read = move || {
        let (mut numbers, started) = (Vec::new(), Instant::now());
        while numbers.len() < count && started.elapsed() < LONG {
            // an error here is a broker that is away for a while
            if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
                let text = message.payload_view::<str>().unwrap().unwrap();
                numbers.push(text.parse().unwrap());
            }
        }
        numbers
    };
    tokio::task::spawn_blocking(read).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_broker_comes_back_with_what_it_acknowledged() {
    let Some(mut kafka) = KafkaBrokers::start(1).await else { return };
    make_topic(&kafka.brokers(), "numbers", 1).await;
    let producer = producer(&kafka.brokers());
    for number in 0..50 {
        produce(&producer, "numbers", number).await;
    }
    kafka.kill(0);
    kafka.restart(0).await;
    assert_eq!(consume(&kafka.brokers(), "numbers", 50).await, Vec::from_iter(0..50));

    // the producer from before finds it again; frozen, it acknowledges nothing
    produce(&producer, "numbers", 50).await;
    kafka.pause(0);
    let mut waiting = Box::pin(produce(&producer, "numbers", 51));
    assert!(tokio::time::timeout(FROZEN, &mut waiting).await.is_err(), "a frozen broker acknowledged");
    kafka.resume(0);
    waiting.await;
    assert_eq!(consume(&kafka.brokers(), "numbers", 52).await, Vec::from_iter(0..52));
}

/// A session with the ring, whose tables have as many copies as given.
pub(crate) async fn numbers_table(nodes: &CassandraNodes, copies: usize) -> Session {
    let session = SessionBuilder::new().known_nodes(nodes.nodes()).build().await.unwrap();
    let replication = format!("{{'class': 'SimpleStrategy', 'replication_factor': {copies}}}");
    for statement in [
        format!("CREATE KEYSPACE numbers WITH replication = {replication}"),
        "CREATE TABLE numbers.numbers (shard int, number int, PRIMARY KEY (shard, number))".to_owned(),
    ] {
        session.query_unpaged(statement, ()).await.unwrap();
    }
    session
}

/// Writes a number at quorum, again and again until that is acknowledged.
pub(crate) async fn insert(session: &Session, number: i32) {
    let statement = "INSERT INTO numbers.numbers (shard, number) VALUES (0, ?)";
    eventually("a row is written", LONG, async || {
        session.query_unpaged(statement, (number,)).await.map_err(|error| error.to_string())
    })
    .await;
}

/// All numbers, in order.
pub(crate) async fn select(session: &Session) -> Vec<i32> {
    eventually("the rows are read", LONG, async || {
        let query = "SELECT number FROM numbers.numbers WHERE shard = 0";
        let answer = session.query_unpaged(query, ()).await.map_err(|error| error.to_string())?;
        let rows = answer.into_rows_result().unwrap();
        Ok(rows.rows::<(i32,)>().unwrap().map(|row| row.unwrap().0).collect())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_cql_node_comes_back_with_what_it_acknowledged() {
    let Some(mut nodes) = CassandraNodes::start(1).await else { return };
    let session = numbers_table(&nodes, 1).await;
    for number in 0..50 {
        insert(&session, number).await;
    }
    nodes.kill(0);
    nodes.restart(0).await;
    assert_eq!(select(&session).await, Vec::from_iter(0..50));

    nodes.pause(0);
    let mut waiting = Box::pin(select(&session));
    assert!(tokio::time::timeout(FROZEN, &mut waiting).await.is_err(), "a frozen node answered");
    nodes.resume(0);
    assert_eq!(waiting.await, Vec::from_iter(0..50));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cql_node_with_passwords_takes_the_right_one_only() {
    let Some(nodes) = CassandraNodes::start_with_passwords(1).await else { return };
    let with = async |password: &str| {
        SessionBuilder::new().known_nodes(nodes.nodes()).user("cassandra", password).build().await
    };
    // the role is made soon after the node is up
    let right = eventually("the role is there", LONG, async || {
        with("cassandra").await.map_err(|error| error.to_string())
    });
    right.await.query_unpaged("SELECT key FROM system.local", ()).await.unwrap();
    assert!(with("wrong").await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_redis_comes_back_with_what_it_acknowledged() {
    let Some(mut server) = RedisServer::start().await else { return };
    let client = redis::Client::open(server.url()).unwrap();
    let connect = async || client.get_multiplexed_async_connection().await.unwrap();
    let () = connect().await.set("total", 41).await.unwrap();
    server.kill();
    server.restart().await;
    let mut connection = connect().await;
    let total: i64 = connection.incr("total", 1).await.unwrap();
    assert_eq!(total, 42);

    server.pause();
    let mut asking = Box::pin(async { connection.get::<_, i64>("total").await });
    let answer = tokio::time::timeout(Duration::from_millis(300), &mut asking).await;
    assert!(!matches!(answer, Ok(Ok(_))), "a frozen server answered");
    server.resume();
    drop(asking);
    let total: i64 = connect().await.get("total").await.unwrap();
    assert_eq!(total, 42);
}
