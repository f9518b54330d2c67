//! Clicks a second through the actors, as many as a partition is behind.

use crate::world::World;
use gonggumoa_actors::TrackingConfig;
use gonggumoa_benches::report::{Table, grouped, median, micros_each};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const CLICKS: u64 = 400_000;
const ROUNDS: usize = 3;

pub(crate) async fn run() -> anyhow::Result<()> {
    let columns = ["gonggus", "of them awake", "first clicks/s", "clicks/s", "µs each", "store questions"];
    let mut table = Table::new("Clicks through the actors", &columns);
    let standard = TrackingConfig::default();
    let awake_max = standard.awake_gonggus_max;
    // The last: every click finds its gonggu at rest.
    for (gonggus, awake_gonggus_max) in [(1, awake_max), (256, awake_max), (100_000, awake_max), (100_000, 0)]
    {
        let config = TrackingConfig { awake_gonggus_max, ..standard.clone() };
        let mut world = World::start(config).await?;
        let first = round(&mut world, gonggus).await?;
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            rounds.push(round(&mut world, gonggus).await?.as_secs_f64());
        }
        let each = Duration::from_secs_f64(median(&rounds));
        table.push(vec![
            grouped(gonggus as f64),
            grouped(awake_gonggus_max.min(gonggus as usize) as f64),
            grouped(CLICKS as f64 / first.as_secs_f64()),
            grouped(CLICKS as f64 / each.as_secs_f64()),
            format!("{:.2}", micros_each(each, CLICKS)),
            format!(
                "{} for {}",
                world.store.loads.load(Ordering::Relaxed),
                world.store.loaded.load(Ordering::Relaxed)
            ),
        ]);
        world.stop().await;
    }
    Ok(table.print()?)
}

async fn round(world: &mut World, gonggus: u64) -> anyhow::Result<Duration> {
    let batches = world.prepare(CLICKS, 0, gonggus);
    let started = Instant::now();
    world.judge(batches).await?;
    Ok(started.elapsed())
}
