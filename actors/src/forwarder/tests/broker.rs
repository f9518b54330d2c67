//! A broker in memory that does what Kafka may do: each producer's records of a partition arrive in the order of
//! sending, without a gap, at any time, also long after the producer died; acknowledgements get lost.

use super::super::producer::{Fault, RawProducer, RawRecord, SendError};
use async_trait::async_trait;
use gonggumoa_core::ids::PartitionId;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::Notify;

#[derive(Clone, Default)]
pub(super) struct Broker {
    inner: Arc<Mutex<Inner>>,
    changed: Arc<Notify>,
}

#[derive(Default)]
struct Inner {
    partitions: Vec<Vec<Vec<u8>>>,
    /// All that ever sent, the dead ones too.
    producers: Vec<Sender>,
    /// Records that a producer holds before it is full.
    queue_max: usize,
    /// Whether records arrive, and are acknowledged, as soon as they are sent.
    immediate: bool,
}

#[derive(Default)]
struct Sender {
    /// By partition, what has not arrived.
    queues: Vec<VecDeque<(Vec<u8>, u64)>>,
    acknowledged: Vec<u64>,
    fault: Option<Fault>,
}

impl Broker {
    pub(super) fn new(partitions: u32, queue_max: usize) -> Self {
        let broker = Self::default();
        {
            let mut inner = broker.inner.lock();
            inner.partitions = vec![Vec::new(); partitions as usize];
            inner.queue_max = queue_max;
        }
        broker
    }

    pub(super) fn producer(&self) -> Box<dyn RawProducer> {
        let mut inner = self.inner.lock();
        let queues = vec![VecDeque::new(); inner.partitions.len()];
        inner.producers.push(Sender { queues, ..Sender::default() });
        Box::new(ModelProducer { broker: self.clone(), number: inner.producers.len() - 1 })
    }

    /// Up to `count` records of a producer (counted from the newest) arrive in a partition.
    pub(super) fn deliver(&self, producers_back: usize, partition: usize, count: usize, with_answer: bool) {
        let mut inner = self.inner.lock();
        let Inner { partitions, producers, .. } = &mut *inner;
        let Some(number) = producers.len().checked_sub(1 + producers_back) else { return };
        let sender = &mut producers[number];
        for _ in 0..count {
            let Some((bytes, ticket)) = sender.queues[partition].pop_front() else { break };
            partitions[partition].push(bytes);
            if with_answer {
                sender.acknowledged.push(ticket);
            }
        }
        drop(inner);
        self.changed.notify_one();
    }

    /// The newest producer takes nothing more. What it holds may still arrive.
    pub(super) fn fail(&self) {
        let mut inner = self.inner.lock();
        if let Some(sender) = inner.producers.last_mut() {
            sender.fault = Some(Fault("told to fail".to_owned()));
        }
        drop(inner);
        self.changed.notify_one();
    }

    /// From now on, or no longer, all arrives at once.
    pub(super) fn immediate(&self, immediate: bool) {
        self.inner.lock().immediate = immediate;
        for partition in 0..self.partitions().len() {
            self.deliver(0, partition, if immediate { usize::MAX } else { 0 }, true);
        }
    }

    pub(super) fn partitions(&self) -> Vec<Vec<Vec<u8>>> {
        self.inner.lock().partitions.clone()
    }

    /// How many producers there were.
    pub(super) fn producers(&self) -> usize {
        self.inner.lock().producers.len()
    }
}

struct ModelProducer {
    broker: Broker,
    number: usize,
}

#[async_trait]
impl RawProducer for ModelProducer {
    fn send(&mut self, record: RawRecord<'_>) -> Result<(), SendError> {
        let mut inner = self.broker.inner.lock();
        let (queue_max, immediate) = (inner.queue_max, inner.immediate);
        let sender = &mut inner.producers[self.number];
        if let Some(fault) = &sender.fault {
            return Err(fault.clone().into());
        }
        if immediate {
            sender.acknowledged.push(record.ticket);
            inner.partitions[record.partition.0 as usize].push(record.value.to_vec());
            drop(inner);
            self.broker.changed.notify_one();
            return Ok(());
        }
        if sender.queues.iter().map(VecDeque::len).sum::<usize>() >= queue_max {
            return Err(SendError::Full);
        }
        let PartitionId(partition) = record.partition;
        sender.queues[partition as usize].push_back((record.value.to_vec(), record.ticket));
        Ok(())
    }

    async fn acknowledged(&mut self, tickets: &mut Vec<u64>) -> Result<(), Fault> {
        loop {
            {
                let sender = &mut self.broker.inner.lock().producers[self.number];
                tickets.append(&mut sender.acknowledged);
                if let Some(fault) = &sender.fault {
                    return Err(fault.clone());
                }
                if !tickets.is_empty() {
                    return Ok(());
                }
            }
            self.broker.changed.notified().await;
        }
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}
