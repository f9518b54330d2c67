//! The asking side: rollups, heads, pages of clicks, progress.

use super::begin::begin_snapshot;
use super::error::store_error;
use super::figures::open_rows;
use super::millis::PgMillis;
use super::open::OpenRows;
use super::rows::{ClickRow, RollupRow};
use super::write::place;
use super::{PostgresClickStore, codes, load};
use async_trait::async_trait;
use gonggumoa_core::click::JudgedClick;
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::{GongguId, PartitionId, Position};
use gonggumoa_core::judge::totals::{GongguHead, Rollup, RollupLevel};
use gonggumoa_core::log::LogPosition;
use gonggumoa_core::store::{ClickQueries, PartitionProgress, RunMark, StoreError};
use sqlx::PgConnection;
use uuid::Uuid;

#[async_trait]
impl ClickQueries for PostgresClickStore {
    async fn rollups(
        &self,
        gonggu_id: GongguId,
        level: RollupLevel,
        from: UnixMillis,
        to: UnixMillis,
    ) -> Result<Vec<Rollup>, StoreError> {
        // A row that moves from the head to the table meanwhile is seen in one of them, and once.
        let mut transaction = begin_snapshot(&self.pool).await.map_err(store_error)?;
        let rows = sqlx::query_as!(
            RollupRow,
            r#"SELECT gonggu_id, level, at AS "at: PgMillis", counts, visitors, referrers, devices
               FROM click_rollups WHERE gonggu_id = $1 AND level = $2 AND at >= $3 AND at < $4 ORDER BY at"#,
            gonggu_id.0,
            codes::level_code(level),
            PgMillis(from) as _,
            PgMillis(to) as _
        )
        .fetch_all(&mut *transaction)
        .await
        .map_err(store_error)?;
        let mut rollups = rows.into_iter().map(Rollup::try_from).collect::<Result<Vec<_>, _>>()?;
        let open = open_rows(&mut transaction, &[gonggu_id.0]).await?;
        transaction.commit().await.map_err(store_error)?;
        let open = open.into_values().flat_map(OpenRows::into_rows);
        rollups.extend(open.filter(|row| row.key.level == level && from <= row.key.at && row.key.at < to));
        rollups.sort_unstable_by_key(|row| row.key);
        Ok(rollups)
    }

    async fn heads(&self, gonggu_ids: &[GongguId]) -> Result<Vec<GongguHead>, StoreError> {
        let ids: Vec<Uuid> = gonggu_ids.iter().map(|id| id.0).collect();
        let mut connection = self.pool.acquire().await.map_err(store_error)?;
        load::heads(&mut connection, &ids).await
    }

    async fn complete_through(&self, partitions: &[PartitionId]) -> Result<UnixMillis, StoreError> {
        let mut connection = self.pool.acquire().await.map_err(store_error)?;
        complete_through(&mut connection, partitions).await
    }

    async fn clicks(
        &self,
        gonggu_id: GongguId,
        from: UnixMillis,
        to: UnixMillis,
        after: Option<(UnixMillis, Position)>,
        limit: usize,
    ) -> Result<Vec<JudgedClick>, StoreError> {
        // Positions are never negative in the store, so -1 is before the first.
        let (after_at, after_position) = after.map_or((from, -1), |(at, position)| (at, position.0 as i64));
        let rows = sqlx::query_file_as!(
            ClickRow,
            "src/postgres/sql/page_clicks.sql",
            gonggu_id.0,
            PgMillis(from) as _,
            PgMillis(to) as _,
            PgMillis(after_at) as _,
            after_position,
            i64::try_from(limit).unwrap_or(i64::MAX)
        )
        .fetch_all(&self.pool)
        .await
        .map_err(store_error)?;
        rows.into_iter().map(JudgedClick::try_from).collect()
    }
}

/// The least of these partitions; one without a mark, or that stored nothing, holds everything back.
pub(crate) async fn complete_through(
    connection: &mut PgConnection,
    partitions: &[PartitionId],
) -> Result<UnixMillis, StoreError> {
    let numbers: Vec<i32> = partitions.iter().map(|partition| partition.0 as i32).collect();
    let stored = sqlx::query_scalar!(
        "SELECT marks FROM click_partitions WHERE partition = ANY($1) AND position IS NOT NULL",
        &numbers
    )
    .fetch_all(connection)
    .await
    .map_err(store_error)?;
    if stored.len() < partitions.len() {
        return Ok(UnixMillis::MIN);
    }
    let mut least = None;
    for marks in stored {
        let at = least_mark(marks)?;
        least = Some(least.map_or(at, |least: UnixMillis| least.min(at)));
    }
    Ok(least.unwrap_or(UnixMillis::MIN))
}

/// The least mark of a partition that counts; one without any is complete through nothing.
pub(crate) fn least_mark(marks: serde_json::Value) -> Result<UnixMillis, StoreError> {
    let counting = parse_marks(marks)?.into_iter().filter(|mark| !mark.superseded);
    Ok(counting.map(|mark| mark.at).min().unwrap_or(UnixMillis::MIN))
}

pub(crate) fn parse_marks(marks: serde_json::Value) -> Result<Vec<RunMark>, StoreError> {
    serde_json::from_value(marks)
        .map_err(|error| StoreError::Damaged { what: "partition", problem: format!("marks: {error}") })
}

pub(crate) async fn stored_partitions(store: &PostgresClickStore) -> Result<Vec<PartitionId>, StoreError> {
    let numbers = sqlx::query_scalar!(
        "SELECT partition FROM click_partitions WHERE position IS NOT NULL ORDER BY partition"
    )
    .fetch_all(&store.pool)
    .await
    .map_err(store_error)?;
    Ok(numbers.into_iter().map(|number| PartitionId(number as u32)).collect())
}

pub(crate) async fn progress(
    store: &PostgresClickStore,
    partition: PartitionId,
) -> Result<Option<PartitionProgress>, StoreError> {
    let row = sqlx::query!(
        "SELECT position, run, marks FROM click_partitions WHERE partition = $1",
        partition.0 as i32
    )
    .fetch_optional(&store.pool)
    .await
    .map_err(store_error)?;
    row.map_or(Ok(None), |row| progress_of(place(row.position, row.run), row.marks))
}

fn progress_of(
    position: Option<LogPosition>,
    marks: serde_json::Value,
) -> Result<Option<PartitionProgress>, StoreError> {
    let Some(position) = position else { return Ok(None) };
    Ok(Some(PartitionProgress { position, marks: parse_marks(marks)? }))
}

/// Waits for whoever stores the partition at the moment; what is returned is as of the claim.
pub(crate) async fn claim(
    store: &PostgresClickStore,
    partition: PartitionId,
    owner: Uuid,
) -> Result<Option<PartitionProgress>, StoreError> {
    let row = sqlx::query!(
        "INSERT INTO click_partitions (partition, owner, marks) VALUES ($1, $2, '[]')
         ON CONFLICT (partition) DO UPDATE SET owner = excluded.owner
         RETURNING position, run, marks",
        partition.0 as i32,
        owner
    )
    .fetch_one(&store.pool)
    .await
    .map_err(store_error)?;
    progress_of(place(row.position, row.run), row.marks)
}

pub(crate) async fn quarantined(
    store: &PostgresClickStore,
    partition: PartitionId,
    after: Position,
) -> Result<Vec<Position>, StoreError> {
    let rows = sqlx::query_scalar!(
        "SELECT position FROM click_quarantine WHERE partition = $1 AND position > $2 ORDER BY position",
        partition.0 as i32,
        after.0 as i64
    )
    .fetch_all(&store.pool)
    .await
    .map_err(store_error)?;
    Ok(rows.into_iter().map(|position| Position(position as u64)).collect())
}
