//! Which partitions this process judges, as Kafka's group of judges shares them out.
//!
//! Problem: a partition must be judged by one process at a time, by somebody always, and must change hands
//! without a click being judged twice. The group's coordinator decides who has what; this module passes its
//! decisions on, and holds a partition back until the judge has stored what it had in hand.
//!
//! The group serves for that alone: no record comes by it (partitions are assigned at their end and paused at
//! once) and no offset is committed.
//!
//! Protocol: `group.protocol=consumer` (KIP-848, brokers from 4.0, production-ready in librdkafka 2.12). The broker
//! computes the assignment, always incrementally, and hands a partition over only when its former owner has
//! confirmed that it let go; one member's coming stops nobody else's partitions, and joining takes a
//! fraction of a second. Its limits: session timeout and heartbeat interval are the brokers'
//! (`group.consumer.session.timeout.ms`, 45 s unless they are told otherwise, so a judge that dies without a word is
//! missed for that long), and giving those of the older protocol is an error. With older brokers, or for shorter
//! timeouts without touching the brokers, `KAFKA_CLIENT` may say `group.protocol=classic`: then it is the
//! `cooperative-sticky` strategy, incremental too, decided by one of the members.
//!
//! Invariants: after `Assigned` nobody else is told the same partition before we said that we let go, or were
//! thrown out; we say so only when `done` was told, or [`REVOKE_DEADLINE`] has passed, and then the judge is told
//! `Lost` first. Two judges that think a partition theirs all the same are fenced by the store:
//! only the one that claimed it last stores anything.

use super::config::{KafkaConfig, OF_MEMBERS};
use super::error::KafkaError;
use super::events::Events;
use crate::handle::AssignmentChange;
use gonggumoa_core::ids::PartitionId;
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError as ClientError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientConfig, Offset};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};

/// How long the judge may take to store what it has in hand. A batch takes a second or two, a store that is
/// down for a moment some more; the brokers wait five minutes (`max.poll.interval.ms`) before they throw us out.
pub const REVOKE_DEADLINE: Duration = Duration::from_secs(60);
/// Changes on their way to the judge: there are seldom two.
const CHANGES_MAX: usize = 16;
/// How long the thread waits for news before it looks whether it is to end.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);
/// Between a client that failed for good and the next one.
const REJOIN_INTERVAL: Duration = Duration::from_secs(2);

/// This process's place in the group. Dropped without [`leave`](Self::leave) it leaves on its own time.
pub struct Membership {
    stop: Arc<AtomicBool>,
    ended: oneshot::Receiver<()>,
    assigned: watch::Receiver<BTreeSet<PartitionId>>,
    problem: watch::Receiver<Option<String>>,
}

impl Membership {
    /// The partitions that are ours, as they change.
    pub fn assigned(&self) -> watch::Receiver<BTreeSet<PartitionId>> {
        self.assigned.clone()
    }

    /// Why the group cannot be joined, while it cannot.
    pub fn problem(&self) -> watch::Receiver<Option<String>> {
        self.problem.clone()
    }

    /// Gives all partitions back, each when the judge is done with it, and leaves the group.
    pub async fn leave(mut self) {
        self.stop.store(true, Ordering::Release);
        let _ = (&mut self.ended).await;
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

/// Joins the group of judges. The receiver goes to the tracking actors; call on a tokio runtime.
///
/// # Errors
/// When the client refuses its settings. A group that cannot be joined now is tried again, see
/// [`Membership::problem`].
pub fn join(config: &KafkaConfig) -> Result<(mpsc::Receiver<AssignmentChange>, Membership), KafkaError> {
    config.check()?;
    let (changes, receiver) = mpsc::channel(CHANGES_MAX);
    let (assigned_sender, assigned) = watch::channel(BTreeSet::new());
    let (problem_sender, problem) = watch::channel(None);
    let stop = Arc::new(AtomicBool::new(false));
    let (ended_sender, ended) = oneshot::channel();
    let member = Member {
        client: client_config(config),
        topic: config.raw_topic(),
        stop: Arc::clone(&stop),
        assigned: assigned_sender,
        problem: problem_sender,
        changes,
        runtime: Handle::current(),
    };
    // The first one here, so that settings that cannot be are refused at the start.
    let consumer = member.consumer()?;
    std::thread::Builder::new()
        .name("kafka-member".to_owned())
        .spawn(move || {
            member.run(consumer);
            let _ = ended_sender.send(());
        })
        .map_err(KafkaError::Thread)?;
    Ok((receiver, Membership { stop, ended, assigned, problem }))
}

fn client_config(config: &KafkaConfig) -> ClientConfig {
    let mut client = config.client_config("member");
    client
        .set("group.id", &config.group_id)
        .set("group.protocol", "consumer")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error");
    for name in OF_MEMBERS {
        if let Some(value) = config.client.get(name) {
            client.set(name, value);
        }
    }
    if client.get("group.protocol") == Some("classic") {
        client.set("partition.assignment.strategy", "cooperative-sticky");
    }
    client
}

/// What the thread works with.
struct Member {
    client: ClientConfig,
    topic: String,
    stop: Arc<AtomicBool>,
    assigned: watch::Sender<BTreeSet<PartitionId>>,
    problem: watch::Sender<Option<String>>,
    changes: mpsc::Sender<AssignmentChange>,
    runtime: Handle,
}

type MemberConsumer = BaseConsumer<Rebalancer>;

impl Member {
    fn consumer(&self) -> Result<MemberConsumer, KafkaError> {
        let context = Rebalancer {
            events: Events::new("member"),
            topic: self.topic.clone(),
            changes: self.changes.clone(),
            assigned: self.assigned.clone(),
            runtime: self.runtime.clone(),
        };
        let consumer = BaseConsumer::from_config_and_context(&self.client, context)
            .map_err(|error| KafkaError::client("making a client", error))?;
        consumer
            .subscribe(&[self.topic.as_str()])
            .map_err(|error| KafkaError::client(format!("subscribing to {}", self.topic), error))?;
        Ok(consumer)
    }

    /// Polls, which is what makes rebalancing happen, until it is told to stop; a client that failed for good
    /// is replaced.
    fn run(&self, first: MemberConsumer) {
        let mut consumer = Some(first);
        while !self.stop.load(Ordering::Acquire) {
            let failed = match consumer.as_ref() {
                Some(consumer) => self.poll(consumer),
                None => match self.consumer() {
                    Ok(made) => {
                        consumer = Some(made);
                        continue;
                    }
                    Err(error) => Some(error.to_string()),
                },
            };
            if let Some(problem) = failed {
                tracing::error!(
                    kafka.problem = problem,
                    "this node is out of the group of judges; it joins again"
                );
                metrics::counter!("kafka_group_failures_total").increment(1);
                self.problem.send_replace(Some(problem));
                // What it still had is revoked, or lost, while it goes.
                consumer = None;
                self.lose_all();
                self.pause();
            }
        }
        // Leaves the group; what is still ours is revoked first.
        drop(consumer);
        self.lose_all();
    }

    /// One poll; a text when the client is of no more use.
    fn poll(&self, consumer: &MemberConsumer) -> Option<String> {
        let error = match consumer.poll(POLL_TIMEOUT) {
            None => return None,
            // Fetched before its partition was paused: a reader of ours has it, or will.
            Some(Ok(_)) => return None,
            Some(Err(error)) => error,
        };
        match error.rdkafka_error_code() {
            _ if matches!(error, ClientError::MessageConsumptionFatal(_)) => {
                let fatal = consumer.client().fatal_error().map(|(_, text)| text);
                Some(fatal.unwrap_or_else(|| error.to_string()))
            }
            Some(RDKafkaErrorCode::GroupAuthorizationFailed | RDKafkaErrorCode::TopicAuthorizationFailed) => {
                self.problem.send_replace(Some(error.to_string()));
                None
            }
            // Told to `Events` already; the client goes on by itself.
            _ => None,
        }
    }

    /// Nobody revokes what a client that failed has left behind.
    fn lose_all(&self) {
        let left = self.assigned.send_replace(BTreeSet::new());
        if !left.is_empty() {
            let _ = self.changes.blocking_send(AssignmentChange::Lost(left.into_iter().collect()));
        }
    }

    /// Waits before the next client, unless it is to end.
    fn pause(&self) {
        let until = std::time::Instant::now() + REJOIN_INTERVAL;
        while std::time::Instant::now() < until && !self.stop.load(Ordering::Acquire) {
            std::thread::sleep(POLL_TIMEOUT);
        }
    }
}

/// Is called by the client, on the thread that polls it.
struct Rebalancer {
    events: Events,
    topic: String,
    changes: mpsc::Sender<AssignmentChange>,
    assigned: watch::Sender<BTreeSet<PartitionId>>,
    runtime: Handle,
}

impl ClientContext for Rebalancer {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.events.log(level, facility, message);
    }

    fn error(&self, error: ClientError, reason: &str) {
        self.events.error(error, reason);
    }
}

impl ConsumerContext for Rebalancer {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        change: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let partitions: Vec<PartitionId> = list
            .elements_for_topic(&self.topic)
            .iter()
            .filter_map(|element| u32::try_from(element.partition()).ok().map(PartitionId))
            .collect();
        metrics::counter!("kafka_group_rebalances_total").increment(1);
        let done = match change {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, list, partitions),
            _ if consumer.assignment_lost() => {
                tracing::warn!(partitions = ?partitions, "partitions were lost to another node");
                self.take_away(&partitions);
                self.send(AssignmentChange::Lost(partitions));
                consumer.incremental_unassign(list)
            }
            _ => {
                self.revoke(&partitions);
                consumer.incremental_unassign(list)
            }
        };
        if let Err(error) = done {
            tracing::error!(error = %error, "the client did not take an assignment");
        }
        metrics::gauge!("kafka_group_partitions").set(self.assigned.borrow().len() as f64);
    }
}

impl Rebalancer {
    fn assign(
        &self,
        consumer: &BaseConsumer<Self>,
        list: &mut TopicPartitionList,
        partitions: Vec<PartitionId>,
    ) -> KafkaResult<()> {
        // At the end, so that no committed offset is asked for; paused, so that nothing is fetched.
        list.set_all_offsets(Offset::End)?;
        consumer.incremental_assign(list)?;
        consumer.pause(list)?;
        if !partitions.is_empty() {
            tracing::info!(partitions = ?partitions, "partitions were assigned to this node");
            self.assigned.send_modify(|assigned| assigned.extend(&partitions));
            self.send(AssignmentChange::Assigned(partitions));
        }
        Ok(())
    }

    /// Returns when the judge has let go, or at the deadline.
    fn revoke(&self, partitions: &[PartitionId]) {
        if partitions.is_empty() {
            return;
        }
        tracing::info!(partitions = ?partitions, "partitions go to another node");
        let (done, told) = oneshot::channel();
        let revoked = AssignmentChange::Revoked { partitions: partitions.to_vec(), done };
        if self.send(revoked) {
            // An answer that is dropped says as much: nobody judges them any longer.
            let answer = self.runtime.block_on(async { tokio::time::timeout(REVOKE_DEADLINE, told).await });
            if answer.is_err() {
                tracing::error!(partitions = ?partitions, "the judge did not let go in time; what it had in hand is dropped");
                metrics::counter!("kafka_group_revocations_late_total").increment(1);
                self.send(AssignmentChange::Lost(partitions.to_vec()));
            }
        }
        self.take_away(partitions);
    }

    fn take_away(&self, partitions: &[PartitionId]) {
        self.assigned.send_modify(|assigned| assigned.retain(|ours| !partitions.contains(ours)));
    }

    /// False when nobody listens any longer, or does not take it for too long.
    fn send(&self, change: AssignmentChange) -> bool {
        let sent = async { tokio::time::timeout(REVOKE_DEADLINE, self.changes.send(change)).await };
        matches!(self.runtime.block_on(sent), Ok(Ok(())))
    }
}

#[cfg(test)]
mod tests;
