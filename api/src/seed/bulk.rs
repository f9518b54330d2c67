//! Any number of open gonggus, for load runs.

use super::SeedError;
use super::catalog::demo_id;
use indicatif::ProgressBar;
use sqlx::PgPool;
use uuid::Uuid;

/// Rows a statement. Larger ones gain nothing and hold the notification queue longer.
const CHUNK: u32 = 5_000;

/// Makes those of the first `scale` that are missing.
pub(super) async fn sow(
    pool: &PgPool,
    influencers: &[Uuid],
    scale: u32,
    progress: &ProgressBar,
) -> Result<(), SeedError> {
    let mut next = 0;
    while next < scale {
        let end = scale.min(next.saturating_add(CHUNK));
        let numbers: Vec<i32> = (next..end).map(u32::cast_signed).collect();
        let ids: Vec<Uuid> = (next..end).map(|number| demo_id("load gonggu", number.into())).collect();
        sqlx::query_file!("src/seed/bulk.sql", &ids, &numbers, influencers).execute(pool).await?;
        progress.inc(u64::from(end - next));
        next = end;
    }
    if scale > 0 {
        // Plans made for the few rows of before would be wrong for these.
        sqlx::query!("ANALYZE gonggus").execute(pool).await?;
    }
    Ok(())
}
