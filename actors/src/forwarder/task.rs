//! The shell round the window: reads, sends, keeps the place, and begins again after a fault.

use super::place::{PlaceFile, StoredPlace};
use super::producer::{Fault, MakeProducer, RawProducer};
use super::status::{ForwarderStatus, ForwarderStep, LagAlarm};
use super::window::{Limits, Window};
use super::{ForwarderConfig, JOURNAL_PARTITION, READER_NAME};
use crate::kafka::LogEpoch;
use gonggumoa_core::clock::Clock;
use gonggumoa_core::log::{ClickLog, LogError, LogReader};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};
use tokio::time::MissedTickBehavior;

/// How often status and figures are looked at. Cheap, and a watcher sees nothing older.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// What a record is taken to weigh before any was sent: a phone's click.
const RECORD_BYTES_GUESS: u64 = 450;

/// See the module.
pub(super) struct Task {
    config: ForwarderConfig,
    journal: Arc<dyn ClickLog>,
    clock: Arc<dyn Clock>,
    make_producer: MakeProducer,
    file: PlaceFile,
    log: LogEpoch,
    window: Window,
    /// What the file says.
    stored: StoredPlace,
    stored_at: Instant,
    status: watch::Sender<ForwarderStatus>,
    alarm: LagAlarm,
    /// Entries that have arrived in this process's life.
    arrived: u64,
}

impl Task {
    pub(super) fn new(
        config: ForwarderConfig,
        journal: Arc<dyn ClickLog>,
        clock: Arc<dyn Clock>,
        make_producer: MakeProducer,
        file: PlaceFile,
        stored: StoredPlace,
        status: watch::Sender<ForwarderStatus>,
    ) -> Self {
        let limits = Limits { records: config.in_flight_records_max, bytes: config.in_flight_bytes_max };
        Self {
            window: Window::new(config.partitioning, limits, stored.reached.clone()),
            log: config.log,
            alarm: LagAlarm::new(config.alarm_after),
            stored_at: Instant::now(),
            arrived: 0,
            config,
            journal,
            clock,
            make_producer,
            file,
            stored,
            status,
        }
    }

    /// Until the journal is closed and everything in it has arrived, or `stop`.
    pub(super) async fn run(mut self, stop: Arc<Notify>) {
        let step = tokio::select! {
            () = self.forward() => ForwarderStep::Drained,
            () = stop.notified() => ForwarderStep::Stopped,
        };
        let mut wait = self.config.retry_min;
        while !self.keep_place().await && step == ForwarderStep::Drained {
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(self.config.retry_max);
        }
        self.look(None).await;
        self.status.send_modify(|status| status.step = step);
    }

    /// One producer after another.
    async fn forward(&mut self) {
        let mut wait = self.config.retry_min;
        // Releases are not remembered over a start.
        self.release().await;
        loop {
            let arrived_before = self.arrived;
            let Err(fault) = self.session().await else { return };
            if self.arrived > arrived_before {
                wait = self.config.retry_min;
            }
            metrics::counter!("forwarder_restarts_total").increment(1);
            tracing::error!(forwarder.problem = %fault, "forwarding stopped; it begins again where it has arrived");
            self.status.send_modify(|status| status.step = ForwarderStep::Restarting { problem: fault.0 });
            self.window.restart();
            self.keep_place().await;
            self.look(None).await;
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(self.config.retry_max);
        }
    }

    /// With one producer, until a fault; `Ok`: everything in the closed journal has arrived.
    async fn session(&mut self) -> Result<(), Fault> {
        let place = self.window.reached().place();
        let mut reader =
            self.journal.reader(JOURNAL_PARTITION, place).await.map_err(|error| unreadable(&error))?;
        let mut producer = (self.make_producer)()?;
        self.move_along(reader.as_mut(), producer.as_mut()).await
    }

    async fn move_along(
        &mut self,
        reader: &mut dyn LogReader,
        producer: &mut dyn RawProducer,
    ) -> Result<(), Fault> {
        let mut ticks = tokio::time::interval(LOOK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tickets = Vec::new();
        let mut closed = false;
        loop {
            self.window.pump(producer)?;
            if closed && self.window.is_empty() {
                return Ok(());
            }
            tokio::select! {
                acknowledged = producer.acknowledged(&mut tickets) => {
                    // What arrived before a fault has arrived all the same.
                    self.take_acknowledged(&mut tickets);
                    acknowledged?;
                }
                batch = reader.next(self.config.read_entries_max), if !closed && self.window.wants_more() => {
                    match batch {
                        Ok(batch) => self.window.accept(batch.entries)?,
                        Err(LogError::Closed) => closed = true,
                        Err(error) => return Err(unreadable(&error)),
                    }
                }
                _ = ticks.tick() => {
                    if self.stored_at.elapsed() >= self.config.place_interval {
                        self.keep_place().await;
                    }
                    self.look(producer.trouble()).await;
                }
            }
        }
    }

    fn take_acknowledged(&mut self, tickets: &mut Vec<u64>) {
        let arrived: u64 = tickets.drain(..).map(|ticket| self.window.acknowledge(ticket)).sum();
        if arrived > 0 {
            self.arrived += arrived;
            metrics::counter!("forwarder_forwarded_records_total").increment(arrived);
            if matches!(self.status.borrow().step, ForwarderStep::Restarting { .. }) {
                self.status.send_modify(|status| status.step = ForwarderStep::Running);
            }
        }
    }

    /// Writes down what has arrived, if the file does not say so yet, then lets the journal go on. Whether the
    /// file is right now.
    async fn keep_place(&mut self) -> bool {
        self.stored_at = Instant::now();
        if self.stored.reached == *self.window.reached() {
            return true;
        }
        let place = StoredPlace { log: self.log, reached: self.window.reached().clone() };
        let file = self.file.clone();
        let written = tokio::task::spawn_blocking(move || file.write(&place).map(|()| place)).await;
        match written.map_err(std::io::Error::other).flatten() {
            Ok(place) => {
                self.stored = place;
                self.release().await;
                true
            }
            Err(error) => {
                metrics::counter!("forwarder_place_failures_total").increment(1);
                let file = self.file.path();
                tracing::error!(%error, forwarder.file = %file.display(), "the forwarder's place cannot be written");
                false
            }
        }
    }

    async fn release(&self) {
        if let Some(place) = self.stored.reached.place() {
            self.journal.release(JOURNAL_PARTITION, READER_NAME, place).await;
        }
    }

    /// Brings status, figures and alarm up to date.
    async fn look(&mut self, trouble: Option<String>) {
        let reached = self.window.reached();
        let end = self.journal.durable_end(JOURNAL_PARTITION).await.unwrap_or(reached.through);
        let lag_records = end.0.saturating_sub(reached.through.0);
        let lag_millis = match self.window.oldest_at() {
            Some(at) if lag_records > 0 => self.clock.now().millis_since(at),
            Some(_) | None => 0,
        };
        let record_bytes = self.window.mean_record_bytes().unwrap_or(RECORD_BYTES_GUESS);
        self.status.send_modify(|status| {
            status.forwarded = reached.place();
            status.lag_records = lag_records;
            status.lag_bytes = lag_records.saturating_mul(record_bytes);
            status.lag = Duration::from_millis(u64::try_from(lag_millis).unwrap_or(0));
            status.trouble = trouble;
        });
        let status = self.status.borrow();
        status.publish(self.window.in_flight_records());
        self.alarm.look(&status);
    }
}

fn unreadable(error: &LogError) -> Fault {
    let mut text = format!("the journal cannot be read: {error}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    Fault(text)
}
