//! Clients that fetch, shared by the readers of many partitions.
//!
//! Problem: each client of the library is a handful of threads and connections, and there are dozens of
//! partitions with a judge's and an archive's reader each. So one client, a *lane*, fetches for any number of
//! partitions, each into a queue of its own; a second lane is made only when a partition that one lane
//! fetches is to be read once more at another place.
//!
//! Invariants: a partition is fetched by a lane for one reader at a time; what is fetched ahead stays
//! within [`PREFETCH_BYTES_MAX`] for all partitions of a lane together; a lane has no group's assignment,
//! commits nothing, and never chooses an offset by itself.

use super::config::KafkaConfig;
use super::error::KafkaError;
use super::events::Events;
use parking_lot::Mutex;
use rdkafka::Offset;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::TopicPartitionList;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// What one lane holds ahead of its readers: some 150,000 clicks, more than a second's work of a node.
const PREFETCH_BYTES_MAX: u32 = 64 << 20;
/// The least for one partition: several of a broker's answers, so that fetching does not stutter.
const PREFETCH_PARTITION_BYTES_MIN: u32 = 1 << 20;
/// How long the thread of a lane waits for news before it looks whether it is still needed.
const POLL_TIMEOUT: Duration = Duration::from_millis(200);

/// The lanes of one topic.
pub(super) struct Lanes {
    config: KafkaConfig,
    topic: String,
    /// Fetches nothing: a broker answers in order, so a question on a lane would wait for its records.
    questions: Lane,
    lanes: Mutex<Vec<Arc<Lane>>>,
}

/// One client. Its own hold on the client goes first, so that the thread, which may block, has the last.
struct Lane {
    consumer: Arc<BaseConsumer<Events>>,
    taken: Mutex<BTreeSet<i32>>,
    _thread: Thread,
}

/// Tells the lane's thread to end.
struct Thread(Arc<AtomicBool>);

impl Drop for Thread {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Lanes {
    /// With the client that asks, and no lane yet.
    pub(super) fn open(config: &KafkaConfig) -> Result<Self, KafkaError> {
        let questions = Lane::open(config)?;
        Ok(Self { config: config.clone(), topic: config.raw_topic(), questions, lanes: Mutex::default() })
    }

    /// The first and the next offset of a partition: `low..high` is what there is. Blocks.
    pub(super) fn watermarks(&self, partition: i32, timeout: Duration) -> Result<(u64, u64), KafkaError> {
        let asked = self.questions.consumer.fetch_watermarks(&self.topic, partition, timeout);
        let (low, high) = asked.map_err(|error| {
            KafkaError::client(format!("asking for the ends of {} partition {partition}", self.topic), error)
        })?;
        Ok((u64::try_from(low).unwrap_or(0), u64::try_from(high).unwrap_or(0)))
    }

    /// Begins to fetch a partition from `offset` on. Blocks shortly.
    pub(super) fn fetch(
        &self,
        partition: i32,
        offset: u64,
        news: Arc<Notify>,
    ) -> Result<Fetching, KafkaError> {
        let lane = self.lane_for(partition)?;
        let mut fetching = Fetching { queue: None, lane, topic: self.topic.clone(), partition };
        let doing = || format!("reading {} partition {partition}", self.topic);
        // Its own queue first: nothing of it may come into the lane's common one.
        let mut queue =
            fetching.lane.consumer.split_partition_queue(&self.topic, partition).ok_or_else(|| {
                KafkaError::client(
                    doing(),
                    rdkafka::error::KafkaError::Subscription("no such partition".into()),
                )
            })?;
        queue.set_nonempty_callback(move || news.notify_one());
        fetching.queue = Some(queue);
        let list =
            assignment(&self.topic, partition, offset).map_err(|error| KafkaError::client(doing(), error))?;
        fetching
            .lane
            .consumer
            .incremental_assign(&list)
            .map_err(|error| KafkaError::client(doing(), error))?;
        Ok(fetching)
    }

    /// A lane that does not fetch this partition; it is marked as taken there.
    fn lane_for(&self, partition: i32) -> Result<Arc<Lane>, KafkaError> {
        let mut lanes = self.lanes.lock();
        if let Some(lane) = lanes.iter().find(|lane| lane.taken.lock().insert(partition)) {
            return Ok(Arc::clone(lane));
        }
        let lane = Arc::new(Lane::open(&self.config)?);
        lane.taken.lock().insert(partition);
        lanes.push(Arc::clone(&lane));
        Ok(lane)
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.lanes.lock().len()
    }
}

impl Lane {
    fn open(config: &KafkaConfig) -> Result<Self, KafkaError> {
        let partition_bytes =
            (PREFETCH_BYTES_MAX / config.partitions.get()).max(PREFETCH_PARTITION_BYTES_MIN);
        let mut client = config.client_config("reader");
        client
            // Named, since the library lets nobody fetch without; never joined and never committed to.
            .set("group.id", &config.group_id)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("check.crcs", "true")
            .set("queued.max.messages.kbytes", (partition_bytes >> 10).to_string())
            .set("queued.min.messages", "100000")
            // A full queue is looked at again soon: its reader empties it in milliseconds.
            .set("fetch.queue.backoff.ms", "10")
            // A partition that is added waits for the answer under way.
            .set("fetch.wait.max.ms", "100")
            .set("fetch.error.backoff.ms", "200");
        let consumer = BaseConsumer::from_config_and_context(&client, Events::new("reader"))
            .map_err(|error| KafkaError::client("making a client", error))?;
        let consumer = Arc::new(consumer);
        let stop = Arc::new(AtomicBool::new(false));
        let polled = (Arc::clone(&consumer), Arc::clone(&stop));
        std::thread::Builder::new()
            .name("kafka-lane".to_owned())
            .spawn(move || {
                let (consumer, stop) = polled;
                while !stop.load(Ordering::Acquire) {
                    // Errors and log lines, told to `Events`; records come into their own queues.
                    if let Some(Ok(_)) = consumer.poll(POLL_TIMEOUT) {
                        tracing::error!("a record came outside of its partition's queue");
                    }
                }
            })
            .map_err(KafkaError::Thread)?;
        Ok(Self { consumer, taken: Mutex::default(), _thread: Thread(stop) })
    }
}

fn assignment(
    topic: &str,
    partition: i32,
    offset: u64,
) -> Result<TopicPartitionList, rdkafka::error::KafkaError> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX)))?;
    Ok(list)
}

/// A partition that is being fetched; dropping it ends that.
pub(super) struct Fetching {
    queue: Option<PartitionQueue<Events>>,
    lane: Arc<Lane>,
    topic: String,
    partition: i32,
}

impl Fetching {
    /// Where its records come.
    pub(super) fn queue(&self) -> Option<&PartitionQueue<Events>> {
        self.queue.as_ref()
    }
}

impl Drop for Fetching {
    fn drop(&mut self) {
        self.queue = None;
        if let Ok(list) = assignment(&self.topic, self.partition, 0)
            && let Err(error) = self.lane.consumer.incremental_unassign(&list)
        {
            tracing::debug!(partition.id = self.partition, error = %error, "a partition was not being read");
        }
        self.lane.taken.lock().remove(&self.partition);
    }
}
