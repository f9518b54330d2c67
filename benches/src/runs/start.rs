//! How long a start takes when there is something to start with.

use crate::options::Options;
use crate::product::Product;
use crate::report::{Table, mebibytes, progress};

/// From the start of the process to `/health/ready`, the embedded PostgreSQL's own start included.
pub(super) async fn run(options: &Options) -> anyhow::Result<()> {
    let mut table = Table::new(
        "Start, from the process to /health/ready (embedded PostgreSQL's own start included)",
        &["gonggus", "ready within", "memory then"],
    );
    for &size in &options.sizes {
        progress(&format!("start with {size} gonggus"));
        let product = Product::start(options, size).await?;
        table.push(vec![
            size.to_string(),
            format!("{:.0} ms", product.started_within.as_secs_f64() * 1e3),
            mebibytes(crate::process::resident_bytes(product.server.id())),
        ]);
    }
    Ok(table.print()?)
}
