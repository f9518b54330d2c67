//! What one more gonggu that was clicked once costs while its actor is in memory.
//!
//! Measured from outside, as the growth of the process: it counts everything that comes with an actor
//! (its task, mailbox, state, map entries), and what the allocator loses between them.

use crate::closed_loop::{self, Drive, Tally};
use crate::options::Options;
use crate::process;
use crate::product::Product;
use crate::report::{Table, grouped, mebibytes};
use crate::requests::{Requests, Visitors};
use std::sync::Arc;
use std::time::Duration;

pub(super) async fn run(options: &Options) -> anyhow::Result<()> {
    let size = options.sizes.iter().copied().max().unwrap_or(1);
    let product = Product::start(options, size).await?;
    // All that a busy process holds anyway is there before the first reading.
    click(options, &product, 1).await?;
    let mut connection = product.connect().await?;
    let actors = |count: i64| count as u64;
    let count = "SELECT count(*) FROM click_heads";
    let before = process::resident_bytes(product.server.id());
    let actors_before = actors(sqlx::query_scalar(count).fetch_one(&mut connection).await?);
    click(options, &product, size).await?;
    let after = process::resident_bytes(product.server.id());
    let actors_after = actors(sqlx::query_scalar(count).fetch_one(&mut connection).await?);
    let more = actors_after.saturating_sub(actors_before).max(1);
    let mut table = Table::new(
        "Memory of gonggu actors, from the growth of the process",
        &["actors before", "actors after", "memory before", "memory after", "bytes each"],
    );
    table.push(vec![
        grouped(actors_before as f64),
        grouped(actors_after as f64),
        mebibytes(before),
        mebibytes(after),
        grouped(after.saturating_sub(before) as f64 / more as f64),
    ]);
    Ok(table.print()?)
}

async fn click(options: &Options, product: &Product, gonggus: usize) -> anyhow::Result<()> {
    let requests = Arc::new(Requests::new(&product.gonggu_ids[..gonggus], Visitors::Same));
    let stored_before = product.gross().await?;
    let drive = Drive {
        connections: options.connections,
        duration: Duration::from_secs(options.seconds),
        rate_per_second: None,
    };
    let outcome = closed_loop::run(product.address, &requests, drive, &Arc::new(Tally::default()))?;
    product.wait_level(Some((&outcome, stored_before))).await?;
    Ok(())
}
