//! Bytes of one idle gonggu, taken apart.

use crate::live_bytes;
use crate::world::World;
use gonggumoa_actors::TrackingConfig;
use gonggumoa_benches::report::{Table, grouped};
use gonggumoa_benches::requests::Visitors;
use gonggumoa_benches::sample;
use gonggumoa_core::ids::Position;
use gonggumoa_core::judge::rules::{RulesSettings, StoredRules};
use gonggumoa_core::judge::{GongguState, Rules};
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::time::Duration;

const GONGGUS: u64 = 100_000;
const HOUR: Duration = Duration::from_secs(3_600);

pub(crate) async fn run() -> anyhow::Result<()> {
    let columns = ["what", "live bytes each"];
    let mut table = Table::new(format!("Memory of an idle gonggu, of {GONGGUS}"), &columns);
    tasks(&mut table).await;
    channels::<SupervisionEvent>(&mut table, "a channel of supervision events, empty");
    channels::<Box<dyn std::any::Any + Send>>(&mut table, "a channel of boxed messages, empty");
    bare_actors(&mut table, 0).await?;
    bare_actors(&mut table, 1).await?;
    bare_actors(&mut table, 100).await?;
    states(&mut table)?;
    gonggus(&mut table).await?;
    Ok(table.print()?)
}

/// Live bytes when nothing moves any more, to be compared with those after something has come.
struct Reading(usize);

impl Reading {
    async fn settled() -> Self {
        let mut before = live_bytes();
        loop {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let live = live_bytes();
            if live.abs_diff(before) < 4_096 {
                return Self(live);
            }
            before = live;
        }
    }

    async fn enter(&self, table: &mut Table, what: &str) {
        let now = Self::settled().await;
        table.push(vec![what.to_owned(), each(now.0, self.0)]);
    }
}

fn each(now: usize, before: usize) -> String {
    grouped(now.saturating_sub(before) as f64 / GONGGUS as f64)
}

/// The floor of anything that waits.
async fn tasks(table: &mut Table) {
    let before = Reading::settled().await;
    let tasks: Vec<_> = (0..GONGGUS).map(|_| tokio::spawn(std::future::pending::<()>())).collect();
    before.enter(table, "a tokio task that waits").await;
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
}

/// A channel's first block of 32 places is made with it.
fn channels<T>(table: &mut Table, what: &str) {
    let mut channels = Vec::with_capacity(GONGGUS as usize);
    let before = live_bytes();
    channels.extend((0..GONGGUS).map(|_| tokio::sync::mpsc::unbounded_channel::<T>()));
    table.push(vec![what.to_owned(), each(live_bytes(), before)]);
}

struct Parent;

impl Actor for Parent {
    type Msg = ();
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<()>, _: ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<()>,
        _: SupervisionEvent,
        _: &mut (),
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

struct Child;

impl Actor for Child {
    type Msg = u64;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<u64>, _: ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(&self, _: ActorRef<u64>, _: u64, _: &mut ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

/// The floor of a supervised actor, after so many messages.
async fn bare_actors(table: &mut Table, messages: u64) -> anyhow::Result<()> {
    let (parent, _) = Actor::spawn(None, Parent, ()).await?;
    let before = Reading::settled().await;
    let mut children = Vec::new();
    for _ in 0..GONGGUS {
        let (child, _) = ractor::ActorRuntime::spawn_linked_instant(None, Child, (), parent.get_cell())?;
        children.push(child);
    }
    for message in 0..messages {
        for child in &children {
            child.send_message(message)?;
        }
        tokio::task::yield_now().await;
    }
    before.enter(table, &format!("a supervised actor of nothing, after {messages} messages")).await;
    parent.get_cell().stop_children_and_wait(None, None).await;
    parent.get_cell().stop_and_wait(None, None).await?;
    Ok(())
}

/// The judge's part alone.
fn states(table: &mut Table) -> anyhow::Result<()> {
    let rules =
        Rules::compile(&StoredRules { version: 1, settings: RulesSettings::standard("bench".to_owned()) })?;
    let before = live_bytes();
    let mut states: Vec<_> =
        (0..GONGGUS).map(|number| Box::new(GongguState::new(sample::gonggu_id(number)))).collect();
    let mut enter = |what: &str| {
        table.push(vec![what.to_owned(), each(live_bytes(), before)]);
    };
    enter("the judge's state, new");
    for (number, state) in states.iter_mut().enumerate() {
        let click = sample::raw_click(number as u64, number as u64, Visitors::Different, 20_000);
        for key in state.missing_rollups(&click) {
            state.insert_rollup(key, None);
        }
        state.fold(Position(number as u64 + 1), &click, &rules);
        state.take_changes();
    }
    enter("the judge's state, after a click");
    states.iter_mut().for_each(|state| state.forget_stored(Position(GONGGUS)));
    enter("the judge's state, its click stored");
    Ok(())
}

/// The whole: each gonggu clicked, everything stored.
async fn gonggus(table: &mut Table) -> anyhow::Result<()> {
    let endless = TrackingConfig {
        rest_after: HOUR,
        awake_gonggus_max: usize::MAX,
        idle_after: HOUR,
        live_gonggus_max: usize::MAX,
        ..TrackingConfig::default()
    };
    let mut world = World::start(endless.clone()).await?;
    let before = world.settled().await?;
    for clicks in [1, 2, 10] {
        world.click(GONGGUS * clicks, GONGGUS).await?;
        before.enter(table, &format!("a gonggu with its actor, {clicks} more clicks stored")).await;
    }
    world.stop().await;
    for clicks in [1, 10] {
        let resting = TrackingConfig { rest_after: Duration::from_millis(500), ..endless.clone() };
        let mut world = World::start(resting).await?;
        let before = world.settled().await?;
        world.click(GONGGUS * clicks, GONGGUS).await?;
        world.reach(|_, awake| awake == 0).await?;
        before.enter(table, &format!("a gonggu at rest, {clicks} clicks stored")).await;
        world.stop().await;
    }
    let mut world = World::start(TrackingConfig { idle_after: Duration::ZERO, ..endless }).await?;
    let before = world.settled().await?;
    world.click(GONGGUS, GONGGUS).await?;
    world.reach(|live, _| live == 0).await?;
    before.enter(table, "a gonggu that has left").await;
    world.stop().await;
    Ok(())
}

impl World {
    /// What a partition has anyway is there before the first reading.
    async fn settled(&mut self) -> anyhow::Result<Reading> {
        self.click(1_000, 1).await?;
        Ok(Reading::settled().await)
    }

    async fn click(&mut self, clicks: u64, gonggus: u64) -> anyhow::Result<()> {
        // Not all at once: a hundred clicks of every gonggu would be some gigabytes.
        let mut left = clicks;
        while left > 0 {
            let part = left.min(GONGGUS);
            let batches = self.prepare(part, 0, gonggus);
            self.judge(batches).await?;
            left -= part;
        }
        Ok(())
    }
}
