//! What a gonggu's actor costs: bytes while it is idle, and time while it works.
//!
//! The real actors run on a log that hands out prepared clicks and a store that forgets, so that nothing
//! but the actors (and the judge inside them) is measured. Bytes are those that are live, by a counting
//! allocator: what the allocator itself rounds up or keeps back is not in them. No criterion: a million
//! clicks are judged once, not a hundred times.
//!
//! ```sh
//! cargo bench -p gonggumoa-benches --bench actors            # both
//! cargo bench -p gonggumoa-benches --bench actors -- memory  # or speed
//! ```

#![allow(missing_docs, reason = "a bench's items are for itself")]

mod memory;
mod speed;
mod world;

use cap::Cap;
use mimalloc::MiMalloc;

/// The program's own allocator, and what it was asked for.
#[global_allocator]
static ALLOCATOR: Cap<MiMalloc> = Cap::new(MiMalloc, usize::MAX);

/// Bytes that are live now.
fn live_bytes() -> usize {
    ALLOCATOR.allocated()
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wants = |name: &str| wanted.is_empty() || wanted.iter().any(|argument| argument == name);
    if wants("memory") {
        memory::run().await?;
    }
    if wants("speed") {
        speed::run().await?;
    }
    Ok(())
}
